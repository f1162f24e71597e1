//! The daemon may be killed, stopped and replaced under running containers.

use haven_tests::{BUSYBOX, House, campaign, eventually, probe, within};
use std::time::Duration;

#[test]
fn containers_go_on_when_the_daemon_is_killed() {
    let mut house = House::open();
    let id = house.detached("--name steady", "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done");
    eventually("it ticks", || house.haven("logs steady").run().stdout.contains("tick 3"));
    let pid = house.inspect("steady", "{{.State.Pid}}");
    house.kill_daemon();
    std::thread::sleep(Duration::from_millis(500));
    house.start_daemon();
    assert_eq!(
        house.inspect("steady", "{{.State.Status}} {{.State.Pid}} {{.Id}}"),
        format!("running {pid} {id}")
    );
    // Not a line was lost while nobody was there.
    let logged = house.haven("logs steady").exits(0).stdout;
    let numbers: Vec<u32> =
        logged.lines().filter_map(|line| line.strip_prefix("tick ")?.parse().ok()).collect();
    assert!(numbers.iter().zip(1..).all(|(seen, expected)| *seen == expected), "{logged}");
    let last = *numbers.last().expect("lines");
    eventually("it goes on", || {
        house
            .haven("logs --tail 1 steady")
            .run()
            .stdout
            .trim()
            .strip_prefix("tick ")
            .and_then(|n| n.parse::<u32>().ok())
            > Some(last)
    });
    house.haven("exec steady true").succeeds();
    house.haven("stop -t 0 steady").succeeds();
}

#[test]
fn an_exit_while_the_daemon_is_away_is_known_afterwards() {
    let mut house = House::open();
    house.detached("--name leaver", "sleep 0.7; echo last words; exit 23");
    house.detached("--name victim", "sleep 1000");
    let pid = house.inspect("victim", "{{.State.Pid}}");
    house.kill_daemon();
    house.host(&format!("kill -9 {pid}")).succeeds();
    std::thread::sleep(Duration::from_millis(1200));
    house.start_daemon();
    eventually("both ended", || {
        house.inspect("leaver", "{{.State.Status}}") == "exited"
            && house.inspect("victim", "{{.State.Status}}") == "exited"
    });
    assert_eq!(house.inspect("leaver", "{{.State.ExitCode}}"), "23");
    assert_eq!(house.inspect("victim", "{{.State.ExitCode}}"), "137");
    if !house.is_peer() {
        house.haven("logs leaver").exits(0).says("last words");
    }
}

#[test]
fn a_terminal_can_be_attached_again_after_the_daemon_came_back() {
    let mut house = House::open();
    house.haven("run -d -it --name shell").args([BUSYBOX, "sh"]).succeeds();
    house.kill_daemon();
    house.start_daemon();
    let mut shell = house.haven("attach shell").on_a_terminal().start();
    std::thread::sleep(Duration::from_millis(300));
    shell.say(b"echo still-$((40+2))-here\n");
    shell.wait_for("still-42-here");
    shell.say(b"exit 8\n");
    shell.finish();
    assert_eq!(house.exit_code("shell"), 8);
}

#[test]
fn published_ports_answer_while_the_daemon_is_away() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    house.detached("--name web -p 8080:80", "exec /probe serve 80 served");
    let get = |house: &House| {
        house.outside(&format!("{} get 192.0.2.1 8080", probe().display())).run().stdout.contains("served")
    };
    eventually("it answers", || get(&house));
    house.kill_daemon();
    eventually("it answers without the daemon", || get(&house));
    house.start_daemon();
    eventually("it answers after", || get(&house));
}

#[test]
fn an_automatic_removal_is_made_up_for() {
    let mut house = House::open();
    house.detached("--rm --name brief", "sleep 0.5");
    house.kill_daemon();
    std::thread::sleep(Duration::from_millis(900));
    house.start_daemon();
    within(Duration::from_secs(10), "it is removed", || house.haven("inspect brief").run().code != 0);
}

#[test]
fn a_graceful_stop_leaves_containers_running() {
    let mut house = House::open();
    house.detached("--name steady", "sleep 1000");
    let pid = house.inspect("steady", "{{.State.Pid}}");
    house.stop_daemon();
    house.start_daemon();
    assert_eq!(house.inspect("steady", "{{.State.Status}} {{.State.Pid}}"), format!("running {pid}"));
}

#[test]
fn restart_policies_are_kept_up_after_the_daemon_came_back() {
    let mut house = House::open();
    house.detached("--name eager --restart always", "sleep 0.6; exit 1");
    house.kill_daemon();
    std::thread::sleep(Duration::from_secs(1));
    house.start_daemon();
    within(Duration::from_secs(15), "it was started again", || {
        house.inspect("eager", "{{.RestartCount}}").parse::<u32>().is_ok_and(|count| count >= 1)
    });
}

#[test]
fn a_daemon_killed_again_and_again_under_churn_loses_nothing() {
    let toll = campaign(10, 0);
    assert!(toll.started > 0, "{toll:?}");
}
