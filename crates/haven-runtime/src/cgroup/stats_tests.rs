//! Recorded files of v1 and v2 groups, and odd ones.

use super::*;
use crate::cgroup::{GroupPath, Layout};

fn read(name: &str, unified: bool, controllers: &[&str], files: &[(&str, &str)]) -> Stats {
    let place = std::env::temp_dir().join(format!("haven-stats-{name}-{}", std::process::id()));
    let group = place.join("x");
    std::fs::create_dir_all(&group).unwrap();
    for directory in [&place, &group] {
        std::fs::write(directory.join("cgroup.controllers"), "cpu io memory pids\n").unwrap();
    }
    for (file, content) in files {
        std::fs::write(group.join(file), content).unwrap();
    }
    let layout = Layout::of_directories(&[(&place, unified, controllers)]).unwrap();
    let stats = layout.open(&GroupPath::parse("x").unwrap()).unwrap().unwrap().stats();
    std::fs::remove_dir_all(&place).unwrap();
    stats.unwrap()
}

#[test]
fn v2_files_are_read() {
    let stats = read(
        "v2",
        true,
        &[],
        &[
            (
                "cpu.stat",
                "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnice_usec 0\nnr_periods 4\nnr_throttled 2\nthrottled_usec 7\n",
            ),
            ("memory.current", "8192\n"),
            ("memory.max", "max\n"),
            ("memory.peak", "9000\n"),
            ("memory.swap.current", "1\n"),
            ("memory.swap.max", "2\n"),
            ("memory.events", "low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n"),
            ("memory.stat", "anon 100\nfile 300\ninactive_file 200\nworkingset_refault_anon 0\n"),
            ("pids.current", "3\n"),
            ("pids.max", "100\n"),
            (
                "io.stat",
                "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n252:16\nodd line\n8:16 cost.usage=1 rbytes=5\n",
            ),
        ],
    );
    assert_eq!((stats.cpu.usage_ns, stats.cpu.user_ns, stats.cpu.system_ns), (1_500_000, 1_000_000, 500_000));
    assert_eq!((stats.cpu.periods, stats.cpu.throttled_periods, stats.cpu.throttled_ns), (4, 2, 7000));
    assert_eq!(stats.memory.limit_bytes, None);
    assert_eq!(
        (stats.memory.usage_bytes, stats.memory.max_usage_bytes, stats.memory.failures),
        (8192, 9000, 5)
    );
    assert_eq!((stats.memory.swap_bytes, stats.memory.swap_limit_bytes), (1, Some(2)));
    assert_eq!((stats.memory.working_set_bytes(), stats.memory.cache_bytes()), (7992, 300));
    assert_eq!((stats.pids.current, stats.pids.limit), (3, Some(100)));
    assert_eq!(stats.block_io.bytes.len(), 4);
    assert_eq!(stats.block_io.operations[1].value, 2);
    assert_eq!(stats.block_io.bytes[3].minor, 16);
}

#[test]
fn v1_files_are_read() {
    let stats = read(
        "v1",
        false,
        &["cpu", "cpuacct", "memory", "pids", "blkio"],
        &[
            ("cpuacct.usage", "700\n"),
            ("cpuacct.usage_user", "500\n"),
            ("cpuacct.usage_sys", "200\n"),
            ("cpuacct.usage_percpu", "300 400 \n"),
            ("cpu.stat", "nr_periods 1\nnr_throttled 2\nthrottled_time 3\n"),
            ("memory.usage_in_bytes", "1000\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.max_usage_in_bytes", "1200\n"),
            ("memory.failcnt", "0\n"),
            ("memory.memsw.usage_in_bytes", "1100\n"),
            ("memory.memsw.limit_in_bytes", "9223372036854771712\n"),
            ("memory.stat", "cache 10\nrss 20\ntotal_cache 11\ntotal_inactive_file 12\n"),
            ("pids.current", "1\n"),
            ("pids.max", "max\n"),
            ("blkio.bfq.io_service_bytes_recursive", "Total 0\n"),
            (
                "blkio.throttle.io_service_bytes_recursive",
                "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n",
            ),
        ],
    );
    assert_eq!(stats.cpu.per_cpu_ns, [300, 400]);
    assert_eq!((stats.cpu.usage_ns, stats.cpu.throttled_ns), (700, 3));
    assert_eq!(
        (stats.memory.swap_bytes, stats.memory.limit_bytes, stats.memory.swap_limit_bytes),
        (100, None, None)
    );
    assert_eq!((stats.memory.inactive_file_bytes(), stats.memory.cache_bytes()), (12, 11));
    assert_eq!(stats.pids.limit, None);
    let entries: Vec<_> =
        stats.block_io.bytes.iter().map(|entry| (entry.operation.as_str(), entry.value)).collect();
    assert_eq!(entries, [("Read", 5), ("Write", 6), ("Total", 11)]);
}

#[test]
fn missing_and_broken_files_count_nothing() {
    let stats = read(
        "none",
        true,
        &[],
        &[("memory.stat", "\u{0}\nanon x\n"), ("cpu.stat", ""), ("io.stat", "8:0 x=")],
    );
    assert_eq!(stats.cpu, CpuStats::default());
    assert_eq!(stats.memory, MemoryStats::default());
    assert_eq!(stats.block_io, BlockIoStats::default());
}
