//! Identifiers: 64 lowercase hexadecimal digits, and digests in the `algorithm:hex` form of the OCI image spec.

use crate::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// From 32 random bytes; the caller has the randomness.
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self(hex(bytes))
            }

            pub fn parse(text: &str) -> Outcome<Self> {
                if is_hex64(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(Failure::invalid(format!(concat!("`{}` is not a ", $noun, " id (64 hexadecimal digits)"), text)))
                }
            }

            /// All 64 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first 12 digits, as people see them.
            pub fn short(&self) -> &str {
                &self.0[..12]
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
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

hex_id!(
    /// A container's id.
    ContainerId,
    "container"
);
hex_id!(
    /// The id of one additional process in a container.
    ExecId,
    "exec"
);

/// A content digest: `sha256:` and 64 hexadecimal digits. Other algorithms are refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    pub fn sha256(hash: &[u8; 32]) -> Self {
        Self(format!("sha256:{}", hex(hash)))
    }

    pub fn parse(text: &str) -> Outcome<Self> {
        match text.strip_prefix("sha256:") {
            Some(rest) if is_hex64(rest) => Ok(Self(text.to_owned())),
            _ => Err(Failure::invalid(format!(
                "`{text}` is not a digest (`sha256:` and 64 hexadecimal digits)"
            ))),
        }
    }

    /// With the `sha256:` prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 digits without the prefix.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first 12 digits, as people see them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Digest {
    type Error = Failure;
    fn try_from(text: String) -> Outcome<Self> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

/// An image's id is the digest of its configuration document.
pub type ImageId = Digest;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_exactly_64_lowercase_hexadecimal_digits() {
        assert!(ContainerId::parse(&"a".repeat(64)).is_ok());
        for bad in ["", "a", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert!(ContainerId::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(ContainerId::from_bytes(&[0x0f; 32]).short(), "0f0f0f0f0f0f");
    }

    #[test]
    fn a_digest_names_its_algorithm() {
        let digest = Digest::sha256(&[1; 32]);
        assert_eq!(Digest::parse(digest.as_str()).unwrap(), digest);
        assert!(Digest::parse(&"a".repeat(64)).is_err());
        assert!(Digest::parse("sha512:00").is_err());
    }
}
