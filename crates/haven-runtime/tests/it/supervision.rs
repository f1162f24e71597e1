//! Keepers outlive callers; nothing lives on unknown.

use crate::fixture::{EVERYTHING, Place, kill, read_until};
use haven_runtime::{Keeper, Settled, Spawner, read_exit, resolve_process};
use std::time::{Duration, Instant};

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_container_outlives_its_caller_and_its_spawner() {
    let place = Place::new("outlive");
    let launch = place.shell("echo up; sleep 0.6; echo later; exit 3");
    let running = place.start(&launch);
    read_until(&running.stream, "up");
    let (pid, ticks) = (running.launched.pid, running.launched.start_time_ticks);
    place.spawner.retire().unwrap();
    // As after a restart: nothing is known but the directory and the numbers that were written down.
    drop(running);
    let keeper = Keeper::of_container(&launch.run_dir);
    assert_eq!(keeper.identify().unwrap().0, pid);
    assert!(resolve_process(pid, ticks).unwrap().is_some());
    let stream = keeper.attach(EVERYTHING).unwrap();
    let watch = keeper.watch().unwrap();
    read_until(&stream, "later");
    assert!(matches!(watch.wait().unwrap(), Settled::Exited(exit) if exit.code == 3));
    assert_eq!(read_exit(&launch.run_dir).unwrap().unwrap().code, 3);
    assert!(resolve_process(pid, ticks).unwrap().is_none());
    // A new spawner is there as soon as one is needed.
    assert_eq!(place.says("echo again"), "again\n");
}

#[test]
fn two_callers_share_one_spawner() {
    let place = Place::new("shared");
    let program = std::env::current_exe().unwrap();
    let another =
        Spawner::connect_or_start(&place.top.join("run"), &program, haven_runtime::GroupMoves::Favoured)
            .unwrap();
    let launched = another.launch(&place.shell("exit 4")).unwrap();
    let watch = launched.keeper.watch().unwrap();
    launched.keeper.start().unwrap();
    assert!(matches!(watch.wait().unwrap(), Settled::Exited(exit) if exit.code == 4));
}

#[test]
fn a_killed_keeper_takes_its_container_along() {
    let place = Place::new("keeper");
    let running = place.start(&place.shell("echo up; sleep 100"));
    read_until(&running.stream, "up");
    let pid = running.launched.pid;
    let keeper = parent_of(pid);
    assert!(std::fs::read_to_string(format!("/proc/{keeper}/comm")).unwrap().starts_with("haven-keeper"));
    let keeper = rustix::process::Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::KILL).unwrap();
    let ticks = running.launched.start_time_ticks;
    until("the container ends", || resolve_process(pid, ticks).unwrap().is_none());
}

#[test]
fn a_container_that_was_never_started_can_be_killed() {
    let place = Place::new("unstarted");
    let launch = place.shell("true");
    let launched = place.spawner.launch(&launch).unwrap();
    let watch = launched.keeper.watch().unwrap();
    kill(&launched.keeper);
    let Settled::Exited(exit) = watch.wait().unwrap() else { panic!() };
    assert_eq!(exit.code, 137);
    assert!(exit.error.unwrap().contains("before it was started"));
}

#[test]
fn starting_twice_is_refused() {
    let place = Place::new("twice");
    let running = place.start(&place.shell("sleep 100"));
    assert!(running.launched.keeper.start().unwrap_err().one_line().contains("started already"));
    kill(&running.launched.keeper);
    running.wait();
}

#[test]
fn memory_shortage_is_told() {
    let place = Place::new("oom");
    let mut launch = place.shell("x=$(head -c 200000000 /dev/zero | sed s/x/y/); dd if=/dev/zero of=/dev/shm/x bs=1M count=60; sleep 5");
    let memory =
        haven_runtime::oci::Memory { limit: Some(24 << 20), swap: Some(24 << 20), ..Default::default() };
    launch.spec.linux.as_mut().unwrap().resources.as_mut().unwrap().memory = Some(memory);
    launch.spec.process.as_mut().unwrap().args[2] =
        "exec dd if=/dev/zero of=/dev/null bs=100M count=1".into();
    let ended = place.run(&launch);
    assert!(ended.exit.oom_killed, "{ended:?}");
    assert_eq!(ended.exit.code, 137);
}

#[test]
fn sixteen_at_a_time_all_end_well() {
    let place = Place::new("many");
    std::thread::scope(|scope| {
        for number in 0..16_u8 {
            let place = &place;
            scope.spawn(move || {
                for _ in 0..3 {
                    let ended = place.run(&place.shell(&format!("echo {number}; exit {number}")));
                    assert_eq!(ended.exit.code, i32::from(number));
                    assert_eq!(ended.text(), format!("{number}\n"));
                }
            });
        }
    });
}

/// Processes of this place's spawner that are in a PID namespace of their own.
fn standing_by(place: &Place) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let nested = |status: String| {
            status.lines().any(|line| line.starts_with("NSpid:") && line.split_whitespace().count() > 2)
        };
        read("cmdline").contains(&place.name) && nested(read("status"))
    })
    .collect()
}

#[test]
fn a_process_that_stands_by_holds_none_of_the_hosts_mounts_and_ends_with_its_spawner() {
    let place = Place::new("standby");
    until("a process stands by", || standing_by(&place).len() == 1);
    let pid = standing_by(&place)[0];
    until("it has let go of the host's mounts", || {
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        let places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        places == ["/", "/proc", "/sys"]
    });
    let launched = place.spawner.launch(&place.shell("true")).unwrap();
    assert_eq!(launched.pid, pid, "it became the next container");
    launched.keeper.start().unwrap();
    until("another one stands by", || standing_by(&place).iter().any(|other| *other != pid));
    place.spawner.retire().unwrap();
    until("nobody stands by", || standing_by(&place).is_empty());
}
