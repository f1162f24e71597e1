//! Podman, containerd and dockerd with this command as their runtime.
//!
//! Each runs with data, sockets and state of its own in a temporary directory, with no network. A program that isn't
//! installed is said to be missing, and its test ends.

use crate::bundle::{PROGRAM, eventually, make_rootfs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let top = std::env::temp_dir().join(format!("haven-caller-{name}-{}", std::process::id()));
        make_rootfs(&top.join("rootfs"));
        let tar = Command::new("tar")
            .arg("-C")
            .arg(top.join("rootfs"))
            .arg("-cf")
            .arg(top.join("rootfs.tar"))
            .arg(".")
            .status()
            .unwrap();
        assert!(tar.success());
        Self(top)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Mounts a caller left would keep the directory.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let top = self.0.to_string_lossy().into_owned();
        for target in mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)) {
            if target.starts_with(&top) {
                let _gone: rustix::io::Result<()> =
                    rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
            }
        }
        let removed = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}

/// A daemon that is ended with its test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _gone: rustix::io::Result<()> = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _status: std::io::Result<std::process::ExitStatus> = self.0.wait();
    }
}

fn is_installed(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs
        .iter()
        .copied()
        .filter(|program| {
            !["/usr/bin", "/usr/sbin", "/bin"]
                .iter()
                .any(|directory| Path::new(directory).join(program).exists())
        })
        .collect();
    if !missing.is_empty() {
        println!("not run: {} not installed", missing.join(", "));
    }
    missing.is_empty()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What every caller is asked to do. `call` runs the caller's command line, `run` is its flags for a container.
fn behaves(call: &dyn Fn(&[&str]) -> Output, run: &[&str], image: &str) {
    let with = |more: &[&str]| -> Output {
        let mut line = vec!["run"];
        line.extend(run);
        line.extend(more);
        call(&line)
    };
    let hello = with(&["--rm", image, "/bin/echo", "hello"]);
    assert_eq!((hello.status.code(), text(&hello).contains("hello\n")), (Some(0), true), "{}", text(&hello));
    let status = with(&["--rm", image, "/bin/sh", "-c", "exit 3"]);
    assert_eq!(status.status.code(), Some(3), "{}", text(&status));
    let missing = with(&["--rm", image, "nosuch"]);
    assert_eq!(missing.status.code(), Some(127), "{}", text(&missing));
    let started =
        with(&["-d", "--name", "web", "--memory", "64m", "--pids-limit", "50", image, "/bin/sleep", "1000"]);
    assert!(started.status.success(), "{}", text(&started));
    let inside = call(&["exec", "web", "/bin/sh", "-c", "grep Seccomp: /proc/self/status; exit 5"]);
    assert_eq!(inside.status.code(), Some(5), "{}", text(&inside));
    assert!(text(&inside).contains("Seccomp:\t2"), "{}", text(&inside));
    for (line, words) in [
        (&["pause", "web"][..], "web"),
        (&["ps", "-a"], "aused"),
        (&["unpause", "web"], "web"),
        (&["stats", "--no-stream", "web"], "web"),
        (&["top", "web"], "sleep 1000"),
        (&["kill", "web"], "web"),
    ] {
        let output = call(line);
        assert!(output.status.success() && text(&output).contains(words), "{line:?}: {}", text(&output));
    }
    let status = call(&["wait", "web"]);
    assert_eq!(text(&status).trim(), "137");
    let removed = call(&["rm", "web"]);
    assert!(removed.status.success(), "{}", text(&removed));
}

#[test]
fn podman_runs_containers_with_it() {
    if !is_installed(&["podman", "conmon"]) {
        return;
    }
    let place = Place::new("podman");
    // Podman refuses machines with both versions of control groups: it is shown one without the unified hierarchy.
    let wrapper = place.path("podman.sh");
    let script = format!(
        "umount /sys/fs/cgroup/unified 2>/dev/null\nexec podman --root {0}/root --runroot {0}/run --tmpdir {0}/tmp \
         --runtime {PROGRAM} --cgroup-manager cgroupfs --storage-driver vfs --events-backend file \"$@\"\n",
        place.0.display()
    );
    std::fs::write(&wrapper, script).unwrap();
    let call = |line: &[&str]| {
        Command::new("unshare").args(["-m", "sh", &wrapper]).args(line).stdin(Stdio::null()).output().unwrap()
    };
    let imported = call(&["import", &place.path("rootfs.tar"), "bb"]);
    assert!(imported.status.success(), "{}", text(&imported));
    behaves(&call, &["--network", "none"], "bb");
}

fn start_dockerd(place: &Place) -> Daemon {
    let log = std::fs::File::create(place.0.join("log")).unwrap();
    let child = Command::new("dockerd")
        .args([
            "--data-root",
            &place.path("data"),
            "--exec-root",
            &place.path("exec"),
            "--pidfile",
            &place.path("pid"),
        ])
        .args(["-H", &format!("unix://{}", place.path("sock"))])
        .args(["--bridge", "none", "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"])
        .args(["--add-runtime", &format!("haven={PROGRAM}"), "--default-runtime", "haven"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    Daemon(child)
}

#[test]
fn dockerd_runs_containers_with_it() {
    if !is_installed(&["dockerd", "docker", "containerd"]) {
        return;
    }
    let place = Place::new("dockerd");
    let daemon = start_dockerd(&place);
    let socket = format!("unix://{}", place.path("sock"));
    let call = |line: &[&str]| {
        Command::new("docker").args(["-H", &socket]).args(line).stdin(Stdio::null()).output().unwrap()
    };
    eventually(
        || call(&["version"]).status.success(),
        || std::fs::read_to_string(place.0.join("log")).unwrap_or_default(),
    );
    let imported = call(&["import", &place.path("rootfs.tar"), "bb"]);
    assert!(imported.status.success(), "{}", text(&imported));
    behaves(&call, &["--network", "none"], "bb");
    let privileged = call(&["run", "--rm", "--privileged", "--network", "host", "bb", "/bin/true"]);
    assert!(privileged.status.success(), "{}", text(&privileged));
    let killed = call(&[
        "run",
        "--name",
        "oom",
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        "--network",
        "none",
        "bb",
        "/bin/busybox",
        "tail",
        "/dev/zero",
    ]);
    assert_eq!(killed.status.code(), Some(137), "{}", text(&killed));
    assert_eq!(text(&call(&["inspect", "-f", "{{.State.OOMKilled}}", "oom"])).trim(), "true");
    call(&["rm", "oom"]);
    drop(daemon);
}

#[test]
fn containerd_runs_containers_with_it() {
    if !is_installed(&["containerd", "ctr"]) {
        return;
    }
    let place = Place::new("containerd");
    let log = std::fs::File::create(place.0.join("log")).unwrap();
    let socket = place.path("sock");
    let config = place.path("config.toml");
    std::fs::write(&config, "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n").unwrap();
    let daemon = Daemon(
        Command::new("containerd")
            .args([
                "--config",
                &config,
                "--root",
                &place.path("root"),
                "--state",
                &place.path("state"),
                "--address",
                &socket,
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let call = |line: &[&str]| {
        Command::new("ctr").args(["-a", &socket]).args(line).stdin(Stdio::null()).output().unwrap()
    };
    eventually(
        || call(&["version"]).status.success(),
        || std::fs::read_to_string(place.0.join("log")).unwrap_or_default(),
    );
    let rootfs = place.path("rootfs");
    let run = |more: &[&str], command: &[&str]| -> Output {
        let mut line = vec!["run", "--runc-binary", PROGRAM, "--rootfs"];
        line.extend(more);
        line.extend([rootfs.as_str(), "box"]);
        line.extend(command);
        call(&line)
    };
    let hello = run(&["--rm"], &["/bin/echo", "hello"]);
    assert_eq!((hello.status.code(), text(&hello).contains("hello")), (Some(0), true), "{}", text(&hello));
    let status = run(&["--rm"], &["/bin/sh", "-c", "exit 3"]);
    assert_eq!(status.status.code(), Some(3), "{}", text(&status));
    let started = run(&["-d"], &["/bin/sleep", "1000"]);
    assert!(started.status.success(), "{}", text(&started));
    let inside = call(&["task", "exec", "--exec-id", "one", "box", "/bin/sh", "-c", "echo inside"]);
    assert!(text(&inside).contains("inside"), "{}", text(&inside));
    for line in [
        &["task", "pause", "box"][..],
        &["task", "resume", "box"],
        &["task", "metrics", "box"],
        &["task", "kill", "-s", "KILL", "box"],
    ] {
        let output = call(line);
        assert!(output.status.success(), "{line:?}: {}", text(&output));
    }
    eventually(|| text(&call(&["task", "ls"])).contains("STOPPED"), || text(&call(&["task", "ls"])));
    for line in [&["task", "rm", "box"][..], &["container", "rm", "box"]] {
        call(line);
    }
    assert!(!text(&call(&["container", "ls"])).contains("box"));
    drop(daemon);
}
