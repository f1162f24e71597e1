//! What a client sends to create a container, as it is on the wire.

use crate::wire::{Empty, Words, wire};
use std::collections::BTreeMap;

wire! {
    /// The body of `POST /containers/create`: `Config` with `HostConfig` and `NetworkingConfig` beside it.
    CreateBody {
        hostname: String = "Hostname",
        domainname: String = "Domainname",
        user: String = "User",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        exposed_ports: BTreeMap<String, Option<Empty>> = "ExposedPorts",
        tty: bool = "Tty",
        open_stdin: bool = "OpenStdin",
        stdin_once: bool = "StdinOnce",
        env: Vec<String> = "Env",
        command: Option<Words> = "Cmd",
        health: Option<Health> = "Healthcheck",
        image: String = "Image",
        volumes: BTreeMap<String, Option<Empty>> = "Volumes",
        working_dir: String = "WorkingDir",
        entrypoint: Option<Words> = "Entrypoint",
        network_disabled: bool = "NetworkDisabled",
        mac_address: String = "MacAddress",
        labels: BTreeMap<String, Option<String>> = "Labels",
        stop_signal: String = "StopSignal",
        stop_timeout: Option<i64> = "StopTimeout",
        host: HostConfig = "HostConfig",
        networking: NetworkingConfig = "NetworkingConfig",
    }
}

wire! {
    Health {
        test: Vec<String> = "Test",
        interval: i64 = "Interval",
        timeout: i64 = "Timeout",
        start_period: i64 = "StartPeriod",
        start_interval: i64 = "StartInterval",
        retries: i64 = "Retries",
    }
}

wire! {
    /// Also the body of `POST /containers/{id}/update`, which has limits and the restart policy only.
    HostConfig {
        binds: Vec<String> = "Binds",
        log: LogConfig = "LogConfig",
        network_mode: String = "NetworkMode",
        port_bindings: BTreeMap<String, Option<Vec<PortBinding>>> = "PortBindings",
        restart: RestartPolicy = "RestartPolicy",
        auto_remove: bool = "AutoRemove",
        console_size: Option<[u16; 2]> = "ConsoleSize",
        volume_driver: String = "VolumeDriver",
        volumes_from: Vec<String> = "VolumesFrom",
        annotations: BTreeMap<String, String> = "Annotations",
        cap_add: Option<Words> = "CapAdd",
        cap_drop: Option<Words> = "CapDrop",
        cgroupns_mode: String = "CgroupnsMode",
        dns: Vec<String> = "Dns",
        dns_options: Vec<String> = "DnsOptions",
        dns_search: Vec<String> = "DnsSearch",
        extra_hosts: Vec<String> = "ExtraHosts",
        group_add: Vec<String> = "GroupAdd",
        ipc_mode: String = "IpcMode",
        cgroup: String = "Cgroup",
        links: Vec<String> = "Links",
        oom_score_adj: i64 = "OomScoreAdj",
        pid_mode: String = "PidMode",
        privileged: bool = "Privileged",
        publish_all_ports: bool = "PublishAllPorts",
        readonly_rootfs: bool = "ReadonlyRootfs",
        security_opt: Vec<String> = "SecurityOpt",
        storage_opt: BTreeMap<String, String> = "StorageOpt",
        tmpfs: BTreeMap<String, Option<String>> = "Tmpfs",
        uts_mode: String = "UTSMode",
        userns_mode: String = "UsernsMode",
        shm_size: i64 = "ShmSize",
        sysctls: BTreeMap<String, String> = "Sysctls",
        runtime: String = "Runtime",
        isolation: String = "Isolation",
        mounts: Vec<Mount> = "Mounts",
        masked_paths: Option<Vec<String>> = "MaskedPaths",
        readonly_paths: Option<Vec<String>> = "ReadonlyPaths",
        init: Option<bool> = "Init",
        cpu_shares: i64 = "CpuShares",
        memory: i64 = "Memory",
        nano_cpus: i64 = "NanoCpus",
        cgroup_parent: String = "CgroupParent",
        blkio_weight: i64 = "BlkioWeight",
        blkio_weight_device: Vec<WeightDevice> = "BlkioWeightDevice",
        blkio_read_bps: Vec<ThrottleDevice> = "BlkioDeviceReadBps",
        blkio_write_bps: Vec<ThrottleDevice> = "BlkioDeviceWriteBps",
        blkio_read_iops: Vec<ThrottleDevice> = "BlkioDeviceReadIOps",
        blkio_write_iops: Vec<ThrottleDevice> = "BlkioDeviceWriteIOps",
        cpu_period: i64 = "CpuPeriod",
        cpu_quota: i64 = "CpuQuota",
        cpu_realtime_period: i64 = "CpuRealtimePeriod",
        cpu_realtime_runtime: i64 = "CpuRealtimeRuntime",
        cpuset_cpus: String = "CpusetCpus",
        cpuset_mems: String = "CpusetMems",
        devices: Vec<Device> = "Devices",
        device_cgroup_rules: Vec<String> = "DeviceCgroupRules",
        device_requests: Vec<Empty> = "DeviceRequests",
        kernel_memory_tcp: i64 = "KernelMemoryTCP",
        memory_reservation: i64 = "MemoryReservation",
        memory_swap: i64 = "MemorySwap",
        memory_swappiness: Option<i64> = "MemorySwappiness",
        oom_kill_disable: Option<bool> = "OomKillDisable",
        pids_limit: Option<i64> = "PidsLimit",
        ulimits: Vec<Ulimit> = "Ulimits",
    }
}

wire! {
    LogConfig {
        kind: String = "Type",
        options: BTreeMap<String, String> = "Config",
    }
}

wire! {
    PortBinding {
        host_ip: String = "HostIp",
        host_port: String = "HostPort",
    }
}

wire! {
    RestartPolicy {
        name: String = "Name",
        maximum_retry_count: i64 = "MaximumRetryCount",
    }
}

wire! {
    WeightDevice {
        path: String = "Path",
        weight: i64 = "Weight",
    }
}

wire! {
    ThrottleDevice {
        path: String = "Path",
        rate: i64 = "Rate",
    }
}

wire! {
    Device {
        host_path: String = "PathOnHost",
        container_path: String = "PathInContainer",
        permissions: String = "CgroupPermissions",
    }
}

wire! {
    Ulimit {
        name: String = "Name",
        soft: i64 = "Soft",
        hard: i64 = "Hard",
    }
}

wire! {
    Mount {
        kind: String = "Type",
        source: String = "Source",
        target: String = "Target",
        readonly: bool = "ReadOnly",
        bind: Option<BindOptions> = "BindOptions",
        volume: Option<VolumeOptions> = "VolumeOptions",
        tmpfs: Option<TmpfsOptions> = "TmpfsOptions",
        image: Option<Empty> = "ImageOptions",
    }
}

wire! {
    BindOptions {
        propagation: String = "Propagation",
        non_recursive: bool = "NonRecursive",
        create_mountpoint: bool = "CreateMountpoint",
        read_only_force_recursive: bool = "ReadOnlyForceRecursive",
    }
}

wire! {
    VolumeOptions {
        no_copy: bool = "NoCopy",
        labels: BTreeMap<String, Option<String>> = "Labels",
        driver: Option<Driver> = "DriverConfig",
        subpath: String = "Subpath",
    }
}

wire! {
    Driver {
        name: String = "Name",
        options: BTreeMap<String, String> = "Options",
    }
}

wire! {
    TmpfsOptions {
        size_bytes: i64 = "SizeBytes",
        mode: u32 = "Mode",
        options: Vec<Vec<String>> = "Options",
    }
}

wire! {
    NetworkingConfig {
        endpoints: BTreeMap<String, Option<Endpoint>> = "EndpointsConfig",
    }
}

wire! {
    Endpoint {
        ipam: Option<EndpointIpam> = "IPAMConfig",
        links: Vec<String> = "Links",
        aliases: Vec<String> = "Aliases",
        mac_address: String = "MacAddress",
        driver_opts: BTreeMap<String, String> = "DriverOpts",
    }
}

wire! {
    EndpointIpam {
        ipv4: String = "IPv4Address",
        ipv6: String = "IPv6Address",
    }
}

/// Labels without values are labels with empty ones.
pub(crate) fn labels(wire: BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    wire.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect()
}
