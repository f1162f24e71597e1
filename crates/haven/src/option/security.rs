//! `--security-opt`: checked, seccomp profiles read from their files, `systempaths` taken out.

use haven_spec::{Failure, Outcome};
use std::fs;

/// Longest seccomp profile.
const PROFILE_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecurityOptions {
    /// What the daemon gets.
    pub(crate) options: Vec<String>,
    /// `systempaths=unconfined`: nothing of /proc and /sys is masked or read-only.
    pub(crate) system_paths_open: bool,
}

pub(crate) fn read(texts: &[String]) -> Outcome<SecurityOptions> {
    let mut read = SecurityOptions::default();
    for text in texts {
        let (name, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
            Some((name, value)) => (name, value),
            None => (text.as_str(), ""),
        };
        if value.is_empty() && name != "no-new-privileges" {
            return Err(Failure::invalid(format!("invalid --security-opt: \"{text}\"")).hint(
                "write NAME=VALUE: seccomp=unconfined, seccomp=FILE, apparmor=PROFILE, label=OPTION, no-new-privileges, systempaths=unconfined",
            ));
        }
        match (name, value) {
            ("systempaths", "unconfined") => read.system_paths_open = true,
            ("seccomp", "unconfined" | "builtin") => read.options.push(text.clone()),
            ("seccomp", path) => read.options.push(format!("seccomp={}", profile(path)?)),
            _ => read.options.push(text.clone()),
        }
    }
    Ok(read)
}

/// A seccomp profile as compact JSON.
fn profile(path: &str) -> Outcome<String> {
    let refuse = || Failure::invalid(format!("cannot use the seccomp profile `{path}`"));
    let length = fs::metadata(path).map_err(|error| refuse().because(error))?.len();
    if length > PROFILE_LIMIT_BYTES {
        return Err(refuse().because(format!("it is longer than {PROFILE_LIMIT_BYTES} bytes")));
    }
    let bytes = fs::read(path).map_err(|error| refuse().because(error))?;
    let document: serde_json::Value = serde_json::from_slice(&bytes)
        .map_err(|error| refuse().because(error).hint("a profile is a JSON document as Docker has them"))?;
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked_and_system_paths_taken_out() {
        let texts: Vec<String> =
            ["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined", "label:disable"]
                .map(String::from)
                .to_vec();
        let read = read(&texts).unwrap();
        assert_eq!(read.options, ["no-new-privileges", "seccomp=unconfined", "label:disable"]);
        assert!(read.system_paths_open);
        for bad in ["seccomp", "seccomp=", "nonsense", "seccomp=/nonexistent/profile"] {
            assert!(super::read(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
