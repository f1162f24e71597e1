//! The kernel's out-of-memory killer in a group: how often it struck, and being told when it does.
//!
//! v1 tells by an eventfd registered in `cgroup.event_control`, v2 by a priority event on `memory.events`. Both only
//! say that something happened; the count is in a file.

use super::directory::Directory;
use super::format;
use super::group::Group;
use haven_spec::{Failure, Outcome};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;

/// How deep groups made inside a container are followed.
const DEEPEST: usize = 64;

impl Group {
    /// How many processes the killer has ended in this group and below.
    pub fn oom_kills(&self) -> Outcome<u64> {
        match self.controller("memory") {
            Some((directory, true)) => {
                let events = directory.read_optional("memory.events")?.unwrap_or_default();
                Ok(format::value_of(&events, "oom_kill").unwrap_or(0))
            }
            // v1 counts in the group of the victim only.
            Some((directory, false)) => v1_kills(directory, DEEPEST),
            None => Ok(0),
        }
    }

    /// The file that counts the killer's victims, for a process that outlives this value; `None` where memory isn't
    /// counted.
    pub(crate) fn open_oom_counter(&self) -> Outcome<Option<OwnedFd>> {
        self.controller("memory")
            .map(|(directory, unified)| {
                directory
                    .open_file(if unified { "memory.events" } else { "memory.oom_control" }, OFlags::RDONLY)
            })
            .transpose()
    }

    /// Starts listening. Fails when the machine doesn't count memory.
    pub fn watch_oom(&self) -> Outcome<OomWatch> {
        let (directory, unified) = self
            .controller("memory")
            .ok_or_else(|| Failure::host("cannot watch for memory shortage: no `memory` controller"))?;
        if unified {
            let fd = directory.open_file("memory.events", OFlags::RDONLY)?;
            // The event is "changed since read".
            let mut watch = OomWatch { fd, unified };
            watch.acknowledge();
            return Ok(watch);
        }
        let control = directory.open_file("memory.oom_control", OFlags::RDONLY)?;
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|errno| {
            Failure::host("cannot make an event descriptor").because(std::io::Error::from(errno))
        })?;
        directory.write("cgroup.event_control", &format!("{} {}", fd.as_raw_fd(), control.as_raw_fd()))?;
        Ok(OomWatch { fd, unified })
    }
}

/// A descriptor that becomes ready when the killer may have struck. v1's also does when the group is removed.
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    unified: bool,
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl OomWatch {
    /// What to poll for.
    pub fn interest(&self) -> PollFlags {
        if self.unified { PollFlags::PRI } else { PollFlags::IN }
    }

    /// To be called after each event, before the count is read.
    pub fn acknowledge(&mut self) {
        let mut buffer = [0u8; 4096];
        // What is read is of no interest: reading rearms. An error means there was no event.
        let _: Result<usize, _> = if self.unified {
            rustix::io::pread(&self.fd, &mut buffer, 0)
        } else {
            rustix::io::read(&self.fd, &mut buffer[..8])
        };
    }
}

fn v1_kills(directory: &Directory, depth: usize) -> Outcome<u64> {
    let text = directory.read_optional("memory.oom_control")?.unwrap_or_default();
    let mut kills = format::value_of(&text, "oom_kill").unwrap_or(0);
    if depth > 0 {
        for name in directory.children()? {
            if let Some(child) = directory.child(&name)? {
                kills = kills.saturating_add(v1_kills(&child, depth - 1)?);
            }
        }
    }
    Ok(kills)
}
