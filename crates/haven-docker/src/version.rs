//! API versions: `1.24` to `1.51`, as in the paths `/v1.41/…` and the `Api-Version` header.

use std::fmt;

/// A version of the Docker Engine API. Ordered as numbers: 1.9 is older than 1.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The oldest version answered; clients older than this lack container logs as we frame them.
    pub(crate) const OLDEST: Self = Self::new(1, 24);
    /// The newest version answered, and what a path without a version means.
    pub(crate) const NEWEST: Self = Self::new(1, 51);

    /// [`Self::NEWEST`] for headers.
    pub(crate) const NEWEST_TEXT: &'static str = "1.51";

    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// `1.41`; `None` when the text is not two numbers.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        let number = |digits: &str| -> Option<u16> {
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        Some(Self::new(number(major)?, number(minor)?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::ApiVersion;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(ApiVersion::parse("1.9") < ApiVersion::parse("1.10"));
        assert_eq!(ApiVersion::parse(ApiVersion::NEWEST_TEXT), Some(ApiVersion::NEWEST));
        for bad in ["", "1", "1.", ".1", "1.2.3", "a.b", "1.-1", "1.+1", "1.999999"] {
            assert_eq!(ApiVersion::parse(bad), None, "{bad}");
        }
    }
}
