//! What is mounted into a container beside its image.

use crate::VolumeName;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How mounts made on one side show on the other, see mount_namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum BindPropagation {
    #[default]
    Rprivate,
    Private,
    Rshared,
    Shared,
    Rslave,
    Slave,
}

/// Where the content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountSource {
    /// A directory or file of the host. `create`: make a directory when it is missing (`-v`, not `--mount`).
    Bind { path: PathBuf, propagation: BindPropagation, create: bool, recursive: bool },
    /// A volume; `populate`: fill an empty one from the image on first use. `subpath` is inside the volume.
    Volume { name: VolumeName, anonymous: bool, populate: bool, subpath: Option<PathBuf> },
    /// Memory. `size_bytes` 0: the kernel's default; `mode` as in chmod(1).
    Tmpfs { size_bytes: u64, mode: u32, options: Vec<String> },
}

/// One mount: `source` on `target` (absolute, inside the container).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    pub source: MountSource,
    pub target: PathBuf,
    pub readonly: bool,
}
