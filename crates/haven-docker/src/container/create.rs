//! `POST /containers/create`: what a client sends becomes one [`ContainerSpec`], every field checked by name.

use super::config::{CreateBody, labels};
use super::confinement::Resolve;
use super::mount::{MountWish, VolumeWish};
use super::{attachment, confinement, limits, log_config, mount};
use crate::Api;
use crate::call::Call;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use haven_engine::{CreateContainer, CreateVolume, Engine};
use haven_spec::{
    ContainerName, ContainerSpec, HealthCheck, MountSource, MountSpec, Outcome, Signal, VolumeName,
};
use hyper::StatusCode;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created<'a> {
    id: &'a str,
    warnings: &'a [String],
}

pub(crate) async fn create(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: CreateBody = call.json().await?;
    let name = call.query.given("name").map(container_name).transpose()?;
    let platform = call.query.given("platform").map(str::to_owned);
    let (mut spec, wishes) = {
        let resolve = |wanted: &str| -> Outcome<_> { api.engine.find(wanted).map(|view| view.id.clone()) };
        spec(body, &resolve).map_err(in_place)?
    };
    let (volumes, made) = make_volumes(&api.engine, wishes).await?;
    spec.mounts.extend(volumes);
    match api.engine.create(CreateContainer { name, spec, platform }).await {
        Ok(created) => Ok(Reply::created(&Created { id: created.id.as_str(), warnings: &created.warnings })),
        Err(failure) => {
            for name in made {
                // Best effort: what stays behind is an unused volume that `volume prune` takes.
                if let Err(failure) = api.engine.remove_volume(name.as_str(), true).await {
                    tracing::warn!(volume = %name, error = failure.one_line(), "cannot take a volume back");
                }
            }
            Err(in_place(failure.into()))
        }
    }
}

/// A client takes 404 for "no such image", and goes to pull it: whatever else is missing must be told otherwise.
fn in_place(refusal: Refusal) -> Refusal {
    if refusal.status == StatusCode::NOT_FOUND && !refusal.message.contains("No such image") {
        return Refusal { status: StatusCode::BAD_REQUEST, ..refusal };
    }
    refusal
}

/// With or without the slash that `inspect` shows.
pub(crate) fn container_name(text: &str) -> Answer<ContainerName> {
    Ok(ContainerName::parse(text.strip_prefix('/').unwrap_or(text))?)
}

/// Makes the volumes that have to be there first; answers their mounts and the names of those without a name.
async fn make_volumes(engine: &Engine, wishes: Vec<VolumeWish>) -> Answer<(Vec<MountSpec>, Vec<VolumeName>)> {
    let mut mounts = Vec::with_capacity(wishes.len());
    let mut made = Vec::new();
    for wish in wishes {
        let anonymous = wish.name.is_none();
        let request = CreateVolume { name: wish.name, labels: wish.labels, options: wish.options };
        let volume = engine.create_volume(request).await?;
        if anonymous {
            made.push(volume.name.clone());
        }
        let source = MountSource::Volume {
            name: volume.name,
            anonymous,
            populate: wish.populate,
            subpath: wish.subpath,
        };
        mounts.push(MountSpec { source, target: wish.target, readonly: wish.readonly });
    }
    Ok((mounts, made))
}

/// The specification, and the volumes it needs made first.
pub(crate) fn spec(body: CreateBody, resolve: Resolve<'_>) -> Answer<(ContainerSpec, Vec<VolumeWish>)> {
    refuse_unavailable(&body)?;
    if body.image.is_empty() {
        return Err(Refusal::invalid("config cannot be empty in order to create a container"));
    }
    let network = attachment::mode(&body, resolve)?;
    let attachments = attachment::attachments(&body)?;
    let network = attachment::main(network, &body, &attachments)?;
    let (mounts, wishes) = mounts(&body)?;
    let exposed_ports =
        body.exposed_ports.keys().map(|key| attachment::port_key(key)).collect::<Answer<_>>()?;
    let host = &body.host;
    let addresses = |text: &String| {
        text.parse()
            .map_err(|_| Refusal::invalid(format!("invalid value for `Dns`: `{text}` is not an IP address")))
    };
    let spec = ContainerSpec {
        entrypoint: body.entrypoint.clone().map(Vec::from),
        command: body.command.clone().map(Vec::from),
        env: variables(&body.env)?,
        working_dir: body.working_dir.clone(),
        user: body.user.clone(),
        hostname: Some(body.hostname.clone()).filter(|name| !name.is_empty()),
        domainname: body.domainname.clone(),
        tty: body.tty,
        console_size: terminal_begins(host.console_size),
        open_stdin: body.open_stdin,
        stdin_once: body.stdin_once,
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        labels: labels(body.labels.clone()),
        annotations: host.annotations.clone(),
        exposed_ports,
        declared_volumes: body.volumes.keys().filter(|text| !text.contains(':')).cloned().collect(),
        stop_signal: Some(&body.stop_signal)
            .filter(|text| !text.is_empty())
            .map(|text| Signal::parse(text))
            .transpose()?,
        stop_timeout_s: body.stop_timeout,
        health: body.health.as_ref().map(health).transpose()?,
        mounts,
        binds: host.binds.clone(),
        tmpfs: host
            .tmpfs
            .iter()
            .map(|(path, options)| (path.clone(), options.clone().unwrap_or_default()))
            .collect(),
        volumes_from: host.volumes_from.clone(),
        network,
        attachments,
        ports: attachment::ports(&host.port_bindings)?,
        publish_all_ports: host.publish_all_ports,
        dns: host.dns.iter().map(addresses).collect::<Answer<_>>()?,
        dns_search: host.dns_search.clone(),
        dns_options: host.dns_options.clone(),
        extra_hosts: host.extra_hosts.clone(),
        resources: limits::resources(host)?,
        security: confinement::security(host, resolve)?,
        restart: limits::restart_policy(host)?.unwrap_or_default(),
        auto_remove: host.auto_remove,
        init: host.init.unwrap_or(false),
        log: log_config::log_config(&host.log)?,
        image: body.image,
    };
    Ok((spec, wishes))
}

/// Rows and columns; clients without a terminal send zeros.
pub(crate) fn terminal_begins(wire: Option<[u16; 2]>) -> Option<(u16, u16)> {
    wire.map(|[rows, columns]| (rows, columns)).filter(|size| *size != (0, 0))
}

/// What would change how the container runs, and isn't there, is refused by name.
fn refuse_unavailable(body: &CreateBody) -> Answer<()> {
    let host = &body.host;
    mount::check_driver(&host.volume_driver)?;
    if !host.links.is_empty() {
        return Err(Refusal::unavailable(
            "`HostConfig.Links` (--link) isn't available: containers reach each other over declared links between networks' members",
        ));
    }
    if !host.cgroup.is_empty() {
        return Err(Refusal::unavailable(
            "`HostConfig.Cgroup` isn't available: a container has a control group of its own",
        ));
    }
    if let Some(option) = host.storage_opt.keys().next() {
        return Err(Refusal::unavailable(format!(
            "`HostConfig.StorageOpt` `{option}` (--storage-opt) isn't available"
        )));
    }
    if !matches!(host.isolation.as_str(), "" | "default") {
        return Err(Refusal::invalid(format!(
            "invalid isolation ({:?}): linux only supports 'default'",
            host.isolation
        )));
    }
    // `runc` is what clients send who ask for the default in so many words.
    if !matches!(host.runtime.as_str(), "" | "haven" | "runc") {
        return Err(Refusal::invalid(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    Ok(())
}

fn variables(env: &[String]) -> Answer<Vec<String>> {
    match env.iter().find(|entry| entry.is_empty() || entry.starts_with('=') || entry.contains('\0')) {
        Some(bad) => Err(Refusal::invalid(format!("invalid environment variable: {bad}"))),
        None => Ok(env.to_vec()),
    }
}

fn health(wire: &super::config::Health) -> Answer<HealthCheck> {
    let refuse = |why: &str| Err(Refusal::invalid(format!("invalid value for `Healthcheck`: {why}")));
    match wire.test.first().map(String::as_str) {
        None | Some("" | "NONE" | "CMD" | "CMD-SHELL") => {}
        Some(other) => {
            return refuse(&format!("Test begins with `{other}`, not with NONE, CMD or CMD-SHELL"));
        }
    }
    let shortest =
        [("Interval", wire.interval), ("Timeout", wire.timeout), ("StartPeriod", wire.start_period)];
    if let Some((field, _)) = shortest.iter().find(|(_, ns)| *ns != 0 && *ns < 1_000_000) {
        return Err(Refusal::invalid(format!("{field} in Healthcheck cannot be less than 1ms")));
    }
    let Ok(retries) = u32::try_from(wire.retries) else {
        return Err(Refusal::invalid("Retries in Healthcheck cannot be negative"));
    };
    Ok(HealthCheck {
        test: wire.test.clone(),
        interval_ns: wire.interval,
        timeout_ns: wire.timeout,
        start_period_ns: wire.start_period,
        start_interval_ns: wire.start_interval,
        retries,
    })
}

fn mounts(body: &CreateBody) -> Answer<(Vec<MountSpec>, Vec<VolumeWish>)> {
    let host = &body.host;
    let mut ready = Vec::new();
    let mut wishes = Vec::new();
    let binds = host.binds.iter().map(|text| mount::from_bind(text));
    // Old clients put whole bind texts among the anonymous volumes.
    let odd_volumes =
        body.volumes.keys().filter(|text| text.contains(':')).map(|text| mount::from_bind(text));
    let tmpfs = host.tmpfs.iter().map(|(target, options)| {
        mount::from_tmpfs(target, options.as_deref().unwrap_or("")).map(MountWish::Ready)
    });
    let long = host.mounts.iter().map(mount::from_mount);
    for wish in binds.chain(odd_volumes).chain(tmpfs).chain(long) {
        match wish? {
            MountWish::Ready(spec) => ready.push(spec),
            MountWish::Volume(wish) => wishes.push(wish),
        }
    }
    let mut targets: Vec<_> =
        ready.iter().map(|spec| &spec.target).chain(wishes.iter().map(|wish| &wish.target)).collect();
    targets.sort();
    if let Some(pair) = targets.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Refusal::invalid(format!("Duplicate mount point: {}", pair[0].display())));
    }
    Ok((ready, wishes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::Failure;

    fn read(json: &str) -> Answer<(ContainerSpec, Vec<VolumeWish>)> {
        let resolve = |name: &str| Err(Failure::not_found(format!("No such container: {name}")));
        spec(serde_json::from_str(json).unwrap(), &resolve)
    }

    #[test]
    fn a_container_as_the_command_line_asks_for_it_is_read_whole() {
        let (spec, wishes) = read(
            r#"{"Image":"debian","Cmd":["sleep","1"],"Tty":true,"OpenStdin":true,"Env":["A=1"],"Labels":{"a":null},
                "ExposedPorts":{"80/tcp":{}},"Volumes":{"/anon":{}},"StopSignal":"SIGINT","StopTimeout":3,
                "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000,"Retries":2},
                "HostConfig":{"Binds":["data:/srv","/only"],"Tmpfs":{"/run":"size=1m"},"Init":true,"AutoRemove":true,
                "PortBindings":{"80/tcp":[{"HostPort":"8080"}]},"Mounts":[{"Type":"volume","Source":"v","Target":"/v",
                "VolumeOptions":{"Labels":{"x":"y"}}}]}}"#,
        )
        .unwrap();
        assert_eq!(spec.image, "debian");
        assert_eq!(spec.labels["a"], "");
        assert_eq!(spec.mounts.len(), 2);
        assert_eq!(spec.ports[0].host_port, 8080);
        assert!(spec.init && spec.tty && spec.auto_remove);
        assert_eq!(spec.stop_signal.unwrap().number(), 2);
        assert_eq!(spec.binds, ["data:/srv", "/only"]);
        assert!(spec.declared_volumes.contains("/anon"));
        let names: Vec<_> = wishes.iter().map(|wish| wish.name.as_ref().map(VolumeName::as_str)).collect();
        assert_eq!(names, [None, Some("v")]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, words) in [
            ("{}", "config cannot be empty"),
            (r#"{"Image":"x","Env":["=1"]}"#, "invalid environment variable: =1"),
            (r#"{"Image":"x","StopSignal":"NOPE"}"#, "Invalid signal: NOPE"),
            (r#"{"Image":"x","ExposedPorts":{"x":{}}}"#, "invalid port `x`"),
            (r#"{"Image":"x","Healthcheck":{"Test":["RUN"]}}"#, "Healthcheck"),
            (
                r#"{"Image":"x","Healthcheck":{"Interval":5}}"#,
                "Interval in Healthcheck cannot be less than 1ms",
            ),
            (r#"{"Image":"x","Healthcheck":{"Retries":-5}}"#, "Retries in Healthcheck cannot be negative"),
            (r#"{"Image":"x","HostConfig":{"Dns":["nine"]}}"#, "`Dns`"),
            (r#"{"Image":"x","HostConfig":{"Links":["a:b"]}}"#, "Links"),
            (r#"{"Image":"x","HostConfig":{"Runtime":"kata"}}"#, "unknown or invalid runtime name: kata"),
            (r#"{"Image":"x","HostConfig":{"Isolation":"hyperv"}}"#, "invalid isolation"),
            (r#"{"Image":"x","HostConfig":{"StorageOpt":{"size":"1g"}}}"#, "StorageOpt"),
            (r#"{"Image":"x","HostConfig":{"VolumeDriver":"nfs"}}"#, "plugin \"nfs\" not found"),
            (r#"{"Image":"x","HostConfig":{"Binds":["a:/x","b:/x/"]}}"#, "Duplicate mount point: /x"),
        ] {
            let message = read(json).unwrap_err().message;
            assert!(message.contains(words), "{json}: {message}");
        }
    }

    /// Every member of a full request in turn replaced by what doesn't belong there.
    #[test]
    fn no_value_in_any_place_does_more_than_be_refused() {
        let recorded: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/docker-28.5.json")).unwrap();
        let whole = &recorded["create_full"]["request"];
        let mut paths = Vec::new();
        collect_paths(whole, &mut String::new(), &mut paths);
        assert!(paths.len() > 60);
        let long = "x".repeat(100_000);
        for path in &paths {
            for value in [
                serde_json::json!(null),
                serde_json::json!(true),
                serde_json::json!(-1),
                serde_json::json!(u64::MAX),
                serde_json::json!(i64::MIN),
                serde_json::json!(1e300),
                serde_json::json!(""),
                serde_json::json!("../../\u{0}:/\u{1F600}::"),
                serde_json::json!(long),
                serde_json::json!([]),
                serde_json::json!([null]),
                serde_json::json!([[[["x"]]]]),
                serde_json::json!({}),
                serde_json::json!({"": {"": -1}, "x:y/z": ["-", 0]}),
            ] {
                let mut body = whole.clone();
                *body.pointer_mut(path).unwrap() = value;
                let Ok(body) = serde_json::from_value(body) else { continue };
                let resolve = |name: &str| Err(Failure::not_found(format!("No such container: {name}")));
                if let Err(refusal) = spec(body, &resolve) {
                    assert!(matches!(refusal.status.as_u16(), 400 | 404 | 501), "{path}: {refusal:?}");
                }
            }
        }
    }

    fn collect_paths(value: &serde_json::Value, path: &mut String, paths: &mut Vec<String>) {
        let length = path.len();
        let mut enter = |key: &str, value: &serde_json::Value| {
            path.push('/');
            path.push_str(&key.replace('~', "~0").replace('/', "~1"));
            paths.push(path.clone());
            collect_paths(value, path, paths);
            path.truncate(length);
        };
        match value {
            serde_json::Value::Object(members) => members.iter().for_each(|(key, value)| enter(key, value)),
            serde_json::Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, value)| enter(&index.to_string(), value));
            }
            _ => {}
        }
    }
}
