//! What callers ask of the engine: typed, without any wire format.

use haven_spec::{ContainerName, ContainerSpec, RestartPolicy, Signal, VolumeName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A container to be made. In `spec`, `None` or empty stands for "as the image says".
#[derive(Debug, Clone)]
pub struct CreateContainer {
    /// `None`: a name is made up.
    pub name: Option<ContainerName>,
    pub spec: ContainerSpec,
    /// `os/arch[/variant]`; an image for another one is refused.
    pub platform: Option<String>,
}

/// What creation answers.
#[derive(Debug, Clone)]
pub struct CreatedContainer {
    pub id: haven_spec::ContainerId,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Answer at once when it doesn't run.
    NotRunning,
    /// The next time it ends.
    NextExit,
    /// Until it has been removed.
    Removed,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveContainer {
    /// Kill it when it runs.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
}

/// New limits; `None` leaves as is.
#[derive(Debug, Clone, Default)]
pub struct UpdateContainer {
    /// Only members that differ from `Resources::default()` are changed.
    pub resources: haven_spec::Resources,
    pub restart: Option<RestartPolicy>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachContainer {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// A process to be added to a running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    pub command: Vec<String>,
    /// Added to the container's environment.
    pub env: Vec<String>,
    /// Empty: the container's.
    pub working_dir: String,
    /// Empty: the container's.
    pub user: String,
    pub privileged: bool,
    pub tty: bool,
    /// Rows and columns its terminal begins with.
    pub console_size: Option<(u16, u16)>,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// As the client wrote it, for display.
    pub detach_keys: String,
}

/// Which log lines. Times are nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    pub since_ns: Option<i64>,
    pub until_ns: Option<i64>,
    /// The last lines only; `None`: all.
    pub tail: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    Stdout,
    Stderr,
}

#[derive(Debug, Clone)]
pub struct LogLine {
    pub kind: OutputKind,
    pub time_ns: i64,
    /// With its newline, when it had one.
    pub text: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
pub struct CreateVolume {
    /// `None`: an anonymous volume.
    pub name: Option<VolumeName>,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
}

/// What `commit` makes of a container.
#[derive(Debug, Clone, Default)]
pub struct CommitContainer {
    /// `None`: an image without a name.
    pub reference: Option<haven_spec::Reference>,
    pub comment: String,
    pub author: String,
    /// Freeze it meanwhile.
    pub pause: bool,
    /// Dockerfile instructions laid over the configuration, like `CMD ["x"]`.
    pub changes: Vec<String>,
}

/// How a path differs from the image, as `docker diff` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

#[derive(Debug, Clone)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: String,
}

/// What is at a path inside a container.
#[derive(Debug, Clone)]
pub struct PathStat {
    pub name: String,
    pub size: u64,
    /// Go's `os.FileMode` bits, as the Docker API shows them.
    pub go_mode: u32,
    pub modified_at_ns: i64,
    /// Where a symlink leads, absolute inside the container; empty otherwise.
    pub link_target: String,
}

/// The processes of a container, as ps(1) shows them.
#[derive(Debug, Clone)]
pub struct ProcessTable {
    pub titles: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// One reading of a container's counters.
#[derive(Debug, Clone, Default)]
pub struct StatsSample {
    pub read_at_ns: i64,
    /// `None`: it doesn't run and everything is zero.
    pub cgroup: Option<haven_runtime::cgroup::Stats>,
    pub cgroup_v2: bool,
    pub online_cpus: u32,
    /// All processors' time of the host, nanoseconds.
    pub system_cpu_ns: u64,
    /// Per interface.
    pub networks: BTreeMap<String, InterfaceCounters>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct InterfaceCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// What ended up removed by a prune.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    pub removed: Vec<String>,
    pub reclaimed_bytes: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct StopContainer {
    /// `None`: the container's stop signal.
    pub signal: Option<Signal>,
    /// Seconds before it is killed; `None`: the container's, then the daemon's default; negative: never.
    pub timeout_s: Option<i64>,
}

/// What is used on disk.
#[derive(Debug, Clone, Default)]
pub struct ContainerSize {
    /// Written by the container.
    pub rw_bytes: u64,
    /// With its image.
    pub rootfs_bytes: u64,
}
