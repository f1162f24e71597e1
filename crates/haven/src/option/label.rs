//! Labels: `name=value` or a name alone.

use serde_json::{Map, Value as Json};

/// Checks a label; white space before the name is not part of it.
pub(crate) fn check(text: &str) -> Result<String, String> {
    let name = text.split('=').next().unwrap_or_default().trim_start_matches([' ', '\t']);
    if name.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if name.contains([' ', '\t']) {
        return Err(format!("label '{name}' contains whitespaces"));
    }
    Ok(text.to_owned())
}

/// `name=value` texts as a map; later ones win.
pub(crate) fn map(texts: &[String]) -> Map<String, Json> {
    texts
        .iter()
        .map(|text| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Json::from(value)),
            None => (text.clone(), Json::from("")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_need_a_name_without_blanks() {
        for good in ["a", "a=b", "a=b=c", "a=", "com.x/y=z w"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "=b", "a b=c", " =x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Json::Object(map(&["a=1".into(), "b".into(), "a=2".into()])).to_string(),
            r#"{"a":"2","b":""}"#
        );
    }
}
