//! Which machine an image is for.

use haven_spec::{Failure, Outcome};
use std::fmt;

/// `os/architecture[/variant]`, in the words of the OCI image specification (Go's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8")),
            other => (other, None),
        };
        Self { os: "linux".into(), architecture: architecture.into(), variant: variant.map(Into::into) }
    }

    /// `linux/amd64`, `linux/arm/v7`; `amd64` alone means Linux.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || {
            Failure::invalid(format!("`{text}` is not a platform"))
                .hint("write os/architecture[/variant], like linux/amd64")
        };
        let parts: Vec<&str> = text.split('/').collect();
        if parts
            .iter()
            .any(|part| part.is_empty() || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        {
            return Err(refuse());
        }
        let (os, architecture, variant) = match parts[..] {
            [architecture] if architecture != "linux" => ("linux", architecture, None),
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(refuse()),
        };
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            "i386" | "i686" => "386",
            other => other,
        };
        Ok(Self { os: os.into(), architecture: architecture.into(), variant: variant.map(Into::into) })
    }

    /// How well an image for `other` runs here: 0 is best, `None` not at all. An image that doesn't say is taken at
    /// its word.
    pub(crate) fn accepts(&self, other: &Self) -> Option<u32> {
        if !other.os.is_empty() && other.os != self.os {
            return None;
        }
        if other.architecture.is_empty() || other.architecture == self.architecture {
            let rank = match (&self.variant, &other.variant) {
                (_, None) => 1,
                (Some(mine), Some(its)) if mine == its => 0,
                // A newer variant's instructions may be missing here.
                (Some(mine), Some(its)) if its > mine => return None,
                (Some(_), Some(_)) => 2,
                // v1 is what every machine of the kind has.
                (None, Some(its)) if its == "v1" || self.architecture == "arm64" => 0,
                (None, Some(_)) => 3,
            };
            return Some(rank);
        }
        match (self.architecture.as_str(), other.architecture.as_str()) {
            ("amd64", "386") | ("arm64", "arm") => Some(10),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_compared() {
        let amd64 = Platform::parse("linux/amd64").unwrap();
        assert_eq!(Platform::parse("x86_64").unwrap(), amd64);
        assert_eq!(Platform::parse("linux/arm/v7").unwrap().to_string(), "linux/arm/v7");
        for bad in ["", "linux", "/", "a/b/c/d", "linux/", "linux/amd 64"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
        let rank = |text: &str| amd64.accepts(&Platform::parse(text).unwrap());
        assert!(rank("linux/amd64").unwrap() < rank("linux/386").unwrap());
        assert_eq!(rank("linux/arm64"), None);
        assert_eq!(rank("windows/amd64"), None);
        let arm = Platform::parse("linux/arm/v7").unwrap();
        assert_eq!(arm.accepts(&Platform::parse("linux/arm/v8").unwrap()), None);
        assert!(arm.accepts(&Platform::parse("linux/arm/v6").unwrap()).is_some());
    }
}
