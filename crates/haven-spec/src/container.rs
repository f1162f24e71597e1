//! What a container is to be: the image's defaults with the user's wishes laid over them.

use crate::{
    HealthCheck, MountSpec, NetworkAttachment, NetworkMode, PortKey, PortMapping, Resources, RestartPolicy,
    Security, Signal,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// `json-file`, or `none` for no log at all.
    pub driver: String,
    /// The options as given, for display.
    pub options: BTreeMap<String, String>,
    pub max_size_bytes: u64,
    pub max_files: u32,
}

impl Default for LogConfig {
    /// Three files of 10 MB: logs never fill the disk unless somebody asks for more.
    fn default() -> Self {
        Self {
            driver: "json-file".into(),
            options: BTreeMap::new(),
            max_size_bytes: 10_000_000,
            max_files: 3,
        }
    }
}

/// Everything that defines a container. Immutable after creation, except what `update`, `rename` and network
/// commands change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct ContainerSpec {
    /// The image as the user named it.
    pub image: String,
    /// After merging with the image; `None`: none.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments after the entrypoint; after merging with the image.
    pub command: Option<Vec<String>>,
    /// `NAME=value`, the image's first.
    pub env: Vec<String>,
    pub working_dir: String,
    /// `user[:group]`, names or numbers, looked up in the image's own files.
    pub user: String,
    /// `None`: the short id.
    pub hostname: Option<String>,
    pub domainname: String,
    pub tty: bool,
    /// Rows and columns its terminal begins with; `None`: those of nobody.
    pub console_size: Option<(u16, u16)>,
    pub open_stdin: bool,
    /// Close standard input when the first attached client goes.
    pub stdin_once: bool,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub exposed_ports: BTreeSet<PortKey>,
    /// Paths the image or user declared as anonymous volumes, for display; they are in `mounts` too.
    pub declared_volumes: BTreeSet<String>,
    pub stop_signal: Option<Signal>,
    pub stop_timeout_s: Option<i64>,
    pub health: Option<HealthCheck>,
    pub mounts: Vec<MountSpec>,
    /// `--volume` as given; the mounts they meant are in `mounts`.
    pub binds: Vec<String>,
    /// `--tmpfs` as given: options by path; the mounts they meant are in `mounts`.
    pub tmpfs: BTreeMap<String, String>,
    /// `--volumes-from` as given; the mounts it meant are in `mounts`.
    pub volumes_from: Vec<String>,
    pub network: NetworkMode,
    /// Wishes per network name; `default` for the default network.
    pub attachments: BTreeMap<String, NetworkAttachment>,
    pub ports: Vec<PortMapping>,
    pub publish_all_ports: bool,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// `name:address`; the address `host-gateway` is resolved at start.
    pub extra_hosts: Vec<String>,
    pub resources: Resources,
    pub security: Security,
    pub restart: RestartPolicy,
    pub auto_remove: bool,
    /// Run a small init as the first process that forwards signals and reaps.
    pub init: bool,
    pub log: LogConfig,
}
