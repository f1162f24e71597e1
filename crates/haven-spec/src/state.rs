//! A container's state: one enum, never a set of booleans.
//!
//! ```text
//! Created ──start──▶ Running ◀──unpause── Paused
//!    │                 │  └────pause─────────▲
//!    │                exit ──policy──▶ Restarting ──▶ Running
//!    │                 ▼
//!    └──remove──▶ (gone) ◀──remove── Exited ──start──▶ Running
//! ```

use serde::{Deserialize, Serialize};

/// How a container's first process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status, or 128 + the signal's number.
    pub code: i32,
    /// The kernel's out-of-memory killer struck inside the container.
    pub oom_killed: bool,
    /// Why the process could not be started, when it could not (then `code` is 126, 127 or 128).
    pub error: Option<String>,
    /// Nanoseconds since the Unix epoch.
    pub finished_at_ns: i64,
}

/// What a container is doing. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ContainerState {
    /// Never started.
    Created,
    /// Its first process runs; `pid` is the host's number for it.
    Running { pid: u32, started_at_ns: i64 },
    /// Every process is frozen.
    Paused { pid: u32, started_at_ns: i64 },
    /// It ended and its restart policy will start it again.
    Restarting { exit: Exit, started_at_ns: i64 },
    /// It ended.
    Exited { exit: Exit, started_at_ns: i64 },
    /// It is being removed and accepts no other command.
    Removing { exit: Option<Exit>, started_at_ns: i64 },
    /// Removal failed half-way; only removing it again is possible.
    Dead { exit: Option<Exit>, started_at_ns: i64 },
}

impl ContainerState {
    /// Docker's word for it, as in `docker inspect` and filters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Exited { .. } => "exited",
            Self::Removing { .. } => "removing",
            Self::Dead { .. } => "dead",
        }
    }

    /// The host's pid of its first process while it has one.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Running { pid, .. } | Self::Paused { pid, .. } => Some(*pid),
            _ => None,
        }
    }

    /// Running or paused.
    pub fn is_alive(&self) -> bool {
        self.pid().is_some()
    }

    /// The last exit, when the container has ended and isn't running.
    pub fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Restarting { exit, .. } | Self::Exited { exit, .. } => Some(exit),
            Self::Removing { exit, .. } | Self::Dead { exit, .. } => exit.as_ref(),
            _ => None,
        }
    }

    /// When it was last started; `None` when it never was.
    pub fn started_at_ns(&self) -> Option<i64> {
        match self {
            Self::Created => None,
            Self::Running { started_at_ns, .. }
            | Self::Paused { started_at_ns, .. }
            | Self::Restarting { started_at_ns, .. }
            | Self::Exited { started_at_ns, .. }
            | Self::Removing { started_at_ns, .. }
            | Self::Dead { started_at_ns, .. } => (*started_at_ns != 0).then_some(*started_at_ns),
        }
    }
}
