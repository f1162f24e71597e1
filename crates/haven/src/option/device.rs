//! `--device host[:container][:permissions]` and rules for the device controller.

use serde_json::{Value as Json, json};

fn is_mode(text: &str) -> bool {
    let unique = |letter: char| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|letter| matches!(letter, 'r' | 'w' | 'm') && unique(letter))
}

/// A device node of the host, and what it is inside.
pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (host, inside, mode) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, inside] => (*host, *inside, "rwm"),
        [host, inside, mode] if is_mode(mode) => (*host, *inside, *mode),
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if host.is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    let inside = if inside.is_empty() { host } else { inside };
    if !inside.starts_with('/') {
        return Err(format!("{inside} is not an absolute path"));
    }
    Ok(json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": mode}))
}

/// `c 1:3 rwm`: type, major and minor number or `*`, permissions.
pub(crate) fn rule(text: &str) -> Result<String, String> {
    let number = |part: &str| part == "*" || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let parts: Vec<&str> = text.split(' ').collect();
    let valid = match parts.as_slice() {
        [kind, numbers, mode] => {
            matches!(*kind, "a" | "b" | "c")
                && numbers.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&mode.len())
                && mode.chars().all(|letter| matches!(letter, 'r' | 'w' | 'm'))
        }
        _ => false,
    };
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid device cgroup format '{text}'; write it like 'c 1:3 rwm'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_can_be_elsewhere_inside() {
        for (text, host, inside, mode) in [
            ("/dev/null", "/dev/null", "/dev/null", "rwm"),
            ("/dev/null:r", "/dev/null", "/dev/null", "r"),
            ("/dev/null:/dev/x", "/dev/null", "/dev/x", "rwm"),
            ("/dev/null:/dev/x:rw", "/dev/null", "/dev/x", "rw"),
        ] {
            let expected = json!({"PathOnHost": host, "PathInContainer": inside, "CgroupPermissions": mode});
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for bad in
            ["", ":/dev/x", "/dev/null:/dev/x:rr", "/dev/null:/dev/x:q", "null", "/a:/b:r:w", "/dev/null:x"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_has_three_parts() {
        assert!(rule("c 1:3 rwm").is_ok() && rule("a *:* r").is_ok());
        for bad in ["", "x 1:3 r", "c 1 r", "c 1:3", "c 1:3 rwmr", "c 1:x r", "c  1:3 r"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }
}
