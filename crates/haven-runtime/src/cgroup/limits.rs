//! A document's resources written into the group's files.
//!
//! The document speaks v1's vocabulary. On v2 values are converted as runc and crun convert them, so that a document
//! means the same under each runtime. What protects the host (memory, processes, processor time, devices) fails when it
//! can't be set; what only tunes (swappiness, weights without a scheduler that has them, retired files) is left out
//! with a warning.
//!
//! Order matters to the kernel in three places: v1 refuses a memory limit above the memory-and-swap limit at any
//! moment, a processor quota below its burst, and a real-time budget above its period.

use super::devices;
use super::directory::Directory;
use super::format;
use super::group::Group;
use super::layout::Version;
use crate::oci::{BlockIo, Cpu, HugepageLimit, Memory, Network, Rdma, Resources};
use haven_spec::{Failure, Outcome};
use rustix::io::Errno;
use std::collections::BTreeMap;

/// What was left out, for the caller's log and the user's warnings.
pub type Warnings = Vec<String>;

impl Group {
    /// Sets the limits the document has; what it doesn't mention stays as it is. Used for a new group and to update one.
    pub fn apply(&self, resources: &Resources) -> Outcome<Warnings> {
        let mut warnings = Warnings::new();
        if let Some(memory) = &resources.memory {
            self.apply_memory(memory, &mut warnings)?;
        }
        if let Some(cpu) = &resources.cpu {
            self.apply_cpu(cpu, &mut warnings)?;
        }
        if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
            self.apply_pids(limit)?;
        }
        if let Some(block) = &resources.block_io {
            self.apply_block_io(block, &mut warnings)?;
        }
        for limit in &resources.hugepage_limits {
            self.apply_hugepages(limit, &mut warnings)?;
        }
        if let Some(network) = &resources.network {
            self.apply_network(network, &mut warnings)?;
        }
        if !resources.rdma.is_empty() {
            self.apply_rdma(&resources.rdma)?;
        }
        if !resources.devices.is_empty() {
            devices::apply(self, &resources.devices)?;
        }
        self.apply_unified(&resources.unified)?;
        Ok(warnings)
    }

    /// The directory of a controller a limit needs.
    fn needed(&self, controller: &str, what: &str) -> Outcome<(&Directory, bool)> {
        self.controller(controller).ok_or_else(|| {
            Failure::host(format!(
                "cannot limit {what}: this machine doesn't offer the `{controller}` controller"
            ))
            .hint(match self.version() {
                Version::Unified => {
                    "check `cgroup.controllers` and `cgroup.subtree_control` of the parent groups"
                }
                _ => "mount the controller's hierarchy, or boot with it enabled",
            })
        })
    }

    fn apply_memory(&self, memory: &Memory, warnings: &mut Warnings) -> Outcome<()> {
        if *memory == Memory::default() {
            return Ok(());
        }
        let (directory, unified) = self.needed("memory", "memory")?;
        if memory.check_before_update == Some(true) {
            refuse_below_usage(directory, unified, memory)?;
        }
        if unified { memory_v2(directory, memory, warnings) } else { memory_v1(directory, memory, warnings) }
    }

    fn apply_cpu(&self, cpu: &Cpu, warnings: &mut Warnings) -> Outcome<()> {
        let tuned = Cpu { cpus: String::new(), mems: String::new(), ..cpu.clone() };
        if tuned != Cpu::default() {
            let (directory, unified) = self.needed("cpu", "processor time")?;
            if unified { cpu_v2(directory, cpu, warnings)? } else { cpu_v1(directory, cpu)? }
        }
        for (file, list) in [("cpuset.cpus", &cpu.cpus), ("cpuset.mems", &cpu.mems)] {
            if !list.is_empty() {
                let (directory, _) = self.needed("cpuset", "the processors used")?;
                directory.write(file, list)?;
            }
        }
        Ok(())
    }

    fn apply_pids(&self, limit: i64) -> Outcome<()> {
        let (directory, _) = self.needed("pids", "the number of processes")?;
        let value = if limit <= 0 { "max".to_owned() } else { limit.to_string() };
        directory.write("pids.max", &value)
    }

    fn apply_block_io(&self, block: &BlockIo, warnings: &mut Warnings) -> Outcome<()> {
        if *block == BlockIo::default() {
            return Ok(());
        }
        match self.controller("blkio") {
            Some((directory, false)) => block_io_v1(directory, block, warnings),
            _ => {
                let (directory, _) = self.needed("io", "disk I/O")?;
                block_io_v2(directory, block, warnings)
            }
        }
    }

    fn apply_hugepages(&self, limit: &HugepageLimit, warnings: &mut Warnings) -> Outcome<()> {
        let size = limit.page_size.as_str();
        let digits = size.trim_end_matches("KB").trim_end_matches("MB").trim_end_matches("GB");
        if digits.is_empty() || digits.len() == size.len() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Failure::invalid(format!("`{size}` is not a page size"))
                .hint("write it as the kernel does: `64KB`, `2MB`, `1GB`"));
        }
        let Some((directory, unified)) = self.controller("hugetlb") else {
            warnings.push(format!("huge pages of {size} are not limited: no `hugetlb` controller"));
            return Ok(());
        };
        let (plain, reserved) =
            if unified { ("max", "rsvd.max") } else { ("limit_in_bytes", "rsvd.limit_in_bytes") };
        let value = limit.limit.to_string();
        directory.write(&format!("hugetlb.{size}.{plain}"), &value)?;
        // Reservations are counted apart; kernels before 5.7 don't.
        let file = format!("hugetlb.{size}.{reserved}");
        if directory.has(&file) { directory.write(&file, &value) } else { Ok(()) }
    }

    fn apply_network(&self, network: &Network, warnings: &mut Warnings) -> Outcome<()> {
        if let Some(class) = network.class_id {
            match self.v1("net_cls") {
                Some(directory) => directory.write("net_cls.classid", &class.to_string())?,
                None => warnings.push("the network class is not set: no `net_cls` controller".to_owned()),
            }
        }
        for one in &network.priorities {
            match self.v1("net_prio") {
                Some(directory) => {
                    directory.write("net_prio.ifpriomap", &format!("{} {}", one.name, one.priority))?;
                }
                None => warnings
                    .push(format!("the priority of `{}` is not set: no `net_prio` controller", one.name)),
            }
        }
        Ok(())
    }

    fn apply_rdma(&self, limits: &BTreeMap<String, Rdma>) -> Outcome<()> {
        let (directory, _) = self.needed("rdma", "RDMA")?;
        for (device, limit) in limits {
            let mut line = device.clone();
            for (key, value) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)] {
                if let Some(value) = value {
                    line.push_str(&format!(" {key}={value}"));
                }
            }
            directory.write("rdma.max", &line)?;
        }
        Ok(())
    }

    /// v2's files by name. Those of the core (`cgroup.procs`, `cgroup.kill`) aren't limits and are refused.
    fn apply_unified(&self, files: &BTreeMap<String, String>) -> Outcome<()> {
        for (file, value) in files {
            let core = file.starts_with("cgroup.") && !file.starts_with("cgroup.max.");
            if core || file.contains('/') || !file.contains('.') || file.starts_with('.') {
                return Err(Failure::invalid(format!(
                    "`{file}` in `linux.resources.unified` is not a limit"
                )));
            }
            let controller = file.split('.').next().unwrap_or_default();
            let directory = match (self.version(), self.unified()) {
                (Version::Unified, Some(directory)) => directory,
                _ => {
                    return Err(Failure::host(format!(
                        "cannot set `{file}`: this machine has v1 control groups"
                    ))
                    .hint("`linux.resources.unified` is for v2 only; use the document's other members"));
                }
            };
            if directory.write_raw(file, value).is_err() {
                // A controller that isn't there gets its own message.
                if controller != "cgroup" {
                    self.needed(controller, &format!("`{file}`"))?;
                }
                directory.write(file, value)?;
            }
        }
        Ok(())
    }
}

fn memory_value(bytes: i64, unlimited: &str) -> String {
    if bytes < 0 { unlimited.to_owned() } else { bytes.to_string() }
}

/// A set limit: zero means the same as absent, as documents of other engines have it.
fn set(value: Option<i64>) -> Option<i64> {
    value.filter(|bytes| *bytes != 0)
}

/// `checkBeforeUpdate`: v2 would kill to get below, v1 would refuse with EBUSY.
fn refuse_below_usage(directory: &Directory, unified: bool, memory: &Memory) -> Outcome<()> {
    let file = if unified { "memory.current" } else { "memory.usage_in_bytes" };
    let (Some(limit), Some(usage)) = (
        set(memory.limit).and_then(|limit| u64::try_from(limit).ok()),
        format::number(&directory.read(file)?),
    ) else {
        return Ok(());
    };
    if usage <= limit {
        return Ok(());
    }
    Err(Failure::conflict(format!("cannot limit memory to {limit} bytes: {usage} are in use")))
}

fn memory_v1(directory: &Directory, memory: &Memory, warnings: &mut Warnings) -> Outcome<()> {
    const LIMIT: &str = "memory.limit_in_bytes";
    const BOTH: &str = "memory.memsw.limit_in_bytes";
    let limit = set(memory.limit);
    // Unlimited memory with limited swap is no state the kernel has.
    let both = set(memory.swap).or_else(|| limit.filter(|limit| *limit < 0));
    if let (Some(limit), Some(both)) = (limit, both)
        && both >= 0
        && (limit < 0 || both < limit)
    {
        return Err(swap_below_memory(limit, both));
    }
    let counts_swap = directory.has(BOTH);
    if both.is_some_and(|both| both > 0) && !counts_swap {
        warnings
            .push("swap is not limited: the kernel doesn't count it (boot with `swapaccount=1`)".to_owned());
    }
    let both = both.filter(|_| counts_swap);
    let write_limit = |bytes: i64| {
        directory.write_raw(LIMIT, &memory_value(bytes, "-1")).map_err(|errno| {
            let failure = directory.write_failure(LIMIT, &memory_value(bytes, "-1"), errno);
            match errno {
                Errno::BUSY => failure.hint("more is in use than the new limit, and could not be reclaimed"),
                Errno::INVAL if counts_swap => {
                    failure.hint("the limit of memory and swap together must not be below it")
                }
                _ => failure,
            }
        })
    };
    match (limit, both) {
        (Some(limit), Some(both)) => {
            // The sum must stay above the part all the time: grow the sum first, shrink it last.
            let present = format::limit(&directory.read(BOTH)?).unwrap_or(u64::MAX);
            let grows = u64::try_from(both).unwrap_or(u64::MAX) >= present;
            if grows {
                directory.write(BOTH, &memory_value(both, "-1"))?;
            }
            write_limit(limit)?;
            if !grows {
                directory.write(BOTH, &memory_value(both, "-1"))?;
            }
        }
        (Some(limit), None) => write_limit(limit)?,
        (None, Some(both)) => directory.write(BOTH, &memory_value(both, "-1"))?,
        (None, None) => {}
    }
    if let Some(reservation) = set(memory.reservation) {
        directory.write("memory.soft_limit_in_bytes", &memory_value(reservation, "-1"))?;
    }
    if memory.kernel.is_some_and(|bytes| bytes > 0) {
        warnings.push("kernel memory is not limited apart: kernels no longer offer that".to_owned());
    }
    if let Some(bytes) = set(memory.kernel_tcp) {
        optional(directory, "memory.kmem.tcp.limit_in_bytes", &memory_value(bytes, "-1"), warnings)?;
    }
    if let Some(swappiness) = memory.swappiness {
        // -1 as unsigned: other engines' way of saying "leave it".
        if swappiness <= 200 {
            optional(directory, "memory.swappiness", &swappiness.to_string(), warnings)?;
        } else if i64::try_from(swappiness).is_ok() {
            return Err(Failure::invalid(format!("memory swappiness {swappiness} is not between 0 and 100")));
        }
    }
    if memory.disable_oom_killer == Some(true) {
        directory.write("memory.oom_control", "1")?;
    }
    Ok(())
}

fn swap_below_memory(limit: i64, both: i64) -> Failure {
    Failure::invalid(format!(
        "the limit of memory and swap together ({both}) is below that of memory ({limit})"
    ))
    .hint("give the sum of both as swap limit, -1 for unlimited swap")
}

fn memory_v2(directory: &Directory, memory: &Memory, warnings: &mut Warnings) -> Outcome<()> {
    let limit = set(memory.limit);
    let swap = match (limit, set(memory.swap)) {
        (_, Some(both)) if both < 0 => Some("max".to_owned()),
        (Some(limit), None) if limit < 0 => Some("max".to_owned()),
        (_, None) => None,
        (Some(limit), Some(both)) if limit >= 0 && both >= limit => Some((both - limit).to_string()),
        (Some(limit), Some(both)) => return Err(swap_below_memory(limit, both)),
        (None, Some(both)) => {
            // v2 counts swap alone: the memory limit that stands is the rest of the sum.
            let standing = format::limit(&directory.read("memory.max")?);
            match standing.and_then(|bytes| i64::try_from(bytes).ok()) {
                Some(standing) if both >= standing => Some((both - standing).to_string()),
                Some(standing) => return Err(swap_below_memory(standing, both)),
                None => {
                    return Err(Failure::invalid("cannot limit swap without a memory limit")
                        .hint("give a memory limit too; the swap limit is the sum of both"));
                }
            }
        }
    };
    if let Some(swap) = swap {
        if directory.has("memory.swap.max") {
            directory.write("memory.swap.max", &swap)?;
        } else if swap != "max" && swap != "0" {
            warnings.push("swap is not limited: the kernel doesn't count it".to_owned());
        }
    }
    if let Some(limit) = limit {
        directory.write("memory.max", &memory_value(limit, "max"))?;
    }
    if let Some(reservation) = set(memory.reservation) {
        directory.write("memory.low", &memory_value(reservation, "max"))?;
    }
    if memory.kernel.is_some_and(|bytes| bytes > 0) || memory.kernel_tcp.is_some_and(|bytes| bytes > 0) {
        warnings.push("kernel memory is not limited apart: v2 counts it with the rest".to_owned());
    }
    if memory.swappiness.is_some_and(|value| i64::try_from(value).is_ok()) {
        warnings.push("swappiness is not set: v2 has none per group".to_owned());
    }
    if memory.disable_oom_killer == Some(true) {
        warnings.push("the out-of-memory killer stays on: v2 can't turn it off".to_owned());
    }
    Ok(())
}

/// Writes a file kernels may lack; leaving it out is a warning.
fn optional(directory: &Directory, file: &str, value: &str, warnings: &mut Warnings) -> Outcome<()> {
    match directory.write_raw(file, value) {
        Ok(()) => Ok(()),
        Err(Errno::NOENT | Errno::OPNOTSUPP) => {
            warnings.push(format!("`{file}` is not set: this kernel doesn't offer it"));
            Ok(())
        }
        Err(errno) => Err(directory.write_failure(file, value, errno)),
    }
}

fn cpu_v1(directory: &Directory, cpu: &Cpu) -> Outcome<()> {
    if let Some(idle) = cpu.idle {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    // An idle group has no shares of its own.
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0 && cpu.idle != Some(1)) {
        directory.write("cpu.shares", &shares.to_string())?;
        let kept = format::number(&directory.read("cpu.shares")?).unwrap_or(shares);
        if kept != shares {
            let bound = if shares > kept { "most" } else { "least" };
            return Err(Failure::invalid(format!(
                "cpu shares {shares} are out of range: {kept} is the {bound}"
            )));
        }
    }
    let period = cpu.period.filter(|period| *period != 0).map(|period| period.to_string());
    let quota = cpu.quota.filter(|quota| *quota != 0).map(|quota| quota.max(-1).to_string());
    let burst = cpu.burst.map(|burst| burst.to_string());
    write_until_settled(
        directory,
        &[("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", quota), ("cpu.cfs_burst_us", burst)],
    )?;
    let rt_period = cpu.realtime_period.filter(|period| *period != 0).map(|period| period.to_string());
    let rt_runtime = cpu.realtime_runtime.filter(|runtime| *runtime != 0).map(|runtime| runtime.to_string());
    write_until_settled(directory, &[("cpu.rt_period_us", rt_period), ("cpu.rt_runtime_us", rt_runtime)])
}

/// Values that bound each other: which must go first depends on the present ones, so what is refused as invalid is tried
/// again after the others.
fn write_until_settled(directory: &Directory, files: &[(&str, Option<String>)]) -> Outcome<()> {
    let mut open: Vec<(&str, &str)> =
        files.iter().filter_map(|(file, value)| Some((*file, value.as_deref()?))).collect();
    while !open.is_empty() {
        let mut refused = Vec::new();
        for (file, value) in &open {
            match directory.write_raw(file, value) {
                Ok(()) => {}
                Err(Errno::INVAL) => refused.push((*file, *value)),
                Err(errno) => return Err(directory.write_failure(file, value, errno)),
            }
        }
        if refused.len() == open.len() {
            let (file, value) = refused[0];
            return Err(directory.write_failure(file, value, Errno::INVAL));
        }
        open = refused;
    }
    Ok(())
}

fn cpu_v2(directory: &Directory, cpu: &Cpu, warnings: &mut Warnings) -> Outcome<()> {
    if let Some(idle) = cpu.idle {
        directory.write("cpu.idle", &idle.to_string())?;
    }
    if let Some(shares) = cpu.shares.filter(|shares| *shares != 0 && cpu.idle != Some(1)) {
        directory.write("cpu.weight", &weight_of_shares(shares).to_string())?;
    }
    let period = cpu.period.filter(|period| *period != 0);
    let quota = cpu.quota.filter(|quota| *quota != 0);
    let maximum = (period.is_some() || quota.is_some())
        .then(|| -> Outcome<String> {
            let quota = match quota {
                Some(quota) if quota > 0 => quota.to_string(),
                Some(_) => "max".to_owned(),
                None => directory.read("cpu.max")?.split(' ').next().unwrap_or("max").trim().to_owned(),
            };
            Ok(match period {
                Some(period) => format!("{quota} {period}"),
                None => quota,
            })
        })
        .transpose()?;
    let burst = cpu.burst.map(|burst| burst.to_string());
    write_until_settled(directory, &[("cpu.max", maximum), ("cpu.max.burst", burst)])?;
    if cpu.realtime_runtime.is_some_and(|us| us != 0) || cpu.realtime_period.is_some_and(|us| us != 0) {
        warnings.push("real-time processor time is not limited: v2 has no such limit".to_owned());
    }
    Ok(())
}

/// v1's shares (2 to 262144, 1024 by default) as v2's weight (1 to 10000, 100 by default), so that the ends and the
/// defaults meet: ceil(10^((l² + 125 l) / 612 − 7 / 34)) with l = log2(shares).
pub(super) fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "below 2^18 by the match")]
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 1 and 10000"
            )]
            let weight = 10f64.powf(exponent).ceil() as u64;
            weight.clamp(1, 10_000)
        }
    }
}

/// The block scheduler's weight (10 to 1000) as v2's (1 to 10000).
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight.saturating_sub(10)) * 9999 / 990
}

fn block_io_v1(directory: &Directory, block: &BlockIo, warnings: &mut Warnings) -> Outcome<()> {
    // The weight belongs to the scheduler: cfq's file until 4.20, bfq's since.
    let weight_file = ["blkio.weight", "blkio.bfq.weight"].into_iter().find(|file| directory.has(file));
    if let Some(weight) = block.weight.filter(|weight| *weight != 0) {
        match weight_file {
            Some(file) => directory.write(file, &weight.to_string())?,
            None => warnings.push("the disk weight is not set: no scheduler here has weights".to_owned()),
        }
    }
    for one in &block.weight_device {
        if let Some(weight) = one.weight {
            let file = weight_file.map(|file| format!("{file}_device")).filter(|file| directory.has(file));
            match file {
                Some(file) => directory.write(&file, &format!("{}:{} {weight}", one.major, one.minor))?,
                None => warnings.push(format!("the weight of disk {}:{} is not set", one.major, one.minor)),
            }
        }
    }
    if block.leaf_weight.is_some_and(|weight| weight != 0) {
        optional(
            directory,
            "blkio.leaf_weight",
            &block.leaf_weight.unwrap_or_default().to_string(),
            warnings,
        )?;
    }
    for (list, file) in [
        (&block.throttle_read_bps_device, "blkio.throttle.read_bps_device"),
        (&block.throttle_write_bps_device, "blkio.throttle.write_bps_device"),
        (&block.throttle_read_iops_device, "blkio.throttle.read_iops_device"),
        (&block.throttle_write_iops_device, "blkio.throttle.write_iops_device"),
    ] {
        for one in list {
            let line = format!("{}:{} {}", one.major, one.minor, one.rate);
            directory.write_raw(file, &line).map_err(|errno| no_disk(directory, file, &line, errno))?;
        }
    }
    Ok(())
}

fn block_io_v2(directory: &Directory, block: &BlockIo, warnings: &mut Warnings) -> Outcome<()> {
    let bfq = directory.has("io.bfq.weight");
    if let Some(weight) = block.weight.filter(|weight| *weight != 0) {
        if bfq {
            directory.write("io.bfq.weight", &weight.to_string())?;
        } else if directory.has("io.weight") {
            directory.write("io.weight", &format!("default {}", io_weight(weight)))?;
        } else {
            warnings.push("the disk weight is not set: no scheduler here has weights".to_owned());
        }
    }
    for one in &block.weight_device {
        let Some(weight) = one.weight else { continue };
        let (file, value) =
            if bfq { ("io.bfq.weight", u64::from(weight)) } else { ("io.weight", io_weight(weight)) };
        if directory.has(file) {
            let line = format!("{}:{} {value}", one.major, one.minor);
            directory.write_raw(file, &line).map_err(|errno| no_disk(directory, file, &line, errno))?;
        } else {
            warnings.push(format!("the weight of disk {}:{} is not set", one.major, one.minor));
        }
    }
    for (list, key) in [
        (&block.throttle_read_bps_device, "rbps"),
        (&block.throttle_write_bps_device, "wbps"),
        (&block.throttle_read_iops_device, "riops"),
        (&block.throttle_write_iops_device, "wiops"),
    ] {
        for one in list {
            let rate = if one.rate == 0 { "max".to_owned() } else { one.rate.to_string() };
            let line = format!("{}:{} {key}={rate}", one.major, one.minor);
            directory
                .write_raw("io.max", &line)
                .map_err(|errno| no_disk(directory, "io.max", &line, errno))?;
        }
    }
    Ok(())
}

fn no_disk(directory: &Directory, file: &str, line: &str, errno: Errno) -> Failure {
    let failure = directory.write_failure(file, line, errno);
    if errno == Errno::NODEV {
        failure.hint("name a whole disk, not a partition or another device")
    } else {
        failure
    }
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
