//! What the kernel, or the conversation with it, refused.

use rustix::io::Errno;
use std::fmt;

/// What the kernel, or the conversation with it, refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetlinkError {
    pub(super) errno: Errno,
    /// The kernel's own sentence.
    pub(super) sentence: Option<String>,
    /// Which message of the batch, counted from 0.
    pub(super) index: Option<usize>,
}

impl NetlinkError {
    pub(super) fn new(errno: Errno) -> Self {
        Self { errno, sentence: None, index: None }
    }

    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// Which message of the batch was refused, counted from 0; `None` when the batch as a whole was.
    pub fn index(&self) -> Option<usize> {
        self.index
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::new(errno)
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sentence {
            Some(sentence) => write!(f, "{}: {sentence}", std::io::Error::from(self.errno)),
            None => write!(f, "{}", std::io::Error::from(self.errno)),
        }
    }
}

impl std::error::Error for NetlinkError {}
