//! Limits: a process that exceeds its limit is contained, not its host.

use haven_tests::{BUSYBOX, House, within};
use std::time::Duration;

#[test]
fn a_container_that_runs_out_of_memory_is_killed_and_says_so() {
    let house = House::open();
    house
        .haven("run --name greedy --memory 32m --memory-swap 32m")
        .args([BUSYBOX, "/probe", "touch", "200"])
        .exits(137);
    assert_eq!(house.inspect("greedy", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
}

#[test]
fn a_container_within_its_memory_is_not_called_out_of_memory() {
    let house = House::open();
    house.detached("--name modest --memory 64m", "/probe touch 10");
    within(Duration::from_secs(10), "it has its memory", || {
        house.haven("logs modest").run().stdout.contains("touched")
    });
    house.haven("kill modest").succeeds();
    assert_eq!(house.inspect("modest", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "false 137");
}

#[test]
fn a_container_has_no_more_processes_than_its_limit() {
    let house = House::open();
    let answer = house.haven("run --rm --pids-limit 16").args([BUSYBOX, "/probe", "forks", "100"]).run();
    let made: u32 = answer.stdout.trim().parse().unwrap_or_else(|_| panic!("{}", answer.story()));
    assert!((10..=15).contains(&made), "made {made} processes under a limit of 16");
}

#[test]
fn half_a_processor_is_half_a_processor() {
    let house = House::open();
    let script = "timeout 2 sh -c 'while :; do :; done'; cat /proc/1/stat /proc/self/stat >/dev/null; times";
    let answer = house.haven("run --rm --cpus 0.25").args([BUSYBOX, "sh", "-c", script]).exits(0);
    // The last line of times(1) is user and system time of the children.
    let spent: f64 =
        answer.stdout.lines().last().map_or(0.0, |line| line.split_whitespace().map(seconds).sum());
    assert!(spent > 0.05 && spent < 1.2, "used {spent} s of 2\n{}", answer.story());
}

/// `0m1.234s`.
fn seconds(text: &str) -> f64 {
    let (minutes, rest) = text.split_once('m').unwrap_or(("0", text));
    minutes.parse::<f64>().unwrap_or(0.0) * 60.0 + rest.trim_end_matches('s').parse::<f64>().unwrap_or(0.0)
}

#[test]
fn limits_are_shown_and_can_be_changed() {
    let house = House::open();
    house.detached("--name box --memory 128m --memory-swap 128m --cpus 0.5 --pids-limit 64", "sleep 1000");
    let shown = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}";
    assert_eq!(house.inspect("box", shown), "134217728 500000000 64");
    house.haven("update --memory 64m --memory-swap 64m --pids-limit 32 box").succeeds();
    assert_eq!(house.inspect("box", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}"), "67108864 32");
}

#[test]
fn a_process_limit_in_the_shell_is_what_was_asked_for() {
    let house = House::open();
    let limits = house
        .haven("run --rm --ulimit nofile=512:1024")
        .args([BUSYBOX, "sh", "-c", "ulimit -Sn; ulimit -Hn"])
        .succeeds();
    assert_eq!(limits, "512\n1024");
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    let house = House::open();
    for bad in [
        "--memory 1k",
        "--memory 64m --memory-swap 32m",
        "--cpus -1",
        "--cpu-shares -5",
        "--memory-swappiness 200",
        "--cpuset-cpus 900",
    ] {
        house.haven(&format!("run --rm {bad}")).args([BUSYBOX, "true"]).exits(125);
    }
}

#[test]
fn stats_show_use_and_limit() {
    let house = House::open();
    house.detached("--name busy --memory 64m", "/probe touch 16");
    within(Duration::from_secs(10), "it has its memory", || {
        house.haven("logs busy").run().stdout.contains("touched")
    });
    let line = house
        .haven("stats --no-stream --format")
        .arg("{{.Name}}|{{.MemUsage}}|{{.PIDs}}")
        .arg("busy")
        .succeeds();
    let parts: Vec<&str> = line.split('|').collect();
    assert_eq!(parts[0], "busy");
    assert!(parts[1].ends_with("/ 64MiB"), "{line}");
    let used: f64 =
        parts[1].split("MiB").next().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{line}"));
    assert!((15.0..24.0).contains(&used), "{line}");
    let processes: u32 = parts[2].parse().unwrap_or_else(|_| panic!("{line}"));
    assert!((1..=3).contains(&processes), "{line}");
}
