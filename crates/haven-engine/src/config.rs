//! What the daemon is told at start.

use haven_spec::{Ipv4Net, Ulimit};
use std::net::IpAddr;
use std::path::PathBuf;

/// Where things lie and what the defaults are.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// What must survive: images, containers' files, volumes, the state database.
    pub data_root: PathBuf,
    /// Run-time facts, on tmpfs.
    pub run_root: PathBuf,
    /// The program that plays the spawner, normally `/proc/self/exe`.
    pub executable: PathBuf,
    /// Name of the control group below which containers' groups are made.
    pub cgroup_parent: String,
    /// Ask the kernel for fast moves between control groups of version 1, which holds for the whole host.
    pub favour_group_moves: bool,
    /// First host id of the ranges that containers get.
    pub id_base: u32,
    pub default_pids_limit: i64,
    pub default_ulimits: Vec<Ulimit>,
    pub default_stop_timeout_s: i64,
    /// Where containers' addresses come from; `None`: a free network is looked for.
    pub address_pool: Option<Ipv4Net>,
    /// Networks that Docker clients make are open inside, as those clients expect.
    pub docker_networks_open: bool,
    /// Assertions about exposure that every change is held against; read anew each time.
    pub policy: Option<PathBuf>,
    /// How many segments of the audit record (16 MiB each) stay; `None`: all. Of older ones the hashes stay.
    pub audit_keep_segments: Option<usize>,
    /// Where older segments are copied first; `None`: nowhere.
    pub audit_archive: Option<PathBuf>,
    /// The datagram socket that checkpoints of the audit record are sent to, normally `/dev/log`.
    pub checkpoint_syslog: Option<PathBuf>,
    /// `None`: that of the interface with the default route.
    pub mtu_bytes: Option<u32>,
    /// The host address of published ports whose user named none.
    pub publish_address: IpAddr,
    /// Rotation where the container's user says nothing.
    pub log_max_size_bytes: u64,
    pub log_max_files: u32,
}

impl EngineConfig {
    /// Below these directories, with the documented defaults.
    pub fn new(data_root: PathBuf, run_root: PathBuf) -> Self {
        Self {
            data_root,
            run_root,
            executable: PathBuf::from("/proc/self/exe"),
            cgroup_parent: "haven".into(),
            favour_group_moves: true,
            id_base: 1 << 20,
            default_pids_limit: 4096,
            default_ulimits: Vec::new(),
            default_stop_timeout_s: 10,
            address_pool: None,
            docker_networks_open: true,
            policy: None,
            audit_keep_segments: None,
            audit_archive: None,
            checkpoint_syslog: None,
            mtu_bytes: None,
            publish_address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            log_max_size_bytes: 10_000_000,
            log_max_files: 3,
        }
    }

    pub(crate) fn container_data(&self, id: &haven_spec::ContainerId) -> PathBuf {
        self.data_root.join("containers").join(id.as_str())
    }

    pub(crate) fn container_run(&self, id: &haven_spec::ContainerId) -> PathBuf {
        self.run_root.join("containers").join(id.as_str())
    }
}
