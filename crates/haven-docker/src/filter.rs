//! The `filters` of a request: `{"label":["a=b"]}` or, from old clients, `{"label":{"a=b":true}}`.

use crate::query::Query;
use crate::refusal::{Answer, Refusal};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Wanted values per key. No value for a key: everything passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters(BTreeMap<String, Vec<String>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    List(Vec<String>),
    Set(BTreeMap<String, bool>),
}

impl Filters {
    /// Reads the `filters` of `query`; only keys in `known` are accepted.
    pub(crate) fn read(query: &Query, known: &[&str]) -> Answer<Self> {
        let Some(text) = query.given("filters") else { return Ok(Self::default()) };
        let parsed: Option<BTreeMap<String, Values>> =
            serde_json::from_str(text).map_err(|_| Refusal::invalid("invalid filter"))?;
        let mut filters = BTreeMap::new();
        for (key, values) in parsed.unwrap_or_default() {
            if !known.contains(&key.as_str()) {
                return Err(Refusal::invalid(format!("invalid filter '{key}'")));
            }
            let values = match values {
                Values::List(list) => list,
                Values::Set(set) => set.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect(),
            };
            filters.insert(key, values);
        }
        Ok(Self(filters))
    }

    /// The values wanted for `key`.
    pub(crate) fn values(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a thing passes: no value is wanted, or one of them is accepted.
    pub(crate) fn any(&self, key: &str, accepts: impl Fn(&str) -> bool) -> bool {
        let values = self.values(key);
        values.is_empty() || values.iter().any(|value| accepts(value))
    }

    /// A key that is either true or false; `None` when it isn't given.
    pub(crate) fn boolean(&self, key: &str) -> Answer<Option<bool>> {
        let refuse = || Refusal::invalid(format!("invalid filter '{key}={:?}'", self.values(key)));
        match self.values(key) {
            [] => Ok(None),
            [value] => match value.to_ascii_lowercase().as_str() {
                "1" | "true" | "t" => Ok(Some(true)),
                "0" | "false" | "f" => Ok(Some(false)),
                _ => Err(refuse()),
            },
            _ => Err(refuse()),
        }
    }

    /// Every `label` wanted (`key` or `key=value`) is there, and every `label!` isn't.
    pub(crate) fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        };
        self.values("label").iter().all(has) && !self.values("label!").iter().any(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Answer<Filters> {
        let encoded: String = json.bytes().map(|b| format!("%{b:02x}")).collect();
        Filters::read(
            &Query::parse(&format!("filters={encoded}")).unwrap(),
            &["label", "label!", "status", "dangling"],
        )
    }

    #[test]
    fn both_forms_of_filters_are_read() {
        for json in [r#"{"status":["a","b"]}"#, r#"{"status":{"a":true,"b":true,"c":false}}"#] {
            assert_eq!(read(json).unwrap().values("status"), ["a", "b"]);
        }
        assert!(read("null").unwrap().values("status").is_empty());
    }

    #[test]
    fn unknown_and_malformed_filters_are_refused_in_dockers_words() {
        assert_eq!(read(r#"{"nope":["x"]}"#).unwrap_err().message, "invalid filter 'nope'");
        for bad in ["{", "[]", "5", r#"{"status":5}"#, r#"{"status":[5]}"#] {
            assert_eq!(read(bad).unwrap_err().message, "invalid filter", "{bad}");
        }
    }

    #[test]
    fn labels_must_all_be_there_and_negated_ones_must_not() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())]);
        for (json, passes) in [
            (r#"{"label":["a"]}"#, true),
            (r#"{"label":["a=b","c"]}"#, true),
            (r#"{"label":["a=c"]}"#, false),
            (r#"{"label":["a","d"]}"#, false),
            (r#"{"label!":["a=c"]}"#, true),
            (r#"{"label!":["a"]}"#, false),
        ] {
            assert_eq!(read(json).unwrap().labels(&labels), passes, "{json}");
        }
    }

    #[test]
    fn a_boolean_filter_takes_one_value() {
        assert_eq!(read(r#"{"dangling":["true"]}"#).unwrap().boolean("dangling").unwrap(), Some(true));
        assert_eq!(read(r#"{"dangling":["0"]}"#).unwrap().boolean("dangling").unwrap(), Some(false));
        assert!(read(r#"{"dangling":["maybe"]}"#).unwrap().boolean("dangling").is_err());
        assert!(read(r#"{"dangling":["true","false"]}"#).unwrap().boolean("dangling").is_err());
    }
}
