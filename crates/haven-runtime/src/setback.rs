//! A step that failed in a process which can't report for itself: the step, the kernel's reason, the object.
//!
//! The child of a clone sends one of these over its socket and ends; whoever asked makes a sentence of it.

use haven_spec::{Failure, Kind};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::io;

/// What went wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Setback {
    pub(crate) blame: Blame,
    /// A sentence for people, lowercase, with the object in backticks.
    pub(crate) what: String,
    /// The kernel's reason; 0: none.
    pub(crate) errno: i32,
    /// More than the kernel says.
    pub(crate) because: Option<String>,
    pub(crate) hint: Option<String>,
}

/// Whose doing it is; becomes the failure's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Blame {
    /// What was asked for can't be.
    Request,
    /// The command isn't there (exit code 127).
    CommandMissing,
    /// The command can't be executed (exit code 126).
    CommandUnusable,
    Host,
    Haven,
}

/// Why a command can't be executed, in the source chain of such a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// There is no such file.
    Missing,
    /// It isn't a program, or not one this user may execute.
    Unusable,
}

impl CommandError {
    /// The exit code shells and the docker command use for it.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Missing => 127,
            Self::Unusable => 126,
        }
    }

    /// The one in `failure`'s chain, when a command that can't be executed is what failed.
    pub fn of(failure: &Failure) -> Option<Self> {
        let mut next = failure.source();
        while let Some(cause) = next {
            if let Some(found) = cause.downcast_ref::<Self>() {
                return Some(*found);
            }
            next = cause.source();
        }
        None
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the command was not found",
            Self::Unusable => "the command can't be executed",
        })
    }
}

impl Error for CommandError {}

/// The result of a step.
pub(crate) type Step<T> = Result<T, Setback>;

impl Setback {
    pub(crate) fn new(blame: Blame, what: impl Into<String>) -> Self {
        Self { blame, what: what.into(), errno: 0, because: None, hint: None }
    }

    pub(crate) fn host(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::new(Blame::Host, what).errno(error)
    }

    pub(crate) fn request(what: impl Into<String>) -> Self {
        Self::new(Blame::Request, what)
    }

    pub(crate) fn errno(mut self, error: impl Into<io::Error>) -> Self {
        let error = error.into();
        match error.raw_os_error() {
            Some(number) => self.errno = number,
            None => self.because = Some(error.to_string()),
        }
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As it goes over the socket.
    pub(crate) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Self::new(Blame::Haven, "a step failed and its report can't be understood"))
    }

    pub(crate) fn into_failure(self) -> Failure {
        let kind = match self.blame {
            Blame::CommandMissing => return Failure::invalid(self.what).because(CommandError::Missing),
            Blame::CommandUnusable => return Failure::invalid(self.what).because(CommandError::Unusable),
            Blame::Request => Kind::Invalid,
            Blame::Host => Kind::Host,
            Blame::Haven => Kind::Internal,
        };
        let mut failure = Failure::new(kind, self.what);
        if let Some(because) = self.because {
            failure = failure.because(because);
        } else if self.errno != 0 {
            failure = failure.because(io::Error::from_raw_os_error(self.errno));
        }
        match self.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        let blame = match failure.kind() {
            Kind::Host => Blame::Host,
            Kind::Internal => Blame::Haven,
            _ => Blame::Request,
        };
        let line = failure.one_line();
        let what = failure.to_string();
        let because = line.strip_prefix(&what).and_then(|rest| rest.strip_prefix(": ")).map(str::to_owned);
        Self { blame, what, errno: 0, because, hint: failure.advice().map(str::to_owned) }
    }
}
