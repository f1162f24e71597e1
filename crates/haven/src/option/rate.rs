//! Rates and weights per block device: `/dev/sda:1mb`, `/dev/sda:100`.

use super::bytes;
use serde_json::{Value as Json, json};

fn device(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text
        .split_once(':')
        .filter(|(path, _)| !path.is_empty())
        .ok_or_else(|| format!("bad format: {text}"))?;
    if path.starts_with("/dev/") {
        Ok((path, value))
    } else {
        Err(format!("bad format for device path: {text}"))
    }
}

/// Bytes per second.
pub(crate) fn bytes_per_second(text: &str) -> Result<Json, String> {
    let (path, value) = device(text)?;
    let rate = bytes::parse(value).map_err(|_| {
        format!(
            "invalid rate for device: {text}. Write <device-path>:<number>[<unit>], the unit kb, mb or gb"
        )
    })?;
    Ok(json!({"Path": path, "Rate": rate}))
}

/// Operations per second.
pub(crate) fn operations_per_second(text: &str) -> Result<Json, String> {
    let (path, value) = device(text)?;
    let rate: u64 = value
        .parse()
        .map_err(|_| format!("invalid rate for device: {text}. Write <device-path>:<number>"))?;
    Ok(json!({"Path": path, "Rate": rate}))
}

/// A share of the device's time, 10 to 1000; 0 turns it off.
pub(crate) fn weight(text: &str) -> Result<Json, String> {
    let (path, value) = device(text)?;
    let weight: u16 = value
        .parse()
        .ok()
        .filter(|weight| *weight == 0 || (10..=1000).contains(weight))
        .ok_or_else(|| format!("invalid weight for device: {text}; it must be between 10 and 1000"))?;
    Ok(json!({"Path": path, "Weight": weight}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_name_a_device_and_a_number() {
        assert_eq!(bytes_per_second("/dev/sda:1mb"), Ok(json!({"Path": "/dev/sda", "Rate": 1_048_576})));
        assert_eq!(operations_per_second("/dev/sda:10"), Ok(json!({"Path": "/dev/sda", "Rate": 10})));
        assert_eq!(weight("/dev/sda:500"), Ok(json!({"Path": "/dev/sda", "Weight": 500})));
        for bad in ["", "/dev/sda", ":1", "sda:1", "/dev/sda:x", "/dev/sda:-1"] {
            assert!(
                bytes_per_second(bad).is_err() && operations_per_second(bad).is_err() && weight(bad).is_err()
            );
        }
        assert!(operations_per_second("/dev/sda:1mb").is_err() && weight("/dev/sda:5").is_err());
    }
}
