//! A private daemon on a stage of its own, and the command lines that speak to it.
//!
//! With `HAVEN_TESTS_PEER=docker` the daemon is dockerd and the command line docker's: that is how a test is shown to ask
//! for what Docker's users know, before Haven answers it. With `HAVEN_TESTS_CLIENT=docker` the daemon is Haven's and only
//! the command line is docker's.

use crate::rootfs::target;
use crate::{Call, Running, Stage, busybox_archive, leftovers, within};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How the daemon is to be started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Text of the configuration file.
    pub config: String,
    /// The image archives it has loaded; [`busybox_archive`] when none are named.
    pub images: Vec<PathBuf>,
    /// The data lies on a file system of its own with this size in megabytes.
    pub disk_megabytes: Option<u32>,
}

pub struct House {
    stage: Stage,
    daemon: Option<Child>,
    peer: bool,
    tidy: bool,
}

impl House {
    /// A daemon with the busybox image.
    pub fn open() -> Self {
        Self::open_with(Options::default())
    }

    pub fn open_with(options: Options) -> Self {
        let peer = std::env::var("HAVEN_TESTS_PEER").is_ok_and(|peer| peer == "docker");
        let mut house = Self { stage: Stage::set(), daemon: None, peer, tidy: true };
        fs::write(house.stage.path("haven.toml"), &options.config).expect("the configuration can be written");
        if let Some(size) = options.disk_megabytes {
            let data = house.data_root();
            fs::create_dir_all(&data).expect("a directory");
            fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).expect("a mode");
            house
                .host(&format!("mount -t tmpfs -o mode=700,size={size}m none {}", data.display()))
                .succeeds();
        }
        house.start_daemon();
        let images = if options.images.is_empty() { vec![busybox_archive()] } else { options.images };
        for image in images {
            house.haven("load -i").arg(image.display().to_string()).succeeds();
        }
        house
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether this is dockerd's house, where tests of what only Haven does don't apply.
    pub fn is_peer(&self) -> bool {
        self.peer
    }

    /// The program that makes containers, whose content no container may change.
    pub fn runtime(&self) -> PathBuf {
        if self.peer { "/usr/sbin/runc".into() } else { binary() }
    }

    pub fn socket(&self) -> PathBuf {
        self.stage.path("haven.sock")
    }

    pub fn data_root(&self) -> PathBuf {
        self.stage.path("data")
    }

    pub fn run_root(&self) -> PathBuf {
        self.stage.path("run")
    }

    /// The host's number of the daemon's process: nsenter forks into the new process namespace and waits.
    pub fn daemon_id(&self) -> u32 {
        let entering = self.daemon.as_ref().map(Child::id).expect("the daemon runs");
        child_of(entering).unwrap_or(entering)
    }

    /// Starts the daemon and waits until it listens.
    pub fn start_daemon(&mut self) {
        let mut command = if self.peer { self.dockerd() } else { self.havend() };
        let log = fs::File::options().create(true).append(true).open(self.stage.path("daemon.log"));
        let log = log.expect("the daemon's log can be opened");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor can be copied")).stderr(log);
        let mut child = command.spawn().expect("nsenter runs");
        let socket = self.socket();
        within(Duration::from_secs(30), "the daemon listens", || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("the daemon ended ({status})\n{}", self.daemon_log());
            }
            UnixStream::connect(&socket).is_ok()
        });
        self.daemon = Some(child);
    }

    fn havend(&self) -> Command {
        let mut command = self.stage.enter(binary());
        command.arg("daemon");
        for (option, path) in [
            ("--config", self.stage.path("haven.toml")),
            ("--data-root", self.data_root()),
            ("--run-root", self.run_root()),
            ("--socket", self.socket()),
        ] {
            command.arg(option).arg(path);
        }
        command
    }

    fn dockerd(&self) -> Command {
        let mut command = self.stage.enter("dockerd");
        command.arg(format!("--data-root={}", self.data_root().display()));
        command.arg(format!("--exec-root={}", self.run_root().display()));
        command.arg(format!("--pidfile={}", self.stage.path("docker.pid").display()));
        command.arg(format!("--host=unix://{}", self.socket().display()));
        command.args(["--live-restore", "--default-ulimit=nofile=1024:1024"]);
        command
    }

    /// SIGKILL, as bad luck does it; containers go on.
    pub fn kill_daemon(&mut self) {
        self.signal_daemon("KILL");
    }

    /// SIGTERM, as an operator does it.
    pub fn stop_daemon(&mut self) {
        self.signal_daemon("TERM");
    }

    fn signal_daemon(&mut self, signal: &str) {
        let target = self.daemon_id();
        let mut daemon = self.daemon.take().expect("the daemon runs");
        Call::new(Command::new("kill"), &format!("-{signal} {target}")).succeeds();
        within(Duration::from_secs(20), "the daemon ends", || matches!(daemon.try_wait(), Ok(Some(_))));
    }

    /// A command of the `haven` command line.
    pub fn haven(&self, line: &str) -> Call {
        self.client().haven(line)
    }

    /// A command of the `docker` command line, against the same socket.
    pub fn docker(&self, line: &str) -> Call {
        self.client().docker(line)
    }

    /// The command lines by themselves, for a thread of its own.
    pub fn client(&self) -> Client {
        Client { socket: self.socket(), home: self.stage.directory().to_owned(), peer: self.peer }
    }

    /// A program on the stage's host: where published ports are.
    pub fn host(&self, line: &str) -> Call {
        let (program, rest) = line.split_once(' ').unwrap_or((line, ""));
        Call::new(self.stage.enter(program), rest)
    }

    /// A program beyond the stage's network.
    pub fn outside(&self, line: &str) -> Call {
        let (program, rest) = line.split_once(' ').unwrap_or((line, ""));
        Call::new(self.stage.outside(program), rest)
    }

    /// The answer to `inspect --format`.
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.haven("inspect --format").arg(format).arg(name).succeeds()
    }

    /// Starts a detached container from the busybox image and gives its id; `line` is everything after `run -d`.
    pub fn detached(&self, line: &str, script: &str) -> String {
        self.haven(&format!("run -d {line}")).args([crate::BUSYBOX, "sh", "-c", script]).succeeds()
    }

    /// Waits until the container has ended, and gives its exit code.
    pub fn exit_code(&self, name: &str) -> i32 {
        self.haven("wait").arg(name).succeeds().parse().expect("wait prints a number")
    }

    /// `events` from now on.
    pub fn events(&self, line: &str) -> Running {
        self.haven(&format!("events {line}")).limit(Duration::from_secs(60)).start()
    }

    pub fn daemon_log(&self) -> String {
        let log = fs::read_to_string(self.stage.path("daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// This test leaves containers or the daemon in a state that can't be tidied up.
    pub fn leave_untidy(&mut self) {
        self.tidy = false;
    }

    /// Removes all containers and looks for what is left of them.
    fn tidy_up(&mut self) {
        if self.daemon.is_none() {
            self.start_daemon();
        }
        let all = self.haven("ps --all --quiet --no-trunc").succeeds();
        if !all.is_empty() {
            self.haven("rm --force --volumes").args(all.lines()).succeeds();
        }
        if self.peer {
            return;
        }
        let (data, run) = (self.data_root(), self.run_root());
        let mut left = leftovers::look(&self.stage, &[], &data, &run);
        for _ in 0..50 {
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            left = leftovers::look(&self.stage, &[], &data, &run);
        }
        assert!(
            left.is_empty(),
            "left behind after all containers were removed:\n{left}\n{}",
            self.daemon_log()
        );
    }
}

/// The command lines of one house.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
    home: PathBuf,
    peer: bool,
}

impl Client {
    pub fn haven(&self, line: &str) -> Call {
        let dockers = std::env::var("HAVEN_TESTS_CLIENT").is_ok_and(|client| client == "docker");
        if self.peer || dockers { self.docker(line) } else { self.call(binary(), "HAVEN_HOST", line) }
    }

    pub fn docker(&self, line: &str) -> Call {
        self.call("docker".into(), "DOCKER_HOST", line)
    }

    fn call(&self, program: PathBuf, variable: &str, line: &str) -> Call {
        let mut command = Command::new(program);
        command.env(variable, format!("unix://{}", self.socket.display()));
        // Nobody's configuration but none.
        command.env("HOME", &self.home).env("DOCKER_CONFIG", self.home.join("docker-config"));
        Call::new(command, line)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::say(&format!("--- the daemon's log\n{}\n---", self.daemon_log()));
        } else if self.tidy {
            self.tidy_up();
        }
        // The stage ends what still runs on it.
    }
}

/// The program under test: `HAVEN_BINARY`, or the one cargo built beside this one.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("HAVEN_BINARY") {
        return path.into();
    }
    let program = std::env::current_exe().expect("this program has a path");
    let directories = program.ancestors().skip(1).take(2).map(|directory| directory.join("haven"));
    let found = directories.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no `haven` beside the tests in `{}`: run `cargo build --workspace --bins`",
            target().display()
        )
    })
}

/// The only child of a process.
fn child_of(id: u32) -> Option<u32> {
    let children = fs::read_to_string(Path::new("/proc").join(format!("{id}/task/{id}/children"))).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
