//! What one sees: ps, inspect, events, top, formats and filters.

use haven_tests::{BUSYBOX, House, eventually};
use serde_json::Value;

#[test]
fn ps_lists_in_dockers_columns() {
    let house = House::open();
    let id = house.detached("--name web -p 18080:80", "sleep 1000");
    house.haven("run --name over").args([BUSYBOX, "true"]).succeeds();
    let table = house.haven("ps").succeeds();
    let mut lines = table.lines();
    let head: Vec<&str> =
        lines.next().unwrap_or_default().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(head, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    let line = lines.next().unwrap_or_default();
    assert!(
        line.starts_with(&id[..12])
            && line.contains(BUSYBOX)
            && line.contains("Up ")
            && line.contains("0.0.0.0:18080->80/tcp")
            && line.ends_with("web"),
        "{line}"
    );
    assert_eq!(lines.next(), None);
    house.haven("ps --all").exits(0).says("Exited (0)").says("over");
}

#[test]
fn ps_filters_and_formats() {
    let house = House::open();
    house.detached("--name aa --label tier=web --label x=1", "sleep 1000");
    house.detached("--name bb --label tier=db", "sleep 1000");
    house.haven("create --name cc").args([BUSYBOX, "true"]).succeeds();
    let names = |filter: &str| -> Vec<String> {
        let list = house.haven(&format!("ps --all --format {{{{.Names}}}} {filter}")).succeeds();
        let mut names: Vec<String> = list.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(names(""), ["aa", "bb", "cc"]);
    assert_eq!(names("--filter label=tier=web"), ["aa"]);
    assert_eq!(names("--filter label=tier"), ["aa", "bb"]);
    assert_eq!(names("--filter status=created"), ["cc"]);
    assert_eq!(names("--filter name=bb"), ["bb"]);
    assert_eq!(names(&format!("--filter ancestor={BUSYBOX}")), ["aa", "bb", "cc"]);
    assert_eq!(names("--last 1"), ["cc"]);
    let json = house.haven("ps --filter name=aa --format json").succeeds();
    let parsed: Value = serde_json::from_str(&json).expect("one JSON document a line");
    assert_eq!(parsed["Names"], "aa");
    assert_eq!(parsed["State"], "running");
    assert_eq!(house.haven("ps --filter name=aa --format").arg("{{.Label \"tier\"}}").succeeds(), "web");
    house.haven("ps --filter nonsense=1").fails();
}

#[test]
fn inspect_gives_dockers_document() {
    let house = House::open();
    let id = house.haven("create --name box --hostname inner --env A=b --workdir /tmp --user 1000 --label l=v -p 127.0.0.1:18081:81/udp").args([BUSYBOX, "sleep", "5"]).succeeds();
    let text = house.haven("inspect box").succeeds();
    let document: Value = serde_json::from_str(&text).expect("inspect prints JSON");
    let box_ = &document[0];
    assert_eq!(box_["Id"], id.as_str());
    assert_eq!(box_["Name"], "/box");
    assert_eq!(box_["Path"], "sleep");
    assert_eq!(box_["Args"][0], "5");
    assert_eq!(box_["Config"]["Hostname"], "inner");
    assert_eq!(box_["Config"]["User"], "1000");
    assert_eq!(box_["Config"]["WorkingDir"], "/tmp");
    assert_eq!(box_["Config"]["Labels"]["l"], "v");
    assert!(box_["Config"]["Env"].as_array().is_some_and(|env| env.iter().any(|line| line == "A=b")));
    assert_eq!(box_["State"]["Status"], "created");
    assert_eq!(box_["State"]["StartedAt"], "0001-01-01T00:00:00Z");
    assert_eq!(box_["HostConfig"]["PortBindings"]["81/udp"][0]["HostPort"], "18081");
    assert_eq!(box_["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(house.inspect(&id[..12], "{{json .State.Running}}"), "false");
    assert_eq!(house.inspect("box", "{{range .Config.Cmd}}{{.}},{{end}}"), "sleep,5,");
    house.haven("inspect nobody").exits(1).says("nobody");
}

#[test]
fn the_state_carries_times_pid_and_code() {
    let house = House::open();
    house.detached("--name box", "sleep 1000");
    let pid: u32 = house.inspect("box", "{{.State.Pid}}").parse().expect("a number");
    assert!(pid > 0);
    let started = house.inspect("box", "{{.State.StartedAt}}");
    assert!(started.starts_with("20") && started.ends_with('Z'), "{started}");
    house.haven("stop -t 0 box").succeeds();
    assert_eq!(house.inspect("box", "{{.State.Pid}} {{.State.ExitCode}} {{.State.Status}}"), "0 137 exited");
}

#[test]
fn events_tell_a_containers_life_in_order() {
    let house = House::open();
    let mut events = house.events("--filter type=container --format {{.Action}}:{{.Actor.Attributes.name}}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    house.haven("run --name lived").args([BUSYBOX, "true"]).succeeds();
    house.haven("rm lived").succeeds();
    events.wait_for("destroy:lived");
    let said = events.kill().stdout;
    let life: Vec<&str> = said.lines().filter(|line| !line.starts_with("attach")).collect();
    assert_eq!(life, ["create:lived", "start:lived", "die:lived", "destroy:lived"]);
}

#[test]
fn events_of_the_past_can_be_asked_for() {
    let house = House::open();
    house.haven("run --rm --name past").args([BUSYBOX, "sh", "-c", "exit 3"]).exits(3);
    let said = house
        .haven("events --since 10m --until=-1s --filter event=die --format")
        .arg("{{.Actor.Attributes.name}} {{.Actor.Attributes.exitCode}}")
        .succeeds();
    assert_eq!(said, "past 3");
}

#[test]
fn what_is_not_quite_as_wished_is_told_with_the_start() {
    let house = House::open();
    // Owners of the kernel's own file system can't be mapped.
    house.haven("run --rm --name odd -v /sys:/hostsys:ro").args([BUSYBOX, "true"]).succeeds();
    let told = house
        .haven("events --since 10m --until=-1s --filter event=start --format")
        .arg("{{.Actor.Attributes.warnings}}")
        .succeeds();
    assert!(told.contains("`/sys`") && told.contains("nobody"), "{told}");
}

#[test]
fn top_shows_the_processes_inside() {
    let house = House::open();
    house.detached("--name box", "sleep 4321");
    let table = house.haven("top box").succeeds();
    assert!(table.lines().next().is_some_and(|head| head.contains("PID") && head.contains("CMD")), "{table}");
    assert!(table.contains("sleep 4321"), "{table}");
    house.haven("create --name still").args([BUSYBOX, "true"]).succeeds();
    house.haven("top still").fails().says("not running");
}

#[test]
fn port_shows_where_a_port_is_published() {
    let house = House::open();
    house.detached("--name box -p 127.0.0.1:18090:80", "sleep 1000");
    assert_eq!(house.haven("port box").succeeds(), "80/tcp -> 127.0.0.1:18090");
    assert_eq!(house.haven("port box 80").succeeds(), "127.0.0.1:18090");
    house.haven("port box 81").fails();
}

#[test]
fn the_system_says_what_it_uses_and_what_it_is() {
    let house = House::open();
    house.haven("run --name used -v vol:/v").args([BUSYBOX, "true"]).succeeds();
    let table = house.haven("system df").succeeds();
    for kind in ["Images", "Containers", "Local Volumes"] {
        assert!(table.contains(kind), "{table}");
    }
    house.haven("version").exits(0).says("Version");
    house.haven("info").exits(0).says("Containers: 1");
}

#[test]
fn prune_removes_what_is_over_and_keeps_what_runs() {
    let house = House::open();
    house.detached("--name runs", "sleep 1000");
    house.haven("run --name over").args([BUSYBOX, "true"]).succeeds();
    house.haven("system prune --force").succeeds();
    assert_eq!(house.haven("ps --all --format {{.Names}}").succeeds(), "runs");
    house.haven("container prune --force").succeeds();
    eventually("it still runs", || house.inspect("runs", "{{.State.Running}}") == "true");
}
