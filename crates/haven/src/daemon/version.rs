//! API versions: `1.43`.

use haven_spec::{Failure, Outcome};
use std::fmt;

/// The newest version this program knows the shapes of.
const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 44 };
/// Below this, answers lack what the commands read.
const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 40 };

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    pub(crate) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// What to speak with a daemon that offers `offered`.
    pub(crate) fn negotiated(offered: Option<Self>) -> Outcome<Self> {
        let offered = offered.ok_or_else(|| {
            Failure::invalid("what listens there does not speak the Docker Engine API")
                .hint("check the address given with -H or HAVEN_HOST")
        })?;
        if offered < OLDEST {
            return Err(Failure::unsupported(format!("the daemon speaks API {offered}"))
                .because(format!("this program needs at least {OLDEST}"))
                .hint("upgrade the daemon"));
        }
        Ok(offered.min(NEWEST))
    }

    pub(crate) fn newest() -> Self {
        NEWEST
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_of_both_is_spoken() {
        for (offered, spoken) in
            [("1.41", Some("1.41")), ("1.43", Some("1.43")), ("1.51", Some("1.44")), ("1.24", None)]
        {
            let version = ApiVersion::negotiated(ApiVersion::parse(offered)).ok().map(|v| v.to_string());
            assert_eq!(version.as_deref(), spoken, "{offered}");
        }
        assert!(ApiVersion::negotiated(None).is_err());
    }
}
