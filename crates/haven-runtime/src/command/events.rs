//! A group's counters in the form `events` prints, which other tools read: runc's.

use crate::cgroup::{BlockIoEntry, HugetlbStats, Stats};
use serde_json::{Value, json};

/// One line: `{"type":"stats","id":…,"data":…}`.
pub(super) fn stats_event(id: &str, stats: &Stats) -> Value {
    json!({ "type": "stats", "id": id, "data": data(stats) })
}

/// One line: the killer struck.
pub(super) fn oom_event(id: &str) -> Value {
    json!({ "type": "oom", "id": id })
}

fn data(stats: &Stats) -> Value {
    let unlimited = u64::MAX;
    let memory = &stats.memory;
    let entry = |usage: u64, limit: Option<u64>, max: u64, failures: u64| json!({ "limit": limit.unwrap_or(unlimited), "usage": usage, "max": max, "failcnt": failures });
    let hugetlb: serde_json::Map<String, Value> = stats
        .hugetlb
        .iter()
        .map(|(size, HugetlbStats { usage_bytes, max_usage_bytes, failures })| {
            (size.clone(), json!({ "usage": usage_bytes, "max": max_usage_bytes, "failcnt": failures }))
        })
        .collect();
    json!({
        "cpu": {
            "usage": {
                "total": stats.cpu.usage_ns,
                "percpu": stats.cpu.per_cpu_ns,
                "kernel": stats.cpu.system_ns,
                "user": stats.cpu.user_ns,
            },
            "throttling": {
                "periods": stats.cpu.periods,
                "throttledPeriods": stats.cpu.throttled_periods,
                "throttledTime": stats.cpu.throttled_ns,
            },
        },
        "memory": {
            "cache": memory.cache_bytes(),
            "usage": entry(memory.usage_bytes, memory.limit_bytes, memory.max_usage_bytes, memory.failures),
            "swap": entry(memory.swap_bytes, memory.swap_limit_bytes, 0, 0),
            "raw": memory.stat,
        },
        "pids": { "current": stats.pids.current, "limit": stats.pids.limit.unwrap_or(0) },
        "blkio": {
            "ioServiceBytesRecursive": entries(&stats.block_io.bytes),
            "ioServicedRecursive": entries(&stats.block_io.operations),
            "ioQueueRecursive": entries(&stats.block_io.queued),
            "ioServiceTimeRecursive": entries(&stats.block_io.service_time),
            "ioWaitTimeRecursive": entries(&stats.block_io.wait_time),
            "ioMergedRecursive": entries(&stats.block_io.merged),
            "ioTimeRecursive": entries(&stats.block_io.time),
            "sectorsRecursive": entries(&stats.block_io.sectors),
        },
        "hugetlb": hugetlb,
    })
}

fn entries(list: &[BlockIoEntry]) -> Vec<Value> {
    list.iter()
        .map(|one| json!({ "major": one.major, "minor": one.minor, "op": one.operation, "value": one.value }))
        .collect()
}
