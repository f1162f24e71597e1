//! The one error type that crosses rooms: what failed, why, and what to do.
//!
//! `Display` says this level only; the cause is [`std::error::Error::source`]. Each edge (HTTP, exit code)
//! maps a [`Kind`] to its own code in one place.

use std::error::Error;
use std::fmt;

/// A result whose error is a [`Failure`].
pub type Outcome<T> = Result<T, Failure>;

/// What sort of failure it is, from the point of view of who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong: a malformed name, a contradictory flag. Changing nothing, repeating it fails again.
    Invalid,
    /// What was named does not exist.
    NotFound,
    /// The request clashes with the present state: a name in use, a container that runs.
    Conflict,
    /// The state asked for already holds (the Docker API's 304).
    NotModified,
    /// Policy refuses it.
    Forbidden,
    /// The host refuses or lacks something: a full disk, a missing kernel feature, a limit.
    Host,
    /// Asked for something Haven does not offer.
    Unsupported,
    /// A defect in Haven.
    Internal,
}

/// What failed, why (the source chain), and what to do about it.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    what: String,
    cause: Option<Box<dyn Error + Send + Sync + 'static>>,
    hint: Option<String>,
}

impl Failure {
    /// A failure of `kind`; `what` is lowercase, without full stop, with the object in backticks.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), cause: None, hint: None }
    }

    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, what)
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, what)
    }

    pub fn conflict(what: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, what)
    }

    pub fn host(what: impl Into<String>) -> Self {
        Self::new(Kind::Host, what)
    }

    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, what)
    }

    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// Adds the reason; shown after `because:`.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync + 'static>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what the reader can do; shown after `try:`.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts a sentence of the caller's level in front; kind and hint stay.
    #[must_use]
    pub fn context(self, what: impl Into<String>) -> Self {
        let kind = self.kind;
        let mut lower = self;
        let hint = lower.hint.take();
        Self { kind, what: what.into(), cause: Some(Box::new(lower)), hint }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The sentence and its whole cause chain on one line, joined by `: `.
    pub fn one_line(&self) -> String {
        let mut line = self.what.clone();
        let mut next = self.source();
        while let Some(cause) = next {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            next = cause.source();
        }
        line
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_shows_every_level_once() {
        let failure = Failure::host("cannot mount `/proc`")
            .because(std::io::Error::from_raw_os_error(13))
            .hint("run as root")
            .context("cannot start `web`");
        assert!(
            failure.one_line().starts_with("cannot start `web`: cannot mount `/proc`: Permission denied")
        );
        assert_eq!(failure.advice(), Some("run as root"));
        assert_eq!(failure.kind(), Kind::Host);
    }
}
