//! Everything `run` and `create` can say of a container: the flags, and the API's document made of them.

use super::volume::Volume;
use super::{
    address, bytes, cpus, device, environment, extra_host, health, label, mount, network, port, rate,
    restart, security, sysctl, ulimit, volume,
};
use crate::daemon::ApiVersion;
use crate::grammar;
use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, value_parser};
use haven_spec::{Failure, Outcome};
use serde_json::{Map, Value as Json, json};

/// Annotations came with this version.
const WITH_ANNOTATIONS: ApiVersion = ApiVersion::new(1, 43);
/// An interval of its own for health checks while starting came with this version, and addresses per network.
const WITH_START_INTERVAL: ApiVersion = ApiVersion::new(1, 44);

/// The flags of `run` and `create`.
pub(crate) fn flags() -> Vec<Arg> {
    let mut flags = process_flags();
    flags.extend(resource_flags());
    flags.extend(network_flags());
    flags.extend(storage_flags());
    flags.extend(confinement_flags());
    flags.extend(health::flags());
    flags
}

fn process_flags() -> Vec<Arg> {
    use grammar::{switch, value, values};
    vec![
        values("attach", "list", "Attach to STDIN, STDOUT or STDERR")
            .short('a')
            .value_parser(ValueParser::from(stream_name)),
        values("annotation", "map", "Add an annotation to the container (passed through to the OCI runtime)"),
        value("cidfile", "string", "Write the container ID to the file"),
        value("entrypoint", "string", "Overwrite the default ENTRYPOINT of the image"),
        values("env", "list", "Set environment variables")
            .short('e')
            .value_parser(ValueParser::from(environment::own_variable)),
        values("env-file", "list", "Read in a file of environment variables"),
        value("hostname", "string", "Container host name").short('h'),
        value("domainname", "string", "Container NIS domain name"),
        switch("init", "Run an init inside the container that forwards signals and reaps processes"),
        switch("interactive", "Keep STDIN open even if not attached").short('i'),
        values("label", "list", "Set meta data on a container")
            .short('l')
            .value_parser(ValueParser::from(label::check)),
        values("label-file", "list", "Read in a line delimited file of labels"),
        value("log-driver", "string", "Logging driver for the container"),
        values("log-opt", "list", "Log driver options"),
        value("name", "string", "Assign a name to the container"),
        value("platform", "string", "Set platform if server is multi-platform capable"),
        value(
            "pull",
            "string",
            "Fetch the image before running: \"missing\" or \"never\" (default \"missing\")",
        )
        .value_parser(ValueParser::from(pull_policy)),
        value("restart", "string", "Restart policy to apply when a container exits (default \"no\")")
            .value_parser(ValueParser::from(restart::parse)),
        switch("rm", "Automatically remove the container and its associated anonymous volumes when it exits"),
        value("runtime", "string", "Runtime to use for this container"),
        value("stop-signal", "string", "Signal to stop the container"),
        value("stop-timeout", "int", "Timeout (in seconds) to stop a container")
            .value_parser(ValueParser::from(value_parser!(i64))),
        switch("tty", "Allocate a pseudo-TTY").short('t'),
        value("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
        value("workdir", "string", "Working directory inside the container").short('w'),
    ]
}

fn resource_flags() -> Vec<Arg> {
    use grammar::{switch, value, values};
    let memory = |long, help| value(long, "bytes", help).value_parser(ValueParser::from(bytes::parse));
    let number = |long, help| value(long, "int", help).value_parser(ValueParser::from(value_parser!(i64)));
    let rate = |long, help, parser: fn(&str) -> Result<Json, String>| {
        values(long, "list", help).value_parser(ValueParser::from(parser))
    };
    vec![
        value("blkio-weight", "uint16", "Block IO (relative weight), between 10 and 1000, or 0 to disable")
            .value_parser(ValueParser::from(value_parser!(u16))),
        rate("blkio-weight-device", "Block IO weight (relative device weight)", rate::weight),
        value("cgroup-parent", "string", "Optional parent cgroup for the container"),
        number("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
        number("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        number("cpu-rt-period", "Limit CPU real-time period in microseconds"),
        number("cpu-rt-runtime", "Limit CPU real-time runtime in microseconds"),
        number("cpu-shares", "CPU shares (relative weight)").short('c'),
        value("cpus", "decimal", "Number of CPUs").value_parser(ValueParser::from(cpus::parse)),
        value("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
        value("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
        rate("device-read-bps", "Limit read rate (bytes per second) from a device", rate::bytes_per_second),
        rate(
            "device-read-iops",
            "Limit read rate (IO per second) from a device",
            rate::operations_per_second,
        ),
        rate("device-write-bps", "Limit write rate (bytes per second) to a device", rate::bytes_per_second),
        rate(
            "device-write-iops",
            "Limit write rate (IO per second) to a device",
            rate::operations_per_second,
        ),
        memory("memory", "Memory limit").short('m'),
        memory("memory-reservation", "Memory soft limit"),
        value("memory-swap", "bytes", "Swap limit equal to memory plus swap: '-1' to enable unlimited swap")
            .value_parser(ValueParser::from(bytes::parse_or_unlimited)),
        number("memory-swappiness", "Tune container memory swappiness (0 to 100) (default -1)"),
        switch("oom-kill-disable", "Disable OOM Killer"),
        number("oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
        number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
        memory("shm-size", "Size of /dev/shm"),
        values("ulimit", "ulimit", "Ulimit options").value_parser(ValueParser::from(ulimit::parse)),
    ]
}

fn network_flags() -> Vec<Arg> {
    use grammar::{switch, value, values};
    vec![
        values("add-host", "list", "Add a custom host-to-IP mapping (host:ip)")
            .value_parser(ValueParser::from(extra_host::check)),
        values("dns", "list", "Set custom DNS servers").value_parser(ValueParser::from(address::ip)),
        values("dns-option", "list", "Set DNS options"),
        values("dns-opt", "list", "Set DNS options").hide(true),
        values("dns-search", "list", "Set custom DNS search domains")
            .value_parser(ValueParser::from(address::search_domain)),
        values("expose", "list", "Expose a port or a range of ports"),
        value("ip", "string", "IPv4 address (e.g., 172.30.100.104)")
            .value_parser(ValueParser::from(address::ipv4)),
        value("ip6", "string", "IPv6 address (e.g., 2001:db8::33)")
            .value_parser(ValueParser::from(address::ipv6)),
        values("link-local-ip", "list", "Container IPv4/IPv6 link-local addresses")
            .value_parser(ValueParser::from(address::ip)),
        value("mac-address", "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
        values("network", "network", "Connect a container to a network")
            .value_parser(ValueParser::from(network::parse))
            .visible_alias("net"),
        values("network-alias", "list", "Add network-scoped alias for the container").alias("net-alias"),
        values("publish", "list", "Publish a container's port(s) to the host").short('p'),
        switch("publish-all", "Publish all exposed ports to random ports").short('P'),
    ]
}

fn storage_flags() -> Vec<Arg> {
    use grammar::{switch, value, values};
    vec![
        values("mount", "mount", "Attach a filesystem mount to the container")
            .value_parser(ValueParser::from(mount::parse)),
        switch("read-only", "Mount the container's root filesystem as read only"),
        values("storage-opt", "list", "Storage driver options for the container"),
        values("tmpfs", "list", "Mount a tmpfs directory"),
        values("volume", "list", "Bind mount a volume").short('v'),
        value("volume-driver", "string", "Optional volume driver for the container"),
        values("volumes-from", "list", "Mount volumes from the specified container(s)"),
    ]
}

fn confinement_flags() -> Vec<Arg> {
    use grammar::{switch, value, values};
    vec![
        values("cap-add", "list", "Add Linux capabilities"),
        values("cap-drop", "list", "Drop Linux capabilities"),
        value("cgroupns", "string", "Cgroup namespace to use (host|private)"),
        values("device", "list", "Add a host device to the container"),
        values("device-cgroup-rule", "list", "Add a rule to the cgroup allowed devices list")
            .value_parser(ValueParser::from(device::rule)),
        values("group-add", "list", "Add additional groups to join"),
        value("ipc", "string", "IPC mode to use"),
        value("pid", "string", "PID namespace to use"),
        switch("privileged", "Give extended privileges to this container"),
        values("security-opt", "list", "Security Options"),
        values("sysctl", "map", "Sysctl options").value_parser(ValueParser::from(sysctl::check)),
        value("userns", "string", "User namespace to use"),
        value("uts", "string", "UTS namespace to use"),
    ]
}

fn stream_name(text: &str) -> Result<String, String> {
    let name = text.to_lowercase();
    match name.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(name),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".into()),
    }
}

fn pull_policy(text: &str) -> Result<String, String> {
    match text {
        "missing" | "never" => Ok(text.to_owned()),
        "always" => {
            Err("this version fetches nothing; load the image with: haven load -i ARCHIVE.tar".into())
        }
        _ => Err("must be one of missing, never".into()),
    }
}

/// What is to be created, and how this side joins it.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) image: String,
    pub(crate) name: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) cidfile: Option<String>,
    pub(crate) tty: bool,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    pub(crate) auto_remove: bool,
    config: Map<String, Json>,
    host: Map<String, Json>,
    endpoints: Map<String, Json>,
    mac: Option<String>,
}

impl Wish {
    /// From the flags and `IMAGE [COMMAND…]`; refuses what contradicts itself.
    pub(crate) fn read(matches: &ArgMatches, words: &[String]) -> Outcome<Self> {
        let (image, command) =
            words.split_first().ok_or_else(|| Failure::invalid("an image must be named"))?;
        let streams = grammar::texts(matches, "attach");
        let attaches = |name: &str| streams.iter().any(|stream| stream == name);
        let interactive = grammar::on(matches, "interactive");
        let mut wish = Self {
            image: image.clone(),
            name: grammar::text(matches, "name").map(str::to_owned),
            platform: grammar::text(matches, "platform").map(str::to_owned),
            cidfile: grammar::text(matches, "cidfile").map(str::to_owned),
            tty: grammar::on(matches, "tty"),
            attach_stdin: interactive || attaches("stdin"),
            attach_stdout: streams.is_empty() || attaches("stdout"),
            attach_stderr: streams.is_empty() || attaches("stderr"),
            auto_remove: grammar::on(matches, "rm"),
            config: Map::new(),
            host: Map::new(),
            endpoints: Map::new(),
            mac: None,
        };
        wish.read_process(matches, command)?;
        wish.read_resources(matches)?;
        wish.read_storage(matches)?;
        wish.read_confinement(matches)?;
        wish.read_network(matches)?;
        Ok(wish)
    }

    /// Nothing of ours is joined: the container runs in the background.
    pub(crate) fn detach(&mut self) {
        self.attach_stdin = false;
        self.attach_stdout = false;
        self.attach_stderr = false;
        self.config.insert("StdinOnce".into(), json!(false));
    }

    pub(crate) fn attaches(&self) -> bool {
        self.attach_stdin || self.attach_stdout || self.attach_stderr
    }

    /// The API's document in the version spoken.
    pub(crate) fn document(&self, version: ApiVersion) -> Outcome<Json> {
        if self.host.contains_key("Annotations") && version < WITH_ANNOTATIONS {
            return Err(too_old("--annotation", WITH_ANNOTATIONS, version));
        }
        let start_interval =
            self.config.get("Healthcheck").is_some_and(|health| health.get("StartInterval").is_some());
        if start_interval && version < WITH_START_INTERVAL {
            return Err(too_old("--health-start-interval", WITH_START_INTERVAL, version));
        }
        let mut document = self.config.clone();
        document.insert("Image".into(), json!(self.image));
        document.insert("AttachStdin".into(), json!(self.attach_stdin));
        document.insert("AttachStdout".into(), json!(self.attach_stdout));
        document.insert("AttachStderr".into(), json!(self.attach_stderr));
        document.insert("HostConfig".into(), Json::Object(self.host.clone()));
        let mut endpoints = self.endpoints.clone();
        if let Some(mac) = &self.mac {
            if version < WITH_START_INTERVAL {
                document.insert("MacAddress".into(), json!(mac));
            } else {
                let network =
                    self.host.get("NetworkMode").and_then(Json::as_str).unwrap_or("default").to_owned();
                if let Json::Object(endpoint) = endpoints.entry(network).or_insert_with(|| json!({})) {
                    endpoint.insert("MacAddress".into(), json!(mac));
                }
            }
        }
        if !endpoints.is_empty() {
            document.insert("NetworkingConfig".into(), json!({"EndpointsConfig": endpoints}));
        }
        Ok(Json::Object(document))
    }

    fn config(&mut self, name: &str, value: impl Into<Json>) {
        self.config.insert(name.to_owned(), value.into());
    }

    fn host(&mut self, name: &str, value: impl Into<Json>) {
        self.host.insert(name.to_owned(), value.into());
    }

    /// Copies flags with a text to the host configuration.
    fn host_texts(&mut self, matches: &ArgMatches, names: &[(&str, &str)]) {
        for (flag, name) in names {
            if let Some(text) = grammar::text(matches, flag) {
                self.host(name, text);
            }
        }
    }

    /// Copies repeated flags to the host configuration.
    fn host_lists(&mut self, matches: &ArgMatches, names: &[(&str, &str)]) {
        for (flag, name) in names {
            let texts = grammar::texts(matches, flag);
            if !texts.is_empty() {
                self.host(name, texts);
            }
        }
    }

    fn read_process(&mut self, matches: &ArgMatches, command: &[String]) -> Outcome<()> {
        let interactive = grammar::on(matches, "interactive");
        self.config("Tty", self.tty);
        self.config("OpenStdin", interactive);
        self.config("StdinOnce", interactive && self.attach_stdin);
        if !command.is_empty() {
            self.config("Cmd", command);
        }
        match grammar::text(matches, "entrypoint") {
            None => {}
            // An empty entrypoint resets the image's.
            Some(entrypoint) => self.config("Entrypoint", vec![entrypoint]),
        }
        for (flag, name) in [
            ("hostname", "Hostname"),
            ("domainname", "Domainname"),
            ("user", "User"),
            ("workdir", "WorkingDir"),
            ("stop-signal", "StopSignal"),
        ] {
            if let Some(text) = grammar::text(matches, flag) {
                self.config(name, text);
            }
        }
        if let Some(timeout) = grammar::parsed::<i64>(matches, "stop-timeout") {
            self.config("StopTimeout", timeout);
        }
        let mut variables = Vec::new();
        for path in grammar::texts(matches, "env-file") {
            variables.extend(environment::file(&path, environment::own)?);
        }
        variables.extend(grammar::texts(matches, "env"));
        if !variables.is_empty() {
            self.config("Env", variables);
        }
        let mut labels = Vec::new();
        for path in grammar::texts(matches, "label-file") {
            labels.extend(environment::file(&path, |_| None)?);
        }
        labels.extend(grammar::texts(matches, "label"));
        if !labels.is_empty() {
            self.config("Labels", label::map(&labels));
        }
        if let Some(health) = health::read(matches)? {
            self.config("Healthcheck", health);
        }
        let annotations = grammar::texts(matches, "annotation");
        if !annotations.is_empty() {
            self.host("Annotations", label::map(&annotations));
        }
        self.host("AutoRemove", self.auto_remove);
        if let Some(policy) = grammar::parsed::<Json>(matches, "restart") {
            let restarts = !matches!(policy.get("Name").and_then(Json::as_str), None | Some("" | "no"));
            if self.auto_remove && restarts {
                return Err(Failure::invalid("conflicting options: cannot specify both --restart and --rm"));
            }
            self.host("RestartPolicy", policy);
        }
        if grammar::given(matches, "init") {
            self.host("Init", grammar::on(matches, "init"));
        }
        self.host_texts(matches, &[("runtime", "Runtime"), ("cidfile", "ContainerIDFile")]);
        self.read_log(matches)
    }

    fn read_log(&mut self, matches: &ArgMatches) -> Outcome<()> {
        let driver = grammar::text_or_empty(matches, "log-driver");
        let options = grammar::texts(matches, "log-opt");
        if driver == "none" && !options.is_empty() {
            return Err(Failure::invalid("invalid logging opts for driver none"));
        }
        if !driver.is_empty() || !options.is_empty() {
            self.host("LogConfig", json!({"Type": driver, "Config": label::map(&options)}));
        }
        Ok(())
    }

    fn read_resources(&mut self, matches: &ArgMatches) -> Outcome<()> {
        let swappiness = grammar::parsed::<i64>(matches, "memory-swappiness");
        if let Some(swappiness) = swappiness.filter(|value| !(-1..=100).contains(value)) {
            return Err(Failure::invalid(format!(
                "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
            )));
        }
        for (flag, name) in [
            ("memory", "Memory"),
            ("memory-reservation", "MemoryReservation"),
            ("memory-swap", "MemorySwap"),
            ("memory-swappiness", "MemorySwappiness"),
            ("cpus", "NanoCpus"),
            ("cpu-shares", "CpuShares"),
            ("cpu-period", "CpuPeriod"),
            ("cpu-quota", "CpuQuota"),
            ("cpu-rt-period", "CpuRealtimePeriod"),
            ("cpu-rt-runtime", "CpuRealtimeRuntime"),
            ("pids-limit", "PidsLimit"),
            ("oom-score-adj", "OomScoreAdj"),
            ("shm-size", "ShmSize"),
        ] {
            if let Some(number) = grammar::parsed::<i64>(matches, flag) {
                self.host(name, number);
            }
        }
        if let Some(weight) = grammar::parsed::<u16>(matches, "blkio-weight") {
            self.host("BlkioWeight", weight);
        }
        if grammar::given(matches, "oom-kill-disable") {
            self.host("OomKillDisable", grammar::on(matches, "oom-kill-disable"));
        }
        for (flag, name) in [
            ("blkio-weight-device", "BlkioWeightDevice"),
            ("device-read-bps", "BlkioDeviceReadBps"),
            ("device-write-bps", "BlkioDeviceWriteBps"),
            ("device-read-iops", "BlkioDeviceReadIOps"),
            ("device-write-iops", "BlkioDeviceWriteIOps"),
        ] {
            let rates = grammar::all::<Json>(matches, flag);
            if !rates.is_empty() {
                self.host(name, rates);
            }
        }
        let mut limits: Vec<Json> = Vec::new();
        for limit in grammar::all::<Json>(matches, "ulimit") {
            limits.retain(|known| known.get("Name") != limit.get("Name"));
            limits.push(limit);
        }
        if !limits.is_empty() {
            self.host("Ulimits", limits);
        }
        self.host_texts(
            matches,
            &[
                ("cpuset-cpus", "CpusetCpus"),
                ("cpuset-mems", "CpusetMems"),
                ("cgroup-parent", "CgroupParent"),
            ],
        );
        Ok(())
    }

    fn read_storage(&mut self, matches: &ArgMatches) -> Outcome<()> {
        let mut binds: Vec<String> = Vec::new();
        let mut anonymous = Map::new();
        for text in grammar::texts(matches, "volume") {
            match volume::parse(&text).map_err(|reason| refused("volume", &text, reason))? {
                Volume::Anonymous(target) => drop(anonymous.insert(target, json!({}))),
                Volume::Bind(bind) if binds.contains(&bind) => {}
                Volume::Bind(bind) => binds.push(bind),
            }
        }
        if !anonymous.is_empty() {
            self.config("Volumes", anonymous);
        }
        if !binds.is_empty() {
            self.host("Binds", binds);
        }
        let mounts = grammar::all::<Json>(matches, "mount");
        if !mounts.is_empty() {
            self.host("Mounts", mounts);
        }
        let tmpfs: Map<String, Json> = grammar::texts(matches, "tmpfs")
            .iter()
            .map(|text| {
                let (path, options) = text.split_once(':').unwrap_or((text, ""));
                (path.to_owned(), json!(options))
            })
            .collect();
        if !tmpfs.is_empty() {
            self.host("Tmpfs", tmpfs);
        }
        let mut options = Vec::new();
        for text in grammar::texts(matches, "storage-opt") {
            if !text.contains('=') {
                return Err(refused("storage-opt", &text, "it is not NAME=VALUE".into()));
            }
            options.push(text);
        }
        if !options.is_empty() {
            self.host("StorageOpt", label::map(&options));
        }
        self.host("ReadonlyRootfs", grammar::on(matches, "read-only"));
        self.host_texts(matches, &[("volume-driver", "VolumeDriver")]);
        self.host_lists(matches, &[("volumes-from", "VolumesFrom")]);
        Ok(())
    }

    fn read_confinement(&mut self, matches: &ArgMatches) -> Outcome<()> {
        self.host("Privileged", grammar::on(matches, "privileged"));
        for (flag, name, joins) in [
            ("pid", "PidMode", true),
            ("ipc", "IpcMode", true),
            ("uts", "UTSMode", false),
            ("userns", "UsernsMode", false),
            ("cgroupns", "CgroupnsMode", false),
        ] {
            let Some(mode) = grammar::text(matches, flag) else { continue };
            let valid = match (flag, mode) {
                (_, "" | "host") => true,
                ("cgroupns" | "ipc", "private") | ("ipc", "shareable" | "none") => true,
                (_, mode) => joins && mode.strip_prefix("container:").is_some_and(|name| !name.is_empty()),
            };
            if !valid {
                return Err(refused(flag, mode, format!("it is no {flag} mode")));
            }
            self.host(name, mode);
        }
        let mut devices = Vec::new();
        for text in grammar::texts(matches, "device") {
            devices.push(device::parse(&text).map_err(|reason| refused("device", &text, reason))?);
        }
        if !devices.is_empty() {
            self.host("Devices", devices);
        }
        let options = security::read(&grammar::texts(matches, "security-opt"))?;
        if !options.options.is_empty() {
            self.host("SecurityOpt", options.options);
        }
        if options.system_paths_open {
            self.host("MaskedPaths", json!([]));
            self.host("ReadonlyPaths", json!([]));
        }
        let sysctls = grammar::texts(matches, "sysctl");
        if !sysctls.is_empty() {
            self.host("Sysctls", label::map(&sysctls));
        }
        self.host_lists(
            matches,
            &[
                ("cap-add", "CapAdd"),
                ("cap-drop", "CapDrop"),
                ("group-add", "GroupAdd"),
                ("device-cgroup-rule", "DeviceCgroupRules"),
            ],
        );
        Ok(())
    }

    fn read_network(&mut self, matches: &ArgMatches) -> Outcome<()> {
        let mut exposed = Map::new();
        let mut bindings: Map<String, Json> = Map::new();
        for text in grammar::texts(matches, "publish") {
            for port in port::parse(&text).map_err(|reason| refused("publish", &text, reason))? {
                exposed.insert(port.key.clone(), json!({}));
                let binding = json!({"HostIp": port.host_ip, "HostPort": port.host_port});
                if let Json::Array(places) = bindings.entry(port.key).or_insert_with(|| json!([])) {
                    places.push(binding);
                }
            }
        }
        for text in grammar::texts(matches, "expose") {
            for key in port::exposed(&text).map_err(|reason| refused("expose", &text, reason))? {
                exposed.insert(key, json!({}));
            }
        }
        if !exposed.is_empty() {
            self.config("ExposedPorts", exposed);
        }
        if !bindings.is_empty() {
            self.host("PortBindings", bindings);
        }
        self.host("PublishAllPorts", grammar::on(matches, "publish-all"));
        self.host_lists(matches, &[("dns", "Dns"), ("dns-search", "DnsSearch"), ("add-host", "ExtraHosts")]);
        let mut options = grammar::texts(matches, "dns-option");
        options.extend(grammar::texts(matches, "dns-opt"));
        if !options.is_empty() {
            self.host("DnsOptions", options);
        }
        self.read_attachments(matches)
    }

    fn read_attachments(&mut self, matches: &ArgMatches) -> Outcome<()> {
        let conflict = |flag: &str, what: &str| {
            Failure::invalid(format!(
                "conflicting options: cannot specify both --{flag} and per-network {what}"
            ))
        };
        let mut attachments = grammar::all::<network::Attachment>(matches, "network");
        if attachments.is_empty() {
            attachments
                .push(network::Attachment { name: "default".into(), ..network::Attachment::default() });
        }
        let made = attachments.iter().filter(|attachment| network::is_made(&attachment.name)).count();
        if made > 0 && made < attachments.len() {
            return Err(Failure::invalid(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ));
        }
        // Flags without a network's name speak of the first.
        let first = &mut attachments[0];
        let aliases = grammar::texts(matches, "network-alias");
        if !aliases.is_empty() {
            if !first.aliases.is_empty() {
                return Err(conflict("network-alias", "alias"));
            }
            first.aliases = aliases;
        }
        for (flag, slot, what) in
            [("ip", &mut first.ipv4, "IPv4 address"), ("ip6", &mut first.ipv6, "IPv6 address")]
        {
            if let Some(ip) = grammar::text(matches, flag) {
                if !slot.is_empty() {
                    return Err(conflict(flag, what));
                }
                *slot = ip.to_owned();
            }
        }
        let link_local = grammar::texts(matches, "link-local-ip");
        if !link_local.is_empty() {
            if !first.link_local.is_empty() {
                return Err(conflict("link-local-ip", "link-local IP addresses"));
            }
            first.link_local = link_local;
        }
        if let Some(text) = grammar::text(matches, "mac-address") {
            let mac = address::mac(text).map_err(|reason| refused("mac-address", text, reason))?;
            if !first.mac.is_empty() {
                return Err(conflict("mac-address", "MAC address"));
            }
            self.mac = Some(mac);
        }
        for attachment in &attachments {
            if !attachment.aliases.is_empty() && !network::is_made(&attachment.name) {
                return Err(Failure::invalid(
                    "network-scoped aliases are only supported for user-defined networks",
                ));
            }
            if self.endpoints.contains_key(&attachment.name) {
                return Err(Failure::invalid(format!(
                    "network \"{}\" is specified multiple times",
                    attachment.name
                )));
            }
            match attachment.endpoint() {
                None if attachments.len() == 1 => {}
                endpoint => {
                    self.endpoints.insert(attachment.name.clone(), endpoint.unwrap_or_else(|| json!({})));
                }
            }
        }
        self.host("NetworkMode", attachments[0].name.as_str());
        Ok(())
    }
}

fn refused(flag: &str, value: &str, reason: String) -> Failure {
    Failure::invalid(format!("`{value}` is not a valid value for `--{flag}`")).because(reason)
}

fn too_old(flag: &str, needed: ApiVersion, spoken: ApiVersion) -> Failure {
    Failure::unsupported(format!("{flag} needs a daemon with API {needed}"))
        .because(format!("this one speaks {spoken}"))
        .hint(format!("leave {flag} out, or upgrade the daemon"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn document(line: &str) -> Outcome<Json> {
        let command = grammar::base(Command::new("run"))
            .no_binary_name(true)
            .args(flags())
            .arg(grammar::trailing("IMAGE"));
        let matches = command
            .try_get_matches_from(line.split_whitespace())
            .map_err(|error| Failure::invalid(error.to_string()))?;
        Wish::read(&matches, &grammar::texts(&matches, "IMAGE"))?.document(ApiVersion::newest())
    }

    #[test]
    fn flags_become_the_apis_document() {
        for (line, path, expected) in [
            ("debian bash -c ls --rm", "/Cmd", json!(["bash", "-c", "ls", "--rm"])),
            ("-- debian --rm", "/Cmd", json!(["--rm"])),
            ("--entrypoint= debian", "/Entrypoint", json!([""])),
            ("-it debian", "/StdinOnce", json!(true)),
            ("-it debian", "/AttachStdin", json!(true)),
            ("-a stdout debian", "/AttachStderr", json!(false)),
            ("-m128m debian", "/HostConfig/Memory", json!(128 << 20)),
            ("--memory-swap -1 debian", "/HostConfig/MemorySwap", json!(-1)),
            ("--cpus .5 debian", "/HostConfig/NanoCpus", json!(500_000_000)),
            (
                "-p 8080:80 -p 127.0.0.1:81:80 debian",
                "/HostConfig/PortBindings/80~1tcp/1/HostIp",
                json!("127.0.0.1"),
            ),
            ("-p 8080:80 debian", "/ExposedPorts", json!({"80/tcp": {}})),
            ("-v a:/b -v /c -v a:/b debian", "/HostConfig/Binds", json!(["a:/b"])),
            ("-v a:/b -v /c debian", "/Volumes", json!({"/c": {}})),
            ("-e A=1 -e B=2 debian", "/Env", json!(["A=1", "B=2"])),
            ("-l a=1 -l b debian", "/Labels", json!({"a": "1", "b": ""})),
            ("--rm=false debian", "/HostConfig/AutoRemove", json!(false)),
            ("--restart on-failure:2 debian", "/HostConfig/RestartPolicy/MaximumRetryCount", json!(2)),
            ("--network none debian", "/HostConfig/NetworkMode", json!("none")),
            ("debian", "/HostConfig/NetworkMode", json!("default")),
            (
                "--net front --network-alias x debian",
                "/NetworkingConfig/EndpointsConfig/front/Aliases",
                json!(["x"]),
            ),
            ("--no-healthcheck debian", "/Healthcheck/Test", json!(["NONE"])),
            (
                "--health-cmd true --health-interval 2s debian",
                "/Healthcheck/Interval",
                json!(2_000_000_000_i64),
            ),
            ("--tmpfs /run:size=1m debian", "/HostConfig/Tmpfs", json!({"/run": "size=1m"})),
            ("--security-opt systempaths=unconfined debian", "/HostConfig/MaskedPaths", json!([])),
            ("--ulimit nofile=1:2 --ulimit nofile=3:4 debian", "/HostConfig/Ulimits/0/Soft", json!(3)),
            ("--name a --name b debian", "/Image", json!("debian")),
            (
                "--mac-address 02-00-00-00-00-01 debian",
                "/NetworkingConfig/EndpointsConfig/default/MacAddress",
                json!("02:00:00:00:00:01"),
            ),
            ("--log-opt max-size=1m debian", "/HostConfig/LogConfig/Config/max-size", json!("1m")),
            ("--init debian", "/HostConfig/Init", json!(true)),
            ("--pids-limit -1 debian", "/HostConfig/PidsLimit", json!(-1)),
            ("-h box -w /srv -u 1:2 debian", "/Hostname", json!("box")),
        ] {
            let document = document(line).unwrap_or_else(|failure| panic!("{line}: {}", failure.one_line()));
            assert_eq!(document.pointer(path), Some(&expected), "{line}");
        }
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        for line in [
            "--rm --restart always debian",
            "--no-healthcheck --health-cmd true debian",
            "--memory 1x debian",
            "--cpus many debian",
            "-p 99999:80 debian",
            "-v :/b debian",
            "-a stdnull debian",
            "--network none --network front debian",
            "--network front --network front debian",
            "--network-alias x debian",
            "--network name=f,ip=1.2.3.4 --ip 1.2.3.5 debian",
            "--log-driver none --log-opt a=b debian",
            "--pid nonsense debian",
            "--pid container: debian",
            "--ipc nonsense debian",
            "--memory-swappiness 101 debian",
            "--mac-address zz debian",
            "--env-file /nonexistent debian",
            "--device relative debian",
            "--storage-opt x debian",
            "--pull always debian",
            "--name",
            "",
        ] {
            assert!(document(line).is_err(), "{line}");
        }
    }
}
