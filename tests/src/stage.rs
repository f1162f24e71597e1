//! A stage: namespaces and cgroups in which a daemon sees a whole host of its own, with one neighbour to talk to.
//!
//! ```text
//!   stage (pid, mount, net, uts, ipc, cgroup namespaces)          outside (net namespace)
//!   192.0.2.1 up0 ───────────────────────────────────────────── up0 192.0.2.2, 198.51.100.1
//! ```
//! Its first process reads a pipe this process holds: when the test ends, even by SIGKILL, the pipe closes, the first
//! process ends, and the kernel ends everything else on the stage. What remains are empty cgroups and a directory; they
//! carry the number of the process that made them, and whoever sets the next stage removes those of the dead.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SCRIPT: &str = include_str!("stage.sh");
const PREFIX: &str = "haven-stage-";

static COUNT: AtomicU32 = AtomicU32::new(0);

pub struct Stage {
    name: String,
    directory: PathBuf,
    /// `unshare`, whose namespaces are the stage's.
    holder: Child,
    line: Option<ChildStdin>,
}

impl Stage {
    /// Needs root.
    pub fn set() -> Self {
        assert!(
            is_root(),
            "this test makes namespaces and cgroups and needs root; `make check` runs those that don't"
        );
        sweep();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        fs::create_dir_all(&directory).expect("a directory for the stage");
        let script = directory.join("stage.sh");
        fs::write(&script, SCRIPT).expect("the stage's script");

        let mut holder = Command::new("sh")
            .arg(&script)
            .arg(&name)
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let line = holder.stdin.take();
        let mut said = String::new();
        let mut output = BufReader::new(holder.stdout.take().expect("stdout is a pipe"));
        let read = output.read_line(&mut said);
        let stage = Self { name, directory, holder, line };
        stage.move_holder();
        assert!(read.is_ok() && said.trim() == "ready", "the stage could not be set: {said}");
        stage
    }

    /// Into the leaf where everything on the stage lives (see the script); it stands outside and can't do so itself.
    fn move_holder(&self) {
        for cgroup in self.cgroups() {
            let leaf = cgroup.join("stage/cgroup.procs");
            if leaf.exists() {
                fs::write(&leaf, self.holder.id().to_string()).expect("the holder can be moved");
            }
        }
    }

    /// A directory of the stage's own, removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// `program` in the stage's namespaces and cgroups. The process that results is `program` itself.
    pub fn enter(&self, program: impl AsRef<Path>) -> Command {
        let mut command = self.nsenter();
        command.args(["sh", "-c", JOIN, "sh"]).arg(program.as_ref());
        command
    }

    /// `program` on the far side of the stage's network.
    pub fn outside(&self, program: &str) -> Command {
        let mut command = self.nsenter();
        let neighbour = fs::read_to_string(self.path("outside")).expect("the stage has a neighbour");
        command.args(["nsenter", "--net", "--target", neighbour.trim(), program]);
        command
    }

    fn nsenter(&self) -> Command {
        let holder = self.holder.id();
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={holder}"));
        command.args(["--mount", "--net", "--uts", "--ipc", "--cgroup"]);
        // The holder stands outside the namespace it made for its children.
        command.arg(format!("--pid=/proc/{holder}/ns/pid_for_children"));
        command.arg("--");
        command
    }

    /// The directory of the stage's cgroup in each mounted hierarchy, as the real host has them.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        cgroup_mounts().into_iter().map(|mount| mount.join(&self.name)).filter(|path| path.is_dir()).collect()
    }

    /// Ends everything on the stage and waits until it is gone.
    fn strike(&mut self) {
        drop(self.line.take());
        let begin = Instant::now();
        while matches!(self.holder.try_wait(), Ok(None)) {
            if begin.elapsed() > Duration::from_secs(10) {
                // unshare(1) takes its child with it.
                let _ended = self.holder.kill();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.strike();
        let gone = remove_cgroups(&self.name) & fs::remove_dir_all(&self.directory).is_ok();
        if !gone && !std::thread::panicking() {
            panic!("the stage `{}` could not be removed", self.name);
        }
    }
}

/// Joins the stage's cgroups, whose roots are where its hierarchies are mounted, then becomes the program.
const JOIN: &str = r#"for directory in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if [ -e "$directory/stage/cgroup.procs" ]; then echo 0 >"$directory/stage/cgroup.procs"
    elif [ -e "$directory/cgroup.procs" ]; then echo 0 >"$directory/cgroup.procs"; fi
done
exec "$@""#;

fn cgroup_mounts() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let lines = mounts.lines().filter(|line| line.contains(" - cgroup"));
    lines.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// Removes the cgroups of a stage from the leaves up; false when one is still in use after a while.
fn remove_cgroups(name: &str) -> bool {
    let mut gone = true;
    for mount in cgroup_mounts() {
        let path = mount.join(name);
        let begin = Instant::now();
        while path.is_dir() && !remove_tree(&path) {
            if begin.elapsed() > Duration::from_secs(5) {
                gone = false;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    gone
}

fn remove_tree(path: &Path) -> bool {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    fs::remove_dir(path).is_ok()
}

/// Removes what stages of processes that no longer run have left.
fn sweep() {
    let mut places = cgroup_mounts();
    places.push(std::env::temp_dir());
    for place in places {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(maker) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()) else {
                continue;
            };
            if Path::new("/proc").join(maker).exists() {
                continue;
            }
            if place == std::env::temp_dir() {
                let _removed = fs::remove_dir_all(entry.path());
            } else {
                let _removed = remove_tree(&entry.path());
            }
        }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
