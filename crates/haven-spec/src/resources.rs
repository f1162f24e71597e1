//! Limits on what a container may use; zero or `None` means no limit unless said otherwise.

use serde::{Deserialize, Serialize};

/// Bytes or operations per second on one block device (`path` is the host's device node).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    pub path: String,
    pub rate: u64,
}

/// A resource limit of setrlimit(2): `name` as in prlimit(1) (`nofile`), `-1` as `u64::MAX`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Resources {
    pub memory_bytes: u64,
    /// Memory and swap together; -1: unlimited swap; 0: as much swap as memory.
    pub memory_swap_bytes: i64,
    pub memory_reservation_bytes: u64,
    pub memory_swappiness: Option<u8>,
    pub kernel_memory_tcp_bytes: u64,
    /// Billionths of a processor (`--cpus 0.5` is 500,000,000). Excludes `cpu_quota_us`.
    pub nano_cpus: u64,
    pub cpu_shares: u64,
    pub cpu_period_us: u64,
    pub cpu_quota_us: i64,
    pub cpu_realtime_period_us: u64,
    pub cpu_realtime_runtime_us: i64,
    /// A list as in cpuset(7), like `0-2,4`.
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    /// `None`: Haven's default limit; `Some(-1)`: unlimited.
    pub pids_limit: Option<i64>,
    /// 10 to 1000.
    pub blkio_weight: u16,
    pub blkio_weight_device: Vec<DeviceRate>,
    pub blkio_read_bps: Vec<DeviceRate>,
    pub blkio_write_bps: Vec<DeviceRate>,
    pub blkio_read_iops: Vec<DeviceRate>,
    pub blkio_write_iops: Vec<DeviceRate>,
    pub oom_kill_disable: bool,
    pub ulimits: Vec<Ulimit>,
    /// `--cgroup-parent`.
    pub cgroup_parent: String,
}
