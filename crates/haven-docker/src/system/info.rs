//! `GET /info`.

use super::host::Host;
use super::version::VERSION;
use crate::Api;
use crate::container::inspect::STORAGE_DRIVER;
use crate::reply::Reply;
use crate::time;
use haven_engine::EngineInfo;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub(crate) struct Info<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    containers: usize,
    containers_running: usize,
    containers_paused: usize,
    containers_stopped: usize,
    images: usize,
    driver: &'static str,
    driver_status: [[&'static str; 2]; 1],
    plugins: Plugins,
    memory_limit: bool,
    swap_limit: bool,
    kernel_memory: bool,
    #[serde(rename = "KernelMemoryTCP")]
    kernel_memory_tcp: bool,
    cpu_cfs_period: bool,
    cpu_cfs_quota: bool,
    #[serde(rename = "CPUShares")]
    cpu_shares: bool,
    #[serde(rename = "CPUSet")]
    cpu_set: bool,
    pids_limit: bool,
    #[serde(rename = "IPv4Forwarding")]
    ipv4_forwarding: bool,
    /// These two are gone since API 1.48; older clients warn when they are missing.
    bridge_nf_iptables: bool,
    bridge_nf_ip6tables: bool,
    debug: bool,
    #[serde(rename = "NFd")]
    descriptors: u32,
    oom_kill_disable: bool,
    #[serde(rename = "NGoroutines")]
    goroutines: u32,
    system_time: String,
    logging_driver: &'static str,
    cgroup_driver: &'static str,
    cgroup_version: &'static str,
    #[serde(rename = "NEventsListener")]
    events_listeners: u32,
    kernel_version: &'a str,
    operating_system: &'a str,
    #[serde(rename = "OSVersion")]
    os_version: &'a str,
    #[serde(rename = "OSType")]
    os_type: &'static str,
    architecture: &'static str,
    index_server_address: &'static str,
    registry_config: RegistryConfig,
    #[serde(rename = "NCPU")]
    processors: usize,
    #[serde(rename = "MemTotal")]
    memory_bytes: u64,
    generic_resources: Option<()>,
    docker_root_dir: String,
    http_proxy: &'static str,
    https_proxy: &'static str,
    no_proxy: &'static str,
    name: &'a str,
    labels: [(); 0],
    experimental_build: bool,
    server_version: &'static str,
    runtimes: BTreeMap<&'static str, Runtime>,
    default_runtime: &'static str,
    swarm: Swarm,
    live_restore_enabled: bool,
    isolation: &'static str,
    init_binary: &'static str,
    containerd_commit: Commit,
    runc_commit: Commit,
    init_commit: Commit,
    security_options: Vec<&'static str>,
    #[serde(rename = "CDISpecDirs")]
    cdi_spec_dirs: [(); 0],
    firewall_backend: FirewallBackend,
    warnings: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Plugins {
    volume: [&'static str; 1],
    network: [&'static str; 3],
    authorization: Option<()>,
    log: [&'static str; 2],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegistryConfig {
    index_configs: BTreeMap<&'static str, IndexConfig>,
    #[serde(rename = "InsecureRegistryCIDRs")]
    insecure_registry_cidrs: [&'static str; 2],
    #[serde(rename = "AllowNondistributableArtifactsCIDRs")]
    nondistributable_cidrs: Option<()>,
    #[serde(rename = "AllowNondistributableArtifactsHostnames")]
    nondistributable_hostnames: Option<()>,
    mirrors: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IndexConfig {
    name: &'static str,
    mirrors: [(); 0],
    secure: bool,
    official: bool,
}

#[derive(Serialize)]
struct Runtime {
    path: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Swarm {
    #[serde(rename = "NodeID")]
    node_id: &'static str,
    node_addr: &'static str,
    local_node_state: &'static str,
    control_available: bool,
    error: &'static str,
    remote_managers: Option<()>,
}

#[derive(Default, Serialize)]
struct Commit {
    #[serde(rename = "ID")]
    id: &'static str,
    #[serde(rename = "Expected")]
    expected: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FirewallBackend {
    driver: &'static str,
}

pub(crate) fn info(api: &Api) -> Reply {
    Reply::json(&describe(&api.engine.info(), &api.host))
}

pub(crate) fn describe<'a>(engine: &'a EngineInfo, host: &'a Host) -> Info<'a> {
    let has = |controller: &str| engine.controllers.iter().any(|name| name == controller);
    let (cpu, memory) = (has("cpu"), has("memory"));
    let mut security_options = vec!["name=seccomp,profile=builtin", "name=userns", "name=cgroupns"];
    if engine.landlock {
        security_options.push("name=landlock");
    }
    let hub = IndexConfig { name: "docker.io", mirrors: [], secure: true, official: true };
    Info {
        id: &engine.id,
        containers: engine.containers,
        containers_running: engine.running,
        containers_paused: engine.paused,
        containers_stopped: engine.stopped,
        images: engine.images,
        driver: STORAGE_DRIVER,
        driver_status: [["Supports d_type", "true"]],
        plugins: Plugins {
            volume: ["local"],
            network: ["bridge", "host", "null"],
            authorization: None,
            log: ["json-file", "none"],
        },
        memory_limit: memory,
        swap_limit: memory,
        kernel_memory: false,
        kernel_memory_tcp: memory && !engine.cgroup_v2,
        cpu_cfs_period: cpu,
        cpu_cfs_quota: cpu,
        cpu_shares: cpu,
        cpu_set: has("cpuset"),
        pids_limit: has("pids"),
        ipv4_forwarding: true,
        // No bridge whose frames would have to pass the firewall: nothing to warn of.
        bridge_nf_iptables: true,
        bridge_nf_ip6tables: true,
        debug: false,
        descriptors: 0,
        oom_kill_disable: memory && !engine.cgroup_v2,
        goroutines: 0,
        system_time: time::rfc3339(time::now_ns()),
        logging_driver: "json-file",
        cgroup_driver: "cgroupfs",
        cgroup_version: if engine.cgroup_v2 { "2" } else { "1" },
        events_listeners: 0,
        kernel_version: &host.kernel,
        operating_system: &host.operating_system,
        os_version: &host.os_version,
        os_type: "linux",
        architecture: std::env::consts::ARCH,
        index_server_address: "https://index.docker.io/v1/",
        registry_config: RegistryConfig {
            index_configs: BTreeMap::from([("docker.io", hub)]),
            insecure_registry_cidrs: ["::1/128", "127.0.0.0/8"],
            nondistributable_cidrs: None,
            nondistributable_hostnames: None,
            mirrors: None,
        },
        processors: host.processors,
        memory_bytes: host.memory_bytes,
        generic_resources: None,
        docker_root_dir: engine.data_root.display().to_string(),
        http_proxy: "",
        https_proxy: "",
        no_proxy: "",
        name: &host.name,
        labels: [],
        experimental_build: false,
        server_version: VERSION,
        runtimes: BTreeMap::from([("haven", Runtime { path: "haven" })]),
        default_runtime: "haven",
        swarm: Swarm {
            node_id: "",
            node_addr: "",
            local_node_state: "inactive",
            control_available: false,
            error: "",
            remote_managers: None,
        },
        // The daemon may go and come back under running containers.
        live_restore_enabled: true,
        isolation: "",
        init_binary: "haven",
        containerd_commit: Commit::default(),
        runc_commit: Commit::default(),
        init_commit: Commit::default(),
        security_options,
        cdi_spec_dirs: [],
        firewall_backend: FirewallBackend { driver: "nftables" },
        warnings: None,
    }
}
