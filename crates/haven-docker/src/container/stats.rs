//! `GET /containers/{id}/stats`: counters once a second, or once. The shapes of both control group versions.

use crate::Api;
use crate::call::Call;
use crate::refusal::Answer;
use crate::reply::{JSON, Reply};
use crate::time;
use haven_engine::{CgroupBlockIoEntry, CgroupStats, ContainerView, Engine, InterfaceCounters, StatsSample};
use hyper::body::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

const PERIOD: Duration = Duration::from_secs(1);

#[derive(Serialize)]
pub(crate) struct Stats {
    id: String,
    name: String,
    read: String,
    preread: String,
    num_procs: u32,
    pids_stats: Pids,
    blkio_stats: BlockIo,
    cpu_stats: Cpu,
    precpu_stats: Cpu,
    memory_stats: Memory,
    storage_stats: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, Interface>,
}

#[derive(Default, Serialize)]
struct Pids {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Default, Serialize)]
struct BlockIo {
    io_service_bytes_recursive: Option<Vec<BlockIoEntry>>,
    io_serviced_recursive: Option<Vec<BlockIoEntry>>,
    io_queue_recursive: Option<Vec<BlockIoEntry>>,
    io_service_time_recursive: Option<Vec<BlockIoEntry>>,
    io_wait_time_recursive: Option<Vec<BlockIoEntry>>,
    io_merged_recursive: Option<Vec<BlockIoEntry>>,
    io_time_recursive: Option<Vec<BlockIoEntry>>,
    sectors_recursive: Option<Vec<BlockIoEntry>>,
}

#[derive(Serialize)]
struct BlockIoEntry {
    major: u64,
    minor: u64,
    op: String,
    value: u64,
}

impl From<&CgroupBlockIoEntry> for BlockIoEntry {
    fn from(entry: &CgroupBlockIoEntry) -> Self {
        Self { major: entry.major, minor: entry.minor, op: entry.operation.clone(), value: entry.value }
    }
}

#[derive(Default, Serialize)]
struct Cpu {
    cpu_usage: CpuUsage,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_cpu_usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    online_cpus: Option<u32>,
    throttling_data: Throttling,
}

#[derive(Default, Serialize)]
struct CpuUsage {
    total_usage: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_usage: Vec<u64>,
    usage_in_kernelmode: u64,
    usage_in_usermode: u64,
}

#[derive(Default, Serialize)]
struct Throttling {
    periods: u64,
    throttled_periods: u64,
    throttled_time: u64,
}

#[derive(Default, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_usage: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    stats: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failcnt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Serialize)]
struct Interface {
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

impl From<&InterfaceCounters> for Interface {
    fn from(counters: &InterfaceCounters) -> Self {
        Self {
            rx_bytes: counters.rx_bytes,
            rx_packets: counters.rx_packets,
            rx_errors: counters.rx_errors,
            rx_dropped: counters.rx_dropped,
            tx_bytes: counters.tx_bytes,
            tx_packets: counters.tx_packets,
            tx_errors: counters.tx_errors,
            tx_dropped: counters.tx_dropped,
        }
    }
}

pub(crate) async fn stats(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    let memory = api.host.memory_bytes;
    if call.query.flag_or("stream", true) {
        return Ok(stream(api.engine.clone(), view, memory));
    }
    let first = api.engine.stats(&view.id).await?;
    let one_shot = call.at_least(1, 41) && call.query.flag("one-shot");
    if first.cgroup.is_none() || one_shot {
        return Ok(Reply::json(&describe(&view, &first, None, memory)));
    }
    // Shares of a processor need two readings.
    tokio::time::sleep(PERIOD).await;
    let second = api.engine.stats(&view.id).await?;
    Ok(Reply::json(&describe(&view, &second, Some(&first), memory)))
}

fn stream(engine: Engine, view: Arc<ContainerView>, memory: u64) -> Reply {
    let (sender, pieces) = mpsc::channel(1);
    drop(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: Option<StatsSample> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = sender.closed() => return,
            }
            // It fails once the container has been removed.
            let Ok(sample) = engine.stats(&view.id).await else { return };
            let wire = describe(&view, &sample, before.as_ref(), memory);
            let mut line = serde_json::to_vec(&wire).unwrap_or_default();
            line.push(b'\n');
            if sender.send(Ok(Bytes::from(line))).await.is_err() {
                return;
            }
            before = Some(sample).filter(|sample| sample.cgroup.is_some());
        }
    }));
    Reply::stream(JSON, pieces)
}

pub(crate) fn describe(
    view: &ContainerView,
    sample: &StatsSample,
    before: Option<&StatsSample>,
    memory: u64,
) -> Stats {
    let v1 = !sample.cgroup_v2;
    let counters = sample.cgroup.as_ref();
    Stats {
        id: view.id.to_string(),
        name: format!("/{}", view.name),
        read: counters.map_or_else(|| time::ZERO.into(), |_| time::rfc3339(sample.read_at_ns)),
        preread: before.map_or_else(|| time::ZERO.into(), |before| time::rfc3339(before.read_at_ns)),
        num_procs: 0,
        pids_stats: counters
            .map(|counters| Pids { current: Some(counters.pids.current), limit: counters.pids.limit })
            .unwrap_or_default(),
        blkio_stats: counters.map(|counters| block_io(counters, v1)).unwrap_or_default(),
        cpu_stats: cpu(sample),
        precpu_stats: before.map(cpu).unwrap_or_default(),
        memory_stats: counters.map(|counters| memory_stats(counters, v1, memory)).unwrap_or_default(),
        storage_stats: BTreeMap::new(),
        networks: sample.networks.iter().map(|(name, counters)| (name.clone(), counters.into())).collect(),
    }
}

fn cpu(sample: &StatsSample) -> Cpu {
    let Some(counters) = &sample.cgroup else { return Cpu::default() };
    let cpu = &counters.cpu;
    Cpu {
        cpu_usage: CpuUsage {
            total_usage: cpu.usage_ns,
            percpu_usage: cpu.per_cpu_ns.clone(),
            usage_in_kernelmode: cpu.system_ns,
            usage_in_usermode: cpu.user_ns,
        },
        system_cpu_usage: Some(sample.system_cpu_ns),
        online_cpus: Some(sample.online_cpus),
        throttling_data: Throttling {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
    }
}

fn memory_stats(counters: &CgroupStats, v1: bool, host_bytes: u64) -> Memory {
    let memory = &counters.memory;
    Memory {
        usage: Some(memory.usage_bytes),
        max_usage: v1.then_some(memory.max_usage_bytes),
        stats: memory.stat.clone(),
        failcnt: Some(memory.failures).filter(|count| *count != 0),
        // Without a limit of its own the host's memory is the limit.
        limit: Some(memory.limit_bytes.map_or(host_bytes, |limit| limit.min(host_bytes))),
    }
}

fn block_io(counters: &CgroupStats, v1: bool) -> BlockIo {
    let io = &counters.block_io;
    // What version 2 doesn't count is `null`; what version 1 counted nothing of is an empty list.
    let entries = |list: &[CgroupBlockIoEntry], counted: bool| {
        let list: Vec<BlockIoEntry> = list.iter().map(BlockIoEntry::from).collect();
        (counted || !list.is_empty()).then_some(list)
    };
    BlockIo {
        io_service_bytes_recursive: entries(&io.bytes, true),
        io_serviced_recursive: entries(&io.operations, v1),
        io_queue_recursive: entries(&io.queued, v1),
        io_service_time_recursive: entries(&io.service_time, v1),
        io_wait_time_recursive: entries(&io.wait_time, v1),
        io_merged_recursive: entries(&io.merged, v1),
        io_time_recursive: entries(&io.time, v1),
        sectors_recursive: entries(&io.sectors, v1),
    }
}
