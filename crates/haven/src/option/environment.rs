//! Environment variables for a container: `-e NAME=value`, `-e NAME` taken from our own environment, and files of
//! such lines.

use haven_spec::{Failure, Outcome};
use std::fs;

/// Longest file of variables or labels.
const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// A value of `-e`. Without `=` the variable comes from `lookup`; one that isn't set there stays a bare name, which
/// removes it from the image's.
pub(crate) fn variable(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(match (value, lookup(name)) {
        (None, Some(ours)) => format!("{name}={ours}"),
        _ => text.to_owned(),
    })
}

/// A value of `-e`, with our own environment.
pub(crate) fn own_variable(text: &str) -> Result<String, String> {
    variable(text, own)
}

/// Our own variable of that name, if it is set and is text.
pub(crate) fn own(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The lines of a file of variables or labels. `lookup` gives values to names that stand alone.
pub(crate) fn file(path: &str, lookup: impl Fn(&str) -> Option<String>) -> Outcome<Vec<String>> {
    let refuse = |what: String| Failure::invalid(format!("cannot use the file `{path}`")).because(what);
    let length = fs::metadata(path)
        .map_err(|error| Failure::invalid(format!("cannot open the file `{path}`")).because(error))?
        .len();
    if length > FILE_LIMIT_BYTES {
        return Err(refuse(format!("it is longer than {FILE_LIMIT_BYTES} bytes")));
    }
    let bytes = fs::read(path)
        .map_err(|error| Failure::invalid(format!("cannot read the file `{path}`")).because(error))?;
    lines(&bytes, lookup).map_err(refuse)
}

fn lines(bytes: &[u8], lookup: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let mut variables = Vec::new();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| format!("line {} is not UTF-8", index + 1))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains([' ', '\t']) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        match (value, lookup(name)) {
            (Some(_), _) => variables.push(line.to_owned()),
            (None, Some(found)) => variables.push(format!("{name}={found}")),
            (None, None) => {}
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/root".to_owned())
    }

    #[test]
    fn a_bare_name_takes_our_own_value() {
        for (text, expected) in [
            ("A=b", "A=b"),
            ("A=", "A="),
            ("A=b=c", "A=b=c"),
            ("HOME", "HOME=/root"),
            ("HOME=x", "HOME=x"),
            ("NO", "NO"),
        ] {
            assert_eq!(variable(text, lookup).as_deref(), Ok(expected));
        }
        assert!(variable("=x", lookup).is_err() && variable("", lookup).is_err());
    }

    #[test]
    fn files_are_read_by_dockers_rules() {
        let text = "\u{feff}# note\n\n  A=1 \nB='q # x'\r\nHOME\nMISSING\n\tC=\n";
        assert_eq!(lines(text.as_bytes(), lookup).unwrap(), ["A=1 ", "B='q # x'", "HOME=/root", "C="]);
        for bad in [&b"=x"[..], b"a b=c", b"\xff=1"] {
            assert!(lines(bad, lookup).is_err());
        }
    }
}
