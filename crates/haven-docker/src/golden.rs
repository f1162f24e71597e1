//! Our answers beside recorded ones of real daemons: the same members, the same kinds of values, `null` where they
//! have `null`. The recordings lie in `tests/fixtures/`; `record.py` there makes them.

use crate::container;
use crate::version::ApiVersion;
use haven_engine::{
    CgroupStats, ContainerFiles, ContainerView, EndpointView, Health, HealthRun, InterfaceCounters,
    MountKind, MountView, NetworkView, PublishedPort, StatsSample, VolumeView,
};
use haven_spec::{
    ContainerId, ContainerName, ContainerState, Digest, Exit, HealthStatus, Ipv4Net, MountSource, PortKey,
    VolumeName,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Docker 28.5.2, API 1.51.
const NEW: &str = include_str!("../tests/fixtures/docker-28.5.json");
/// Docker 20.10.24, API 1.41.
const OLD: &str = include_str!("../tests/fixtures/docker-20.10.json");

/// A recorded answer's body.
fn recorded(daemon: &str, name: &str) -> Value {
    let all: Value = serde_json::from_str(daemon).unwrap();
    all[name]["json"].clone()
}

/// Members whose names are data, by the last part of their path.
const MAPS: &[&str] = &[
    "Labels",
    "Networks",
    "Ports",
    "PortBindings",
    "ExposedPorts",
    "Volumes",
    "Sysctls",
    "Tmpfs",
    "stats",
    "networks",
    "Containers",
    "Options",
    "Attributes",
    "IndexConfigs",
    "Runtimes",
    "Config.Volumes",
    "Annotations",
];

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Every difference in shape between `theirs` and `ours` but those at paths in `on_purpose`.
fn differences(theirs: &Value, ours: &Value, on_purpose: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    compare("", theirs, ours, &mut found);
    found.retain(|line| !on_purpose.iter().any(|path| line.starts_with(path)));
    found
}

fn compare(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            if MAPS.contains(&path.rsplit('.').next().unwrap_or(path)) {
                let values = (theirs.values().next(), ours.values().next());
                if let (Some(theirs), Some(ours)) = values {
                    compare(&format!("{path}{{}}"), theirs, ours, found);
                }
                return;
            }
            let dot = if path.is_empty() { "" } else { "." };
            for (key, value) in theirs {
                let path = format!("{path}{dot}{key}");
                match ours.get(key) {
                    Some(mine) => compare(&path, value, mine, found),
                    None => found.push(format!("{path} is missing")),
                }
            }
            for key in ours.keys().filter(|key| !theirs.contains_key(*key)) {
                found.push(format!("{path}{dot}{key} is ours alone"));
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            if let (Some(theirs), Some(ours)) = (theirs.first(), ours.first()) {
                compare(&format!("{path}[]"), theirs, ours, found);
            }
        }
        _ if kind(theirs) != kind(ours) => {
            found.push(format!("{path} is {} and ours {}", kind(theirs), kind(ours)));
        }
        _ => {}
    }
}

fn assert_same(daemon: &str, name: &str, ours: &impl serde::Serialize, on_purpose: &[&str]) {
    let ours = serde_json::to_value(ours).unwrap();
    let differences = differences(&recorded(daemon, name), &ours, on_purpose);
    assert!(differences.is_empty(), "{name}: {differences:#?}");
}

const START_NS: i64 = 1_795_313_877_974_605_173;

fn id(digit: char) -> ContainerId {
    ContainerId::parse(&digit.to_string().repeat(64)).unwrap()
}

/// The container that `request` of the recording asked for, as the engine would show it.
fn view(request: &str, state: ContainerState) -> ContainerView {
    let all: Value = serde_json::from_str(NEW).unwrap();
    let body = serde_json::from_value(all[request]["request"].clone()).unwrap();
    let (mut spec, _) = container::create::spec(body, &|_| unreachable!("names no other container")).unwrap();
    // What the recorded image adds.
    spec.labels.insert("a".into(), "b".into());
    spec.exposed_ports.insert(PortKey::parse("80").unwrap());
    spec.command.get_or_insert_with(|| vec!["sh".into()]);
    let name = VolumeName::parse("data").unwrap();
    let mounts = spec.mounts.iter().map(|mount| MountView {
        kind: match mount.source {
            MountSource::Bind { .. } => MountKind::Bind,
            MountSource::Volume { .. } => MountKind::Volume,
            MountSource::Tmpfs { .. } => MountKind::Tmpfs,
        },
        name: matches!(mount.source, MountSource::Volume { .. }).then(|| name.clone()),
        source: "/var/lib/haven/volumes/data".into(),
        destination: mount.target.clone(),
        read_write: !mount.readonly,
        propagation: if matches!(mount.source, MountSource::Bind { .. }) { "rprivate" } else { "" },
    });
    let alive = state.is_alive();
    let endpoint = EndpointView {
        network: "default".into(),
        network_id: "d".repeat(64),
        endpoint_id: "e".repeat(64),
        ipv4: Ipv4Addr::new(10, 200, 0, 2),
        ipv4_prefix: 16,
        gateway: Ipv4Addr::new(10, 200, 0, 1),
        mac: "02:42:0a:c8:00:02".into(),
        aliases: Vec::new(),
        published: vec![PublishedPort {
            container: PortKey::parse("80").unwrap(),
            host_address: Ipv4Addr::LOCALHOST.into(),
            host_port: 18080,
        }],
    };
    ContainerView {
        id: id('c'),
        name: ContainerName::parse("full").unwrap(),
        created_at_ns: START_NS,
        image_id: Digest::sha256(&[1; 32]),
        restart_count: 0,
        health: spec.health.as_ref().filter(|_| !matches!(state, ContainerState::Created)).map(|_| Health {
            status: HealthStatus::Healthy,
            failing_streak: 0,
            log: vec![HealthRun {
                started_at_ns: START_NS,
                ended_at_ns: START_NS + 1,
                exit_code: 0,
                output: String::new(),
            }],
        }),
        endpoints: if alive { vec![endpoint] } else { Vec::new() },
        mounts: mounts.collect(),
        execs: Vec::new(),
        files: ContainerFiles::default(),
        spec: Arc::new(spec),
        state,
    }
}

fn running() -> ContainerState {
    ContainerState::Running { pid: 7, started_at_ns: START_NS }
}

fn exited() -> ContainerState {
    let exit = Exit { code: 130, oom_killed: false, error: None, finished_at_ns: START_NS + 1 };
    ContainerState::Exited { exit, started_at_ns: START_NS }
}

/// Where Haven differs: its layers have no driver's directories to show.
const INSPECT_ON_PURPOSE: &[&str] = &["GraphDriver.Data"];

fn inspect(view: &ContainerView, version: ApiVersion) -> Value {
    serde_json::to_value(container::inspect::describe(view, None, version, &|_| "d".repeat(64))).unwrap()
}

#[test]
fn inspect_has_every_member_docker_has() {
    for (name, request, state) in [
        ("inspect_created", "create_minimal", ContainerState::Created),
        ("inspect_full_running", "create_full", running()),
        ("inspect_paused", "create_full", ContainerState::Paused { pid: 7, started_at_ns: START_NS }),
        ("inspect_exited", "create_full", exited()),
    ] {
        let ours = inspect(&view(request, state), ApiVersion::NEWEST);
        assert_same(NEW, name, &ours, INSPECT_ON_PURPOSE);
    }
}

#[test]
fn older_clients_find_what_was_there_in_their_time() {
    let ours = inspect(&view("create_full", running()), ApiVersion::new(1, 41));
    let newer = ["NetworkSettings.Networks{}.GwPriority", "NetworkSettings.Networks{}.DNSNames"];
    assert_same(OLD, "inspect_full_running", &ours, &[INSPECT_ON_PURPOSE, &newer].concat());
}

/// The same request to both: what a client compares with its wishes must be the very same values.
#[test]
fn a_clients_wishes_are_shown_back_to_it_unchanged() {
    let theirs = recorded(NEW, "inspect_full_running");
    let ours = inspect(&view("create_full", running()), ApiVersion::NEWEST);
    for (part, on_purpose) in
        [("Config", &[][..]), ("HostConfig", &["CgroupnsMode", "Runtime", "MaskedPaths", "ReadonlyPaths"])]
    {
        for (key, value) in theirs[part].as_object().unwrap() {
            if !on_purpose.contains(&key.as_str()) {
                assert_eq!(&ours[part][key], value, "{part}.{key}");
            }
        }
    }
}

#[test]
fn lists_have_every_member_docker_has() {
    let view = view("create_full", running());
    let size = haven_engine::ContainerSize { rw_bytes: 0, rootfs_bytes: 5 };
    let listed = container::list::describe(&view, Some(&size), START_NS + 2_000_000_000, &|_| String::new());
    let listed = serde_json::to_value(vec![listed]).unwrap();
    // The first port of the one is published, of the other not.
    assert_same(NEW, "containers", &listed, &["[].Ports[]"]);
    let theirs = recorded(NEW, "containers");
    for key in ["Command", "State", "Status", "Names", "Image", "Labels", "HostConfig"] {
        assert_eq!(listed[0][key], theirs[0][key], "{key}");
    }
    assert_same(
        OLD,
        "containers",
        &listed,
        &["[].NetworkSettings.Networks{}.GwPriority", "[].NetworkSettings.Networks{}.DNSNames", "[].Ports[]"],
    );
}

#[test]
fn stats_have_the_shape_of_their_control_group_version() {
    let view = view("create_full", running());
    let mut cgroup = CgroupStats {
        version: haven_runtime::cgroup::Version::V1,
        cpu: Default::default(),
        memory: Default::default(),
        pids: Default::default(),
        block_io: Default::default(),
        hugetlb: BTreeMap::new(),
    };
    cgroup.cpu.per_cpu_ns = vec![1, 2];
    cgroup.pids.limit = Some(64);
    cgroup.memory.limit_bytes = Some(1);
    cgroup.memory.stat.insert("cache".into(), 1);
    let sample = StatsSample {
        read_at_ns: START_NS,
        cgroup: Some(cgroup),
        online_cpus: 2,
        system_cpu_ns: 5,
        networks: BTreeMap::from([("eth0".into(), InterfaceCounters::default())]),
        ..StatsSample::default()
    };
    let ours = container::stats::describe(&view, &sample, Some(&sample), 10);
    assert_same(NEW, "stats", &ours, &[]);
    assert_same(OLD, "stats", &ours, &[]);
    let idle = container::stats::describe(&view, &StatsSample::default(), None, 10);
    assert_same(NEW, "stats_stopped", &idle, &[]);
}

#[test]
fn volumes_and_networks_have_every_member_docker_has() {
    let volume = VolumeView {
        name: VolumeName::parse("data").unwrap(),
        created_at_ns: START_NS,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        mountpoint: "/v".into(),
        anonymous: false,
        users: Vec::new(),
    };
    assert_same(NEW, "volume_inspect", &crate::volume::describe(&volume), &[]);
    let anonymous = crate::volume::describe(&VolumeView { anonymous: true, ..volume });
    assert_same(NEW, "volume_create_anonymous", &anonymous, &[]);
    let view = view("create_full", running());
    let network = NetworkView {
        name: "default".into(),
        id: "d".repeat(64),
        created_at_ns: START_NS,
        driver: "haven",
        subnet: Some(Ipv4Net::parse("10.200.0.0/16").unwrap()),
        address_range: None,
        gateway: Some(Ipv4Addr::new(10, 200, 0, 1)),
        reserved: Vec::new(),
        internal: false,
        open_inside: false,
        open_outside: true,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        members: vec![(view.id.clone(), view.name.clone(), view.endpoints[0].clone())],
    };
    let bridge = serde_json::to_value(crate::network::describe(&network, true)).unwrap();
    assert_eq!((&bridge["Name"], &bridge["Driver"]), (&"bridge".into(), &"bridge".into()));
    assert_same(NEW, "network_inspect_members", &bridge, &[]);
    let host = NetworkView {
        name: "host".into(),
        driver: "host",
        subnet: None,
        gateway: None,
        members: Vec::new(),
        ..network
    };
    assert_same(NEW, "network_inspect_host", &crate::network::describe(&host, true), &[]);
}

#[test]
fn the_daemon_is_described_with_every_member_docker_has() {
    let host = crate::system::host::Host::read();
    assert_same(NEW, "version", &crate::system::version::describe(&host), &[]);
    assert_same(OLD, "version", &crate::system::version::describe(&host), &[]);
    let engine = haven_engine::EngineInfo {
        id: "x".into(),
        containers: 0,
        running: 0,
        paused: 0,
        stopped: 0,
        images: 0,
        data_root: "/var/lib/haven".into(),
        cgroup_v2: false,
        controllers: vec!["memory".into()],
        landlock: false,
    };
    let info = crate::system::info::describe(&engine, &host);
    // There is no containerd to tell of.
    let on_purpose = [
        "Containerd is missing",
        "Runtimes{}.status",
        "KernelMemory is ours",
        "BridgeNf",
        "RegistryConfig.Allow",
        "ContainerdCommit.Expected",
        "RuncCommit.Expected",
        "InitCommit.Expected",
    ];
    assert_same(NEW, "info", &info, &on_purpose);
    assert_same(
        OLD,
        "info",
        &info,
        &["OSVersion is ours", "CDISpecDirs is ours", "FirewallBackend is ours", "RegistryConfig"],
    );
}

#[test]
fn images_have_every_member_docker_has() {
    use haven_engine::image::{HistoryLine, Image, ImageConfig, ImageUsage};
    let document = r#"{"created":"2026-11-22T02:18:02.89707284Z","author":"a","architecture":"amd64","os":"linux",
        "docker_version":"1","config":{"Cmd":["sleep","600"],"Env":["A=1"],"ExposedPorts":{"80/tcp":{}},
        "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Timeout":1000000000,"Retries":2},"StopTimeout":3,
        "Labels":{"a":"b"},"User":"0:0","Volumes":{"/anon":{}},"WorkingDir":"/tmp","StopSignal":"SIGINT"},
        "rootfs":{"type":"layers","diff_ids":["sha256:1111111111111111111111111111111111111111111111111111111111111111"]}}"#;
    let tag = haven_spec::Reference::parse("committed:v1").unwrap();
    let image = Image {
        id: Digest::sha256(&[1; 32]),
        config: Arc::new(ImageConfig::parse(document.as_bytes()).unwrap()),
        layers: vec![Digest::sha256(&[0x11; 32])],
        size_bytes: 5,
        parent: Some(Digest::sha256(&[2; 32])),
        tags: vec![tag.clone()],
        digests: Vec::new(),
        comment: "c".into(),
        added_at_ns: START_NS,
        tagged_at_ns: Some(START_NS),
    };
    let new = ApiVersion::NEWEST;
    let inspect = crate::image::inspect::describe(&image, new);
    assert_same(NEW, "image_inspect_committed", &inspect, &["GraphDriver.Data"]);
    let old = crate::image::inspect::describe(&image, ApiVersion::new(1, 41));
    // What the container it was made from was like, is not kept.
    assert_same(OLD, "image_inspect_committed", &old, &["GraphDriver.Data", "ContainerConfig."]);
    let listed =
        |version| vec![crate::image::list::describe(&image, Some(ImageUsage::default()), Some(1), version)];
    assert_same(NEW, "images", &listed(new), &[]);
    // It showed no list where there is an empty one.
    assert_same(OLD, "images", &listed(ApiVersion::new(1, 41)), &["[].RepoDigests"]);
    let line = HistoryLine {
        image: Some(image.id.clone()),
        created: image.config.created.clone(),
        created_by: String::new(),
        comment: String::new(),
        size_bytes: 0,
        layer: None,
        tags: vec![tag],
    };
    assert_same(NEW, "image_history", &vec![crate::image::inspect::history_item(&line)], &[]);
}
