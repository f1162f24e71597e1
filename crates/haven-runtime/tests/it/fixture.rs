//! A place to run containers in, and what a test says about one.

use haven_runtime::oci::{Process, Root, Spec, User};
use haven_runtime::{
    AttachRequest, ExecRequest, ExitRecord, FRAME_BYTES, IdRange, Keeper, Launch, Launched, LogTarget,
    RootFs, STREAM_STDIN, Settled, Spawner, StdinMode, capability, cgroup, defaults, seccomp,
};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Directories, a spawner and an image; everything goes when it is dropped.
pub(crate) struct Place {
    pub(crate) top: PathBuf,
    pub(crate) name: String,
    pub(crate) spawner: Spawner,
    groups: std::sync::Mutex<Vec<String>>,
}

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("haven-it-{name}-{}-{number}", std::process::id());
        let top = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(top.join("run")).unwrap();
        make_image(&top.join("image"));
        let spawner =
            Spawner::connect_or_start(&top.join("run"), &program(), haven_runtime::GroupMoves::Favoured)
                .unwrap();
        Self { top, name, spawner, groups: std::sync::Mutex::default() }
    }

    /// A container with all default confinement that runs `command` in a shell.
    pub(crate) fn shell(&self, script: &str) -> Launch {
        self.container(&["/bin/sh", "-c", script])
    }

    pub(crate) fn container(&self, command: &[&str]) -> Launch {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.name);
        let base = self.top.join("containers").join(&id);
        for part in ["upper", "work", "run", "log"] {
            std::fs::create_dir_all(base.join(part)).unwrap();
        }
        let cgroup = format!("/haven-it/{id}");
        self.groups.lock().unwrap().push(cgroup.clone());
        let process = Process {
            args: command.iter().map(|word| (*word).to_owned()).collect(),
            env: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            user: User::default(),
            capabilities: Some(capability::CapabilitySets::of(capability::CapabilitySet::DEFAULT).to_oci()),
            no_new_privileges: true,
            ..Process::default()
        };
        let mut linux = defaults::linux();
        linux.seccomp = Some(seccomp::default_profile(capability::CapabilitySet::DEFAULT));
        linux.resources = Some(haven_runtime::oci::Resources {
            devices: cgroup::default_device_rules(),
            ..Default::default()
        });
        Launch {
            id,
            spec: Spec {
                version: haven_runtime::oci::VERSION.into(),
                process: Some(process),
                root: Some(Root::default()),
                hostname: "box".into(),
                mounts: defaults::mounts(64 << 20),
                linux: Some(linux),
                ..Spec::default()
            },
            rootfs: RootFs::Overlay {
                lowers: vec![self.top.join("image")],
                upper: base.join("upper"),
                work: base.join("work"),
                volatile: true,
            },
            id_range: Some(IdRange { first: 1_000_000, count: 65_536 }),
            run_dir: base.join("run"),
            cgroup,
            log: LogTarget::JsonFile {
                directory: base.join("log"),
                name: "json.log".into(),
                max_size_bytes: 0,
                max_files: 1,
            },
            stdin: StdinMode::Null,
            init: false,
            user: None,
            group_add: Vec::new(),
            landlock: true,
        }
    }

    /// Launches, attaches, starts; gives everything it said and how it ended.
    pub(crate) fn run(&self, launch: &Launch) -> Ended {
        let running = self.start(launch);
        let output = read_everything(&running.stream);
        let exit = running.wait();
        Ended { output, exit }
    }

    pub(crate) fn start(&self, launch: &Launch) -> Running {
        let launched = self.spawner.launch(launch).unwrap_or_else(|failure| panic!("{}", failure.one_line()));
        let stream = launched.keeper.attach(EVERYTHING).unwrap();
        let watch = launched.keeper.watch().unwrap();
        launched.keeper.start().unwrap_or_else(|failure| panic!("{}", failure.one_line()));
        Running { launched, stream, watch }
    }

    /// What a shell script in a default container says.
    pub(crate) fn says(&self, script: &str) -> String {
        let ended = self.run(&self.shell(script));
        assert_eq!(ended.exit.code, 0, "{}", ended.text());
        ended.text()
    }
}

pub(crate) const EVERYTHING: AttachRequest =
    AttachRequest { stdin: true, stdout: true, stderr: true, backpressure: true };

impl Drop for Place {
    fn drop(&mut self) {
        let _already = self.spawner.retire();
        let layout = cgroup::Layout::detect().unwrap();
        for path in self.groups.lock().unwrap().iter() {
            let path = cgroup::GroupPath::parse(path).unwrap();
            if let Some(group) = layout.open(&path).unwrap() {
                let _none = group.kill_all(Duration::from_secs(5));
                if let Err(failure) = group.remove(Duration::from_secs(5))
                    && !std::thread::panicking()
                {
                    panic!("{}", failure.one_line());
                }
            }
        }
        let _best_effort = std::fs::remove_dir_all(&self.top);
    }
}

pub(crate) struct Running {
    pub(crate) launched: Launched,
    pub(crate) stream: OwnedFd,
    watch: haven_runtime::ExitWatch,
}

impl Running {
    pub(crate) fn wait(&self) -> ExitRecord {
        match self.watch.wait().unwrap() {
            Settled::Exited(record) => record,
            other => panic!("{other:?}"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Ended {
    /// Stream and data, in order.
    pub(crate) output: Vec<(u8, Vec<u8>)>,
    pub(crate) exit: ExitRecord,
}

impl Ended {
    pub(crate) fn text(&self) -> String {
        text(&self.output)
    }
}

pub(crate) fn text(output: &[(u8, Vec<u8>)]) -> String {
    let all: Vec<u8> = output.iter().flat_map(|(_, data)| data.iter().copied()).collect();
    String::from_utf8_lossy(&all).into_owned()
}

pub(crate) fn read_frame(stream: &OwnedFd) -> Option<(u8, Vec<u8>)> {
    let mut buffer = vec![0; FRAME_BYTES];
    let length = std::fs::File::from(stream.try_clone().unwrap()).read(&mut buffer).unwrap();
    buffer.truncate(length);
    let (number, data) = buffer.split_first()?;
    Some((*number, data.to_vec()))
}

pub(crate) fn read_everything(stream: &OwnedFd) -> Vec<(u8, Vec<u8>)> {
    std::iter::from_fn(|| read_frame(stream)).collect()
}

/// Reads until what was said contains `wanted`.
pub(crate) fn read_until(stream: &OwnedFd, wanted: &str) -> String {
    let mut all = Vec::new();
    while let Some(frame) = read_frame(stream) {
        all.push(frame);
        if text(&all).contains(wanted) {
            return text(&all);
        }
    }
    panic!("`{wanted}` was never said, but: {}", text(&all));
}

pub(crate) fn send_input(stream: &OwnedFd, data: &[u8]) {
    let mut frame = vec![STREAM_STDIN];
    frame.extend_from_slice(data);
    std::fs::File::from(stream.try_clone().unwrap()).write_all(&frame).unwrap();
}

/// An additional process in a shell, with the container's confinement.
pub(crate) fn exec_request(launch: &Launch, exec_id: &str, script: &str) -> ExecRequest {
    let mut process = launch.spec.process.clone().unwrap();
    process.args = vec!["/bin/sh".into(), "-c".into(), script.into()];
    process.terminal = false;
    ExecRequest {
        exec_id: exec_id.into(),
        run_dir: launch.run_dir.clone(),
        process,
        seccomp: launch.spec.linux.as_ref().unwrap().seccomp.clone(),
        cgroup: launch.cgroup.clone(),
        stdin: StdinMode::Null,
        user: None,
        group_add: Vec::new(),
    }
}

pub(crate) fn exec(place: &Place, running: &Running, request: &ExecRequest) -> Ended {
    let execed = place
        .spawner
        .exec(request, running.launched.pidfd.as_fd())
        .unwrap_or_else(|failure| panic!("{}", failure.one_line()));
    let stream = execed.keeper.attach(EVERYTHING).unwrap();
    let watch = execed.keeper.watch().unwrap();
    execed.keeper.start().unwrap_or_else(|failure| panic!("{}", failure.one_line()));
    let output = read_everything(&stream);
    match watch.wait().unwrap() {
        Settled::Exited(exit) => Ended { output, exit },
        other => panic!("{other:?}"),
    }
}

pub(crate) fn kill(keeper: &Keeper) {
    let (_, pidfd) = keeper.identify().unwrap();
    rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).unwrap();
}

/// The example that becomes the spawner, built beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/spawner");
    assert!(program.exists(), "`{}` is missing: build the examples", program.display());
    program
}

fn make_image(image: &Path) {
    for directory in ["bin", "etc", "tmp", "proc", "sys", "dev", "home/app"] {
        std::fs::create_dir_all(image.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", image.join("bin/busybox")).unwrap();
    for name in [
        "sh", "cat", "ls", "id", "true", "false", "echo", "sleep", "head", "mount", "stat", "grep", "dd",
        "tty", "stty", "touch", "wc", "env", "kill", "ps", "mkdir", "chown", "readlink", "hostname", "ip",
        "pwd", "mknod", "chmod", "rm", "sort", "yes", "printf", "test", "umount",
    ] {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(name)).unwrap();
    }
    std::fs::write(
        image.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(image.join("etc/group"), "root:x:0:\nwheel:x:10:app\napp:x:1001:\n").unwrap();
}
