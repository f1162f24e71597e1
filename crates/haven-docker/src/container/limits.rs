//! Limits as clients write them, for creation and for `update`.

use super::config::{HostConfig, ThrottleDevice};
use crate::refusal::{Answer, Refusal};
use haven_spec::{DeviceRate, Resources, RestartPolicy, Ulimit};

fn whole<T: TryFrom<i64>>(field: &str, value: i64) -> Answer<T> {
    T::try_from(value)
        .map_err(|_| Refusal::invalid(format!("invalid value for `{field}`: {value} is out of range")))
}

fn rates(field: &str, devices: &[ThrottleDevice]) -> Answer<Vec<DeviceRate>> {
    let rate = |device: &ThrottleDevice| {
        check_device_path(field, &device.path)?;
        Ok(DeviceRate { path: device.path.clone(), rate: whole(field, device.rate)? })
    };
    devices.iter().map(rate).collect()
}

fn check_device_path(field: &str, path: &str) -> Answer<()> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(Refusal::invalid(format!("invalid value for `{field}`: `{path}` is not an absolute path")))
}

/// A list as in cpuset(7): numbers and ranges.
fn cpu_list(field: &str, text: &str) -> Answer<String> {
    let number = |part: &str| part.parse::<u16>().ok();
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(part).is_some(),
    };
    if text.is_empty() || text.split(',').all(range) {
        return Ok(text.to_owned());
    }
    Err(Refusal::invalid(format!("Invalid value {text} for {field}")))
}

/// The limits in `host`. What contradicts what is the engine's to say.
pub(crate) fn resources(host: &HostConfig) -> Answer<Resources> {
    let weights = host.blkio_weight_device.iter().map(|device| {
        check_device_path("BlkioWeightDevice", &device.path)?;
        Ok(DeviceRate { path: device.path.clone(), rate: whole("BlkioWeightDevice", device.weight)? })
    });
    Ok(Resources {
        memory_bytes: whole("Memory", host.memory)?,
        memory_swap_bytes: host.memory_swap,
        memory_reservation_bytes: whole("MemoryReservation", host.memory_reservation)?,
        // Clients write -1 for "not set".
        memory_swappiness: match host.memory_swappiness {
            None | Some(-1) => None,
            Some(value @ 0..=100) => Some(whole("MemorySwappiness", value)?),
            Some(value) => {
                return Err(Refusal::invalid(format!(
                    "invalid value: {value}, valid memory swappiness range is 0-100"
                )));
            }
        },
        kernel_memory_tcp_bytes: whole("KernelMemoryTCP", host.kernel_memory_tcp)?,
        nano_cpus: whole("NanoCpus", host.nano_cpus)?,
        cpu_shares: whole("CpuShares", host.cpu_shares)?,
        cpu_period_us: whole("CpuPeriod", host.cpu_period)?,
        cpu_quota_us: host.cpu_quota,
        cpu_realtime_period_us: whole("CpuRealtimePeriod", host.cpu_realtime_period)?,
        cpu_realtime_runtime_us: host.cpu_realtime_runtime,
        cpuset_cpus: cpu_list("cpuset cpus", &host.cpuset_cpus)?,
        cpuset_mems: cpu_list("cpuset mems", &host.cpuset_mems)?,
        // 0 is what clients send who didn't ask; anything below means no limit.
        pids_limit: match host.pids_limit {
            None | Some(0) => None,
            Some(limit) if limit < 0 => Some(-1),
            limit => limit,
        },
        blkio_weight: whole("BlkioWeight", host.blkio_weight)?,
        blkio_weight_device: weights.collect::<Answer<_>>()?,
        blkio_read_bps: rates("BlkioDeviceReadBps", &host.blkio_read_bps)?,
        blkio_write_bps: rates("BlkioDeviceWriteBps", &host.blkio_write_bps)?,
        blkio_read_iops: rates("BlkioDeviceReadIOps", &host.blkio_read_iops)?,
        blkio_write_iops: rates("BlkioDeviceWriteIOps", &host.blkio_write_iops)?,
        oom_kill_disable: host.oom_kill_disable.unwrap_or(false),
        ulimits: ulimits(host)?,
        cgroup_parent: cgroup_parent(&host.cgroup_parent)?,
    })
}

fn ulimits(host: &HostConfig) -> Answer<Vec<Ulimit>> {
    let one = |wire: &super::config::Ulimit| {
        let value = |value: i64| if value == -1 { Ok(u64::MAX) } else { whole("Ulimits", value) };
        let (soft, hard) = (value(wire.soft)?, value(wire.hard)?);
        if soft > hard {
            return Err(Refusal::invalid(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                wire.soft, wire.hard
            )));
        }
        Ok(Ulimit { name: wire.name.clone(), soft, hard })
    };
    host.ulimits.iter().map(one).collect()
}

/// It becomes directory names below the control group file system.
fn cgroup_parent(text: &str) -> Answer<String> {
    let sound = text.split('/').all(|part| part != ".." && part != "." && !part.contains('\0'));
    if sound {
        return Ok(text.to_owned());
    }
    Err(Refusal::invalid(format!("invalid value for `CgroupParent`: `{text}` leads out of where it is")))
}

/// The restart policy; `None` when the client didn't say.
pub(crate) fn restart_policy(host: &HostConfig) -> Answer<Option<RestartPolicy>> {
    let wire = &host.restart;
    let refuse = |why: &str| Err(Refusal::invalid(format!("invalid restart policy: {why}")));
    let Ok(retries) = u32::try_from(wire.maximum_retry_count) else {
        return refuse("maximum retry count cannot be negative");
    };
    let policy = match wire.name.as_str() {
        "" if retries == 0 => return Ok(None),
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => return Ok(Some(RestartPolicy::OnFailure { max_retries: retries })),
        other => {
            return refuse(&format!(
                "unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            ));
        }
    };
    if retries != 0 {
        return refuse("maximum retry count can only be used with 'on-failure'");
    }
    Ok(Some(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(json: &str) -> HostConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_clients_send_for_nothing_is_nothing() {
        let nothing =
            r#"{"PidsLimit":0,"MemorySwappiness":-1,"BlkioDeviceReadBps":null,"OomKillDisable":null}"#;
        assert_eq!(resources(&host(nothing)).unwrap(), Resources::default());
        assert_eq!(resources(&host(r#"{"PidsLimit":-1}"#)).unwrap().pids_limit, Some(-1));
        assert_eq!(
            resources(&host(r#"{"Ulimits":[{"Name":"nofile","Soft":-1,"Hard":-1}]}"#)).unwrap().ulimits[0]
                .hard,
            u64::MAX
        );
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        for (json, words) in [
            (r#"{"Memory":-1}"#, "`Memory`"),
            (r#"{"BlkioWeight":70000}"#, "`BlkioWeight`"),
            (r#"{"MemorySwappiness":101}"#, "0-100"),
            (r#"{"CpusetCpus":"0-x"}"#, "Invalid value 0-x for cpuset cpus"),
            (r#"{"CpusetMems":"3-1"}"#, "cpuset mems"),
            (r#"{"Ulimits":[{"Name":"nofile","Soft":2,"Hard":1}]}"#, "2 > 1"),
            (r#"{"BlkioDeviceReadBps":[{"Path":"sda","Rate":1}]}"#, "BlkioDeviceReadBps"),
            (r#"{"CgroupParent":"../../x"}"#, "CgroupParent"),
        ] {
            let message = resources(&host(json)).unwrap_err().message;
            assert!(message.contains(words), "{json}: {message}");
        }
    }

    #[test]
    fn restart_policies_are_read_in_dockers_words() {
        let read = |json: &str| restart_policy(&host(&format!(r#"{{"RestartPolicy":{json}}}"#)));
        assert_eq!(read("null").unwrap(), None);
        assert_eq!(read(r#"{"Name":"always"}"#).unwrap(), Some(RestartPolicy::Always));
        assert_eq!(
            read(r#"{"Name":"on-failure","MaximumRetryCount":3}"#).unwrap(),
            Some(RestartPolicy::OnFailure { max_retries: 3 })
        );
        for (json, words) in [
            (r#"{"Name":"sometimes"}"#, "unknown policy 'sometimes'"),
            (r#"{"Name":"always","MaximumRetryCount":3}"#, "can only be used with 'on-failure'"),
            (r#"{"Name":"on-failure","MaximumRetryCount":-1}"#, "cannot be negative"),
        ] {
            assert!(read(json).unwrap_err().message.contains(words), "{json}");
        }
    }
}
