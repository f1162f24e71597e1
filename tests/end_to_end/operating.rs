//! What an operator meets: starting, configuration, a full disk, a killed keeper, a second daemon, the doctor.

use haven_tests::{BUSYBOX, Call, House, Options, Stage, binary, busybox_archive, eventually, within};
use std::process::Command;
use std::time::Duration;

/// These are about Haven alone.
fn is_peer() -> bool {
    std::env::var_os("HAVEN_TESTS_PEER").is_some()
}

/// A daemon that is to end by itself because of its configuration.
fn refused_configuration(text: &str) -> haven_tests::Answer {
    let stage = Stage::set();
    std::fs::write(stage.path("haven.toml"), text).expect("a file");
    let mut command = stage.enter(binary());
    command.arg("daemon").arg("--config").arg(stage.path("haven.toml"));
    command.arg("--data-root").arg(stage.path("data")).arg("--run-root").arg(stage.path("run"));
    command.arg("--socket").arg(stage.path("haven.sock"));
    Call::new(command, "").limit(Duration::from_secs(10)).fails()
}

#[test]
fn run_needs_no_daemon_started_by_hand() {
    if is_peer() {
        return;
    }
    let stage = Stage::set();
    // The default places, on a stage where nobody else's are seen.
    let script = format!(
        "for place in /run /var/lib /var/log; do mount -t tmpfs none $place; done; {h} load -i {i} && {h} run --rm {BUSYBOX} echo started; {h} ps",
        h = binary().display(),
        i = busybox_archive().display()
    );
    Call::new(stage.enter("sh"), "-c").arg(script).exits(0).says("started").says("CONTAINER ID");
}

#[test]
fn an_unknown_key_in_the_configuration_is_refused_with_its_line() {
    if is_peer() {
        return;
    }
    refused_configuration("stop_timeout_s = 3\n\nno_such_key = 1\n").says("no_such_key").says("3");
    refused_configuration("[network]\npool = \"not-a-network\"\n").says("not-a-network");
    refused_configuration("stop_timeout_s = \"soon\"\n").says("stop_timeout_s");
    refused_configuration("this is not TOML\n").says("haven.toml");
}

#[test]
fn the_packaged_configuration_is_accepted() {
    if is_peer() {
        return;
    }
    let config = include_str!("../../packaging/haven.toml");
    // The places are the stage's, by the command line.
    let house = House::open_with(Options { config: config.into(), ..Options::default() });
    house.haven("run --rm").args([BUSYBOX, "true"]).succeeds();
}

#[test]
fn defaults_come_from_the_configuration() {
    if is_peer() {
        return;
    }
    let config = "[limits]\npids = 77\n[network]\npublish_address = \"127.0.0.1\"\n[container_log]\nmax_size = \"1m\"\nmax_files = 2\n";
    let house = House::open_with(Options { config: config.into(), ..Options::default() });
    house.detached("--name web -p 8080:80", "exec /probe serve 80 served");
    assert_eq!(house.haven("port web 80").succeeds(), "127.0.0.1:8080");
    let made: u32 = house
        .haven("run --rm")
        .args([BUSYBOX, "/probe", "forks", "500"])
        .run()
        .stdout
        .trim()
        .parse()
        .expect("a number");
    assert!((60..=77).contains(&made), "{made}");
}

#[test]
fn a_second_daemon_on_the_same_data_is_refused() {
    if is_peer() {
        return;
    }
    let house = House::open();
    let mut command = house.stage().enter(binary());
    command.arg("daemon").arg("--data-root").arg(house.data_root()).arg("--run-root").arg(house.run_root());
    command.arg("--socket").arg(house.stage().path("other.sock"));
    Call::new(command, "").limit(Duration::from_secs(10)).fails();
    house.haven("run --rm").args([BUSYBOX, "true"]).succeeds();
}

#[test]
fn a_full_disk_is_told_and_the_container_goes_on() {
    if is_peer() {
        return;
    }
    let house = House::open_with(Options { disk_megabytes: Some(40), ..Options::default() });
    let script = "echo before; head -c 100000000 /dev/zero > /fill; echo filled; for i in $(seq 1 2000); do echo a line that has no room $i; done; sync; rm /fill; sleep 0.5; echo after; exit 5";
    house.detached("--name full --log-opt max-size=30m", script);
    within(Duration::from_secs(30), "it ends", || house.inspect("full", "{{.State.Status}}") == "exited");
    assert_eq!(house.inspect("full", "{{.State.ExitCode}}"), "5");
    house.haven("logs full").exits(0).says("before").says("after");
    // There is room again, and everything works.
    house.haven("rm full").succeeds();
    house.haven("run --rm").args([BUSYBOX, "true"]).succeeds();
}

#[test]
fn an_image_that_does_not_fit_is_refused_and_leaves_nothing() {
    if is_peer() {
        return;
    }
    let house = House::open_with(Options { disk_megabytes: Some(12), ..Options::default() });
    let used = || {
        house
            .host(&format!("df -k --output=used {}", house.data_root().display()))
            .succeeds()
            .lines()
            .last()
            .and_then(|line| line.trim().parse::<u64>().ok())
            .expect("df prints a number")
    };
    let before = used();
    let large = haven_tests::Archive::new("large:1", haven_tests::ImageConfig::default())
        .layer(haven_tests::Layer::new().file("large", 0o644, vec![7_u8; 30 << 20]));
    let path = house.stage().path("large.tar");
    large.write(&path);
    house.haven("load -i").arg(path.display().to_string()).fails().says("No space left");
    assert_eq!(house.haven("images --quiet large").succeeds(), "");
    eventually("what was written is gone", || used() < before + 512);
    house.haven("run --rm").args([BUSYBOX, "true"]).succeeds();
}

#[test]
fn a_killed_keeper_costs_its_container_at_most() {
    if is_peer() {
        return;
    }
    let house = House::open();
    house.detached("--name orphan", "sleep 1000");
    house.detached("--name other", "sleep 1000");
    let pid = house.inspect("orphan", "{{.State.Pid}}");
    let status = house.host(&format!("cat /proc/{pid}/status")).succeeds();
    let keeper =
        status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default().trim().to_owned();
    house.host(&format!("kill -9 {keeper}")).succeeds();
    // Whether it goes on or ends with its keeper: the engine knows which, and can end it.
    std::thread::sleep(Duration::from_millis(500));
    house.haven("stop -t 0 orphan").succeeds();
    eventually("it has ended", || house.inspect("orphan", "{{.State.Status}}") == "exited");
    assert_eq!(house.inspect("orphan", "{{.State.ExitCode}}"), "137");
    eventually("its process is gone", || house.host(&format!("kill -0 {pid}")).run().code != 0);
    house.haven("start orphan").succeeds();
    house.haven("exec other true").succeeds();
}

#[test]
fn the_doctor_says_what_the_host_gives() {
    if is_peer() {
        return;
    }
    let house = House::open();
    house.haven("doctor").run().says("cgroup").says("user namespace");
}

#[test]
fn help_manual_and_completion_come_from_the_same_declarations() {
    if is_peer() {
        return;
    }
    let haven = |line: &str| Call::new(Command::new(binary()), line);
    haven("--help").exits(0).says("run").says("doctor");
    haven("run --help").exits(0).says("--memory").says("--publish");
    for shell in ["bash", "zsh", "fish"] {
        haven(&format!("completion {shell}")).exits(0).says("haven");
    }
}
