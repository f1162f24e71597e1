//! `--ulimit name=soft[:hard]`; -1 means unlimited.

use serde_json::{Value as Json, json};

const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let (name, limits) = text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}; there are {}", NAMES.join(", ")));
    }
    let number = |text: &str| {
        text.trim()
            .parse::<i64>()
            .ok()
            .filter(|number| *number >= -1)
            .ok_or(format!("invalid ulimit value: {text}"))
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(limits)?, number(limits)?),
    };
    // Unlimited is the largest of all.
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(json!({"Name": name, "Soft": soft, "Hard": hard}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_soft_and_hard() {
        assert_eq!(parse("nofile=1024:2048"), Ok(json!({"Name": "nofile", "Soft": 1024, "Hard": 2048})));
        assert_eq!(parse("core=0"), Ok(json!({"Name": "core", "Soft": 0, "Hard": 0})));
        assert_eq!(parse("memlock=-1:-1"), Ok(json!({"Name": "memlock", "Soft": -1, "Hard": -1})));
        for bad in ["nofile", "nofile=", "files=1", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3", "nofile=-2"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
