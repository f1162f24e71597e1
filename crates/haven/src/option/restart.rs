//! `--restart no|always|unless-stopped|on-failure[:N]`.

use serde_json::{Value as Json, json};

pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    if count.is_some() && name.is_empty() {
        return Err("invalid restart policy format: no policy provided before colon".into());
    }
    let retries: i64 = match count {
        None | Some("") => 0,
        Some(count) => count.parse().map_err(|_| {
            "invalid restart policy format: maximum retry count must be an integer".to_owned()
        })?,
    };
    match name {
        "" | "no" | "always" | "unless-stopped" if retries != 0 => {
            Err(format!("a maximum retry count cannot be used with the policy '{name}'"))
        }
        "on-failure" if retries < 0 => Err("the maximum retry count cannot be negative".into()),
        "" | "no" | "always" | "unless-stopped" | "on-failure" => {
            Ok(json!({"Name": name, "MaximumRetryCount": retries}))
        }
        other => Err(format!(
            "there is no restart policy '{other}'; use no, always, unless-stopped or on-failure[:N]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_named_and_counted() {
        assert_eq!(parse("on-failure:3"), Ok(json!({"Name": "on-failure", "MaximumRetryCount": 3})));
        assert_eq!(parse("always"), Ok(json!({"Name": "always", "MaximumRetryCount": 0})));
        for bad in [":3", "on-failure:x", "always:2", "sometimes", "on-failure:-1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
