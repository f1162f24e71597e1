//! Scheduling, personality, and what is told when a wish can't quite be met.

use crate::fixture::Place;
use haven_runtime::oci::{IoPriority, IoPriorityClass, Mount, Personality, Scheduler};
use haven_runtime::read_warnings;

#[test]
fn a_process_is_scheduled_as_wished() {
    let place = Place::new("scheduler");
    let mut launch = place.shell("cat /proc/self/stat; ionice; uname -m");
    let process = launch.spec.process.as_mut().unwrap();
    process.scheduler = Some(Scheduler { policy: "SCHED_BATCH".into(), nice: 5, ..Scheduler::default() });
    process.io_priority = Some(IoPriority { class: IoPriorityClass::Idle, priority: 7 });
    launch.spec.linux.as_mut().unwrap().personality =
        Some(Personality { domain: "LINUX32".into(), flags: Vec::new() });
    std::os::unix::fs::symlink("busybox", place.top.join("image/bin/ionice")).unwrap();
    std::os::unix::fs::symlink("busybox", place.top.join("image/bin/uname")).unwrap();
    let text = place.run(&launch).text();
    let fields: Vec<&str> = text.lines().next().unwrap().split(' ').collect();
    assert_eq!((fields[18], fields[40]), ("5", "3"), "{text}");
    assert!(text.contains("idle"), "{text}");
    assert!(!text.ends_with("x86_64\n"), "{text}");
}

#[test]
fn files_whose_owners_cannot_be_mapped_are_mounted_with_a_warning() {
    let place = Place::new("unmapped");
    let mut launch = place.shell("cat /hostsys/kernel/fscaps; stat -c %u /hostsys");
    launch.spec.mounts.push(Mount {
        destination: "/hostsys".into(),
        source: "/sys".into(),
        options: vec!["bind".into(), "ro".into()],
        ..Mount::default()
    });
    let text = place.run(&launch).text();
    assert!(text.ends_with("65534\n"), "{text}");
    let warnings = read_warnings(&launch.run_dir).unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("`/sys`") && warnings[0].contains("nobody"), "{warnings:?}");
    assert!(read_warnings(&place.shell("true").run_dir).unwrap().is_empty());
}
