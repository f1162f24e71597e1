//! What a keeper must know of the process it keeps: told once, by the assembler.

use crate::launch::StdinMode;
use haven_sys::socket;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Names and numbers; the descriptors travel beside them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) pid: u32,
    pub(crate) stdin: StdinMode,
    pub(crate) log: Option<LogFacts>,
    /// Names in the run directory.
    pub(crate) exit_name: String,
    pub(crate) socket_name: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LogFacts {
    pub(crate) name: String,
    pub(crate) max_size_bytes: u64,
    pub(crate) max_files: u32,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) facts: Facts,
    pub(crate) pidfd: OwnedFd,
    pub(crate) run_dir: OwnedFd,
    pub(crate) listener: OwnedFd,
    pub(crate) log_dir: Option<OwnedFd>,
}

/// The longest packet it takes.
pub(crate) const BYTES: usize = 2048;

impl Setup {
    pub(crate) fn send(&self, report: &OwnedFd) -> io::Result<()> {
        let mut descriptors: Vec<BorrowedFd<'_>> =
            vec![self.pidfd.as_fd(), self.run_dir.as_fd(), self.listener.as_fd()];
        descriptors.extend(self.log_dir.as_ref().map(AsFd::as_fd));
        socket::send(report, &serde_json::to_vec(&self.facts)?, &descriptors)
    }

    pub(crate) fn read(facts: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let facts: Facts = serde_json::from_slice(facts)?;
        let missing = || io::Error::other("a descriptor is missing");
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(missing);
        let (pidfd, run_dir, listener) = (next()?, next()?, next()?);
        let log_dir = facts.log.is_some().then(&mut next).transpose()?;
        Ok(Self { facts, pidfd, run_dir, listener, log_dir })
    }
}
