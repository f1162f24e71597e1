//! Members in Docker's spelling (`BrokenBy`), for answers whose shape another room defines.

use serde::Serialize;
use serde_json::Value;

/// As JSON, with every member's name in Docker's spelling.
pub(super) fn dockers(value: &impl Serialize) -> Value {
    serde_json::to_value(value).map_or(Value::Null, respelled)
}

fn respelled(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (pascal(&name), respelled(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(respelled).collect(),
        other => other,
    }
}

fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split('_').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_respelled_at_every_depth() {
        assert_eq!(
            dockers(&json!({"broken_by": [{"and_more": 1}], "rule": "a_b"})),
            json!({"BrokenBy": [{"AndMore": 1}], "Rule": "a_b"})
        );
    }
}
