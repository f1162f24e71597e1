//! The document `spec` writes: a shell in namespaces of its own, to be edited.

use crate::capability::{CapabilitySet, CapabilitySets};
use crate::oci::{
    DeviceRule, IdMapping, Linux, Mount, Namespace, NamespaceType, Process, Resources, Root, Spec, User,
    VERSION,
};

/// Paths of `/proc` and `/sys` that show or change the host.
const MASKED: [&str; 11] = [
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
    "/sys/firmware",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: if kind == "devpts" || destination == "/dev/shm" {
            destination.trim_start_matches("/dev/").replace("pts", "devpts")
        } else {
            kind.into()
        },
        options: strings(options),
        ..Mount::default()
    }
}

/// `rootless`: for a caller without rights on the host: a user namespace in which `uid` and `gid` are root.
pub(super) fn template(rootless: Option<(u32, u32)>) -> Spec {
    let capabilities = ["AUDIT_WRITE", "KILL", "NET_BIND_SERVICE"]
        .iter()
        .filter_map(|name| CapabilitySet::parse(name).ok())
        .fold(CapabilitySet::EMPTY, CapabilitySet::with);
    let mut kinds = vec![
        NamespaceType::Pid,
        NamespaceType::Network,
        NamespaceType::Ipc,
        NamespaceType::Uts,
        NamespaceType::Mount,
        NamespaceType::Cgroup,
    ];
    if rootless.is_some() {
        kinds.push(NamespaceType::User);
    }
    let map = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
    Spec {
        version: VERSION.into(),
        process: Some(Process {
            terminal: true,
            user: User::default(),
            args: strings(&["sh"]),
            env: strings(&[
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ]),
            cwd: "/".into(),
            capabilities: Some(CapabilitySets::of(capabilities).to_oci()),
            no_new_privileges: true,
            ..Process::default()
        }),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: "haven".into(),
        mounts: vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount(
                "/dev/pts",
                "devpts",
                if rootless.is_some() {
                    &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
                } else {
                    &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
                },
            ),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        linux: Some(Linux {
            uid_mappings: rootless.map(|(uid, _)| map(uid)).unwrap_or_default(),
            gid_mappings: rootless.map(|(_, gid)| map(gid)).unwrap_or_default(),
            resources: rootless.is_none().then(|| Resources {
                devices: vec![DeviceRule { access: "rwm".into(), ..DeviceRule::default() }],
                ..Resources::default()
            }),
            namespaces: kinds.into_iter().map(|kind| Namespace { kind, path: String::new() }).collect(),
            masked_paths: strings(&MASKED),
            readonly_paths: strings(&READONLY),
            ..Linux::default()
        }),
        ..Spec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_reads_back_and_names_its_sources() {
        for rootless in [None, Some((1000, 1000))] {
            let spec = template(rootless);
            let text = serde_json::to_vec(&spec).unwrap();
            assert_eq!(Spec::parse(&text).unwrap(), spec);
        }
        let sources: Vec<String> = template(None).mounts.into_iter().map(|mount| mount.source).collect();
        assert_eq!(sources, ["proc", "tmpfs", "devpts", "shm", "mqueue", "sysfs", "cgroup"]);
    }
}
