//! A bundle with nothing but busybox in it, and the command run on it.

use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

static NEXT: AtomicU32 = AtomicU32::new(0);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_haven-oci");

/// A directory with a bundle, and containers made of it.
pub(crate) struct Bundle {
    pub(crate) top: PathBuf,
    /// The container's id, unless a test makes several.
    pub(crate) id: String,
    pub(crate) document: Value,
}

/// Writes a root file system into `rootfs`.
pub(crate) fn make_rootfs(rootfs: &Path) {
    for directory in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
        std::fs::create_dir_all(rootfs.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
    for name in
        ["sh", "ls", "cat", "id", "echo", "sleep", "true", "false", "test", "grep", "stty", "tty", "readlink"]
    {
        symlink("busybox", rootfs.join("bin").join(name)).unwrap();
    }
    std::fs::write(rootfs.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
}

impl Bundle {
    /// A bundle whose command is `script` in a shell.
    pub(crate) fn new(name: &str, script: &str) -> Self {
        let id = format!("haven-oci-{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let top = std::env::temp_dir().join(&id);
        make_rootfs(&top.join("rootfs"));
        let output = Command::new(PROGRAM).arg("spec").arg("-b").arg(&top).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut document: Value =
            serde_json::from_slice(&std::fs::read(top.join("config.json")).unwrap()).unwrap();
        document["process"]["terminal"] = json!(false);
        document["process"]["args"] = json!(["sh", "-c", script]);
        let bundle = Self { top, id, document };
        bundle.write();
        bundle
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.document);
        self.write();
        self
    }

    fn write(&self) {
        std::fs::write(self.top.join("config.json"), self.document.to_string()).unwrap();
    }

    /// `haven-oci --root … COMMAND ARGUMENTS`, with `{id}` and `{bundle}` filled in.
    pub(crate) fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--root")
            .arg(self.top.join("state"))
            .arg("--log")
            .arg(self.top.join("log"))
            .args(["--log-format", "json"]);
        for word in line {
            let word = word.replace("{id}", &self.id).replace("{bundle}", &self.top.to_string_lossy());
            command.arg(word);
        }
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn call(&self, line: &[&str]) -> Output {
        self.command(line).output().unwrap()
    }

    /// A call that must succeed; gives what it printed.
    pub(crate) fn ok(&self, line: &[&str]) -> String {
        let output = self.call(line);
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A call that must fail; gives the last error in the log, as shims read it.
    pub(crate) fn fails(&self, line: &[&str]) -> String {
        let output = self.call(line);
        assert!(!output.status.success(), "{line:?} succeeded");
        let log = std::fs::read_to_string(self.top.join("log")).unwrap_or_default();
        let last = log.lines().rev().find_map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            (entry["level"] == "error").then(|| entry["msg"].as_str().unwrap().to_owned())
        });
        last.unwrap_or_else(|| panic!("nothing in the log: {log}"))
    }

    /// Creates the container. A command that leaves a process behind must not have our pipes.
    pub(crate) fn create(&self) {
        let file =
            || std::fs::OpenOptions::new().append(true).create(true).open(self.top.join("output")).unwrap();
        let status = self
            .command(&["create", "-b", "{bundle}", "{id}"])
            .stdout(file())
            .stderr(file())
            .status()
            .unwrap();
        assert!(status.success(), "{}", self.output());
    }

    /// What a created container has printed.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.top.join("output")).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> String {
        let state: Value = serde_json::from_str(&self.ok(&["state", "{id}"])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self) -> i64 {
        let state: Value = serde_json::from_str(&self.ok(&["state", "{id}"])).unwrap();
        state["pid"].as_i64().unwrap()
    }

    pub(crate) fn wait_for(&self, status: &str) {
        eventually(|| self.status() == status, || format!("it stays {}", self.status()));
    }
}

/// Asks until it is so.
pub(crate) fn eventually(so: impl Fn() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "{}", what());
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let listed = self.call(&["list", "-q"]);
        for id in String::from_utf8_lossy(&listed.stdout).lines() {
            let deleted = self.call(&["delete", "--force", id]);
            if !std::thread::panicking() {
                assert!(deleted.status.success(), "{deleted:?}");
            }
        }
        let left = self.call(&["list", "-q"]);
        std::fs::remove_dir_all(&self.top).unwrap();
        if !std::thread::panicking() {
            assert!(left.stdout.is_empty());
        }
    }
}
