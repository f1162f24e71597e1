//! The query of a request: `a=1&b=x%2Fy`, with Docker's notion of what is true.

use crate::refusal::{Answer, Refusal};

/// Decoded pairs in the order given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Decodes `%2F` and, in queries, `+`. `None` when an escape is malformed or the result isn't UTF-8.
pub(crate) fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                decoded.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' if plus_is_space => decoded.push(b' '),
            other => decoded.push(other),
        }
    }
    String::from_utf8(decoded).ok()
}

impl Query {
    pub(crate) fn parse(text: &str) -> Answer<Self> {
        let mut pairs = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let decode = |raw: &str| {
                percent_decode(raw, true)
                    .ok_or_else(|| Refusal::invalid(format!("invalid URL escape in the query near `{raw}`")))
            };
            pairs.push((decode(key)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// A single pair.
    pub(crate) fn one(key: &str, value: &str) -> Self {
        Self(vec![(key.to_owned(), value.to_owned())])
    }

    /// The first value of `key`; empty when it isn't there.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }

    /// The first value of `key`, unless it is missing or empty.
    pub(crate) fn given(&self, key: &str) -> Option<&str> {
        Some(self.text(key)).filter(|value| !value.is_empty())
    }

    /// Every value of `key`.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Docker's rule: everything is true but nothing, `0`, `no`, `false` and `none`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        !matches!(self.text(key).trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// Like [`Self::flag`], with what a missing key means.
    pub(crate) fn flag_or(&self, key: &str, missing: bool) -> bool {
        if self.0.iter().any(|(name, _)| name == key) { self.flag(key) } else { missing }
    }

    /// A whole number; `None` when missing or empty.
    pub(crate) fn number(&self, key: &str) -> Answer<Option<i64>> {
        self.given(key).map(|text| text.parse().map_err(|_| bad_number(key, text))).transpose()
    }
}

fn bad_number(key: &str, text: &str) -> Refusal {
    Refusal::invalid(format!("invalid value for `{key}`: `{text}` is not a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_flags_read_as_docker_reads_them() {
        let query = Query::parse("a=1&b=x%2Fy+z&c&d=False&n=no&a=2&e=anything").unwrap();
        assert_eq!(query.text("b"), "x/y z");
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert!(query.flag("a") && query.flag("e"));
        assert!(!query.flag("c") && !query.flag("d") && !query.flag("n") && !query.flag("absent"));
        assert!(query.flag_or("absent", true) && !query.flag_or("d", true));
        assert_eq!(query.number("a").unwrap(), Some(1));
        assert!(query.number("e").is_err());
    }

    #[test]
    fn malformed_escapes_are_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "%ff=1"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }
}
