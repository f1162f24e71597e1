//! What is asked of the runtime: a container to launch, an additional process to execute.
//!
//! The OCI document says what the process is and how it is confined; these types add what the document has no word
//! for: how the root file system is put together, where output goes, which ids are the container's.

use crate::oci;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A container to launch. Everything is said here; nothing is looked up elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    pub id: String,
    /// Process, mounts, namespaces, limits, filters. `root.readonly` counts, `root.path` doesn't (see `rootfs`);
    /// `linux.uidMappings` and `gidMappings` are replaced by `id_range` when there is one.
    pub spec: oci::Spec,
    pub rootfs: RootFs,
    /// The container's ids 0… are the host's `first`…; needs a `user` namespace in `spec`. `None`: the mappings in
    /// `spec`, or without a user namespace the host's ids.
    pub id_range: Option<IdRange>,
    /// An existing directory, best on a tmpfs, for this container alone: `keeper.sock` and `exit` are made in it.
    pub run_dir: PathBuf,
    /// The control group below each hierarchy's mount point, like `/haven/ID`; made with `spec.linux.resources` as
    /// limits. Empty: stays in the caller's.
    pub cgroup: String,
    pub log: LogTarget,
    pub stdin: StdinMode,
    /// Run a small init as process 1, which forwards signals to the command and reaps orphans.
    pub init: bool,
    /// `user[:group]`, by name or number, looked up in the container's own files; `None`: `spec.process.user`.
    pub user: Option<String>,
    /// Supplementary groups by name or number, in addition to the user's own.
    pub group_add: Vec<String>,
    /// Confine by Landlock where the kernel has it and it adds something (see [`crate::landlock`]).
    pub landlock: bool,
}

/// How the root file system is put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RootFs {
    /// An overlay that exists in the container's mount namespace alone. On disk all ids are the container's.
    Overlay {
        /// Layers, the topmost first; at least one.
        lowers: Vec<PathBuf>,
        /// Where changes go; the same file system as `work`.
        upper: PathBuf,
        work: PathBuf,
        /// Never waits for the disk, and can't be started a second time: for containers that are removed when they
        /// end.
        volatile: bool,
    },
    /// A directory used as it is. `idmap`: its ids on disk are the container's.
    Directory { path: PathBuf, idmap: bool },
}

/// A range of the host's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub first: u32,
    pub count: u32,
}

/// Where output is kept, beside being sent to attached clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTarget {
    None,
    /// JSON lines in `directory`/`name`, rotated to `name.1`, `name.2`, … so that no more than `max_files` files of
    /// `max_size_bytes` (0: no bound) exist.
    JsonFile {
        directory: PathBuf,
        name: String,
        max_size_bytes: u64,
        max_files: u32,
    },
}

/// What the process reads on standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StdinMode {
    /// Nothing (`/dev/null`; with a terminal: what no client types).
    Null,
    /// What attached clients send; stays open when they go.
    Open,
    /// What attached clients send; ends when the first of them goes.
    Once,
}

/// An additional process in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Names the control socket `exec-ID.sock` and the record `exec-ID.exit` in `run_dir`.
    pub exec_id: String,
    /// The container's directory, as at launch.
    pub run_dir: PathBuf,
    pub process: oci::Process,
    /// The container's filter, which holds for additional processes too.
    pub seccomp: Option<oci::Seccomp>,
    /// As at launch; empty: the caller's.
    pub cgroup: String,
    pub stdin: StdinMode,
    pub user: Option<String>,
    pub group_add: Vec<String>,
}
