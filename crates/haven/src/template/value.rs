//! JSON as templates see it: maps keep the order the daemon wrote them in, numbers stay what they were.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// A value that a template can read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    /// A row's function of one text, like `.Label "name"`: looks the text up. Never part of JSON.
    Lookup(Vec<(String, String)>),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The entry `name` of a map; `Null` when there is none.
    pub(crate) fn at(&self, name: &str) -> &Value {
        static NOTHING: Value = Value::Null;
        self.entry(name).unwrap_or(&NOTHING)
    }

    /// The entry `name` of a map.
    pub(crate) fn entry(&self, name: &str) -> Option<&Value> {
        self.entries().iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value behind a path of map entries.
    pub(crate) fn path(&self, names: &[&str]) -> &Value {
        names.iter().fold(self, |value, name| value.at(name))
    }

    /// A map's entries; none for anything else.
    pub(crate) fn entries(&self) -> &[(String, Value)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }

    /// A list's items; none for anything else.
    pub(crate) fn items(&self) -> &[Value] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// Text; empty for anything else.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    /// A whole number, 0 for anything else.
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            Self::Unsigned(number) => i64::try_from(*number).unwrap_or(i64::MAX),
            #[allow(
                clippy::cast_possible_truncation,
                reason = "saturates, which is what is wanted of a huge float"
            )]
            Self::Float(number) => *number as i64,
            _ => 0,
        }
    }

    /// A number of any kind, 0 for anything else.
    pub(crate) fn decimal(&self) -> f64 {
        match self {
            Self::Integer(number) => *number as f64,
            Self::Unsigned(number) => *number as f64,
            Self::Float(number) => *number,
            _ => 0.0,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        matches!(self, Self::Bool(true))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As Go prints it with `%v`.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Null => "<no value>".into(),
            Self::Bool(truth) => truth.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::Unsigned(number) => number.to_string(),
            Self::Float(number) => shown_float(*number),
            Self::Text(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::shown_inside).collect();
                format!("[{}]", items.join(" "))
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                let entries: Vec<String> =
                    entries.iter().map(|(name, value)| format!("{name}:{}", value.shown_inside())).collect();
                format!("map[{}]", entries.join(" "))
            }
            Self::Lookup(_) => "<function>".into(),
        }
    }

    fn shown_inside(&self) -> String {
        match self {
            Self::Null => "<nil>".into(),
            other => other.shown(),
        }
    }

    /// Compact JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".into())
    }
}

/// Go's `%v` of a float: the shortest digits that read back the same, with an exponent when it is far from zero.
fn shown_float(number: f64) -> String {
    let size = number.abs();
    if number != 0.0 && !(1e-4..1e21).contains(&size) {
        let text = format!("{number:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => match exponent.strip_prefix('-') {
                Some(exponent) => format!("{digits}e-{exponent:0>2}"),
                None => format!("{digits}e+{exponent:0>2}"),
            },
            None => text,
        };
    }
    number.to_string()
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Lookup(_) => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Unsigned(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in entries {
                    if !matches!(value, Self::Lookup(_)) {
                        map.serialize_entry(name, value)?;
                    }
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Bool(truth))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Integer(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(i64::try_from(number).map_or(Value::Unsigned(number), Value::Integer))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Value, E> {
                Ok(Value::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = sequence.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Value::Map(entries))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_order_and_its_numbers() {
        let text = r#"{"z":1,"a":[true,null,1.5,-3,18446744073709551615],"m":{"y":"x"}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value.json(), text);
        assert_eq!(value.path(&["m", "y"]).as_str(), "x");
        assert!(value.at("nothing").at("at all").is_null());
    }

    #[test]
    fn floats_are_shown_as_go_shows_them() {
        for (number, text) in [(1.5, "1.5"), (2.0, "2"), (1e21, "1e+21"), (1e-7, "1e-07"), (0.0, "0")] {
            assert_eq!(shown_float(number), text);
        }
    }
}
