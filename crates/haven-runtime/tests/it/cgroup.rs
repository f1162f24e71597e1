//! Groups on this machine's own hierarchies, whichever version they are.

use haven_runtime::cgroup::{Group, GroupPath, Layout, Version, default_device_rules};
use haven_runtime::oci;
use rustix::process::Pid;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

/// A group that is emptied and removed whatever happens.
struct Scratch {
    group: Group,
    path: GroupPath,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let path = GroupPath::parse(&format!("haven-test-{name}-{}", std::process::id())).unwrap();
        let group = Layout::detect().unwrap().create(&path).unwrap();
        Self { group, path }
    }

    fn limit(&self, resources: oci::Resources) {
        let warnings = self.group.apply(&resources).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    /// Starts a shell script inside: it is moved while it waits for its standard input.
    fn run(&self, script: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.group.attach(Pid::from_child(&child)).unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        child
    }

    fn file(&self, controller: &str, name: &str) -> String {
        let (_, place) = self
            .group
            .places()
            .find(|(controllers, _)| controllers.iter().any(|known| known == controller))
            .unwrap_or_else(|| self.group.places().last().unwrap());
        std::fs::read_to_string(place.join(name)).unwrap().trim().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let places: Vec<_> = self.group.places().map(|(_, place)| place.to_owned()).collect();
        let cleaned = self.group.kill_all(PATIENCE).and_then(|()| self.group.remove(PATIENCE));
        if std::thread::panicking() {
            return;
        }
        cleaned.unwrap();
        for place in places {
            assert!(!place.exists(), "{}", place.display());
        }
        assert!(Layout::detect().unwrap().open(&self.path).unwrap().is_none());
    }
}

fn memory(limit: i64, swap: i64) -> oci::Resources {
    oci::Resources {
        memory: Some(oci::Memory { limit: Some(limit), swap: Some(swap), ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn a_process_is_attached_listed_frozen_killed_and_counted() {
    let scratch = Scratch::new("life");
    let mut child = scratch.run("sleep 60 & sleep 60");
    std::thread::sleep(Duration::from_millis(100));
    let listed = scratch.group.processes().unwrap();
    assert!(listed.contains(&Pid::from_child(&child)) && listed.len() >= 2, "{listed:?}");
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", child.id())).unwrap();
    for line in own.lines().filter(|line| !line.contains(":net_") && !line.contains(":perf_")) {
        assert!(line.ends_with(&scratch.path.to_string()), "{line}");
    }

    assert!(!scratch.group.is_frozen().unwrap());
    scratch.group.freeze(PATIENCE).unwrap();
    assert!(scratch.group.is_frozen().unwrap());
    scratch.group.thaw().unwrap();
    assert!(!scratch.group.is_frozen().unwrap());

    let stats = scratch.group.stats().unwrap();
    assert!(stats.cpu.usage_ns > 0 && stats.memory.usage_bytes > 0 && stats.pids.current >= 2, "{stats:?}");
    assert!(stats.memory.limit_bytes.is_none() && stats.memory.stat.len() > 10);
    if stats.version != Version::Unified {
        assert!(!stats.cpu.per_cpu_ns.is_empty());
    }

    // Killing works on what is frozen too.
    scratch.group.freeze(PATIENCE).unwrap();
    scratch.group.kill_all(PATIENCE).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(scratch.group.is_empty().unwrap());
}

#[test]
fn limits_reach_the_kernel_and_can_be_changed_in_any_order() {
    let scratch = Scratch::new("limits");
    scratch.limit(oci::Resources {
        memory: Some(oci::Memory {
            limit: Some(64 << 20),
            reservation: Some(32 << 20),
            swap: Some(128 << 20),
            ..Default::default()
        }),
        cpu: Some(oci::Cpu {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: "0".into(),
            ..Default::default()
        }),
        pids: Some(oci::Pids { limit: Some(64) }),
        devices: default_device_rules(),
        ..Default::default()
    });
    let stats = scratch.group.stats().unwrap();
    assert_eq!(stats.memory.limit_bytes, Some(64 << 20));
    assert_eq!(stats.memory.swap_limit_bytes, Some(64 << 20));
    assert_eq!(stats.pids.limit, Some(64));
    assert_eq!(scratch.file("cpuset", "cpuset.cpus"), "0");

    for (limit, swap) in [(256, 256), (16, 32), (512, 1024), (8, 8), (100, -1), (50, 60)] {
        let swap_bytes = if swap < 0 { -1 } else { swap << 20 };
        scratch.limit(memory(limit << 20, swap_bytes));
        let memory = scratch.group.memory_stats().unwrap();
        assert_eq!(memory.limit_bytes, u64::try_from(limit << 20).ok());
        if swap >= 0 {
            assert_eq!(memory.swap_limit_bytes, u64::try_from((swap - limit) << 20).ok());
        } else {
            assert_eq!(memory.swap_limit_bytes, None);
        }
    }
    scratch.limit(memory(-1, 0));
    assert_eq!(scratch.group.memory_stats().unwrap().limit_bytes, None);
    let failure = scratch.group.apply(&memory(64 << 20, 32 << 20)).unwrap_err();
    assert!(failure.to_string().contains("is below that of memory"), "{failure}");
}

#[test]
fn a_process_over_its_memory_is_killed_seen_and_told() {
    let scratch = Scratch::new("oom");
    scratch.limit(memory(16 << 20, 16 << 20));
    let mut watch = scratch.group.watch_oom().unwrap();
    assert_eq!(scratch.group.oom_kills().unwrap(), 0);
    // Without a newline tail keeps everything.
    let mut child = scratch.run("exec tail /dev/zero");
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let interest = watch.interest();
    let mut polled = [rustix::event::PollFd::new(&watch, interest)];
    let timeout = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut polled, Some(&timeout)).unwrap(), 1);
    watch.acknowledge();
    assert!(scratch.group.oom_kills().unwrap() >= 1);
}

#[test]
fn a_fork_bomb_is_contained_and_killed() {
    let scratch = Scratch::new("bomb");
    scratch.limit(oci::Resources { pids: Some(oci::Pids { limit: Some(40) }), ..Default::default() });
    let mut child = scratch.run("bomb() { bomb | bomb & bomb; }; bomb 2>/dev/null");
    std::thread::sleep(Duration::from_millis(300));
    let current = scratch.group.pids_stats().unwrap().current;
    assert!(current <= 40, "{current}");
    scratch.group.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
    assert!(scratch.group.is_empty().unwrap());
}

#[test]
fn devices_outside_the_list_are_refused() {
    let scratch = Scratch::new("devices");
    scratch.limit(oci::Resources { devices: default_device_rules(), ..Default::default() });
    let may = |redirection: &str| scratch.run(&format!("exec 3{redirection}")).wait().unwrap().success();
    assert!(may("<>/dev/null") && may("</dev/urandom"));
    assert!(!may("</dev/kmsg"));
    // An update adds and takes away without closing what stays.
    let mut rules = default_device_rules();
    rules.push(oci::DeviceRule {
        allow: true,
        kind: "c".into(),
        major: Some(1),
        minor: Some(11),
        access: "r".into(),
    });
    scratch.limit(oci::Resources { devices: rules, ..Default::default() });
    assert!(may("</dev/kmsg") && may("<>/dev/null"));
    scratch.limit(oci::Resources { devices: default_device_rules(), ..Default::default() });
    assert!(!may("</dev/kmsg") && may("<>/dev/null"));
}

#[test]
fn groups_made_inside_are_seen_and_removed_too() {
    let scratch = Scratch::new("nested");
    for (_, place) in scratch.group.places() {
        std::fs::create_dir_all(place.join("inner/most")).unwrap();
    }
    let inner: Vec<_> =
        scratch.group.places().map(|(_, place)| place.join("inner/most/cgroup.procs")).collect();
    let mut child = scratch.run("exec sleep 60");
    // The cpuset of a group made by hand is empty and can't be entered.
    for procs in inner.iter().filter(|procs| !procs.starts_with("/sys/fs/cgroup/cpuset")) {
        std::fs::write(procs, child.id().to_string()).unwrap();
    }
    assert_eq!(scratch.group.processes().unwrap(), [Pid::from_child(&child)]);
    scratch.group.kill_all(PATIENCE).unwrap();
    child.wait().unwrap();
}

#[test]
fn an_unknown_unified_file_and_a_core_file_are_refused() {
    let scratch = Scratch::new("unified");
    for file in ["cgroup.procs", "cgroup.kill", "../x.y", "a/b.c", "memory", ".x"] {
        let unified = [(file.to_owned(), "1".to_owned())].into();
        let failure = scratch.group.apply(&oci::Resources { unified, ..Default::default() }).unwrap_err();
        assert!(failure.to_string().contains("is not a limit"), "{failure}");
    }
}
