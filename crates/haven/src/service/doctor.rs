//! `haven doctor`: what the host offers, what is missing, what is left over; each with what it means and what to do.

use haven_docker::{Check, CheckStatus};
use haven_engine::{Engine, Foreign};
use std::fs;
use std::path::Path;

fn finding(check: &str, status: CheckStatus, meaning: impl Into<String>, advice: impl Into<String>) -> Check {
    Check { check: check.to_owned(), status, meaning: meaning.into(), advice: advice.into() }
}

/// What can be seen without the daemon.
fn host_findings() -> Vec<Check> {
    let mut found =
        vec![kernel(), user_namespaces(), overlay(), cgroups(), seccomp(), landlock(), host_dns()];
    found.push(limits());
    found
}

/// Everything, as the daemon sees it.
pub(super) fn findings(engine: &Engine) -> Vec<Check> {
    let mut found = host_findings();
    found.extend(network(engine));
    found.push(storage(engine));
    found
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 19) {
        finding("kernel", CheckStatus::Good, format!("Linux {release}"), "")
    } else {
        finding(
            "kernel",
            CheckStatus::Bad,
            format!("Linux {release} is too old: overlays cannot have id-mapped layers before 5.19"),
            "use Debian 12 or later, or another distribution with Linux 5.19 or later",
        )
    }
}

fn user_namespaces() -> Check {
    let limit = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    match limit.trim().parse::<u64>() {
        Ok(0) => finding(
            "user namespaces",
            CheckStatus::Bad,
            "user namespaces are turned off; containers need one each",
            "sysctl -w user.max_user_namespaces=15000",
        ),
        Ok(limit) => finding("user namespaces", CheckStatus::Good, format!("up to {limit}"), ""),
        Err(_) => finding(
            "user namespaces",
            CheckStatus::Bad,
            "the kernel has no user namespaces",
            "use a kernel with CONFIG_USER_NS",
        ),
    }
}

fn overlay() -> Check {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.trim_end().ends_with("\toverlay")) {
        finding("overlay", CheckStatus::Good, "layers are stacked by overlayfs", "")
    } else {
        finding(
            "overlay",
            CheckStatus::Bad,
            "the kernel has no overlay file system (yet)",
            "modprobe overlay",
        )
    }
}

fn cgroups() -> Check {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let has = |kind: &str| mounts.lines().any(|line| line.contains(&format!(" - {kind} ")));
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    match (has("cgroup2"), has("cgroup")) {
        (true, false) if controllers.contains("memory") && controllers.contains("pids") => finding(
            "control groups",
            CheckStatus::Good,
            format!("version 2, controllers {}", controllers.trim()),
            "",
        ),
        (true, false) => finding(
            "control groups",
            CheckStatus::Warning,
            "version 2 without the memory and pids controllers: limits cannot be held",
            "boot without cgroup_disable=, and see that the parent group delegates its controllers",
        ),
        (_, true) => finding(
            "control groups",
            CheckStatus::Good,
            "version 1; limits hold, starting is a little slower than with version 2",
            "",
        ),
        (false, false) => finding(
            "control groups",
            CheckStatus::Bad,
            "no control groups are mounted",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
    }
}

fn seccomp() -> Check {
    if Path::new("/proc/sys/kernel/seccomp/actions_avail").exists() {
        finding("seccomp", CheckStatus::Good, "system calls are filtered", "")
    } else {
        finding(
            "seccomp",
            CheckStatus::Bad,
            "the kernel cannot filter system calls",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        )
    }
}

fn landlock() -> Check {
    match haven_engine::landlock_is_available() {
        true => finding("landlock", CheckStatus::Good, "what namespaces share is restricted by Landlock", ""),
        false => finding(
            "landlock",
            CheckStatus::Warning,
            "the kernel has no Landlock; containers are confined without it",
            "boot with lsm=landlock,… in the kernel's command line",
        ),
    }
}

fn host_dns() -> Check {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let upstream = Path::new("/run/systemd/resolve/resolv.conf").exists();
    let usable = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "))
        .any(|server| !server.trim().starts_with("127."));
    if usable || upstream {
        finding("name servers", CheckStatus::Good, "containers use the host's", "")
    } else {
        finding(
            "name servers",
            CheckStatus::Warning,
            "the host names no server that a container can reach; public ones are used",
            "name a server in /etc/resolv.conf, or give containers one with --dns",
        )
    }
}

fn limits() -> Check {
    let open_files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    match open_files {
        Some(limit) if limit < 4096 => finding(
            "open files",
            CheckStatus::Warning,
            format!("this process may open {limit} files; each container takes a few"),
            "raise it: LimitNOFILE= in the service unit, or ulimit -n",
        ),
        _ => finding("open files", CheckStatus::Good, "enough for many containers", ""),
    }
}

fn network(engine: &Engine) -> Vec<Check> {
    let status = match engine.network_status() {
        Ok(status) => status,
        Err(failure) => {
            let advice = failure.advice().unwrap_or("see the daemon's log").to_owned();
            return vec![finding("network", CheckStatus::Bad, failure.one_line(), advice)];
        }
    };
    let mut found = Vec::new();
    if status.table_intact {
        let meaning = format!(
            "addresses from {}, {} interfaces, {} packets denied",
            status.pool, status.interfaces, status.denied_packets
        );
        found.push(finding("network", CheckStatus::Good, meaning, ""));
    } else {
        let meaning =
            "the table `inet haven` was changed by somebody else: what it allows is not what was declared";
        found.push(finding(
            "network",
            CheckStatus::Bad,
            meaning,
            "restart the daemon, which puts the table right: containers go on",
        ));
    }
    if !status.ipv4_forwarding {
        let meaning =
            "the kernel forwards no packets: containers reach nothing and published ports lead nowhere";
        found.push(finding("forwarding", CheckStatus::Bad, meaning, "sysctl -w net.ipv4.ip_forward=1"));
    }
    for foreign in &status.foreign {
        let meaning = match foreign {
            Foreign::Ufw => {
                "ufw filters forwarded packets; what it drops stays dropped for containers too".to_owned()
            }
            Foreign::Firewalld => {
                "firewalld filters forwarded packets; what it drops stays dropped for containers too"
                    .to_owned()
            }
            Foreign::LegacyIptables => {
                "tables of the old iptables exist beside nftables; what they drop stays dropped".to_owned()
            }
            Foreign::Docker => {
                "Docker's chains drop forwarded packets that are not for its own containers".to_owned()
            }
            Foreign::ForwardDrop { family, table, chain } => {
                format!(
                    "`{family} {table} {chain}` drops forwarded packets that nothing accepts: containers' traffic ends there"
                )
            }
        };
        found.push(finding("host firewall", CheckStatus::Warning, meaning, foreign.remedy().join("; ")));
    }
    found
}

fn storage(engine: &Engine) -> Check {
    let path = &engine.config().data_root;
    match rustix::fs::statvfs(path) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let meaning = format!("{} has {:.1} GB free", path.display(), free as f64 / 1e9);
            if free < 1_000_000_000 {
                finding("storage", CheckStatus::Warning, meaning, "haven system prune, or give it more room")
            } else {
                finding("storage", CheckStatus::Good, meaning, "")
            }
        }
        Err(error) => finding(
            "storage",
            CheckStatus::Bad,
            format!("cannot look at {}: {error}", path.display()),
            "see that it is mounted",
        ),
    }
}
