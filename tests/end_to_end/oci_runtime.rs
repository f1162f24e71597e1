//! `haven oci` as the runtime of others: dockerd, podman and containerd each run containers with it.
//!
//! `HAVEN_TESTS_RUNTIME=/usr/sbin/runc` runs the same tests with another runtime, to see that they ask for the right thing.

use haven_tests::{BUSYBOX, Call, Stage, binary, busybox_archive, within};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Others want one program that takes runc's arguments.
fn runtime(stage: &Stage) -> PathBuf {
    let path = stage.path("haven-oci");
    let words =
        std::env::var("HAVEN_TESTS_RUNTIME").unwrap_or_else(|_| format!("{} oci", binary().display()));
    std::fs::write(&path, format!("#!/bin/sh\nexec {words} \"$@\"\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

/// The process that entered the stage for a daemon; the daemon itself ends with the stage.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A daemon of another engine, listening on a socket of the stage.
fn daemon(stage: &Stage, mut command: Command, socket: &str) -> Peer {
    let log = std::fs::File::create(stage.path("peer.log")).expect("a log");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a copy")).stderr(log);
    let child = Peer(command.spawn().expect("nsenter runs"));
    let socket = stage.path(socket);
    within(Duration::from_secs(30), "the peer listens", || UnixStream::connect(&socket).is_ok());
    child
}

fn peer_log(stage: &Stage) -> String {
    std::fs::read_to_string(stage.path("peer.log"))
        .unwrap_or_default()
        .lines()
        .rev()
        .take(15)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn dockerd_runs_containers_with_it() {
    let stage = Stage::set();
    let mut command = stage.enter("dockerd");
    for option in [
        format!("--data-root={}", stage.path("data").display()),
        format!("--exec-root={}", stage.path("run").display()),
        format!("--pidfile={}", stage.path("pid").display()),
        format!("--host=unix://{}", stage.path("docker.sock").display()),
        format!("--add-runtime=haven={}", runtime(&stage).display()),
        "--default-runtime=haven".to_owned(),
    ] {
        command.arg(option);
    }
    let _daemon = daemon(&stage, command, "docker.sock");
    let docker = |line: &str| {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", stage.path("docker.sock").display()))
            .env("HOME", stage.directory());
        Call::new(command, line)
    };
    docker("load -i").arg(busybox_archive().display().to_string()).succeeds();
    let answer = docker("run --rm").args([BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 7"]).run();
    assert!(
        answer.code == 7 && answer.stdout == "out\n" && answer.stderr == "err\n",
        "{}\n{}",
        answer.story(),
        peer_log(&stage)
    );
    docker("run -d --name box --memory 64m --pids-limit 50 -p 8080:80")
        .args([BUSYBOX, "/probe", "serve", "80"])
        .succeeds();
    assert_eq!(docker("exec box sh -c").arg("echo $((6*7)); cat /proc/1/comm").succeeds(), "42\nprobe");
    docker("exec box sh -c").arg("exit 9").exits(9);
    let got = Call::new(stage.outside(&haven_tests::probe().display().to_string()), "get 192.0.2.1 8080")
        .succeeds();
    assert_eq!(got, "served");
    docker("pause box").succeeds();
    docker("unpause box").succeeds();
    docker("stop -t 1 box").succeeds();
    docker("start box").succeeds();
    docker("rm -f box").succeeds();
    let tty = docker("run --rm -it").args([BUSYBOX, "tty"]).on_a_terminal().run();
    assert!(tty.stdout.contains("/dev/pts/0"), "{}", tty.story());
    docker("run --rm").args([BUSYBOX, "/no/such"]).exits(127);
}

#[test]
fn podman_runs_containers_with_it() {
    let stage = Stage::set();
    // Podman refuses a host with both versions of cgroups.
    Call::new(stage.enter("sh"), "-c")
        .arg("! test -d /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified")
        .succeeds();
    let runtime = runtime(&stage);
    let podman = |line: &str| {
        let mut command = stage.enter("podman");
        command
            .arg(format!("--root={}", stage.path("data").display()))
            .arg(format!("--runroot={}", stage.path("run").display()));
        command.arg(format!("--runtime={}", runtime.display())).arg("--cgroup-manager=cgroupfs");
        Call::new(command, line)
    };
    podman("load -i").arg(busybox_archive().display().to_string()).succeeds();
    let limits = "--ulimit nofile=1024:1024 --ulimit nproc=8192:8192";
    let answer =
        podman(&format!("run --rm {limits}")).args([BUSYBOX, "sh", "-c", "echo out; exit 7"]).exits(7);
    assert_eq!(answer.stdout, "out\n");
    podman(&format!("run -d --name box {limits} --network none"))
        .args([BUSYBOX, "/probe", "ignore"])
        .succeeds();
    assert_eq!(podman("exec box cat /proc/1/comm").succeeds(), "probe");
    podman("exec box sh -c").arg("exit 9").exits(9);
    podman("kill box").succeeds();
    assert_eq!(podman("wait box").succeeds(), "137");
    podman("rm -f box").succeeds();
}

#[test]
fn containerd_runs_containers_with_it() {
    let stage = Stage::set();
    let config = format!(
        "version = 2\nroot = \"{root}\"\nstate = \"{state}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{socket}\"\n",
        root = stage.path("data").display(),
        state = stage.path("run").display(),
        socket = stage.path("containerd.sock").display()
    );
    std::fs::write(stage.path("containerd.toml"), config).expect("a file");
    let mut command = stage.enter("containerd");
    command.arg("--config").arg(stage.path("containerd.toml"));
    let _daemon = daemon(&stage, command, "containerd.sock");
    let runtime = runtime(&stage).display().to_string();
    let ctr = |line: &str| {
        let mut command = stage.enter("ctr");
        command.arg(format!("--address={}", stage.path("containerd.sock").display()));
        Call::new(command, line)
    };
    ctr("images import").arg(busybox_archive().display().to_string()).succeeds();
    let image = format!("docker.io/library/{BUSYBOX}");
    let answer =
        ctr("run --rm --runc-binary").args([&runtime, &image, "first", "sh", "-c", "echo out; exit 7"]).run();
    assert!(answer.code == 7 && answer.stdout == "out\n", "{}\n{}", answer.story(), peer_log(&stage));
    ctr("run --detach --runc-binary").args([&runtime, &image, "second", "/probe", "ignore"]).succeeds();
    assert_eq!(ctr("task exec --exec-id one second cat /proc/1/comm").succeeds(), "probe");
    ctr("task kill --signal 9 second").succeeds();
    within(Duration::from_secs(10), "it ends", || ctr("task ls").run().stdout.contains("STOPPED"));
    ctr("task delete second").run();
    ctr("containers delete second").succeeds();
}
