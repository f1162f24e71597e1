//! Errors that read like a trace: the call, its path, the kernel's answer.

use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;

/// A file system call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    call: &'static str,
    path: OsString,
    errno: Errno,
}

impl PathError {
    pub(super) fn new(call: &'static str, path: impl AsRef<OsStr>, errno: Errno) -> Self {
        Self { call, path: path.as_ref().to_owned(), errno }
    }

    /// The kernel's answer.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    pub fn kind(&self) -> io::ErrorKind {
        io::Error::from(self.errno).kind()
    }

    pub fn is_not_found(&self) -> bool {
        self.errno == Errno::NOENT
    }

    /// The path as it was given to the call; empty where the call had a handle only.
    pub fn path(&self) -> &OsStr {
        &self.path
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = io::Error::from(self.errno);
        if self.path.is_empty() {
            write!(f, "{}: {cause}", self.call)
        } else {
            write!(f, "{} `{}`: {cause}", self.call, self.path.display())
        }
    }
}

impl std::error::Error for PathError {}

impl From<PathError> for io::Error {
    /// Keeps the error number, which callers match on; the path is lost.
    fn from(error: PathError) -> Self {
        error.errno.into()
    }
}

/// Names the call an [`Errno`] came from.
pub(super) trait Step<T> {
    fn step(self, call: &'static str, path: impl AsRef<OsStr>) -> super::Result<T>;
}

impl<T> Step<T> for rustix::io::Result<T> {
    fn step(self, call: &'static str, path: impl AsRef<OsStr>) -> super::Result<T> {
        self.map_err(|errno| PathError::new(call, path, errno))
    }
}
