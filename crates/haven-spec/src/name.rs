//! Names people give: containers, volumes, networks. Docker's grammar, so that existing files keep working.

use crate::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest accepted name, in bytes: it becomes a host name label, a directory and a comment on kernel objects.
const NAME_LIMIT_BYTES: usize = 255;

fn check(text: &str, noun: &str, shortest: usize) -> Outcome<()> {
    let mut bytes = text.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let tail = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if head && tail && text.len() >= shortest && text.len() <= NAME_LIMIT_BYTES {
        return Ok(());
    }
    // Docker's own words; clients compare them.
    Err(Failure::invalid(format!("Invalid {noun} name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $shortest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: &str) -> Outcome<Self> {
                check(text, $noun, $shortest)?;
                Ok(Self(text.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Failure;
            fn try_from(text: String) -> Outcome<Self> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
    };
}

name!(
    /// A container's name, without the leading slash the Docker API shows.
    ContainerName,
    "container",
    2
);
name!(
    /// A named volume's name; anonymous volumes have 64 hexadecimal digits.
    VolumeName,
    "volume",
    1
);
name!(
    /// A network's name.
    NetworkName,
    "network",
    1
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_grammar() {
        for good in ["web", "a1", "My_app-1.2"] {
            assert!(ContainerName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-web", ".web", "a b", "a/b", "é1", "../x", &"a".repeat(256)] {
            assert!(ContainerName::parse(bad).is_err(), "{bad}");
        }
        assert!(VolumeName::parse("d").is_ok());
    }
}
