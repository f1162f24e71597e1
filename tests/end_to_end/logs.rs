//! Logs: what a container wrote, also while it writes, across rotation, in the order it wrote it.

use haven_tests::{BUSYBOX, House, Running, within};
use std::time::Duration;

#[test]
fn logs_give_both_streams_where_they_were_written() {
    let house = House::open();
    house.haven("run --name both").args([BUSYBOX, "sh", "-c", "echo out; echo err >&2"]).succeeds();
    let answer = house.haven("logs both").exits(0);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn logs_can_be_cut_by_number_and_carry_times() {
    let house = House::open();
    house.haven("run --name counter").args([BUSYBOX, "seq", "1", "100"]).succeeds();
    assert_eq!(house.haven("logs --tail 3 counter").succeeds(), "98\n99\n100");
    assert_eq!(house.haven("logs --tail 0 counter").succeeds(), "");
    let timed = house.haven("logs --timestamps --tail 1 counter").succeeds();
    let (time, text) = timed.split_once(' ').expect("a time and the line");
    assert!(time.ends_with('Z') && time.contains('T') && text == "100", "{timed}");
    assert_eq!(house.haven("logs --since 1h --tail 1 counter").succeeds(), "100");
    assert_eq!(house.haven("logs --until 1h counter").succeeds(), "");
}

#[test]
fn following_ends_with_the_container_and_misses_nothing() {
    let house = House::open();
    house.detached("--name ticker", "for i in $(seq 1 30); do echo line $i; sleep 0.02; done");
    let answer = house.haven("logs --follow ticker").exits(0);
    let lines: Vec<&str> = answer.stdout.lines().collect();
    assert_eq!(lines.len(), 30, "{}", answer.story());
    assert_eq!(lines.last(), Some(&"line 30"));
}

#[test]
fn following_goes_on_across_rotation() {
    let house = House::open();
    if house.is_peer() {
        return; // "error from daemon in stream: Error grabbing logs: EOF"
    }
    house.detached(
        "--name chatty --log-opt max-size=20k --log-opt max-file=3",
        "sleep 0.5; for i in $(seq 1 4000); do echo a line with the number $i; done; sleep 1",
    );
    let answer = house.haven("logs --follow chatty").limit(Duration::from_secs(60)).exits(0);
    let numbers: Vec<u32> =
        answer.stdout.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert_eq!(numbers.last(), Some(&4000), "{} lines", numbers.len());
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "lines come in order");
    // What was rotated away before it could be read may be missing; most of it may not.
    assert!(numbers.len() > 1000, "{} lines", numbers.len());
}

#[test]
fn logs_are_capped() {
    let house = House::open();
    house
        .haven("run --name flood --log-opt max-size=50k --log-opt max-file=2")
        .args([
            BUSYBOX,
            "sh",
            "-c",
            "seq 1 100000 >/dev/null; yes 0123456789012345678901234567890123456789 | head -n 20000",
        ])
        .run();
    let kept = house.haven("logs flood").exits(0);
    assert!(kept.stdout.len() < 150_000, "{} bytes kept", kept.stdout.len());
    assert!(kept.stdout.len() > 10_000, "{} bytes kept", kept.stdout.len());
}

#[test]
fn a_line_without_an_end_and_a_very_long_one_are_kept_whole() {
    let house = House::open();
    house.haven("run --name partial").args([BUSYBOX, "sh", "-c", "printf no-end"]).succeeds();
    assert_eq!(house.haven("logs partial").exits(0).stdout, "no-end");
    house
        .haven("run --name long")
        .args([BUSYBOX, "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo after"])
        .succeeds();
    let logged = house.haven("logs long").exits(0).stdout;
    assert_eq!(logged.lines().next().map(str::len), Some(100_000));
    assert_eq!(logged.lines().nth(1), Some("after"));
}

#[test]
fn a_reader_of_the_log_that_does_not_read_never_stops_the_container() {
    let house = House::open();
    house.detached("--name busy --log-opt max-size=10m", "echo up; sleep 0.5; yes | head -n 3000000");
    let mut slow = house.haven("logs --follow busy").start();
    slow.wait_for("up");
    signal(&slow, "STOP");
    within(Duration::from_secs(30), "it ends though nobody reads", || {
        house.inspect("busy", "{{.State.Status}}") == "exited"
    });
    slow.kill();
}

#[test]
fn an_attached_client_that_pauses_misses_nothing() {
    let house = House::open();
    let mut run = house
        .haven("run --name paused")
        .args([BUSYBOX, "sh", "-c", "echo up; sleep 0.3; seq 1 300000"])
        .start();
    run.wait_for("up");
    signal(&run, "STOP");
    std::thread::sleep(Duration::from_secs(1));
    signal(&run, "CONT");
    let said = run.finish().stdout;
    assert_eq!(said.lines().count(), 300_001);
    assert!(said.ends_with("\n300000\n"));
}

fn signal(running: &Running, signal: &str) {
    let sent =
        std::process::Command::new("kill").args([&format!("-{signal}"), &running.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

#[test]
fn without_a_log_there_is_none() {
    let house = House::open();
    house.haven("run --name quiet --log-driver none").args([BUSYBOX, "echo", "hi"]).succeeds();
    house.haven("logs quiet").fails();
}
