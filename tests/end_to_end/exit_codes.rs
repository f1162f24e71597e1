//! Exit codes of `run` and `exec`, as scripts that use the docker command line rely on them.

use haven_tests::{BUSYBOX, House};

#[test]
fn run_ends_with_the_code_of_the_first_process() {
    let house = House::open();
    for code in [0, 1, 42, 255] {
        house.haven("run --rm").args([BUSYBOX, "sh", "-c", &format!("exit {code}")]).exits(code);
    }
}

#[test]
fn run_ends_with_128_and_the_signal_when_one_ended_it() {
    let house = House::open();
    // The first process of a namespace ignores what it doesn't handle, so the signal comes from outside.
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let name = format!("by-{signal}");
        let mut run = house.haven(&format!("run --name {name}")).args([BUSYBOX, "sh", "-c", "trap 'trap - TERM; kill -9 $$' QUIT; trap 'exit 143' TERM; echo up; while :; do sleep 0.05; done"]).start();
        run.wait_for("up");
        house.haven(&format!("kill --signal {signal} {name}")).succeeds();
        assert_eq!(run.finish().code, code, "{signal}");
        assert_eq!(house.inspect(&name, "{{.State.ExitCode}}"), code.to_string());
    }
}

#[test]
fn a_command_that_is_not_there_gives_127_and_says_so() {
    let house = House::open();
    house.haven("run --rm").args([BUSYBOX, "no-such-command"]).exits(127).says("no-such-command");
    house.haven("run --rm").args([BUSYBOX, "/no/such/file"]).exits(127);
}

#[test]
fn a_file_that_cannot_be_executed_gives_126_and_says_so() {
    let house = House::open();
    house.haven("run --rm").args([BUSYBOX, "/not-executable"]).exits(126).says("not-executable");
    house.haven("run --rm").args([BUSYBOX, "/tmp"]).exits(126);
}

#[test]
fn a_fault_of_the_request_gives_125() {
    let house = House::open();
    house.haven("run --rm --no-such-flag").args([BUSYBOX, "true"]).exits(125);
    house.haven("run --rm --memory nonsense").args([BUSYBOX, "true"]).exits(125);
    house.haven("create --name taken").args([BUSYBOX, "true"]).succeeds();
    house.haven("run --rm --name taken").args([BUSYBOX, "true"]).exits(125).says("taken");
}

#[test]
fn exec_ends_with_the_code_of_its_process() {
    let house = House::open();
    house.detached("--name box", "sleep 1000");
    house.haven("exec box sh -c").arg("exit 7").exits(7);
    house.haven("exec box true").exits(0);
    // dockerd gave 126 here until version 25.
    house.haven("exec box no-such-command").exits(if house.is_peer() { 126 } else { 127 });
    house.haven("exec box /not-executable").exits(126);
    house.haven("exec box sh -c").arg("kill -9 $$").exits(137);
    house.haven("exec nobody true").exits(1).says("nobody");
}

#[test]
fn exec_in_a_stopped_container_is_refused() {
    let house = House::open();
    house.haven("run --name over").args([BUSYBOX, "true"]).succeeds();
    house.haven("exec over true").exits(1).says("not running");
}

#[test]
fn wait_prints_the_exit_code() {
    let house = House::open();
    house.detached("--name waited", "sleep 0.3; exit 9");
    assert_eq!(house.exit_code("waited"), 9);
    // Also when it is long over.
    assert_eq!(house.exit_code("waited"), 9);
}
