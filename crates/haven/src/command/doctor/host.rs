//! What can be seen of the host from here, without rights and without the daemon.

use super::{Finding, Health};
use std::fs;
use std::path::Path;

/// The oldest kernel with everything that every container needs.
const OLDEST_KERNEL: (u32, u32) = (5, 19);

pub(super) fn findings() -> Vec<Finding> {
    vec![kernel(), privileges(), user_namespaces(), overlay(), cgroups(), seccomp()]
}

fn finding(check: &str, status: Health, meaning: impl Into<String>, advice: &str) -> Finding {
    Finding { check: check.into(), status, meaning: meaning.into(), advice: advice.into() }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= OLDEST_KERNEL {
        return finding("kernel", Health::Fine, release, "");
    }
    let (major, minor) = OLDEST_KERNEL;
    finding(
        "kernel",
        Health::Broken,
        format!("{release} is older than {major}.{minor}: layers cannot be mapped to a container's own ids"),
        "boot a newer kernel",
    )
}

fn privileges() -> Finding {
    if rustix::process::geteuid().is_root() {
        finding("privileges", Health::Fine, "this is root", "")
    } else {
        finding(
            "privileges",
            Health::Fine,
            "this is not root: a daemon that runs can be used by members of the group haven",
            "",
        )
    }
}

fn user_namespaces() -> Finding {
    let limit = read("/proc/sys/user/max_user_namespaces");
    match limit.parse::<u64>() {
        Ok(0) => finding(
            "user namespaces",
            Health::Broken,
            "turned off: no container can have ids of its own",
            "sysctl -w user.max_user_namespaces=65536",
        ),
        Ok(limit) => finding("user namespaces", Health::Fine, format!("up to {limit}"), ""),
        Err(_) => finding(
            "user namespaces",
            Health::Broken,
            "not in this kernel",
            "boot a kernel with CONFIG_USER_NS",
        ),
    }
}

fn overlay() -> Finding {
    let known =
        read("/proc/filesystems").lines().any(|line| line.split_whitespace().last() == Some("overlay"));
    if known {
        return finding("overlay", Health::Fine, "in this kernel", "");
    }
    finding("overlay", Health::Worth, "not loaded: images cannot be layered until it is", "modprobe overlay")
}

fn cgroups() -> Finding {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers");
    if unified.exists() {
        let controllers = read("/sys/fs/cgroup/cgroup.controllers");
        return finding("cgroups", Health::Fine, format!("version 2 with {controllers}"), "");
    }
    if Path::new("/sys/fs/cgroup/memory").exists() || Path::new("/sys/fs/cgroup/unified").exists() {
        return finding(
            "cgroups",
            Health::Worth,
            "version 1 or both: limits work, and starting is slower than with version 2 alone",
            "boot with systemd.unified_cgroup_hierarchy=1",
        );
    }
    finding(
        "cgroups",
        Health::Broken,
        "not mounted: nothing can be limited",
        "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    )
}

fn seccomp() -> Finding {
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        return finding("seccomp", Health::Fine, "in this kernel", "");
    }
    finding(
        "seccomp",
        Health::Broken,
        "not in this kernel: system calls cannot be filtered",
        "boot a kernel with CONFIG_SECCOMP_FILTER",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrong_has_advice() {
        for finding in findings() {
            assert!(finding.status == Health::Fine || !finding.advice.is_empty(), "{finding:?}");
            assert!(!finding.meaning.is_empty(), "{finding:?}");
        }
    }
}
