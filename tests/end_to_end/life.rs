//! A container's life: create, start, stop, kill, pause, rename, remove, and what may not be done when.

use haven_tests::{BUSYBOX, House, eventually};
use std::time::{Duration, Instant};

#[test]
fn created_started_stopped_and_removed() {
    let house = House::open();
    let id = house.haven("create --name box").args([BUSYBOX, "sleep", "1000"]).succeeds();
    assert_eq!(id.len(), 64);
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "created");
    assert_eq!(house.haven("start box").succeeds(), "box");
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "running");
    house.haven("start box").succeeds();
    house.haven("rm box").exits(1).says("running");
    assert_eq!(house.haven("stop -t 1 box").succeeds(), "box");
    assert_eq!(house.inspect("box", "{{.State.Status}}"), "exited");
    house.haven("start box").succeeds();
    house.haven("rm --force box").succeeds();
    house.haven("inspect box").exits(1);
}

#[test]
fn stop_asks_first_and_kills_after_its_time() {
    let house = House::open();
    house.detached("--name polite", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done");
    house.detached("--name stubborn", "exec /probe ignore");
    eventually("it ignores", || house.haven("logs stubborn").run().stdout.contains("ignoring"));
    house.haven("stop polite").succeeds();
    assert_eq!(house.inspect("polite", "{{.State.ExitCode}}"), "0");
    house.haven("logs polite").exits(0).says("bye");
    let begin = Instant::now();
    house.haven("stop -t 1 stubborn").succeeds();
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(house.inspect("stubborn", "{{.State.ExitCode}}"), "137");
}

#[test]
fn the_stop_signal_can_be_chosen() {
    let house = House::open();
    house
        .detached("--name chosen --stop-signal SIGUSR1", "trap 'exit 12' USR1; while :; do sleep 0.05; done");
    std::thread::sleep(Duration::from_millis(300));
    house.haven("stop chosen").succeeds();
    assert_eq!(house.inspect("chosen", "{{.State.ExitCode}}"), "12");
}

#[test]
fn a_signal_reaches_the_process_and_an_unknown_one_is_refused() {
    let house = House::open();
    house.detached("--name box", "trap 'echo got-usr1' USR1; echo up; while :; do sleep 0.05; done");
    eventually("it is up", || house.haven("logs box").run().stdout.contains("up"));
    house.haven("kill --signal USR1 box").succeeds();
    eventually("it got the signal", || house.haven("logs box").run().stdout.contains("got-usr1"));
    house.haven("kill --signal NONSENSE box").exits(1).says("NONSENSE");
    house.haven("kill box").succeeds();
    assert_eq!(house.exit_code("box"), 137);
    house.haven("kill box").exits(1).says("not running");
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let house = House::open();
    house.detached("--name clock", "i=0; while :; do i=$((i+1)); echo $i > /tmp/ticks; sleep 0.02; done");
    let ticks = || house.haven("cp clock:/tmp/ticks -").run().stdout;
    eventually("it ticks", || ticks().contains("ticks"));
    house.haven("pause clock").succeeds();
    assert_eq!(house.inspect("clock", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    let before = ticks();
    std::thread::sleep(Duration::from_millis(300));
    // The same bytes, times of modification included.
    assert_eq!(ticks(), before);
    house.haven("pause clock").exits(1).says("already paused");
    house.haven("exec clock true").exits(1).says("paused");
    house.haven("unpause clock").succeeds();
    eventually("it ticks again", || ticks() != before);
    house.haven("unpause clock").exits(1).says("not paused");
}

#[test]
fn a_paused_container_can_be_killed_and_removed() {
    let house = House::open();
    house.detached("--name frozen", "sleep 1000");
    house.haven("pause frozen").succeeds();
    house.haven("rm --force frozen").succeeds();
    house.haven("inspect frozen").exits(1);
}

#[test]
fn a_name_is_unique_and_can_be_changed() {
    let house = House::open();
    let id = house.detached("--name old", "sleep 1000");
    house.haven("create --name old").args([BUSYBOX, "true"]).exits(1).says("already in use");
    house.haven("rename old new").succeeds();
    assert_eq!(house.inspect("new", "{{.Id}}"), id);
    house.haven("inspect old").exits(1);
    house.haven("create --name old").args([BUSYBOX, "true"]).succeeds();
    house.haven("rename new old").exits(1).says("already in use");
    house.haven("rename new").arg("_bad").exits(1);
}

#[test]
fn a_container_is_found_by_a_unique_beginning_of_its_id() {
    let house = House::open();
    let id = house.detached("", "sleep 1000");
    assert_eq!(house.inspect(&id[..4], "{{.Id}}"), id);
    let name = house.inspect(&id, "{{.Name}}");
    assert!(name.len() > 4 && name.starts_with('/'), "a name is made up: {name}");
}

#[test]
fn restart_gives_a_new_process_and_keeps_the_files() {
    let house = House::open();
    house.detached("--name box", "date +%s%N >> /tmp/starts; sleep 1000");
    eventually("it is up", || house.haven("exec box test -e /tmp/starts").run().code == 0);
    let before = house.inspect("box", "{{.State.Pid}}");
    house.haven("restart -t 0 box").succeeds();
    assert_ne!(house.inspect("box", "{{.State.Pid}}"), before);
    eventually("both starts are there", || {
        house.haven("exec box wc -l /tmp/starts").run().stdout.starts_with('2')
    });
}

#[test]
fn rm_removes_a_container_that_ends_by_itself() {
    let house = House::open();
    house.detached("--rm --name brief", "exit 0");
    eventually("it is gone", || house.haven("inspect brief").run().code == 1);
}

#[test]
fn an_init_reaps_and_forwards() {
    let house = House::open();
    house.detached(
        "--init --name tended",
        "trap 'exit 33' TERM; (sleep 0.1 &) ; while :; do sleep 0.05; done",
    );
    std::thread::sleep(Duration::from_millis(500));
    let zombies = house
        .haven("exec tended sh -c")
        .arg("grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
        .succeeds();
    assert_eq!(zombies, "0");
    house.haven("stop tended").succeeds();
    assert_eq!(house.inspect("tended", "{{.State.ExitCode}}"), "33");
}

#[test]
fn many_containers_at_once_all_run_and_all_go() {
    let house = House::open();
    let mut starts: Vec<_> = (0..20)
        .map(|number| {
            house.haven(&format!("run -d --name many-{number}")).args([BUSYBOX, "sleep", "1000"]).start()
        })
        .collect();
    for start in starts.drain(..) {
        let answer = start.finish();
        assert_eq!(answer.code, 0, "{}", answer.story());
    }
    assert_eq!(house.haven("ps --quiet").succeeds().lines().count(), 20);
    let names: Vec<String> = (0..20).map(|number| format!("many-{number}")).collect();
    house.haven("rm --force").args(names.iter().map(String::as_str)).succeeds();
    assert_eq!(house.haven("ps --all --quiet").succeeds(), "");
}
