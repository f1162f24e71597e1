//! `--filter name=value`: kept as the API's map of names to lists.

use haven_spec::Outcome;
use serde_json::{Map, Value as Json, json};

/// Accepts `name=value`; the name is folded to lower case, both are trimmed.
pub(crate) fn check(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    match text.split_once('=') {
        Some((name, value)) => Ok(format!("{}={}", name.trim().to_lowercase(), value.trim())),
        None => Err("bad format of filter (expected name=value)".into()),
    }
}

/// The `filters` parameter for checked filters, or nothing when there are none.
pub(crate) fn parameter(filters: &[String]) -> Outcome<Option<String>> {
    let mut map: Map<String, Json> = Map::new();
    for filter in filters {
        if let Some((name, value)) = filter.split_once('=') {
            // The older form, a map of value to true, is understood by every version of the API.
            let entry = map.entry(name).or_insert_with(|| json!({}));
            if let Json::Object(values) = entry {
                values.insert(value.to_owned(), Json::Bool(true));
            }
        }
    }
    Ok((!map.is_empty()).then(|| Json::Object(map).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_of_one_name_are_collected() {
        let filters: Vec<String> =
            ["Name= web", "name=db", "label=a=b"].iter().map(|text| check(text).unwrap()).collect();
        assert_eq!(
            parameter(&filters).unwrap().as_deref(),
            Some(r#"{"label":{"a=b":true},"name":{"db":true,"web":true}}"#)
        );
        assert!(check("web").is_err());
        assert_eq!(parameter(&[]).unwrap(), None);
        assert_eq!(parameter(&[check("").unwrap()]).unwrap(), None);
    }
}
