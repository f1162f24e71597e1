//! What a group has used: one typed reading of v1's and v2's counters.
//!
//! Counters a kernel or machine doesn't have are zero, empty or `None`; a group that disappears while it is read gives
//! what was read until then. No rates: those need two readings and a clock, which the caller has.

use super::directory::Directory;
use super::format;
use super::group::Group;
use super::layout::Version;
use haven_spec::Outcome;
use std::collections::BTreeMap;

/// One reading. `version` says whose names `memory.stat` has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    pub version: Version,
    pub cpu: CpuStats,
    pub memory: MemoryStats,
    pub pids: PidsStats,
    pub block_io: BlockIoStats,
    /// By page size, as `2MB`.
    pub hugetlb: BTreeMap<String, HugetlbStats>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuStats {
    pub usage_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    /// By processor; empty on v2.
    pub per_cpu_ns: Vec<u64>,
    /// Enforcement periods that passed while a quota was set, and those in which it ran out.
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryStats {
    pub usage_bytes: u64,
    /// The highest usage seen; 0 when the kernel doesn't keep it.
    pub max_usage_bytes: u64,
    /// `None`: no limit of its own.
    pub limit_bytes: Option<u64>,
    /// How often the limit was hit.
    pub failures: u64,
    /// Swap alone.
    pub swap_bytes: u64,
    pub swap_limit_bytes: Option<u64>,
    /// `memory.stat` as it is: `cache`, `rss`, `total_inactive_file`, … (v1) or `anon`, `file`, `inactive_file`, … (v2).
    pub stat: BTreeMap<String, u64>,
}

impl MemoryStats {
    /// Cached file content nobody has used lately; reclaimed before anything hurts.
    pub fn inactive_file_bytes(&self) -> u64 {
        let of = |key: &str| self.stat.get(key).copied();
        of("total_inactive_file").or_else(|| of("inactive_file")).unwrap_or(0)
    }

    /// Cached file content.
    pub fn cache_bytes(&self) -> u64 {
        let of = |key: &str| self.stat.get(key).copied();
        of("total_cache").or_else(|| of("cache")).or_else(|| of("file")).unwrap_or(0)
    }

    /// Usage without what is reclaimed first: what people mean by "used".
    pub fn working_set_bytes(&self) -> u64 {
        self.usage_bytes.saturating_sub(self.inactive_file_bytes())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PidsStats {
    pub current: u64,
    /// `None`: no limit of its own.
    pub limit: Option<u64>,
}

/// One counter of one block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockIoEntry {
    pub major: u64,
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total`; v2 has `read`, `write` and `discard`.
    pub operation: String,
    pub value: u64,
}

/// Per device; a list is empty when the kernel doesn't count that.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlockIoStats {
    pub bytes: Vec<BlockIoEntry>,
    pub operations: Vec<BlockIoEntry>,
    pub queued: Vec<BlockIoEntry>,
    pub service_time: Vec<BlockIoEntry>,
    pub wait_time: Vec<BlockIoEntry>,
    pub merged: Vec<BlockIoEntry>,
    pub time: Vec<BlockIoEntry>,
    pub sectors: Vec<BlockIoEntry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HugetlbStats {
    pub usage_bytes: u64,
    pub max_usage_bytes: u64,
    pub failures: u64,
}

impl Group {
    pub fn stats(&self) -> Outcome<Stats> {
        Ok(Stats {
            version: self.version(),
            cpu: self.cpu_stats()?,
            memory: self.memory_stats()?,
            pids: self.pids_stats()?,
            block_io: self.block_io_stats()?,
            hugetlb: self.hugetlb_stats()?,
        })
    }

    pub fn cpu_stats(&self) -> Outcome<CpuStats> {
        let mut stats = CpuStats::default();
        if let Some(directory) = self.v1("cpuacct") {
            stats.usage_ns = read_number(directory, "cpuacct.usage")?;
            stats.user_ns = read_number(directory, "cpuacct.usage_user")?;
            stats.system_ns = read_number(directory, "cpuacct.usage_sys")?;
            let per_cpu = directory.read_optional("cpuacct.usage_percpu")?.unwrap_or_default();
            stats.per_cpu_ns = per_cpu.split_ascii_whitespace().filter_map(|one| one.parse().ok()).collect();
            if let Some(cpu) = self.v1("cpu") {
                let text = cpu.read_optional("cpu.stat")?.unwrap_or_default();
                let of = |key: &str| format::value_of(&text, key).unwrap_or(0);
                stats.periods = of("nr_periods");
                stats.throttled_periods = of("nr_throttled");
                stats.throttled_ns = of("throttled_time");
            }
        } else if let Some(directory) = self.unified() {
            // The usage is counted even where the cpu controller isn't given to the group.
            let text = directory.read_optional("cpu.stat")?.unwrap_or_default();
            let of = |key: &str| format::value_of(&text, key).unwrap_or(0);
            let of_us = |key: &str| of(key).saturating_mul(1000);
            stats.usage_ns = of_us("usage_usec");
            stats.user_ns = of_us("user_usec");
            stats.system_ns = of_us("system_usec");
            stats.periods = of("nr_periods");
            stats.throttled_periods = of("nr_throttled");
            stats.throttled_ns = of_us("throttled_usec");
        }
        Ok(stats)
    }

    pub fn memory_stats(&self) -> Outcome<MemoryStats> {
        let Some((directory, unified)) = self.controller("memory") else { return Ok(MemoryStats::default()) };
        let stat = format::flat(&directory.read_optional("memory.stat")?.unwrap_or_default());
        if unified {
            let events = directory.read_optional("memory.events")?.unwrap_or_default();
            return Ok(MemoryStats {
                usage_bytes: read_number(directory, "memory.current")?,
                max_usage_bytes: read_number(directory, "memory.peak")?,
                limit_bytes: read_limit(directory, "memory.max")?,
                failures: format::value_of(&events, "max").unwrap_or(0),
                swap_bytes: read_number(directory, "memory.swap.current")?,
                swap_limit_bytes: read_limit(directory, "memory.swap.max")?,
                stat,
            });
        }
        let usage_bytes = read_number(directory, "memory.usage_in_bytes")?;
        let limit_bytes = read_limit(directory, "memory.limit_in_bytes")?;
        let both = read_limit(directory, "memory.memsw.limit_in_bytes")?;
        Ok(MemoryStats {
            usage_bytes,
            max_usage_bytes: read_number(directory, "memory.max_usage_in_bytes")?,
            limit_bytes,
            // Without swap of its own the sum of both is what is hit first.
            failures: read_number(directory, "memory.failcnt")?
                .saturating_add(read_number(directory, "memory.memsw.failcnt")?),
            // v1 counts memory and swap together.
            swap_bytes: read_number(directory, "memory.memsw.usage_in_bytes")?.saturating_sub(usage_bytes),
            swap_limit_bytes: both.zip(limit_bytes).map(|(both, memory)| both.saturating_sub(memory)),
            stat,
        })
    }

    pub fn pids_stats(&self) -> Outcome<PidsStats> {
        let Some((directory, _)) = self.controller("pids") else { return Ok(PidsStats::default()) };
        Ok(PidsStats {
            current: read_number(directory, "pids.current")?,
            limit: read_limit(directory, "pids.max")?,
        })
    }

    pub fn block_io_stats(&self) -> Outcome<BlockIoStats> {
        if let Some(directory) = self.v1("blkio") {
            return block_io_v1(directory);
        }
        match self.controller("io") {
            Some((directory, true)) => {
                Ok(block_io_v2(&directory.read_optional("io.stat")?.unwrap_or_default()))
            }
            _ => Ok(BlockIoStats::default()),
        }
    }

    fn hugetlb_stats(&self) -> Outcome<BTreeMap<String, HugetlbStats>> {
        let Some((directory, unified)) = self.controller("hugetlb") else { return Ok(BTreeMap::new()) };
        let mut all = BTreeMap::new();
        for size in page_sizes() {
            let name = |what: &str| format!("hugetlb.{size}.{what}");
            let usage = if unified { "current" } else { "usage_in_bytes" };
            if !directory.has(&name(usage)) {
                continue;
            }
            let failures = if unified {
                let events = directory.read_optional(&name("events"))?.unwrap_or_default();
                format::value_of(&events, "max").unwrap_or(0)
            } else {
                read_number(directory, &name("failcnt"))?
            };
            let stats = HugetlbStats {
                usage_bytes: read_number(directory, &name(usage))?,
                max_usage_bytes: read_number(directory, &name("max_usage_in_bytes"))?,
                failures,
            };
            all.insert(size, stats);
        }
        Ok(all)
    }
}

/// The sizes of huge pages this machine has, as control groups name them. Asked for at each reading, for the few
/// machines that mount the controller.
fn page_sizes() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/kernel/mm/hugepages") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            Some(match kilobytes {
                kb if kb >= 1 << 20 => format!("{}GB", kb >> 20),
                kb if kb >= 1 << 10 => format!("{}MB", kb >> 10),
                kb => format!("{kb}KB"),
            })
        })
        .collect()
}

/// Zero when the file isn't there.
fn read_number(directory: &Directory, file: &str) -> Outcome<u64> {
    Ok(directory.read_optional(file)?.and_then(|text| format::number(&text)).unwrap_or(0))
}

fn read_limit(directory: &Directory, file: &str) -> Outcome<Option<u64>> {
    Ok(directory.read_optional(file)?.and_then(|text| format::limit(&text)))
}

/// The scheduler's recursive counters where it keeps them, else those of the throttling layer, which see everything.
fn block_io_v1(directory: &Directory) -> Outcome<BlockIoStats> {
    let first = |files: &[&str]| -> Outcome<Vec<BlockIoEntry>> {
        for file in files {
            if let Some(text) = directory.read_optional(file)? {
                let entries = block_io_lines(&text);
                if !entries.is_empty() {
                    return Ok(entries);
                }
            }
        }
        Ok(Vec::new())
    };
    Ok(BlockIoStats {
        bytes: first(&[
            "blkio.bfq.io_service_bytes_recursive",
            "blkio.io_service_bytes_recursive",
            "blkio.throttle.io_service_bytes_recursive",
            "blkio.throttle.io_service_bytes",
        ])?,
        operations: first(&[
            "blkio.bfq.io_serviced_recursive",
            "blkio.io_serviced_recursive",
            "blkio.throttle.io_serviced_recursive",
            "blkio.throttle.io_serviced",
        ])?,
        queued: first(&["blkio.bfq.io_queued_recursive", "blkio.io_queued_recursive"])?,
        service_time: first(&["blkio.bfq.io_service_time_recursive", "blkio.io_service_time_recursive"])?,
        wait_time: first(&["blkio.bfq.io_wait_time_recursive", "blkio.io_wait_time_recursive"])?,
        merged: first(&["blkio.bfq.io_merged_recursive", "blkio.io_merged_recursive"])?,
        time: first(&["blkio.bfq.time_recursive", "blkio.time_recursive"])?,
        sectors: first(&["blkio.bfq.sectors_recursive", "blkio.sectors_recursive"])?,
    })
}

/// Lines of `MAJ:MIN OPERATION VALUE` or `MAJ:MIN VALUE`; the sum over all devices (`Total VALUE`) is left out.
fn block_io_lines(text: &str) -> Vec<BlockIoEntry> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (device, operation, value) = match fields[..] {
                [device, operation, value] => (device, operation, value),
                [device, value] => (device, "", value),
                _ => return None,
            };
            let (major, minor) = format::device(device)?;
            Some(BlockIoEntry { major, minor, operation: operation.to_owned(), value: value.parse().ok()? })
        })
        .collect()
}

/// Lines of `MAJ:MIN rbytes=… wbytes=… rios=… wios=… dbytes=… dios=…`.
fn block_io_v2(text: &str) -> BlockIoStats {
    let mut stats = BlockIoStats::default();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some((major, minor)) = fields.next().and_then(format::device) else { continue };
        for field in fields {
            let Some((key, value)) = field.split_once('=') else { continue };
            let Ok(value) = value.parse() else { continue };
            let (list, operation) = match key {
                "rbytes" => (&mut stats.bytes, "read"),
                "wbytes" => (&mut stats.bytes, "write"),
                "dbytes" => (&mut stats.bytes, "discard"),
                "rios" => (&mut stats.operations, "read"),
                "wios" => (&mut stats.operations, "write"),
                "dios" => (&mut stats.operations, "discard"),
                _ => continue,
            };
            list.push(BlockIoEntry { major, minor, operation: operation.to_owned(), value });
        }
    }
    stats
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
