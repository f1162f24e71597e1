//! How a container is confined. The default of every field is the confined one; whatever weakens it is
//! written out here, by name, so that it can be shown and recorded.

use crate::ContainerId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Own namespace, or the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceMode {
    #[default]
    Private,
    Host,
}

/// The user namespace: one of its own with 65,536 ids by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum UserNamespaceMode {
    #[default]
    Own,
    /// Root inside is root outside.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum PidMode {
    #[default]
    Private,
    Host,
    Container(ContainerId),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum IpcMode {
    #[default]
    Private,
    /// Private, and other containers may join it.
    Shareable,
    /// No `/dev/shm` at all.
    None,
    Host,
    Container(ContainerId),
}

/// Which system calls are filtered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum SeccompChoice {
    #[default]
    Default,
    Unconfined,
    /// A profile in Docker's JSON format, as text.
    Profile(String),
}

/// A device node of the host made usable inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub host_path: String,
    pub container_path: String,
    /// Some of `r`, `w`, `m`.
    pub permissions: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Security {
    pub privileged: bool,
    /// Capability names without `CAP_`, upper case, or `ALL`.
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Haven's default is on; `--security-opt no-new-privileges=false` turns it off.
    pub no_new_privileges: bool,
    pub seccomp: SeccompChoice,
    pub user_namespace: UserNamespaceMode,
    pub pid: PidMode,
    pub ipc: IpcMode,
    pub uts: NamespaceMode,
    pub cgroup_namespace: NamespaceMode,
    pub readonly_rootfs: bool,
    /// `None`: the default list.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    pub sysctls: BTreeMap<String, String>,
    pub devices: Vec<Device>,
    pub device_cgroup_rules: Vec<String>,
    pub group_add: Vec<String>,
    pub oom_score_adj: i32,
    /// Size of `/dev/shm`; 0: 64 MiB.
    pub shm_size_bytes: u64,
    /// `apparmor=`, `label=` options as given; recorded, applied where the kernel has them.
    pub label_options: Vec<String>,
    /// `--security-opt` as given; what they meant is in the other fields.
    pub options: Vec<String>,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            privileged: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            no_new_privileges: true,
            seccomp: SeccompChoice::Default,
            user_namespace: UserNamespaceMode::Own,
            pid: PidMode::Private,
            ipc: IpcMode::Private,
            uts: NamespaceMode::Private,
            cgroup_namespace: NamespaceMode::Private,
            readonly_rootfs: false,
            masked_paths: None,
            readonly_paths: None,
            sysctls: BTreeMap::new(),
            devices: Vec::new(),
            device_cgroup_rules: Vec::new(),
            group_add: Vec::new(),
            oom_score_adj: 0,
            shm_size_bytes: 0,
            label_options: Vec::new(),
            options: Vec::new(),
        }
    }
}
