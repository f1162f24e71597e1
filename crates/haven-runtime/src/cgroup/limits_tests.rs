//! v2 and v1 conversions on directories with the kernels' files in them.

use super::*;
use crate::cgroup::{GroupPath, Layout};
use crate::oci::{DeviceRule, Pids, ThrottleDevice, WeightDevice};
use std::path::PathBuf;

/// A directory that looks like a group, removed afterwards.
struct Pretended {
    place: PathBuf,
    unified: bool,
}

impl Pretended {
    fn new(name: &str, unified: bool, files: &[(&str, &str)]) -> Self {
        let place = std::env::temp_dir().join(format!("haven-limits-{name}-{}", std::process::id()));
        let inner = place.join("x");
        std::fs::create_dir_all(&inner).unwrap();
        let controllers = "cpuset cpu io memory hugetlb pids rdma\n";
        for directory in [&place, &inner] {
            std::fs::write(directory.join("cgroup.controllers"), controllers).unwrap();
            std::fs::write(directory.join("cgroup.subtree_control"), controllers).unwrap();
            for (file, content) in files {
                std::fs::write(directory.join(file), content).unwrap();
            }
        }
        Self { place, unified }
    }

    fn apply(&self, resources: &Resources) -> Outcome<Warnings> {
        let controllers: &[&str] = if self.unified { &[] } else { &["memory", "cpu", "blkio", "hugetlb"] };
        let layout = Layout::of_directories(&[(&self.place, self.unified, controllers)])?;
        let group = layout.open(&GroupPath::parse("x")?)?.unwrap();
        group.apply(resources)
    }

    fn content(&self, file: &str) -> String {
        std::fs::read_to_string(self.place.join("x").join(file)).unwrap()
    }
}

impl Drop for Pretended {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.place).unwrap();
    }
}

/// Writing into a plain file doesn't cut what was there: the files start empty.
fn v2(name: &str, files: &[&str]) -> Pretended {
    let files: Vec<(&str, &str)> = files.iter().map(|file| (*file, "")).collect();
    Pretended::new(name, true, &files)
}

#[test]
fn shares_become_weights_that_meet_at_the_ends_and_the_default() {
    for (shares, weight) in
        [(0, 1), (2, 1), (3, 2), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
    {
        assert_eq!(weight_of_shares(shares), weight, "{shares}");
    }
    let mut last = 0;
    for shares in 0..300_000 {
        let weight = weight_of_shares(shares);
        assert!(weight >= last && (1..=10_000).contains(&weight));
        last = weight;
    }
    assert_eq!((io_weight(10), io_weight(500), io_weight(1000)), (1, 4950, 10_000));
}

#[test]
fn a_v1_document_is_converted_on_v2() {
    let group = v2(
        "v2",
        &[
            "memory.max",
            "memory.low",
            "memory.swap.max",
            "cpu.weight",
            "cpu.max",
            "cpuset.cpus",
            "cpuset.mems",
            "pids.max",
            "io.weight",
            "io.max",
            "hugetlb.2MB.max",
            "hugetlb.2MB.rsvd.max",
            "rdma.max",
            "memory.high",
        ],
    );
    let warnings = group
        .apply(&Resources {
            memory: Some(Memory {
                limit: Some(1000),
                swap: Some(1500),
                reservation: Some(500),
                swappiness: Some(60),
                disable_oom_killer: Some(true),
                kernel: Some(1),
                ..Default::default()
            }),
            cpu: Some(Cpu {
                shares: Some(1024),
                quota: Some(50_000),
                period: Some(100_000),
                realtime_runtime: Some(5),
                cpus: "0-1".into(),
                mems: "0".into(),
                ..Default::default()
            }),
            pids: Some(Pids { limit: Some(-1) }),
            block_io: Some(BlockIo {
                weight: Some(500),
                throttle_read_bps_device: vec![ThrottleDevice { major: 8, minor: 0, rate: 600 }],
                ..Default::default()
            }),
            hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 4 }],
            rdma: [("mlx5".to_owned(), Rdma { hca_handles: Some(3), hca_objects: None })].into(),
            unified: [("memory.high".to_owned(), "max".to_owned())].into(),
            ..Default::default()
        })
        .unwrap();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    for (file, content) in [
        ("memory.max", "1000"),
        ("memory.swap.max", "500"),
        ("memory.low", "500"),
        ("cpu.weight", "100"),
        ("cpu.max", "50000 100000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("pids.max", "max"),
        ("io.weight", "default 4950"),
        ("io.max", "8:0 rbps=600"),
        ("hugetlb.2MB.max", "4"),
        ("hugetlb.2MB.rsvd.max", "4"),
        ("rdma.max", "mlx5 hca_handle=3"),
        ("memory.high", "max"),
    ] {
        assert_eq!(group.content(file), content, "{file}");
    }
}

#[test]
fn swap_on_v2_is_what_is_over_memory() {
    let memory = |limit, swap| Resources {
        memory: Some(Memory { limit, swap, ..Default::default() }),
        ..Default::default()
    };
    for (limit, swap, expected) in [
        (Some(100), Some(100), "0"),
        (Some(100), Some(-1), "max"),
        (Some(-1), None, "max"),
        (Some(-1), Some(-1), "max"),
        (None, Some(-1), "max"),
        (Some(100), None, ""),
        (Some(100), Some(0), ""),
    ] {
        let group = v2("swap", &["memory.max", "memory.swap.max"]);
        group.apply(&memory(limit, swap)).unwrap();
        assert_eq!(group.content("memory.swap.max"), expected, "{limit:?} {swap:?}");
    }
    let group = v2("swap-bad", &["memory.max", "memory.swap.max"]);
    for (limit, swap) in [(Some(100), Some(50)), (None, Some(50)), (Some(-1), Some(50))] {
        assert!(group.apply(&memory(limit, swap)).is_err(), "{limit:?} {swap:?}");
    }
    let group = Pretended::new("swap-standing", true, &[("memory.max", "40"), ("memory.swap.max", "")]);
    group.apply(&memory(None, Some(50))).unwrap();
    assert_eq!(group.content("memory.swap.max"), "10");
}

#[test]
fn v1_weights_go_to_the_scheduler_that_has_them() {
    let group = Pretended::new(
        "blkio",
        false,
        &[
            ("blkio.bfq.weight", ""),
            ("blkio.bfq.weight_device", ""),
            ("blkio.throttle.write_iops_device", ""),
            ("memory.limit_in_bytes", ""),
        ],
    );
    let block = |weight| Resources {
        block_io: Some(BlockIo {
            weight: Some(weight),
            weight_device: vec![WeightDevice { major: 8, minor: 16, weight: Some(7), leaf_weight: None }],
            throttle_write_iops_device: vec![ThrottleDevice { major: 8, minor: 16, rate: 9 }],
            ..Default::default()
        }),
        ..Default::default()
    };
    assert!(group.apply(&block(300)).unwrap().is_empty());
    assert_eq!(group.content("blkio.bfq.weight"), "300");
    assert_eq!(group.content("blkio.bfq.weight_device"), "8:16 7");
    assert_eq!(group.content("blkio.throttle.write_iops_device"), "8:16 9");
    // Swap can't be counted here: told, not refused.
    let memory = Memory { limit: Some(10), swap: Some(20), ..Default::default() };
    let warnings = group.apply(&Resources { memory: Some(memory), ..Default::default() }).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(group.content("memory.limit_in_bytes"), "10");
}

#[test]
fn a_limit_that_protects_fails_when_its_controller_is_missing() {
    let group = Pretended::new("missing", false, &[]);
    let pids = Resources { pids: Some(Pids { limit: Some(5) }), ..Default::default() };
    let failure = group.apply(&pids).unwrap_err();
    assert!(failure.to_string().contains("`pids` controller") && failure.advice().is_some(), "{failure}");
    let devices = Resources { devices: vec![DeviceRule::default()], ..Default::default() };
    assert!(group.apply(&devices).unwrap_err().to_string().contains("devices"));
    let unified = Resources { unified: [("memory.high".into(), "1".into())].into(), ..Default::default() };
    assert!(group.apply(&unified).unwrap_err().to_string().contains("v1 control groups"));
    let memory = Memory { limit: Some(5), ..Default::default() };
    let failure = group.apply(&Resources { memory: Some(memory), ..Default::default() }).unwrap_err();
    assert!(failure.to_string().contains("cannot write `5` to"), "{failure}");
    for size in ["2M", "MB", "", "../MB", "2mb", "x2MB"] {
        let limit = HugepageLimit { page_size: size.into(), limit: 1 };
        let huge = Resources { hugepage_limits: vec![limit], ..Default::default() };
        assert!(group.apply(&huge).unwrap_err().to_string().contains("is not a page size"), "{size}");
    }
}

#[test]
fn a_limit_below_what_is_used_is_refused_when_asked_to() {
    let group = Pretended::new("check", true, &[("memory.current", "5000"), ("memory.max", "")]);
    let memory = |limit| Resources {
        memory: Some(Memory { limit: Some(limit), check_before_update: Some(true), ..Default::default() }),
        ..Default::default()
    };
    assert!(group.apply(&memory(4999)).unwrap_err().to_string().contains("5000 are in use"));
    group.apply(&memory(5000)).unwrap();
    assert_eq!(group.content("memory.max"), "5000");
}
