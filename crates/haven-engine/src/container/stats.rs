//! One reading of a container's counters.

use super::command::Live;
use crate::clock;
use crate::request::{InterfaceCounters, StatsSample};
use crate::shared::Shared;
use haven_runtime::cgroup::Version;
use haven_spec::{ContainerId, Outcome};
use std::fs;

/// Nanoseconds in one of the kernel's ticks (100 per second).
const TICK_NS: u64 = 10_000_000;

pub(crate) fn sample(shared: &Shared, id: &ContainerId, live: &Live) -> Outcome<StatsSample> {
    let cgroup = live.cgroup.stats()?;
    // A container without a network of its own has no counters of its own.
    let interfaces = shared.network.counters(id).unwrap_or_default();
    let networks = interfaces.into_iter().map(|counters| {
        let shown = InterfaceCounters {
            rx_bytes: counters.received_bytes,
            rx_packets: counters.received_packets,
            rx_errors: counters.received_errors,
            rx_dropped: counters.received_dropped,
            tx_bytes: counters.sent_bytes,
            tx_packets: counters.sent_packets,
            tx_errors: counters.sent_errors,
            tx_dropped: counters.sent_dropped,
        };
        (counters.interface, shown)
    });
    let (system_cpu_ns, online_cpus) = processors();
    Ok(StatsSample {
        read_at_ns: clock::now_ns(),
        cgroup: Some(cgroup),
        cgroup_v2: live.cgroup.version() == Version::Unified,
        online_cpus,
        system_cpu_ns,
        networks: networks.collect(),
    })
}

/// All processors' time since boot, and how many there are; see proc_stat(5).
fn processors() -> (u64, u32) {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut total = 0;
    let mut count = 0;
    for line in stat.lines() {
        let mut fields = line.split_ascii_whitespace();
        match fields.next() {
            // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user already.
            Some("cpu") => {
                total = fields.take(8).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * TICK_NS
            }
            Some(name) if name.starts_with("cpu") => count += 1,
            _ => break,
        }
    }
    (total, count)
}
