//! `GET /containers/{id}/json`: one container with every member Docker shows, present even when there is nothing
//! to say (`null`, `[]`, `{}`, `""`): clients index them without asking.

use super::endpoint::{self, Binding, NetworkIds, NetworkSettings};
use super::state::{self, State};
use crate::Api;
use crate::call::Call;
use crate::refusal::Answer;
use crate::reply::Reply;
use crate::time;
use crate::version::ApiVersion;
use haven_engine::{ContainerSize, ContainerView, MountKind, MountView};
use haven_spec::{
    BindPropagation, ContainerSpec, DeviceRate, HealthCheck, IpcMode, MountSource, MountSpec, NamespaceMode,
    PidMode, RestartPolicy, UserNamespaceMode,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What layers lie on, in the word Docker has for overlayfs without a driver of its own.
pub(crate) const STORAGE_DRIVER: &str = "overlayfs";
const SHM_SIZE_BYTES: u64 = 64 << 20;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspect {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: State,
    image: String,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'static str,
    mount_label: &'static str,
    process_label: &'static str,
    app_armor_profile: &'static str,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: HostConfig,
    graph_driver: GraphDriver,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<Mount>,
    config: Config,
    network_settings: NetworkSettings,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    data: Option<()>,
    name: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mount {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<&'static str>,
    mode: String,
    #[serde(rename = "RW")]
    read_write: bool,
    propagation: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
struct Config {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Map<String, Value>>,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Value>,
    image: String,
    volumes: Option<BTreeMap<String, Map<String, Value>>>,
    working_dir: String,
    entrypoint: Option<Vec<String>>,
    on_build: Option<()>,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
struct HostConfig {
    binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    container_id_file: &'static str,
    log_config: LogConfig,
    network_mode: String,
    port_bindings: Option<BTreeMap<String, Vec<Binding>>>,
    restart_policy: Restart,
    auto_remove: bool,
    volume_driver: &'static str,
    volumes_from: Option<Vec<String>>,
    console_size: [u16; 2],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    cap_add: Option<Vec<String>>,
    cap_drop: Option<Vec<String>>,
    cgroupns_mode: &'static str,
    dns: Option<Vec<String>>,
    dns_options: Option<Vec<String>>,
    dns_search: Option<Vec<String>>,
    extra_hosts: Option<Vec<String>>,
    group_add: Option<Vec<String>>,
    ipc_mode: String,
    cgroup: &'static str,
    links: Option<()>,
    oom_score_adj: i32,
    pid_mode: String,
    privileged: bool,
    publish_all_ports: bool,
    readonly_rootfs: bool,
    security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    uts_mode: &'static str,
    userns_mode: &'static str,
    shm_size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    sysctls: BTreeMap<String, String>,
    runtime: &'static str,
    isolation: &'static str,
    cpu_shares: u64,
    memory: u64,
    nano_cpus: u64,
    cgroup_parent: String,
    blkio_weight: u16,
    blkio_weight_device: Option<Vec<Value>>,
    blkio_device_read_bps: Option<Vec<Value>>,
    blkio_device_write_bps: Option<Vec<Value>>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    blkio_device_read_iops: Option<Vec<Value>>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    blkio_device_write_iops: Option<Vec<Value>>,
    cpu_period: u64,
    cpu_quota: i64,
    cpu_realtime_period: u64,
    cpu_realtime_runtime: i64,
    cpuset_cpus: String,
    cpuset_mems: String,
    devices: Option<Vec<Device>>,
    device_cgroup_rules: Option<Vec<String>>,
    device_requests: Option<()>,
    /// Gone since 1.42; older clients look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel_memory: Option<u64>,
    #[serde(rename = "KernelMemoryTCP", skip_serializing_if = "Option::is_none")]
    kernel_memory_tcp: Option<u64>,
    memory_reservation: u64,
    memory_swap: i64,
    memory_swappiness: Option<u8>,
    oom_kill_disable: bool,
    pids_limit: Option<i64>,
    ulimits: Option<Vec<Ulimit>>,
    cpu_count: u64,
    cpu_percent: u64,
    #[serde(rename = "IOMaximumIOps")]
    io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    io_maximum_bandwidth: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<Value>,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(rename = "Type")]
    kind: String,
    config: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Restart {
    name: &'static str,
    maximum_retry_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Device {
    path_on_host: String,
    path_in_container: String,
    cgroup_permissions: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ulimit {
    name: String,
    hard: i64,
    soft: i64,
}

pub(crate) async fn inspect(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    let size = if call.query.flag("size") { Some(api.engine.container_size(&view.id).await?) } else { None };
    let ids = |name: &str| api.network_id(name);
    Ok(Reply::json(&describe(&view, size.as_ref(), call.version, &ids)))
}

pub(crate) fn describe(
    view: &ContainerView,
    size: Option<&ContainerSize>,
    version: ApiVersion,
    ids: NetworkIds<'_>,
) -> Inspect {
    let mut arguments = view.arguments().into_iter();
    let file = |path: &std::path::Path| path.display().to_string();
    Inspect {
        id: view.id.to_string(),
        created: time::rfc3339(view.created_at_ns),
        path: arguments.next().unwrap_or_default(),
        args: arguments.collect(),
        state: state::state(view),
        image: view.image_id.to_string(),
        resolv_conf_path: file(&view.files.resolv_conf),
        hostname_path: file(&view.files.hostname),
        hosts_path: file(&view.files.hosts),
        log_path: view.files.log.as_deref().map(file).unwrap_or_default(),
        name: format!("/{}", view.name),
        restart_count: view.restart_count,
        driver: STORAGE_DRIVER,
        platform: "linux",
        mount_label: "",
        process_label: "",
        app_armor_profile: "",
        exec_ids: some(view.execs.iter().map(ToString::to_string).collect()),
        host_config: host_config(&view.spec, version),
        graph_driver: GraphDriver { data: None, name: STORAGE_DRIVER },
        size_rw: size.map(|size| size.rw_bytes),
        size_root_fs: size.map(|size| size.rootfs_bytes),
        mounts: mounts(view),
        config: config(view),
        network_settings: endpoint::settings(view, ids),
    }
}

/// Docker's `null` for an empty list.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// The mounts, as `inspect` and lists show them.
pub(crate) fn mounts(view: &ContainerView) -> Vec<Mount> {
    view.mounts.iter().map(|mount| mount_to_wire(mount, &view.spec)).collect()
}

fn mount_to_wire(mount: &MountView, spec: &ContainerSpec) -> Mount {
    let destination = mount.destination.display().to_string();
    let volume = mount.kind == MountKind::Volume;
    // The part after the second colon of the `--volume` that meant this mount.
    let given = spec.binds.iter().find_map(|bind| {
        let mut parts = bind.splitn(3, ':').skip(1);
        (parts.next()?.trim_end_matches('/') == destination).then(|| parts.next().unwrap_or("").to_owned())
    });
    Mount {
        kind: match mount.kind {
            MountKind::Bind => "bind",
            MountKind::Volume => "volume",
            MountKind::Tmpfs => "tmpfs",
        },
        name: mount.name.as_ref().map(ToString::to_string),
        source: mount.source.display().to_string(),
        driver: volume.then_some("local"),
        // Volumes without a mode of their own have always been shown with this one.
        mode: match given {
            Some(mode) if mode.is_empty() && volume => "z".into(),
            other => other.unwrap_or_default(),
        },
        destination,
        read_write: mount.read_write,
        propagation: mount.propagation,
    }
}

fn set(keys: &BTreeSet<String>) -> BTreeMap<String, Map<String, Value>> {
    keys.iter().map(|key| (key.clone(), Map::new())).collect()
}

fn config(view: &ContainerView) -> Config {
    let spec = &view.spec;
    Config {
        hostname: spec.hostname.clone().unwrap_or_else(|| view.id.short().to_owned()),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        attach_stdin: spec.attach_stdin,
        attach_stdout: spec.attach_stdout,
        attach_stderr: spec.attach_stderr,
        exposed_ports: spec.exposed_ports.iter().map(|key| (key.to_string(), Map::new())).collect(),
        tty: spec.tty,
        open_stdin: spec.open_stdin,
        stdin_once: spec.stdin_once,
        env: some(spec.env.clone()),
        cmd: spec.command.clone(),
        healthcheck: spec.health.as_ref().map(health_to_wire),
        image: spec.image.clone(),
        volumes: Some(set(&spec.declared_volumes)).filter(|set| !set.is_empty()),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone(),
        on_build: None,
        labels: spec.labels.clone(),
        stop_signal: spec.stop_signal.map(|signal| signal.to_string()),
        stop_timeout: spec.stop_timeout_s,
    }
}

/// A health check; members at zero are left out, as Docker does.
pub(crate) fn health_to_wire(check: &HealthCheck) -> Value {
    let mut wire = Map::new();
    if !check.test.is_empty() {
        wire.insert("Test".into(), json!(check.test));
    }
    let durations = [
        ("Interval", check.interval_ns),
        ("Timeout", check.timeout_ns),
        ("StartPeriod", check.start_period_ns),
        ("StartInterval", check.start_interval_ns),
        ("Retries", i64::from(check.retries)),
    ];
    wire.extend(
        durations.into_iter().filter(|(_, value)| *value != 0).map(|(key, value)| (key.into(), json!(value))),
    );
    Value::Object(wire)
}

fn rates(devices: &[DeviceRate], member: &str) -> Option<Vec<Value>> {
    some(devices.iter().map(|device| json!({ "Path": device.path, member: device.rate })).collect())
}

fn host_config(spec: &ContainerSpec, version: ApiVersion) -> HostConfig {
    let resources = &spec.resources;
    let security = &spec.security;
    let old = version < ApiVersion::new(1, 42);
    HostConfig {
        binds: some(spec.binds.clone()),
        container_id_file: "",
        log_config: LogConfig { kind: spec.log.driver.clone(), config: spec.log.options.clone() },
        network_mode: endpoint::mode_to_wire(&spec.network),
        port_bindings: port_bindings(spec),
        restart_policy: Restart {
            name: spec.restart.word(),
            maximum_retry_count: match spec.restart {
                RestartPolicy::OnFailure { max_retries } => max_retries,
                _ => 0,
            },
        },
        auto_remove: spec.auto_remove,
        volume_driver: "",
        volumes_from: some(spec.volumes_from.clone()),
        console_size: spec.console_size.map_or([0, 0], |(rows, columns)| [rows, columns]),
        annotations: spec.annotations.clone(),
        cap_add: some(security.cap_add.clone()),
        cap_drop: some(security.cap_drop.clone()),
        cgroupns_mode: match security.cgroup_namespace {
            NamespaceMode::Private => "private",
            NamespaceMode::Host => "host",
        },
        dns: some(spec.dns.iter().map(ToString::to_string).collect()),
        dns_options: some(spec.dns_options.clone()),
        dns_search: some(spec.dns_search.clone()),
        extra_hosts: some(spec.extra_hosts.clone()),
        group_add: some(security.group_add.clone()),
        ipc_mode: match &security.ipc {
            IpcMode::Private => "private".into(),
            IpcMode::Shareable => "shareable".into(),
            IpcMode::None => "none".into(),
            IpcMode::Host => "host".into(),
            IpcMode::Container(id) => format!("container:{id}"),
        },
        cgroup: "",
        links: None,
        oom_score_adj: security.oom_score_adj,
        pid_mode: match &security.pid {
            PidMode::Private => String::new(),
            PidMode::Host => "host".into(),
            PidMode::Container(id) => format!("container:{id}"),
        },
        privileged: security.privileged,
        publish_all_ports: spec.publish_all_ports,
        readonly_rootfs: security.readonly_rootfs,
        security_opt: some(security.options.clone()),
        tmpfs: spec.tmpfs.clone(),
        uts_mode: match security.uts {
            NamespaceMode::Private => "",
            NamespaceMode::Host => "host",
        },
        userns_mode: match security.user_namespace {
            UserNamespaceMode::Own => "",
            UserNamespaceMode::Host => "host",
        },
        shm_size: if security.shm_size_bytes == 0 { SHM_SIZE_BYTES } else { security.shm_size_bytes },
        sysctls: security.sysctls.clone(),
        runtime: "haven",
        isolation: "",
        cpu_shares: resources.cpu_shares,
        memory: resources.memory_bytes,
        nano_cpus: resources.nano_cpus,
        cgroup_parent: resources.cgroup_parent.clone(),
        blkio_weight: resources.blkio_weight,
        blkio_weight_device: rates(&resources.blkio_weight_device, "Weight"),
        blkio_device_read_bps: rates(&resources.blkio_read_bps, "Rate"),
        blkio_device_write_bps: rates(&resources.blkio_write_bps, "Rate"),
        blkio_device_read_iops: rates(&resources.blkio_read_iops, "Rate"),
        blkio_device_write_iops: rates(&resources.blkio_write_iops, "Rate"),
        cpu_period: resources.cpu_period_us,
        cpu_quota: resources.cpu_quota_us,
        cpu_realtime_period: resources.cpu_realtime_period_us,
        cpu_realtime_runtime: resources.cpu_realtime_runtime_us,
        cpuset_cpus: resources.cpuset_cpus.clone(),
        cpuset_mems: resources.cpuset_mems.clone(),
        devices: some(
            security
                .devices
                .iter()
                .map(|device| Device {
                    path_on_host: device.host_path.clone(),
                    path_in_container: device.container_path.clone(),
                    cgroup_permissions: device.permissions.clone(),
                })
                .collect(),
        ),
        device_cgroup_rules: some(security.device_cgroup_rules.clone()),
        device_requests: None,
        kernel_memory: old.then_some(0),
        kernel_memory_tcp: old.then_some(resources.kernel_memory_tcp_bytes),
        memory_reservation: resources.memory_reservation_bytes,
        // As much swap again as memory is what a limit without a swap limit means.
        memory_swap: match resources.memory_swap_bytes {
            0 => i64::try_from(resources.memory_bytes.saturating_mul(2)).unwrap_or(i64::MAX),
            other => other,
        },
        memory_swappiness: resources.memory_swappiness,
        oom_kill_disable: resources.oom_kill_disable,
        pids_limit: resources.pids_limit,
        ulimits: some(resources.ulimits.iter().map(ulimit).collect()),
        cpu_count: 0,
        cpu_percent: 0,
        io_maximum_iops: 0,
        io_maximum_bandwidth: 0,
        mounts: long_mounts(spec),
        masked_paths: paths(haven_engine::masked_paths(security), security.masked_paths.is_some()),
        readonly_paths: paths(haven_engine::readonly_paths(security), security.readonly_paths.is_some()),
        init: spec.init.then_some(true),
    }
}

/// An empty list only where it was asked for: privileged containers show `null`.
fn paths(paths: Vec<String>, given: bool) -> Option<Vec<String>> {
    Some(paths).filter(|paths| given || !paths.is_empty())
}

fn ulimit(limit: &haven_spec::Ulimit) -> Ulimit {
    let value = |value: u64| i64::try_from(value).unwrap_or(-1);
    Ulimit { name: limit.name.clone(), hard: value(limit.hard), soft: value(limit.soft) }
}

fn port_bindings(spec: &ContainerSpec) -> Option<BTreeMap<String, Vec<Binding>>> {
    let mut bindings: BTreeMap<String, Vec<Binding>> = BTreeMap::new();
    for mapping in &spec.ports {
        let host_port = match (mapping.host_port, mapping.host_port_end) {
            (0, _) => String::new(),
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        };
        let host_ip = mapping.host_address.map(|address| address.to_string()).unwrap_or_default();
        bindings.entry(mapping.container.to_string()).or_default().push(Binding { host_ip, host_port });
    }
    Some(bindings).filter(|bindings| !bindings.is_empty())
}

/// The mounts that were asked for as objects: those that neither `Binds`, `Tmpfs` nor `Volumes` stand for.
fn long_mounts(spec: &ContainerSpec) -> Vec<Value> {
    let bind_target = |bind: &String| {
        let mut parts = bind.splitn(3, ':');
        let first = parts.next().unwrap_or_default();
        parts.next().unwrap_or(first).trim_end_matches('/').to_owned()
    };
    let short: BTreeSet<String> = spec
        .binds
        .iter()
        .map(bind_target)
        .chain(
            spec.tmpfs.keys().chain(&spec.declared_volumes).map(|path| path.trim_end_matches('/').to_owned()),
        )
        .collect();
    let long = spec.mounts.iter().filter(|mount| !short.contains(&mount.target.display().to_string()));
    long.map(long_mount).collect()
}

fn long_mount(mount: &MountSpec) -> Value {
    let mut wire = Map::new();
    let mut put = |key: &str, value: Value| drop(wire.insert(key.to_owned(), value));
    match &mount.source {
        MountSource::Bind { path, propagation, create, recursive } => {
            put("Type", json!("bind"));
            put("Source", json!(path));
            let mut options = Map::new();
            if *propagation != BindPropagation::default() {
                options.insert("Propagation".into(), json!(propagation));
            }
            if *create {
                options.insert("CreateMountpoint".into(), json!(true));
            }
            if !recursive {
                options.insert("NonRecursive".into(), json!(true));
            }
            if !options.is_empty() {
                put("BindOptions", Value::Object(options));
            }
        }
        MountSource::Volume { name, anonymous, populate, subpath } => {
            put("Type", json!("volume"));
            if !anonymous {
                put("Source", json!(name));
            }
            let mut options = Map::new();
            if !populate {
                options.insert("NoCopy".into(), json!(true));
            }
            if let Some(subpath) = subpath {
                options.insert("Subpath".into(), json!(subpath));
            }
            if !options.is_empty() {
                put("VolumeOptions", Value::Object(options));
            }
        }
        MountSource::Tmpfs { size_bytes, mode, .. } => {
            put("Type", json!("tmpfs"));
            let mut options = Map::new();
            if *size_bytes != 0 {
                options.insert("SizeBytes".into(), json!(size_bytes));
            }
            if *mode != super::mount::TMPFS_MODE {
                options.insert("Mode".into(), json!(mode));
            }
            if !options.is_empty() {
                put("TmpfsOptions", Value::Object(options));
            }
        }
    }
    put("Target", json!(mount.target));
    if mount.readonly {
        put("ReadOnly", json!(true));
    }
    Value::Object(wire)
}
