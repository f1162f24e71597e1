//! The image's defaults with the user's wishes laid over them, and what must hold of the result.

use haven_image::ContainerConfig;
use haven_spec::{
    ContainerSpec, Failure, HealthCheck, MountSource, MountSpec, NetworkMode, Outcome, PortKey, Resources,
    RestartPolicy, Signal, VolumeName,
};
use std::path::PathBuf;

/// Less memory than this starts nothing.
const MEMORY_LEAST_BYTES: u64 = 6 << 20;

/// Fills what the user left open from the image; makes a mount for every volume the image declares, its name chosen
/// by `name_volume`.
pub(crate) fn with_image(
    mut spec: ContainerSpec,
    image: &ContainerConfig,
    mut name_volume: impl FnMut() -> Outcome<VolumeName>,
) -> Outcome<ContainerSpec> {
    // An entrypoint of one empty string takes the image's away.
    match &spec.entrypoint {
        Some(entrypoint) if entrypoint.len() == 1 && entrypoint[0].is_empty() => spec.entrypoint = None,
        Some(_) => {}
        None => {
            if spec.command.as_ref().is_none_or(Vec::is_empty) {
                spec.command.clone_from(&image.cmd);
            }
            spec.entrypoint.clone_from(&image.entrypoint);
        }
    }
    spec.entrypoint = spec.entrypoint.filter(|list| !list.is_empty());
    if spec.entrypoint.is_none() && spec.command.as_ref().is_none_or(Vec::is_empty) {
        return Err(Failure::invalid("No command specified")
            .hint("the image names no command: give one after the image"));
    }
    let mut env = image.env.clone().unwrap_or_default();
    for entry in std::mem::take(&mut spec.env) {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Failure::invalid(format!("invalid environment variable: {entry}")));
        }
        match env.iter_mut().find(|known| known.split('=').next() == Some(&name)) {
            Some(known) => *known = entry,
            None => env.push(entry),
        }
    }
    spec.env = env;
    if spec.working_dir.is_empty() {
        spec.working_dir = image.working_dir.clone();
    }
    if !spec.working_dir.is_empty() && !spec.working_dir.starts_with('/') {
        return Err(Failure::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.working_dir
        )));
    }
    if spec.user.is_empty() {
        spec.user = image.user.clone();
    }
    for (key, value) in image.labels.iter().flatten() {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for port in image.exposed_ports.iter().flatten() {
        spec.exposed_ports.insert(PortKey::parse(port.0)?);
    }
    for mapping in &spec.ports {
        spec.exposed_ports.insert(mapping.container);
    }
    if spec.stop_signal.is_none() && !image.stop_signal.is_empty() {
        spec.stop_signal = Some(Signal::parse(&image.stop_signal)?);
    }
    spec.health = health(spec.health.take(), image);
    let declared = image.volumes.iter().flatten().map(|(path, _)| path.clone());
    let declared: Vec<String> = spec.declared_volumes.iter().cloned().chain(declared).collect();
    for path in declared {
        let target = super::mounts::clean(&PathBuf::from(&path));
        let taken = spec.mounts.iter().any(|mount| super::mounts::clean(&mount.target) == target);
        if !taken {
            let source =
                MountSource::Volume { name: name_volume()?, anonymous: true, populate: true, subpath: None };
            spec.mounts.push(MountSpec { source, target, readonly: false });
        }
        spec.declared_volumes.insert(path);
    }
    Ok(spec)
}

/// Fields the user left at zero come from the image; `NONE` turns checking off.
fn health(wanted: Option<HealthCheck>, image: &ContainerConfig) -> Option<HealthCheck> {
    let mut check = match (wanted, image.healthcheck.clone()) {
        (None, default) => default?,
        (Some(wanted), None) => wanted,
        (Some(mut wanted), Some(default)) => {
            if wanted.test.is_empty() {
                wanted.test = default.test;
            }
            let or = |value: i64, default: i64| if value == 0 { default } else { value };
            wanted.interval_ns = or(wanted.interval_ns, default.interval_ns);
            wanted.timeout_ns = or(wanted.timeout_ns, default.timeout_ns);
            wanted.start_period_ns = or(wanted.start_period_ns, default.start_period_ns);
            wanted.start_interval_ns = or(wanted.start_interval_ns, default.start_interval_ns);
            if wanted.retries == 0 {
                wanted.retries = default.retries;
            }
            wanted
        }
    };
    if check.test.first().is_none_or(|word| word == "NONE") {
        check.test = vec!["NONE".into()];
    }
    Some(check)
}

/// Refuses contradictions before anything is made. What is merely odd comes back as warnings.
pub(crate) fn check(spec: &ContainerSpec) -> Outcome<Vec<String>> {
    let mut warnings = Vec::new();
    check_resources(&spec.resources)?;
    super::mounts::check(&spec.mounts)?;
    if spec.auto_remove && spec.restart != RestartPolicy::No {
        return Err(Failure::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    if let Some(hostname) = &spec.hostname {
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if hostname.len() > 64 || !hostname.split('.').all(label_ok) {
            return Err(Failure::invalid(format!("invalid hostname: {hostname}"))
                .hint("use letters, digits and hyphens, at most 63 in a label and 64 in all"));
        }
    }
    let joins = matches!(spec.network, NetworkMode::Host | NetworkMode::Container(_));
    if joins && !spec.ports.is_empty() {
        if matches!(spec.network, NetworkMode::Container(_)) {
            return Err(Failure::invalid(
                "conflicting options: port publishing and the container type network mode",
            ));
        }
        warnings.push("Published ports are discarded when using host network mode".to_owned());
    }
    crate::network::publishing::sources(&spec.ports)?;
    for host in &spec.extra_hosts {
        let address = host.split_once([':', '=']).map(|(_, address)| address);
        let valid = address.is_some_and(|address| {
            address == "host-gateway"
                || address.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok()
        });
        if !valid {
            return Err(Failure::invalid(format!(
                "invalid IP address in add-host: \"{}\"",
                address.unwrap_or(host)
            )));
        }
    }
    for key in spec.security.sysctls.keys() {
        let namespaced = key.starts_with("net.")
            || key.starts_with("fs.mqueue.")
            || key.starts_with("kernel.msg")
            || key.starts_with("kernel.shm")
            || matches!(key.as_str(), "kernel.sem" | "kernel.domainname");
        if !namespaced {
            return Err(Failure::invalid(format!("sysctl `{key}` is not in a separate kernel namespace"))
                .hint(
                    "only net.*, fs.mqueue.*, kernel.msg*, kernel.shm* and kernel.sem belong to a container",
                ));
        }
        if key.starts_with("net.") && spec.network == NetworkMode::Host {
            return Err(Failure::invalid(format!("sysctl `{key}` not allowed in host network namespace")));
        }
    }
    if !(-1000..=1000).contains(&spec.security.oom_score_adj) {
        return Err(Failure::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            spec.security.oom_score_adj
        )));
    }
    if !matches!(spec.log.driver.as_str(), "json-file" | "none" | "") {
        return Err(Failure::invalid(format!(
            "logger: no log driver named '{}' is registered",
            spec.log.driver
        ))
        .hint("use json-file (rotated, the default) or none"));
    }
    if spec.health.as_ref().is_some_and(|check| {
        let shortest = |ns: i64| ns != 0 && ns < 1_000_000;
        shortest(check.interval_ns) || shortest(check.timeout_ns) || check.start_period_ns < 0
    }) {
        return Err(Failure::invalid("Interval and Timeout in Healthcheck cannot be less than 1ms"));
    }
    super::confinement::capabilities(&spec.security)?;
    Ok(warnings)
}

/// Also used by `update`.
pub(crate) fn check_resources(resources: &Resources) -> Outcome<()> {
    let memory = resources.memory_bytes;
    if memory > 0 && memory < MEMORY_LEAST_BYTES {
        return Err(Failure::invalid("Minimum memory limit allowed is 6MB"));
    }
    let swap = resources.memory_swap_bytes;
    if swap > 0 && memory == 0 {
        return Err(Failure::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    if swap > 0 && u64::try_from(swap).unwrap_or(0) < memory {
        return Err(Failure::invalid(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    if memory > 0 && resources.memory_reservation_bytes > memory {
        return Err(Failure::invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    if resources.memory_swappiness.is_some_and(|value| value > 100) {
        return Err(Failure::invalid(
            "Invalid value for memory swappiness. Valid memory swappiness range is 0-100",
        ));
    }
    if resources.nano_cpus > 0 && (resources.cpu_period_us > 0 || resources.cpu_quota_us > 0) {
        return Err(Failure::invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
    }
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    if resources.nano_cpus > processors.saturating_mul(1_000_000_000) {
        return Err(Failure::invalid(format!(
            "range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        )));
    }
    if resources.nano_cpus > 0 && resources.nano_cpus < 10_000_000 {
        return Err(Failure::invalid(format!(
            "range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
        )));
    }
    if resources.cpu_period_us > 0 && !(1000..=1_000_000).contains(&resources.cpu_period_us) {
        return Err(Failure::invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if resources.cpu_quota_us > 0 && resources.cpu_quota_us < 1000 {
        return Err(Failure::invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    let weight = resources.blkio_weight;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(Failure::invalid("Range of blkio weight is from 10 to 1000"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ContainerConfig {
        ContainerConfig {
            entrypoint: Some(vec!["/entry".into()]),
            cmd: Some(vec!["default".into()]),
            env: Some(vec!["A=1".into(), "B=2".into()]),
            working_dir: "/srv".into(),
            ..ContainerConfig::default()
        }
    }

    fn merged(spec: ContainerSpec) -> ContainerSpec {
        with_image(spec, &image(), || VolumeName::parse("anonymous")).unwrap()
    }

    #[test]
    fn a_command_replaces_the_images_command_and_keeps_its_entrypoint() {
        let spec = merged(ContainerSpec { command: Some(vec!["mine".into()]), ..ContainerSpec::default() });
        assert_eq!(spec.entrypoint.unwrap(), ["/entry"]);
        assert_eq!(spec.command.unwrap(), ["mine"]);
    }

    #[test]
    fn an_entrypoint_replaces_the_images_entrypoint_and_command() {
        let spec =
            merged(ContainerSpec { entrypoint: Some(vec!["/mine".into()]), ..ContainerSpec::default() });
        assert_eq!(spec.entrypoint.unwrap(), ["/mine"]);
        assert_eq!(spec.command, None);
    }

    #[test]
    fn variables_given_replace_the_images_in_place() {
        let spec =
            merged(ContainerSpec { env: vec!["A=9".into(), "C=3".into()], ..ContainerSpec::default() });
        assert_eq!(spec.env, ["A=9", "B=2", "C=3"]);
    }

    #[test]
    fn contradictory_wishes_are_refused() {
        let refused = |resources| check(&ContainerSpec { resources, ..ContainerSpec::default() }).is_err();
        assert!(refused(Resources { memory_bytes: 1 << 20, ..Resources::default() }));
        assert!(refused(Resources {
            memory_bytes: 64 << 20,
            memory_swap_bytes: 32 << 20,
            ..Resources::default()
        }));
        assert!(refused(Resources { nano_cpus: 1, ..Resources::default() }));
        let both =
            ContainerSpec { auto_remove: true, restart: RestartPolicy::Always, ..ContainerSpec::default() };
        assert!(check(&both).is_err());
    }
}
