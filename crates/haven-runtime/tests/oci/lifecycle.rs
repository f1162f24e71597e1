//! From create to delete, and what goes wrong on the way.

use crate::bundle::{Bundle, PROGRAM, eventually};
use serde_json::{Value, json};
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn a_container_goes_from_created_over_running_to_stopped_and_is_forgotten() {
    let bundle = Bundle::new("life", "echo hello; exec sleep 100");
    bundle.create();
    assert_eq!(bundle.status(), "created");
    assert!(bundle.output().is_empty(), "nothing runs before it is started");
    let state: Value = serde_json::from_str(&bundle.ok(&["state", "{id}"])).unwrap();
    assert_eq!(state["bundle"], json!(bundle.top.canonicalize().unwrap()));
    assert!(state["ociVersion"].as_str().unwrap().starts_with("1."));
    bundle.ok(&["start", "{id}"]);
    assert_eq!(bundle.status(), "running");
    eventually(|| bundle.output() == "hello\n", || bundle.output());
    assert!(bundle.ok(&["list"]).contains(&bundle.id));
    assert_eq!(bundle.ok(&["ps", "-f", "json", "{id}"]).trim(), format!("[{}]", bundle.pid()));
    assert!(bundle.ok(&["ps", "{id}"]).contains("sleep 100"));
    let refused = bundle.fails(&["delete", "{id}"]);
    assert!(refused.contains("that is not stopped: running"), "{refused}");
    bundle.ok(&["kill", "{id}", "KILL"]);
    bundle.wait_for("stopped");
    assert_eq!(bundle.fails(&["kill", "{id}"]), "container not running");
    bundle.ok(&["delete", "{id}"]);
    assert!(bundle.fails(&["state", "{id}"]).starts_with("container does not exist"));
    assert!(!std::path::Path::new("/sys/fs/cgroup/memory/haven").join(&bundle.id).exists());
}

#[test]
fn the_exit_status_of_run_is_the_commands() {
    for (script, status) in [("exit 0", 0), ("exit 42", 42), ("kill -9 $$", 137)] {
        let bundle = Bundle::new("status", script).with(|document| {
            // Process 1 of a PID namespace can't kill itself.
            document["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "pid");
            document["mounts"].as_array_mut().unwrap().retain(|one| one["destination"] != "/proc");
            document["linux"]["maskedPaths"] = json!([]);
            document["linux"]["readonlyPaths"] = json!([]);
        });
        let output = bundle.call(&["run", "-b", "{bundle}", "{id}"]);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert!(bundle.ok(&["list", "-q"]).is_empty());
    }
}

#[test]
fn what_is_confined_is_seen_inside() {
    let script = "id; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/sys/kernel/hostname; \
                  readlink /proc/self/ns/pid; echo $WORD; ls /proc/self/fd; echo x > /x";
    let bundle = Bundle::new("confined", script).with(|document| {
        document["process"]["user"] = json!({ "uid": 5, "gid": 6, "additionalGids": [7] });
        document["process"]["env"] = json!(["PATH=/bin", "WORD=word"]);
        document["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
    });
    let output = bundle.call(&["run", "-b", "{bundle}", "{id}"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    for wanted in [
        "uid=5 gid=6 groups=7",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "haven\n",
        "word\n",
        "\n0\n1\n2\n3\n",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(!text.contains(&*own.to_string_lossy()));
    assert_ne!(output.status.code(), Some(0), "the root file system is read-only");
}

#[test]
fn additional_processes_join_the_container() {
    let bundle = Bundle::new("exec", "exec sleep 100");
    bundle.create();
    bundle.ok(&["start", "{id}"]);
    let text = bundle.ok(&[
        "exec",
        "--user",
        "8:9",
        "--cwd",
        "/tmp",
        "-e",
        "A=b",
        "{id}",
        "sh",
        "-c",
        "id; readlink /proc/self/cwd; echo $A; ls /proc",
    ]);
    assert!(text.contains("uid=8 gid=9") && text.contains("/tmp\nb\n1\n"), "{text}");
    assert_eq!(bundle.call(&["exec", "{id}", "sh", "-c", "exit 9"]).status.code(), Some(9));
    let missing = bundle.fails(&["exec", "{id}", "nosuch"]);
    assert!(missing.contains("executable file not found in $PATH"), "{missing}");
    let process = json!({ "user": { "uid": 0, "gid": 0 }, "args": ["echo", "from a file"], "cwd": "/" });
    let file = bundle.top.join("process.json");
    std::fs::write(&file, process.to_string()).unwrap();
    assert_eq!(bundle.ok(&["exec", "-p", &file.to_string_lossy(), "{id}"]), "from a file\n");
    // Standard input reaches it, and its end too.
    let mut cat = bundle
        .command(&["exec", "{id}", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut cat.stdin.take().unwrap(), b"through\n").unwrap();
    let mut text = String::new();
    cat.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), cat.wait().unwrap().success()), ("through\n", true));

    bundle.ok(&["pause", "{id}"]);
    assert_eq!(bundle.status(), "paused");
    assert!(bundle.fails(&["exec", "{id}", "true"]).contains("paused"));
    bundle.ok(&["resume", "{id}"]);
    let file = bundle.top.join("pid");
    let status = bundle
        .command(&["exec", "-d", "--pid-file", &file.to_string_lossy(), "{id}", "sleep", "100"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let pid: i64 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let listed: Vec<i64> = serde_json::from_str(&bundle.ok(&["ps", "-f", "json", "{id}"])).unwrap();
    assert!(listed.contains(&pid) && listed.len() == 2, "{listed:?}");
}

#[test]
fn descriptors_are_passed_on_when_asked_for_and_only_then() {
    use std::os::fd::AsRawFd;
    let bundle = Bundle::new("fds", "cat <&4; ls -l /proc/self/fd");
    let (read, write) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&write, b"given\n").unwrap();
    drop(write);
    // A shell gives the numbers; ours must be none of them.
    let read = rustix::io::fcntl_dupfd_cloexec(&read, 50).unwrap();
    let script = format!("exec 3</dev/null 4</proc/self/fd/{0}; exec \"$@\"", read.as_raw_fd());
    let inner = bundle.command(&["run", "--preserve-fds", "2", "-b", "{bundle}", "{id}"]);
    rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::empty()).unwrap();
    let output = Command::new("sh")
        .args(["-c", &script, "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.starts_with("given\n"), "{output:?}");
    assert!(text.contains(" 3 ->") && text.contains(" 4 ->") && !text.contains(" 6 ->"), "{text}");
    let refused = bundle.fails(&["run", "--preserve-fds", "9", "-b", "{bundle}", "{id}"]);
    assert!(refused.contains("isn't open"), "{refused}");
}

#[test]
fn limits_are_set_shown_and_changed() {
    let bundle = Bundle::new("limits", "exec sleep 100").with(|document| {
        document["linux"]["resources"]["memory"] = json!({ "limit": 64 << 20 });
        document["linux"]["resources"]["pids"] = json!({ "limit": 20 });
    });
    bundle.create();
    bundle.ok(&["start", "{id}"]);
    let stats = |bundle: &Bundle| -> Value {
        let line: Value = serde_json::from_str(&bundle.ok(&["events", "--stats", "{id}"])).unwrap();
        line["data"].clone()
    };
    assert_eq!(stats(&bundle)["memory"]["usage"]["limit"], json!(64 << 20));
    assert_eq!(stats(&bundle)["pids"]["limit"], json!(20));
    bundle.ok(&["update", "--memory", "32M", "--pids-limit", "30", "{id}"]);
    assert_eq!(stats(&bundle)["memory"]["usage"]["limit"], json!(32 << 20));
    assert_eq!(stats(&bundle)["pids"]["limit"], json!(30));
    let mut child = bundle.command(&["update", "-r", "-", "{id}"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), br#"{"pids":{"limit":40},"memory":null}"#)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stats(&bundle)["pids"]["limit"], json!(40));
}

#[test]
fn what_the_machine_does_not_permit_is_brought_down_with_a_warning() {
    let bundle = Bundle::new("clamp", "ulimit -n").with(|document| {
        document["process"]["rlimits"] =
            json!([{ "type": "RLIMIT_NOFILE", "hard": 1 << 20, "soft": 1 << 20 }]);
        document["process"]["oomScoreAdj"] = json!(-900);
    });
    let output = bundle.call(&["run", "-b", "{bundle}", "{id}"]);
    assert!(output.status.success(), "{output:?}");
    let log = std::fs::read_to_string(bundle.top.join("log")).unwrap_or_default();
    let limit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if limit != (1 << 20).to_string() {
        assert!(log.contains("RLIMIT_NOFILE is not permitted here"), "{log}");
        assert!(log.contains("-900 is not permitted here"), "{log}");
    }
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 9] = [
        ("executable file not found in $PATH", |document| document["process"]["args"] = json!(["nosuch"])),
        ("is a directory", |document| document["process"]["args"] = json!(["/etc"])),
        ("no `process`", |document| drop(document.as_object_mut().unwrap().remove("process"))),
        ("cannot find", |document| document["root"]["path"] = json!("nowhere")),
        ("of version `2.0.0`", |document| document["ociVersion"] = json!("2.0.0")),
        ("the source of a bind mount must exist", |document| {
            document["mounts"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "destination": "/x", "source": "/nowhere", "options": ["bind"] }));
        }),
        ("house", |document| document["linux"]["namespaces"][0]["type"] = json!("house")),
        ("SCMP_ACT_NOTIFY", |document| {
            document["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_NOTIFY" });
        }),
        ("is not a limit", |document| {
            document["linux"]["resources"]["unified"] = json!({ "cgroup.procs": "1" });
        }),
    ];
    for (words, change) in cases {
        let bundle = Bundle::new("bad", "true").with(change);
        let output = bundle.call(&["create", "-b", "{bundle}", "{id}"]);
        assert!(!output.status.success());
        let said = bundle.fails(&["create", "-b", "{bundle}", "{id}"]);
        let hint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words) || hint.contains(words), "{words}: {said} {hint}");
        assert!(bundle.ok(&["list", "-q"]).is_empty());
        assert!(!bundle.top.join("state").join(&bundle.id).exists());
        for hierarchy in ["memory", "pids", "cpuset", "unified"] {
            assert!(
                !std::path::Path::new("/sys/fs/cgroup")
                    .join(hierarchy)
                    .join("haven")
                    .join(&bundle.id)
                    .exists()
            );
        }
    }
}

#[test]
fn ids_are_checked_and_unique() {
    let bundle = Bundle::new("ids", "exec sleep 100");
    bundle.create();
    assert!(bundle.fails(&["create", "-b", "{bundle}", "{id}"]).contains("already exists"));
    assert_eq!(bundle.status(), "created", "the first is untouched");
    for bad in ["../x", "a/b", "", "."] {
        let said = bundle.fails(&["create", "-b", "{bundle}", bad]);
        assert!(said.contains("invalid container id"), "{said}");
    }
    bundle.ok(&["delete", "-f", "nosuch"]);
    assert!(bundle.fails(&["delete", "nosuch"]).starts_with("container does not exist"));
    assert!(bundle.fails(&["start", "nosuch"]).starts_with("container does not exist"));
}

#[test]
fn a_maker_that_is_killed_leaves_something_that_can_be_deleted() {
    for wait_ms in [1, 5, 10, 20, 40] {
        let bundle = Bundle::new("killed", "exec sleep 100");
        let mut maker = bundle
            .command(&["create", "-b", "{bundle}", "{id}"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        maker.kill().unwrap();
        maker.wait().unwrap();
        bundle.ok(&["delete", "--force", "{id}"]);
        assert!(!bundle.top.join("state").join(&bundle.id).exists());
        for hierarchy in ["cpu", "cpuset", "memory", "pids", "unified"] {
            let group = std::path::Path::new("/sys/fs/cgroup").join(hierarchy).join("haven").join(&bundle.id);
            assert!(!group.exists(), "{} after {wait_ms} ms", group.display());
        }
    }
}

#[test]
fn the_program_runs_from_a_file_that_cannot_be_written() {
    // The entry point is the program itself: what a container would need to get hold of it (CVE-2019-5736).
    let bundle = Bundle::new("sealed", "exec sleep 100");
    bundle.create();
    let exe = format!("/proc/{}/exe", bundle.pid());
    let opened = std::fs::OpenOptions::new().write(true).open(&exe);
    let errno = opened.unwrap_err().raw_os_error();
    assert!(matches!(errno, Some(30 | 26)), "{errno:?}");
    let file = std::fs::metadata(PROGRAM).unwrap();
    assert_eq!(
        std::os::unix::fs::MetadataExt::ino(&file),
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&exe).unwrap())
    );
}

#[test]
fn the_command_describes_itself() {
    let bundle = Bundle::new("self", "true");
    let version = bundle.ok(&["--version"]);
    assert!(version.starts_with("haven-oci version ") && version.contains("\nspec: 1."), "{version}");
    let features: Value = serde_json::from_str(&bundle.ok(&["features"])).unwrap();
    assert!(
        features["hooks"].as_array().unwrap().len() == 6 && features["linux"]["seccomp"]["enabled"] == true
    );
    assert!(
        bundle.ok(&["help"]).contains("create")
            && bundle.ok(&["create", "--help"]).contains("--console-socket")
    );
    assert!(bundle.fails(&["dance"]).contains("there is no command `dance`"));
    assert!(bundle.fails(&["create", "--dance", "x"]).contains("there is no flag `--dance`"));
}
