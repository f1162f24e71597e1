//! From a container's specification to the OCI bundle the runtime starts.

use super::confinement;
use super::files::Files;
use haven_runtime::capability::CapabilitySets;
use haven_runtime::oci;
use haven_spec::{ContainerSpec, IpcMode, NamespaceMode, NetworkMode, Outcome, PidMode};

/// What a start knows beside the specification.
pub(crate) struct Surroundings<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) files: &'a Files,
    /// First host id of the container's own range.
    pub(crate) id_base: Option<u32>,
    pub(crate) cgroup: &'a str,
    /// Namespaces of other containers that are joined, as `/proc/PID/ns/…` paths.
    pub(crate) join_network: Option<String>,
    pub(crate) join_pid: Option<String>,
    pub(crate) join_ipc: Option<String>,
    /// The user namespace of the container whose namespaces are joined.
    pub(crate) join_user: Option<String>,
    pub(crate) mounts: Vec<oci::Mount>,
    pub(crate) default_pids_limit: i64,
    pub(crate) default_ulimits: &'a [haven_spec::Ulimit],
}

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of a container's first process.
pub(crate) fn environment(spec: &ContainerSpec, hostname: &str) -> Vec<String> {
    let has = |name: &str| spec.env.iter().any(|entry| entry.split('=').next() == Some(name));
    let mut env = Vec::with_capacity(spec.env.len() + 3);
    if !has("PATH") {
        env.push(DEFAULT_PATH.to_owned());
    }
    if !has("HOSTNAME") {
        env.push(format!("HOSTNAME={hostname}"));
    }
    if spec.tty && !has("TERM") {
        env.push("TERM=xterm".to_owned());
    }
    // A name without a value takes a variable away.
    env.extend(spec.env.iter().filter(|entry| entry.contains('=')).cloned());
    env
}

pub(crate) fn arguments(spec: &ContainerSpec) -> Vec<String> {
    spec.entrypoint.iter().flatten().chain(spec.command.iter().flatten()).cloned().collect()
}

fn namespaces(spec: &ContainerSpec, around: &Surroundings<'_>) -> Vec<oci::Namespace> {
    let security = &spec.security;
    let mut list = Vec::new();
    let mut add = |kind: oci::NamespaceType, path: Option<&String>| {
        list.push(oci::Namespace { kind, path: path.cloned().unwrap_or_default() });
    };
    if around.id_base.is_some() {
        add(oci::NamespaceType::User, around.join_user.as_ref());
    }
    add(oci::NamespaceType::Mount, None);
    if security.pid != PidMode::Host {
        add(oci::NamespaceType::Pid, around.join_pid.as_ref());
    }
    if security.ipc != IpcMode::Host {
        add(oci::NamespaceType::Ipc, around.join_ipc.as_ref());
    }
    if security.uts == NamespaceMode::Private && spec.network != NetworkMode::Host || spec.hostname.is_some()
    {
        add(oci::NamespaceType::Uts, None);
    }
    if spec.network != NetworkMode::Host {
        add(oci::NamespaceType::Network, around.join_network.as_ref());
    }
    if security.cgroup_namespace == NamespaceMode::Private {
        add(oci::NamespaceType::Cgroup, None);
    }
    list
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> oci::Mount {
    oci::Mount {
        destination: destination.into(),
        kind: kind.into(),
        source: kind.into(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..oci::Mount::default()
    }
}

fn system_mounts(spec: &ContainerSpec, around: &Surroundings<'_>) -> Vec<oci::Mount> {
    let security = &spec.security;
    let kernel = if security.privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", kernel]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", kernel]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ];
    let own_target = |target: &str| around.mounts.iter().any(|mount| mount.destination == target);
    if !own_target("/dev/shm") && security.ipc != IpcMode::None {
        const SHM_BYTES: u64 = 64 << 20;
        let size = if security.shm_size_bytes == 0 { SHM_BYTES } else { security.shm_size_bytes };
        let mut shm = mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777"]);
        shm.source = "shm".into();
        shm.options.push(format!("size={size}"));
        mounts.push(shm);
    }
    // Made by the engine and owned by the container's root already: no mapping.
    let made = [
        ("/etc/resolv.conf", &around.files.resolv_conf),
        ("/etc/hostname", &around.files.hostname),
        ("/etc/hosts", &around.files.hosts),
    ];
    for (target, source) in made {
        if !own_target(target) {
            let mut bind = mount(target, "bind", &["bind", "rprivate", "noidmap"]);
            bind.source = source.to_string_lossy().into_owned();
            bind.options.push(if security.readonly_rootfs { "ro".into() } else { "rw".into() });
            mounts.push(bind);
        }
    }
    mounts
}

/// The whole document. The user is resolved inside the container by the runtime, from its own files.
pub(crate) fn document(spec: &ContainerSpec, around: &Surroundings<'_>) -> Outcome<oci::Spec> {
    let security = &spec.security;
    let capabilities = confinement::capabilities(security)?;
    let (devices, device_rules) = confinement::devices(security)?;
    let mut resources = confinement::limits(&spec.resources, around.default_pids_limit)?;
    resources.devices = device_rules;
    let mut rlimits = confinement::rlimits(spec);
    for default in around.default_ulimits {
        let kind = format!("RLIMIT_{}", default.name.to_ascii_uppercase());
        if !rlimits.iter().any(|limit| limit.kind == kind) {
            rlimits.push(oci::Rlimit { kind, hard: default.hard, soft: default.soft });
        }
    }
    let mapping: Vec<oci::IdMapping> = around.id_base.map(mapping).into_iter().collect();
    let mut mounts = system_mounts(spec, around);
    mounts.extend(around.mounts.iter().cloned());
    let process = oci::Process {
        terminal: spec.tty,
        console_size: spec.console_size.map(console_size),
        args: arguments(spec),
        env: environment(spec, around.hostname),
        cwd: if spec.working_dir.is_empty() { "/".into() } else { spec.working_dir.clone() },
        capabilities: Some(CapabilitySets::of(capabilities).to_oci()),
        rlimits,
        no_new_privileges: security.no_new_privileges && !security.privileged,
        oom_score_adj: Some(security.oom_score_adj),
        ..oci::Process::default()
    };
    Ok(oci::Spec {
        version: oci::VERSION.to_owned(),
        process: Some(process),
        root: Some(oci::Root { path: String::new(), readonly: security.readonly_rootfs }),
        hostname: if around_has_uts(spec) { around.hostname.to_owned() } else { String::new() },
        domainname: spec.domainname.clone(),
        mounts,
        annotations: spec.annotations.clone(),
        linux: Some(oci::Linux {
            uid_mappings: mapping.clone(),
            gid_mappings: mapping,
            sysctl: security.sysctls.clone(),
            resources: Some(resources),
            cgroups_path: around.cgroup.to_owned(),
            namespaces: namespaces(spec, around),
            devices,
            seccomp: confinement::seccomp_profile(security, capabilities)?,
            masked_paths: confinement::masked_paths(security),
            readonly_paths: confinement::readonly_paths(security),
            ..oci::Linux::default()
        }),
        ..oci::Spec::default()
    })
}

fn around_has_uts(spec: &ContainerSpec) -> bool {
    spec.security.uts == NamespaceMode::Private && spec.network != NetworkMode::Host
        || spec.hostname.is_some()
}

/// The container's 65,536 ids, from `base` on the host.
pub(crate) fn mapping(base: u32) -> oci::IdMapping {
    oci::IdMapping { container_id: 0, host_id: base, size: confinement::ID_RANGE_SIZE }
}
/// Rows and columns in the documents' form.
pub(crate) fn console_size((rows, columns): (u16, u16)) -> oci::ConsoleSize {
    oci::ConsoleSize { height: rows.into(), width: columns.into() }
}
