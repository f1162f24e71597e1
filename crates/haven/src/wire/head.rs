//! The head of an answer: status line and header fields, read byte-exactly from a buffered connection with limits on
//! every length. RFC 9112 sections 4 and 5.

use haven_spec::{Failure, Outcome};

/// Longest accepted head, status line and all fields together.
pub(crate) const HEAD_LIMIT_BYTES: usize = 64 * 1024;
/// Most accepted fields.
pub(crate) const FIELD_LIMIT: usize = 128;

/// Status and fields of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Reads the complete text of a head, without the empty line that ends it.
    pub(crate) fn parse(text: &[u8]) -> Outcome<Self> {
        let refuse = |what: &str| Failure::internal(format!("the daemon's answer is not HTTP: {what}"));
        let text = std::str::from_utf8(text).map_err(|_| refuse("its head is not text"))?;
        let mut lines = text.split("\r\n").flat_map(|line| line.split('\n'));
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        if !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
            return Err(refuse(&format!("it begins with `{}`", shortened(status_line))));
        }
        let status = words
            .next()
            .filter(|digits| digits.len() == 3)
            .and_then(|digits| digits.parse::<u16>().ok())
            .filter(|status| (100..600).contains(status))
            .ok_or_else(|| refuse(&format!("bad status line `{}`", shortened(status_line))))?;
        let mut fields = Vec::new();
        for line in lines {
            if line.is_empty() {
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| refuse(&format!("bad header field `{}`", shortened(line))))?;
            if fields.len() == FIELD_LIMIT {
                return Err(refuse(&format!("more than {FIELD_LIMIT} header fields")));
            }
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Self { status, fields })
    }

    /// The value of the first field called `name` (lower case).
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a list field contains `word`.
    pub(crate) fn lists(&self, name: &str, word: &str) -> bool {
        self.fields
            .iter()
            .filter(|(known, _)| known == name)
            .flat_map(|(_, value)| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(word))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_their_case() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nContent-Type: a\r\nConnection: x, Upgrade").unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.field("content-type"), Some("a"));
        assert!(head.lists("connection", "upgrade"));
        assert!(!head.lists("connection", "close"));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        for bad in [
            "",
            "SSH-2.0-x",
            "HTTP/2 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 999 x",
            "HTTP/1.1 200 OK\r\nnonsense",
        ] {
            assert!(Head::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(FIELD_LIMIT + 1));
        assert!(Head::parse(many.as_bytes()).is_err());
    }
}
