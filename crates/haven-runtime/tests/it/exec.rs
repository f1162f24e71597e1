//! Additional processes.

use crate::fixture::{
    EVERYTHING, Place, exec, exec_request, kill, read_everything, read_until, send_input, text,
};
use haven_runtime::{CommandError, StdinMode, read_exec_exit};
use std::os::fd::AsFd;

#[test]
fn an_additional_process_is_confined_as_the_first_one() {
    let place = Place::new("exec");
    let launch = place.shell("echo up; sleep 100");
    let running = place.start(&launch);
    read_until(&running.stream, "up");
    let script = "for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done; \
        grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; cat /proc/self/cgroup; cat /proc/self/oom_score_adj";
    let mine = exec(&place, &running, &exec_request(&launch, "one", script));
    assert_eq!(mine.exit.code, 0);
    let again = exec(
        &place,
        &running,
        &exec_request(&launch, "two", "readlink /proc/1/ns/mnt; readlink /proc/self/ns/mnt; echo $$"),
    );
    let lines: Vec<String> = again.text().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], lines[1]);
    assert!(lines[2].parse::<u32>().unwrap() > 1);
    let text = mine.text();
    for expected in ["CapEff:\t00000000a80425fb", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(text.contains(expected), "{text}");
    }
    for line in text.lines().filter(|line| line.contains(":/") && !line.contains("->")) {
        assert!(line.ends_with(":/"), "{line}: not at the root of the container's cgroup namespace");
    }
    assert!(read_exec_exit(&launch.run_dir, "two").unwrap().is_some());
    kill(&running.launched.keeper);
    running.wait();
}

#[test]
fn an_additional_process_has_a_terminal_input_and_an_exit_code() {
    let place = Place::new("exectty");
    let launch = place.shell("sleep 100");
    let running = place.start(&launch);
    let mut request = exec_request(&launch, "tty", "tty; read x; echo got $x; exit 9");
    request.process.terminal = true;
    request.stdin = StdinMode::Open;
    let execed = place.spawner.exec(&request, running.launched.pidfd.as_fd()).unwrap();
    let stream = execed.keeper.attach(EVERYTHING).unwrap();
    let watch = execed.keeper.watch().unwrap();
    execed.keeper.start().unwrap();
    read_until(&stream, "/dev/pts/0");
    send_input(&stream, b"abc\n");
    assert!(text(&read_everything(&stream)).contains("got abc"));
    assert!(matches!(watch.wait().unwrap(), haven_runtime::Settled::Exited(exit) if exit.code == 9));
    kill(&running.launched.keeper);
    running.wait();
}

#[test]
fn an_additional_process_may_be_somebody_else_and_may_be_missing() {
    let place = Place::new("execuser");
    let launch = place.shell("sleep 100");
    let running = place.start(&launch);
    let mut request = exec_request(&launch, "user", "id -u; pwd");
    request.user = Some("app".into());
    request.process.cwd = "/home/app".into();
    assert_eq!(exec(&place, &running, &request).text(), "1000\n/home/app\n");
    let mut request = exec_request(&launch, "gone", "");
    request.process.args = vec!["nosuch".into()];
    let execed = place.spawner.exec(&request, running.launched.pidfd.as_fd()).unwrap();
    let failure = execed.keeper.start().unwrap_err();
    assert_eq!(CommandError::of(&failure), Some(CommandError::Missing));
    kill(&running.launched.keeper);
    running.wait();
    let failure = place
        .spawner
        .exec(&exec_request(&launch, "late", "true"), running.launched.pidfd.as_fd())
        .unwrap_err();
    assert!(!failure.one_line().is_empty());
}
