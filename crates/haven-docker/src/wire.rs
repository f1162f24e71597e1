//! How requests are read: as Go reads them. A missing field and a `null` are the field's zero value, unknown
//! fields are passed over, a field of the wrong type is refused by name.

use serde::{Deserialize, Deserializer};

/// `null` is as good as nothing.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Declares a part of a request: `field: Type = "WireName"`.
macro_rules! wire {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty = $wire:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, serde::Deserialize)]
        #[serde(default)]
        pub(crate) struct $name {
            $($(#[$field_meta])* #[serde(rename = $wire, deserialize_with = "crate::wire::or_default")] pub(crate) $field: $kind,)*
        }
    };
}
pub(crate) use wire;

/// A list of words, or one word that stands for a list of one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a list of strings or one string")]
pub(crate) enum Words {
    One(String),
    Many(Vec<String>),
}

impl From<Words> for Vec<String> {
    fn from(words: Words) -> Self {
        match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        }
    }
}

/// An object without members, as in `{"80/tcp":{}}`; whatever is in it is passed over.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Empty {}

#[cfg(test)]
mod tests {
    use super::*;

    wire! {
        Example {
            number: i64 = "Number",
            words: Option<Words> = "Words",
            ports: std::collections::BTreeMap<String, Option<Empty>> = "Ports",
        }
    }

    #[test]
    fn missing_null_and_unknown_members_are_passed_over() {
        let example: Example =
            serde_json::from_str(r#"{"Number":null,"Words":"x","Ports":{"a":null,"b":{"z":1}},"New":[1]}"#)
                .unwrap();
        assert_eq!(example.number, 0);
        assert_eq!(example.words.map(Vec::from), Some(vec!["x".to_owned()]));
        assert_eq!(example.ports.len(), 2);
        assert!(serde_json::from_str::<Example>("{}").is_ok());
    }

    #[test]
    fn wrong_types_are_refused() {
        for bad in [r#"{"Number":"1"}"#, r#"{"Words":5}"#, r#"{"Words":[5]}"#, r#"{"Ports":[]}"#] {
            assert!(serde_json::from_str::<Example>(bad).is_err(), "{bad}");
        }
    }
}
