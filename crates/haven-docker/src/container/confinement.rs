//! How a container is to be confined, as clients write it.

use super::config::HostConfig;
use crate::refusal::{Answer, Refusal};
use crate::wire::Words;
use haven_spec::{
    ContainerId, Device, IpcMode, NamespaceMode, Outcome, PidMode, SeccompChoice, Security, UserNamespaceMode,
};

/// Finds a container by name, id or the beginning of one.
pub(crate) type Resolve<'a> = &'a dyn Fn(&str) -> Outcome<ContainerId>;

/// The confinement asked for in `host`.
pub(crate) fn security(host: &HostConfig, resolve: Resolve<'_>) -> Answer<Security> {
    let mut security = Security {
        privileged: host.privileged,
        cap_add: capabilities("CapAdd", host.cap_add.as_ref())?,
        cap_drop: capabilities("CapDrop", host.cap_drop.as_ref())?,
        user_namespace: match host.userns_mode.as_str() {
            "" | "private" => UserNamespaceMode::Own,
            "host" => UserNamespaceMode::Host,
            other => return Err(invalid_mode("user namespace", other)),
        },
        pid: match split_mode(&host.pid_mode) {
            ("", None) => PidMode::Private,
            ("host", None) => PidMode::Host,
            ("container", Some(other)) => PidMode::Container(resolve(other)?),
            _ => return Err(invalid_mode("PID", &host.pid_mode)),
        },
        ipc: match split_mode(&host.ipc_mode) {
            ("" | "private", None) => IpcMode::Private,
            ("shareable", None) => IpcMode::Shareable,
            ("none", None) => IpcMode::None,
            ("host", None) => IpcMode::Host,
            ("container", Some(other)) => IpcMode::Container(resolve(other)?),
            _ => return Err(invalid_mode("IPC", &host.ipc_mode)),
        },
        uts: match host.uts_mode.as_str() {
            "" | "private" => NamespaceMode::Private,
            "host" => NamespaceMode::Host,
            other => return Err(invalid_mode("UTS", other)),
        },
        cgroup_namespace: match host.cgroupns_mode.as_str() {
            "" | "private" => NamespaceMode::Private,
            "host" => NamespaceMode::Host,
            other => return Err(invalid_mode("cgroup namespace", other)),
        },
        readonly_rootfs: host.readonly_rootfs,
        masked_paths: host.masked_paths.clone(),
        readonly_paths: host.readonly_paths.clone(),
        sysctls: host.sysctls.clone(),
        devices: devices(host)?,
        device_cgroup_rules: device_rules(&host.device_cgroup_rules)?,
        group_add: host.group_add.clone(),
        oom_score_adj: i32::try_from(host.oom_score_adj).map_err(|_| {
            Refusal::invalid(format!(
                "Invalid value {}, range for oom score adj is [-1000, 1000]",
                host.oom_score_adj
            ))
        })?,
        shm_size_bytes: u64::try_from(host.shm_size)
            .map_err(|_| Refusal::invalid("SHM size can not be less than 0"))?,
        options: host.security_opt.clone(),
        ..Security::default()
    };
    for (index, option) in host.security_opt.iter().enumerate() {
        apply_option(&mut security, option)
            .ok_or_else(|| Refusal::invalid(format!("invalid --security-opt {}: {option:?}", index + 1)))?;
    }
    Ok(security)
}

fn invalid_mode(what: &str, mode: &str) -> Refusal {
    Refusal::invalid(format!("invalid {what} mode: {mode}"))
}

/// `container:x` in its two parts, other words alone.
fn split_mode(mode: &str) -> (&str, Option<&str>) {
    match mode.split_once(':') {
        Some((word, rest)) if !rest.is_empty() => (word, Some(rest)),
        _ => (mode, None),
    }
}

/// `None` when nobody knows the option: one that is misspelt must not weaken or strengthen anything in silence.
fn apply_option(security: &mut Security, option: &str) -> Option<()> {
    if matches!(option, "no-new-privileges" | "disable") {
        security.no_new_privileges = option == "no-new-privileges" || security.no_new_privileges;
        if option == "disable" {
            security.label_options.push("label=disable".into());
        }
        return Some(());
    }
    let (key, value) = option.split_once('=').or_else(|| option.split_once(':'))?;
    match (key, value) {
        ("no-new-privileges", "true" | "1") => security.no_new_privileges = true,
        ("no-new-privileges", "false" | "0") => security.no_new_privileges = false,
        ("seccomp", "unconfined") => security.seccomp = SeccompChoice::Unconfined,
        ("seccomp", "builtin" | "default") => security.seccomp = SeccompChoice::Default,
        ("seccomp", profile) if profile.trim_start().starts_with('{') => {
            security.seccomp = SeccompChoice::Profile(profile.to_owned());
        }
        ("label" | "apparmor", value) if !value.is_empty() => security.label_options.push(option.to_owned()),
        ("systempaths", "unconfined") => {
            security.masked_paths = Some(Vec::new());
            security.readonly_paths = Some(Vec::new());
        }
        _ => return None,
    }
    Some(())
}

/// Names without `CAP_`, in capitals. Whether they exist is the engine's to say.
fn capabilities(field: &str, words: Option<&Words>) -> Answer<Vec<String>> {
    let names: Vec<String> = words.cloned().map(Vec::from).unwrap_or_default();
    let mut result = Vec::with_capacity(names.len());
    for name in names {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if bare.is_empty() || !bare.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit())
        {
            return Err(Refusal::invalid(format!("invalid {field}: unknown capability: {name:?}")));
        }
        result.push(bare.to_owned());
    }
    Ok(result)
}

fn devices(host: &HostConfig) -> Answer<Vec<Device>> {
    if !host.device_requests.is_empty() {
        return Err(Refusal::unavailable(
            "could not select device driver: `DeviceRequests` (--gpus) aren't available: name the device nodes with --device",
        ));
    }
    let one = |wire: &super::config::Device| {
        let permissions = if wire.permissions.is_empty() { "rwm" } else { &wire.permissions };
        if !permissions.bytes().all(|b| matches!(b, b'r' | b'w' | b'm')) || permissions.len() > 3 {
            return Err(Refusal::invalid(format!(
                "invalid value for `Devices`: bad permissions `{permissions}`"
            )));
        }
        if !wire.host_path.starts_with('/') {
            return Err(Refusal::invalid(format!(
                "invalid value for `Devices`: `{}` is not an absolute path",
                wire.host_path
            )));
        }
        let inside = if wire.container_path.is_empty() { &wire.host_path } else { &wire.container_path };
        Ok(Device {
            host_path: wire.host_path.clone(),
            container_path: inside.clone(),
            permissions: permissions.to_owned(),
        })
    };
    host.devices.iter().map(one).collect()
}

/// `c 1:3 rwm`, `b 8:* r`, `a *:* m`.
fn device_rules(rules: &[String]) -> Answer<Vec<String>> {
    let number = |text: &str| text == "*" || text.parse::<u32>().is_ok();
    let sound = |rule: &str| {
        let mut parts = rule.split(' ');
        let kind = parts.next().is_some_and(|kind| matches!(kind, "a" | "b" | "c"));
        let numbers =
            parts.next().and_then(|pair| pair.split_once(':')).is_some_and(|(a, b)| number(a) && number(b));
        let access = parts.next().is_some_and(|access| {
            (1..=3).contains(&access.len()) && access.bytes().all(|b| matches!(b, b'r' | b'w' | b'm'))
        });
        kind && numbers && access && parts.next().is_none()
    };
    match rules.iter().find(|rule| !sound(rule)) {
        Some(bad) => Err(Refusal::invalid(format!("invalid device cgroup rule format: '{bad}'"))),
        None => Ok(rules.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::Failure;

    fn read(json: &str) -> Answer<Security> {
        let resolve = |name: &str| match name {
            "there" => ContainerId::parse(&"a".repeat(64)),
            _ => Err(Failure::not_found(format!("No such container: {name}"))),
        };
        security(&serde_json::from_str(json).unwrap(), &resolve)
    }

    #[test]
    fn nothing_asked_for_is_the_confined_default() {
        assert_eq!(read("{}").unwrap(), Security::default());
    }

    #[test]
    fn weakening_is_read_only_where_it_is_spelt_out() {
        let security =
            read(r#"{"SecurityOpt":["no-new-privileges=false","seccomp=unconfined"],"UsernsMode":"host"}"#)
                .unwrap();
        assert!(!security.no_new_privileges);
        assert_eq!(security.seccomp, SeccompChoice::Unconfined);
        assert_eq!(security.user_namespace, UserNamespaceMode::Host);
        assert!(read(r#"{"SecurityOpt":["no-new-privileges"]}"#).unwrap().no_new_privileges);
        for bad in ["nonsense", "seccomp=", "seccomp=/a/file", "no-new-privileges=maybe", "x=y", ""] {
            let message = read(&format!(r#"{{"SecurityOpt":["{bad}"]}}"#)).unwrap_err().message;
            assert_eq!(message, format!("invalid --security-opt 1: \"{bad}\""));
        }
    }

    #[test]
    fn modes_that_join_another_container_need_it_to_be_there() {
        assert!(matches!(read(r#"{"PidMode":"container:there"}"#).unwrap().pid, PidMode::Container(_)));
        assert_eq!(read(r#"{"IpcMode":"container:gone"}"#).unwrap_err().message, "No such container: gone");
        for (json, words) in [
            (r#"{"PidMode":"container:"}"#, "invalid PID mode: container:"),
            (r#"{"PidMode":"x"}"#, "invalid PID mode: x"),
            (r#"{"IpcMode":"x"}"#, "invalid IPC mode: x"),
            (r#"{"UTSMode":"x"}"#, "invalid UTS mode: x"),
            (r#"{"UsernsMode":"keep-id"}"#, "invalid user namespace mode: keep-id"),
            (r#"{"CgroupnsMode":"x"}"#, "invalid cgroup namespace mode: x"),
            (r#"{"CapAdd":["a b"]}"#, "invalid CapAdd: unknown capability"),
            (r#"{"DeviceCgroupRules":["c 1:3 x"]}"#, "invalid device cgroup rule format: 'c 1:3 x'"),
            (r#"{"Devices":[{"PathOnHost":"null"}]}"#, "not an absolute path"),
            (r#"{"DeviceRequests":[{"Driver":"nvidia"}]}"#, "DeviceRequests"),
            (r#"{"ShmSize":-1}"#, "SHM size"),
        ] {
            let message = read(json).unwrap_err().message;
            assert!(message.contains(words), "{json}: {message}");
        }
    }

    #[test]
    fn capabilities_lose_their_prefix() {
        assert_eq!(read(r#"{"CapAdd":["cap_net_admin","ALL"]}"#).unwrap().cap_add, ["NET_ADMIN", "ALL"]);
        assert_eq!(read(r#"{"CapDrop":"MKNOD"}"#).unwrap().cap_drop, ["MKNOD"]);
    }
}
