//! The confinement part of a bundle: capabilities, system-call filter, paths, devices, limits.

use haven_runtime::capability::CapabilitySet;
use haven_runtime::oci;
use haven_runtime::seccomp;
use haven_spec::{
    ContainerSpec, DeviceRate, Failure, Outcome, Resources, SeccompChoice, Security, UserNamespaceMode,
};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Kernel files that tell or change what concerns the whole host: hidden. Docker's list.
const MASKED_PATHS: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Kernel files that may be read only. Docker's list.
const READONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The device nodes every container has, as (type, major, minor): null, zero, full, random, urandom, tty, console,
/// ptmx and the pseudo-terminals' range.
const DEFAULT_DEVICES: &[(&str, i64, Option<i64>)] = &[
    ("c", 1, Some(3)),
    ("c", 1, Some(5)),
    ("c", 1, Some(7)),
    ("c", 1, Some(8)),
    ("c", 1, Some(9)),
    ("c", 5, Some(0)),
    ("c", 5, Some(1)),
    ("c", 5, Some(2)),
    ("c", 136, None),
];

/// Ids of the host that a container's own user namespace covers.
pub(crate) const ID_RANGE_SIZE: u32 = 65_536;

/// A privileged container is not confined by a user namespace either: what it is asked to do needs the host's ids.
pub(crate) fn has_own_user_namespace(security: &Security) -> bool {
    security.user_namespace == UserNamespaceMode::Own && !security.privileged
}

pub(crate) fn capabilities(security: &Security) -> Outcome<CapabilitySet> {
    CapabilitySet::for_container(security)
}

/// The profile to be compiled, `None` for no filter at all.
pub(crate) fn seccomp_profile(
    security: &Security,
    capabilities: CapabilitySet,
) -> Outcome<Option<oci::Seccomp>> {
    match &security.seccomp {
        SeccompChoice::Profile(text) => {
            seccomp::profile_from_json(text, &seccomp::Circumstances::here(capabilities))
        }
        SeccompChoice::Unconfined => Ok(None),
        SeccompChoice::Default if security.privileged => Ok(None),
        SeccompChoice::Default => Ok(Some(seccomp::default_profile(capabilities))),
    }
}

/// Paths inside whose content is hidden: those given, else the default ones.
pub fn masked_paths(security: &Security) -> Vec<String> {
    paths(security, security.masked_paths.as_ref(), MASKED_PATHS)
}

/// Paths inside that can't be written to: those given, else the default ones.
pub fn readonly_paths(security: &Security) -> Vec<String> {
    paths(security, security.readonly_paths.as_ref(), READONLY_PATHS)
}

fn paths(security: &Security, given: Option<&Vec<String>>, default: &[&str]) -> Vec<String> {
    match given {
        Some(given) => given.clone(),
        None if security.privileged => Vec::new(),
        None => default.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// A host device as the bundle describes it.
fn device(host_path: &str, container_path: &str) -> Outcome<oci::Device> {
    let metadata = std::fs::metadata(host_path).map_err(|error| {
        Failure::invalid(format!(
            "error gathering device information while adding custom device \"{host_path}\""
        ))
        .because(error)
        .hint("name a device node that exists on the host")
    })?;
    let kind = metadata.file_type();
    let kind = if kind.is_char_device() {
        "c"
    } else if kind.is_block_device() {
        "b"
    } else {
        return Err(Failure::invalid(format!("`{host_path}` is not a device node")));
    };
    let number = metadata.rdev();
    Ok(oci::Device {
        path: container_path.to_owned(),
        kind: kind.to_owned(),
        major: i64::from(rustix::fs::major(number)),
        minor: i64::from(rustix::fs::minor(number)),
        file_mode: Some(metadata.mode() & 0o777),
        uid: Some(metadata.uid()).filter(|uid| *uid < ID_RANGE_SIZE),
        gid: Some(metadata.gid()).filter(|gid| *gid < ID_RANGE_SIZE),
    })
}

/// Every device node below the host's `/dev`, for a privileged container.
fn host_devices() -> Vec<oci::Device> {
    let mut found = Vec::new();
    let mut pending = vec![std::path::PathBuf::from("/dev")];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            let Some(text) = path.to_str() else { continue };
            if kind.is_dir()
                && !matches!(text, "/dev/pts" | "/dev/shm" | "/dev/fd" | "/dev/mqueue" | "/dev/.lxc")
            {
                pending.push(path);
            } else if (kind.is_char_device() || kind.is_block_device())
                && text != "/dev/console"
                && text != "/dev/ptmx"
            {
                found.extend(device(text, text));
            }
        }
    }
    found
}

/// Device nodes to be made inside, and the control group's rules about devices.
pub(crate) fn devices(security: &Security) -> Outcome<(Vec<oci::Device>, Vec<oci::DeviceRule>)> {
    let allow = |kind: &str, major: Option<i64>, minor: Option<i64>, access: &str| oci::DeviceRule {
        allow: true,
        kind: kind.to_owned(),
        major,
        minor,
        access: access.to_owned(),
    };
    if security.privileged {
        return Ok((host_devices(), vec![allow("a", None, None, "rwm")]));
    }
    let mut rules =
        vec![oci::DeviceRule { allow: false, access: "rwm".into(), ..oci::DeviceRule::default() }];
    rules.push(allow("c", None, None, "m"));
    rules.push(allow("b", None, None, "m"));
    for (kind, major, minor) in DEFAULT_DEVICES {
        rules.push(allow(kind, Some(*major), *minor, "rwm"));
    }
    let mut nodes = Vec::new();
    for wanted in &security.devices {
        if wanted.permissions.is_empty() || wanted.permissions.bytes().any(|b| !b"rwm".contains(&b)) {
            return Err(Failure::invalid(format!("invalid device permissions `{}`", wanted.permissions))
                .hint("use some of r (read), w (write) and m (mknod)"));
        }
        let node = device(&wanted.host_path, &wanted.container_path)?;
        rules.push(allow(&node.kind, Some(node.major), Some(node.minor), &wanted.permissions));
        nodes.push(node);
    }
    for text in &security.device_cgroup_rules {
        rules.push(device_rule(text)?);
    }
    Ok((nodes, rules))
}

/// `c 7:* rwm`.
fn device_rule(text: &str) -> Outcome<oci::DeviceRule> {
    let refuse = || {
        Failure::invalid(format!("invalid device cgroup rule format: '{text}'"))
            .hint("write TYPE MAJOR:MINOR ACCESS, like `c 10:200 rwm` or `b 8:* r`")
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = words[..] else { return Err(refuse()) };
    let (major, minor) = numbers.split_once(':').ok_or_else(refuse)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        digits => digits.parse::<u32>().map(|n| Some(i64::from(n))).map_err(|_| refuse()),
    };
    if access.is_empty() || access.len() > 3 || access.bytes().any(|b| !b"rwm".contains(&b)) {
        return Err(refuse());
    }
    Ok(oci::DeviceRule {
        allow: true,
        kind: kind.into(),
        major: number(major)?,
        minor: number(minor)?,
        access: access.into(),
    })
}

fn device_number(path: &str) -> Outcome<(i64, i64)> {
    device(path, path).map(|device| (device.major, device.minor))
}

fn throttle(rates: &[DeviceRate]) -> Outcome<Vec<oci::ThrottleDevice>> {
    rates
        .iter()
        .map(|rate| {
            device_number(&rate.path).map(|(major, minor)| oci::ThrottleDevice {
                major,
                minor,
                rate: rate.rate,
            })
        })
        .collect()
}

fn given<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// The limits in the bundle's words. `default_pids`: the limit where the user named none (-1: none).
pub(crate) fn limits(resources: &Resources, default_pids: i64) -> Outcome<oci::Resources> {
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let limit = (resources.memory_bytes > 0).then(|| signed(resources.memory_bytes));
    // As Docker: without a word about swap, as much swap as memory.
    let swap = match (resources.memory_swap_bytes, limit) {
        (0, Some(limit)) => Some(limit.saturating_mul(2)),
        (swap, _) => given(swap),
    };
    let memory = oci::Memory {
        limit,
        swap,
        reservation: given(resources.memory_reservation_bytes).map(signed),
        kernel_tcp: given(resources.kernel_memory_tcp_bytes).map(signed),
        swappiness: resources.memory_swappiness.map(u64::from),
        disable_oom_killer: resources.oom_kill_disable.then_some(true),
        ..oci::Memory::default()
    };
    let mut cpu = oci::Cpu {
        shares: given(resources.cpu_shares),
        quota: given(resources.cpu_quota_us),
        period: given(resources.cpu_period_us),
        realtime_period: given(resources.cpu_realtime_period_us),
        realtime_runtime: given(resources.cpu_realtime_runtime_us),
        cpus: resources.cpuset_cpus.clone(),
        mems: resources.cpuset_mems.clone(),
        ..oci::Cpu::default()
    };
    if resources.nano_cpus > 0 {
        const PERIOD_US: u64 = 100_000;
        cpu.period = Some(PERIOD_US);
        cpu.quota = Some(
            i64::try_from(resources.nano_cpus.saturating_mul(PERIOD_US) / 1_000_000_000).unwrap_or(i64::MAX),
        );
    }
    let weights = resources.blkio_weight_device.iter().map(|weight| {
        device_number(&weight.path).map(|(major, minor)| oci::WeightDevice {
            major,
            minor,
            weight: u16::try_from(weight.rate).ok(),
            leaf_weight: None,
        })
    });
    let block_io = oci::BlockIo {
        weight: given(resources.blkio_weight),
        weight_device: weights.collect::<Outcome<_>>()?,
        throttle_read_bps_device: throttle(&resources.blkio_read_bps)?,
        throttle_write_bps_device: throttle(&resources.blkio_write_bps)?,
        throttle_read_iops_device: throttle(&resources.blkio_read_iops)?,
        throttle_write_iops_device: throttle(&resources.blkio_write_iops)?,
        ..oci::BlockIo::default()
    };
    let pids = resources.pids_limit.filter(|limit| *limit != 0).unwrap_or(default_pids);
    Ok(oci::Resources {
        memory: given(memory),
        cpu: given(cpu),
        block_io: given(block_io),
        pids: Some(oci::Pids { limit: Some(if pids < 0 { -1 } else { pids }) }),
        ..oci::Resources::default()
    })
}

/// `nofile` → `RLIMIT_NOFILE`; the runtime refuses or clamps what the host doesn't allow.
pub(crate) fn rlimits(spec: &ContainerSpec) -> Vec<oci::Rlimit> {
    let rlimit = |limit: &haven_spec::Ulimit| oci::Rlimit {
        kind: format!("RLIMIT_{}", limit.name.to_ascii_uppercase()),
        hard: limit.hard,
        soft: limit.soft,
    };
    spec.resources.ulimits.iter().map(rlimit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_processor_is_half_of_the_period() {
        let resources = Resources { nano_cpus: 500_000_000, ..Resources::default() };
        let cpu = limits(&resources, 100).unwrap().cpu.unwrap();
        assert_eq!((cpu.quota, cpu.period), (Some(50_000), Some(100_000)));
    }

    #[test]
    fn every_container_has_a_process_limit_unless_its_user_says_otherwise() {
        let limit = |wanted| {
            let resources = Resources { pids_limit: wanted, ..Resources::default() };
            limits(&resources, 4096).unwrap().pids.unwrap().limit
        };
        assert_eq!(limit(None), Some(4096));
        assert_eq!(limit(Some(64)), Some(64));
        assert_eq!(limit(Some(-1)), Some(-1));
    }

    #[test]
    fn device_rules_are_read_as_docker_reads_them() {
        let rule = device_rule("c 7:* rwm").unwrap();
        assert_eq!((rule.major, rule.minor), (Some(7), None));
        for bad in ["", "c 7 rwm", "d 1:2 r", "c 1:2", "c 1:2 x", "c -1:2 r", "c 1:2 rwmr"] {
            assert!(device_rule(bad).is_err(), "{bad}");
        }
    }
}
