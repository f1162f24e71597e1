//! Restart policies.

use haven_tests::{House, eventually, within};
use std::time::Duration;

fn count(house: &House, name: &str) -> u32 {
    house.inspect(name, "{{.RestartCount}}").parse().expect("a number")
}

#[test]
fn on_failure_starts_again_as_often_as_asked() {
    let house = House::open();
    house.detached("--name stubborn --restart on-failure:3", "exit 1");
    within(Duration::from_secs(20), "it gives up", || {
        count(&house, "stubborn") == 3 && house.inspect("stubborn", "{{.State.Status}}") == "exited"
    });
    assert_eq!(house.inspect("stubborn", "{{.State.ExitCode}}"), "1");
}

#[test]
fn on_failure_leaves_a_success_alone() {
    let house = House::open();
    house.detached("--name content --restart on-failure", "exit 0");
    house.exit_code("content");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(count(&house, "content"), 0);
    assert_eq!(house.inspect("content", "{{.State.Status}}"), "exited");
}

#[test]
fn always_starts_again_until_it_is_stopped() {
    let house = House::open();
    house.detached("--name eager --restart always", "sleep 0.2");
    eventually("it was started again", || count(&house, "eager") >= 2);
    house.haven("stop -t 1 eager").succeeds();
    let stopped = count(&house, "eager");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(house.inspect("eager", "{{.State.Status}}"), "exited");
    assert_eq!(count(&house, "eager"), stopped);
}

#[test]
fn a_restarting_container_can_be_removed_by_force() {
    let house = House::open();
    house.detached("--name loop --restart always", "exit 1");
    eventually("it restarts", || count(&house, "loop") >= 1);
    house.haven("rm --force loop").succeeds();
    house.haven("inspect loop").fails();
}

#[test]
fn after_the_daemon_came_back_always_runs_and_what_was_stopped_under_unless_stopped_does_not() {
    let mut house = House::open();
    house.detached("--name aa --restart always", "sleep 1000");
    house.detached("--name uu --restart unless-stopped", "sleep 1000");
    house.haven("stop -t 0 aa uu").succeeds();
    house.stop_daemon();
    house.start_daemon();
    within(Duration::from_secs(20), "the one with `always` runs", || {
        house.inspect("aa", "{{.State.Status}}") == "running"
    });
    assert_eq!(house.inspect("uu", "{{.State.Status}}"), "exited");
}

#[test]
fn the_policy_can_be_changed_while_it_runs() {
    let house = House::open();
    house.detached("--name changed", "sleep 1000");
    house.haven("update --restart always changed").succeeds();
    assert_eq!(house.inspect("changed", "{{.HostConfig.RestartPolicy.Name}}"), "always");
}
