//! What is remembered of a container, and what state the kernel says it is in.

use crate::cgroup::{Group, GroupPath, Layout};
use crate::oci::{self, Status};
use haven_spec::{Failure, Outcome};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    /// The first process; 0 while it is being made.
    pub(super) pid: i32,
    /// Its start in clock ticks since boot: with the number it is that process and no later one.
    pub(super) start_time: u64,
    /// When it was made, as RFC 3339.
    pub(super) created: String,
    /// Below each hierarchy; empty: none of its own.
    pub(super) cgroup: String,
    /// The document as it was used, for hooks, additional processes and events.
    pub(super) spec: oci::Spec,
}

impl Record {
    /// A hold on the first process; `None` when it has ended.
    pub(super) fn process(&self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(self.pid)?;
        let fd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // After opening: the number can't change hands any more.
        (started(self.pid)? == self.start_time).then_some(fd)
    }

    pub(super) fn group(&self) -> Outcome<Option<Group>> {
        if self.cgroup.is_empty() {
            return Ok(None);
        }
        Layout::detect()?.open(&GroupPath::parse(&self.cgroup)?)
    }

    /// `start_socket` exists until the container is started.
    pub(super) fn status(&self, start_socket: &Path) -> Status {
        if self.pid == 0 {
            return Status::Creating;
        }
        if self.process().is_none() {
            return Status::Stopped;
        }
        // A group that can't be asked isn't frozen as far as anybody can tell.
        if self.group().ok().flatten().is_some_and(|group| group.is_frozen().unwrap_or(false)) {
            return Status::Paused;
        }
        if start_socket.exists() { Status::Created } else { Status::Running }
    }

    /// As the specification has it, for hooks.
    pub(super) fn state(&self, status: Status) -> oci::State {
        oci::State {
            version: oci::VERSION.to_owned(),
            id: self.id.clone(),
            status,
            pid: if status == Status::Stopped { 0 } else { self.pid },
            bundle: self.bundle.to_string_lossy().into_owned(),
            annotations: self.spec.annotations.clone(),
        }
    }

    /// As `state` and `list` show it.
    pub(super) fn shown(&self, status: Status) -> Shown {
        Shown {
            version: oci::VERSION.to_owned(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status,
            bundle: self.bundle.to_string_lossy().into_owned(),
            rootfs: self.rootfs.to_string_lossy().into_owned(),
            created: self.created.clone(),
            annotations: self.spec.annotations.clone(),
            owner: String::new(),
        }
    }
}

/// The specification's state and what other runtimes add to it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    #[serde(rename = "ociVersion")]
    version: String,
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) status: Status,
    pub(super) bundle: String,
    rootfs: String,
    pub(super) created: String,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: std::collections::BTreeMap<String, String>,
    pub(super) owner: String,
}

/// When a process started, in clock ticks since boot; `None` when it is gone or only waits for its parent.
pub(super) fn started(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may contain anything; the fields after its last parenthesis don't.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A path made absolute and without links, as the record keeps it.
pub(super) fn absolute(path: &Path) -> Outcome<PathBuf> {
    fs::canonicalize(path)
        .map_err(|error| Failure::invalid(format!("cannot find `{}`", path.display())).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_of_the_same_number() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut record = Record {
            id: "x".into(),
            bundle: "/".into(),
            rootfs: "/".into(),
            pid: own,
            start_time: started(own).unwrap(),
            created: String::new(),
            cgroup: String::new(),
            spec: oci::Spec::default(),
        };
        let nowhere = Path::new("/nowhere/start.sock");
        assert_eq!(record.status(nowhere), Status::Running);
        assert_eq!(record.status(Path::new("/")), Status::Created);
        record.start_time += 1;
        assert_eq!(record.status(nowhere), Status::Stopped);
        assert_eq!(record.state(Status::Stopped).pid, 0);
        record.pid = 0;
        assert_eq!(record.status(nowhere), Status::Creating);
        assert_eq!(started(-1), None);
    }
}
