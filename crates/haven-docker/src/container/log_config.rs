//! Log drivers and their options as clients write them.

use super::config::LogConfig as Wire;
use crate::refusal::{Answer, Refusal};
use haven_spec::LogConfig;

/// What is kept of a container's output. Options that only label log lines are accepted and shown, nothing more.
pub(crate) fn log_config(wire: &Wire) -> Answer<LogConfig> {
    let mut config = LogConfig { options: wire.options.clone(), ..LogConfig::default() };
    match wire.kind.as_str() {
        "" | "json-file" => {}
        "none" => {
            config.driver = "none".into();
            return Ok(config);
        }
        // The engine says which there are.
        other => config.driver = other.to_owned(),
    }
    for (key, value) in &wire.options {
        let refuse =
            |why: &str| Refusal::invalid(format!("invalid value for log option `{key}`: `{value}` {why}"));
        match key.as_str() {
            "max-size" => {
                let size = if value == "-1" { Some(u64::MAX) } else { human_size(value) };
                config.max_size_bytes = size
                    .filter(|bytes| *bytes > 0)
                    .ok_or_else(|| refuse("is not a size like 10m, or -1 for no bound"))?;
            }
            "max-file" => {
                let files = value.parse::<u32>().ok().filter(|files| (1..=1000).contains(files));
                config.max_files = files.ok_or_else(|| refuse("is not a number from 1 to 1000"))?;
            }
            "mode" if matches!(value.as_str(), "blocking" | "non-blocking") => {}
            "mode" => return Err(refuse("is neither `blocking` nor `non-blocking`")),
            "compress" if matches!(value.as_str(), "true" | "false") => {}
            "compress" => return Err(refuse("is neither `true` nor `false`")),
            "labels" | "labels-regex" | "env" | "env-regex" | "tag" | "max-buffer-size" => {}
            other => {
                return Err(Refusal::invalid(format!(
                    "unknown log opt '{other}' for {} log driver",
                    config.driver
                )));
            }
        }
    }
    Ok(config)
}

/// `10m`, `1.5g`, `1000`: decimal units, as log sizes have always been read.
fn human_size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, scale) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 1e3),
        b'm' => (&lower[..lower.len() - 1], 1e6),
        b'g' => (&lower[..lower.len() - 1], 1e9),
        b't' => (&lower[..lower.len() - 1], 1e12),
        _ => (lower, 1.0),
    };
    let value = digits.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0)? * scale;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a float cast saturates"
    )]
    let bytes = value as u64;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Answer<LogConfig> {
        log_config(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn sizes_and_counts_are_read() {
        let config = read(r#"{"Type":"json-file","Config":{"max-size":"1.5m","max-file":"7"}}"#).unwrap();
        assert_eq!((config.max_size_bytes, config.max_files), (1_500_000, 7));
        assert_eq!(read("{}").unwrap(), LogConfig::default());
        assert_eq!(read(r#"{"Config":{"max-size":"-1"}}"#).unwrap().max_size_bytes, u64::MAX);
        assert_eq!(read(r#"{"Type":"none"}"#).unwrap().driver, "none");
    }

    #[test]
    fn unknown_options_and_bad_values_are_refused_by_name() {
        for (json, words) in [
            (r#"{"Config":{"max-size":"x"}}"#, "`max-size`"),
            (r#"{"Config":{"max-size":"0"}}"#, "`max-size`"),
            (r#"{"Config":{"max-file":"0"}}"#, "`max-file`"),
            (r#"{"Config":{"mode":"x"}}"#, "`mode`"),
            (r#"{"Config":{"nope":"1"}}"#, "unknown log opt 'nope' for json-file log driver"),
        ] {
            let message = read(json).unwrap_err().message;
            assert!(message.contains(words), "{json}: {message}");
        }
    }
}
