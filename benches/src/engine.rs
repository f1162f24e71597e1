//! The engines that are compared: how each is started and spoken to.

use crate::worker::{Job, Worker};
use haven_tests::{BUSYBOX, Stage, binary, busybox_archive, within};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Engine {
    Haven,
    Docker,
    Podman,
    Runc,
    Crun,
    Floor,
}

impl Engine {
    pub(crate) const ALL: [Self; 6] =
        [Self::Haven, Self::Docker, Self::Podman, Self::Runc, Self::Crun, Self::Floor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Haven => "haven",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Floor => "floor",
        }
    }

    /// Runtimes that take a bundle and have no images, no logs and no list of containers with networks.
    pub(crate) fn is_bare(self) -> bool {
        matches!(self, Self::Runc | Self::Crun | Self::Floor)
    }

    pub(crate) fn is_installed(self) -> bool {
        match self {
            Self::Haven | Self::Floor => true,
            Self::Docker => has("dockerd") && has("docker"),
            Self::Podman | Self::Runc | Self::Crun => has(self.name()),
        }
    }
}

fn has(program: &str) -> bool {
    let places = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    places.iter().any(|place| Path::new(place).join(program).is_file())
}

/// One engine on a stage of its own, ready to be asked.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) worker: Worker,
    /// Dropped after the worker: it takes everything on it with it.
    pub(crate) stage: Stage,
    /// Where it keeps images and containers.
    data: PathBuf,
}

impl Bench {
    /// With its images and containers in memory when `in_memory`, as for loading images.
    pub(crate) fn set(engine: Engine, in_memory: bool) -> Self {
        let stage = Stage::set();
        let mut worker = Worker::on(&stage);
        let data = stage.path("data");
        std::fs::create_dir_all(&data).expect("a directory");
        if in_memory {
            worker.time(&words("mount -t tmpfs -o size=8g none", &[&data.display().to_string()]));
        }
        if matches!(engine, Engine::Podman | Engine::Crun) {
            // These two refuse a host with both versions of cgroups.
            worker.time(&words(
                "sh -c",
                &["! test -d /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified"],
            ));
        }
        let mut bench = Self { engine, worker, stage, data };
        bench.start_daemon();
        if engine.is_bare() {
            bench.make_bundle();
        } else {
            bench.time(&bench.load(&busybox_archive()));
        }
        bench
    }

    pub(crate) fn time(&mut self, command: &[String]) -> f64 {
        self.worker.time(command)
    }

    fn start_daemon(&mut self) {
        let command = match self.engine {
            Engine::Haven => {
                let options = [
                    ("--data-root", self.data.clone()),
                    ("--run-root", self.stage.path("run")),
                    ("--socket", self.socket()),
                ];
                let mut command = vec![binary().display().to_string(), "daemon".into()];
                for (option, path) in options {
                    command.extend([option.into(), path.display().to_string()]);
                }
                command
            }
            Engine::Docker => vec![
                "dockerd".into(),
                format!("--data-root={}", self.data.display()),
                format!("--exec-root={}", self.stage.path("run").display()),
                format!("--pidfile={}", self.stage.path("pid").display()),
                format!("--host=unix://{}", self.socket().display()),
            ],
            _ => return,
        };
        let log = self.stage.path("daemon.log");
        let answer = self.worker.ask(&Job::Background { command, log: log.display().to_string() });
        assert!(answer.failed.is_none(), "{answer:?}");
        let socket = self.socket();
        within(Duration::from_secs(30), "the daemon listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
    }

    fn socket(&self) -> PathBuf {
        self.stage.path("haven.sock")
    }

    /// The command line of the engine with `line`'s words and `more`.
    pub(crate) fn cli(&self, line: &str, more: &[&str]) -> Vec<String> {
        let mut command: Vec<String> = match self.engine {
            Engine::Haven => {
                vec![binary().display().to_string(), format!("--host=unix://{}", self.socket().display())]
            }
            Engine::Docker => vec!["docker".into(), format!("--host=unix://{}", self.socket().display())],
            Engine::Podman => vec![
                "podman".into(),
                format!("--root={}", self.data.display()),
                format!("--runroot={}", self.stage.path("run").display()),
                "--cgroup-manager=cgroupfs".into(),
            ],
            Engine::Runc | Engine::Crun => {
                vec![self.engine.name().into(), format!("--root={}", self.stage.path("state").display())]
            }
            Engine::Floor => vec![crate::floor::program().display().to_string()],
        };
        command.extend(words(line, more));
        command
    }

    /// Podman asks for more descriptors than root may have here unless it is told not to.
    fn limits(&self) -> &'static str {
        if self.engine == Engine::Podman { "--ulimit nofile=1024:1024 --ulimit nproc=8192:8192" } else { "" }
    }

    /// From nothing to an exit seen: a new container that runs `true`.
    pub(crate) fn run_to_exit(&self, round: usize, network: &str) -> Vec<String> {
        let bundle = self.bundle().display().to_string();
        match self.engine {
            Engine::Floor => self.cli("", &[&bundle, "/bin/busybox", "true"]),
            Engine::Runc | Engine::Crun => self.cli("run --bundle", &[&bundle, &format!("bench-{round}")]),
            _ => self.cli(&format!("run --rm {network} {} {BUSYBOX} true", self.limits()), &[]),
        }
    }

    /// A container that does nothing for a long time.
    pub(crate) fn start_idle(&self, name: &str) -> Vec<String> {
        if self.engine.is_bare() {
            let bundle = self.stage.path("idle").display().to_string();
            self.cli("run --detach --bundle", &[&bundle, name])
        } else {
            self.cli(&format!("run -d --name {name} {} {BUSYBOX} /probe ignore", self.limits()), &[])
        }
    }

    pub(crate) fn exec(&self, name: &str) -> Vec<String> {
        self.cli(&format!("exec {name} true"), &[])
    }

    pub(crate) fn load(&self, archive: &Path) -> Vec<String> {
        self.cli("load -i", &[&archive.display().to_string()])
    }

    fn bundle(&self) -> PathBuf {
        self.stage.path("bundle")
    }

    /// A root file system from the busybox image and what `runc spec` writes, without what this machine doesn't permit
    /// (raising limits) and without a terminal.
    fn make_bundle(&mut self) {
        let layer = self.stage.path("layer");
        let script = format!(
            "mkdir -p {d} && tar -xf {a} -C {d} && for dir in bundle idle; do mkdir -p {s}/$dir/rootfs && tar -xf {d}/0/layer.tar -C {s}/$dir/rootfs; done",
            d = layer.display(),
            a = busybox_archive().display(),
            s = self.stage.directory().display()
        );
        self.time(&words("sh -c", &[&script]));
        for (directory, command) in [("bundle", vec!["true"]), ("idle", vec!["/probe", "ignore"])] {
            if self.engine == Engine::Floor {
                continue;
            }
            let directory = self.stage.path(directory);
            let made = Command::new("runc").arg("spec").current_dir(&directory).status();
            assert!(made.is_ok_and(|status| status.success()), "runc makes a specification");
            let path = directory.join("config.json");
            let text = std::fs::read(&path).expect("runc wrote it");
            let mut spec: serde_json::Value = serde_json::from_slice(&text).expect("a document");
            spec["process"]["terminal"] = false.into();
            spec["process"]["args"] = command.into();
            if let Some(process) = spec["process"].as_object_mut() {
                process.remove("rlimits");
            }
            std::fs::write(&path, spec.to_string()).expect("it can be written");
        }
    }
}

/// The words of `line` and then `more` as they are.
pub(crate) fn words(line: &str, more: &[&str]) -> Vec<String> {
    line.split_whitespace().chain(more.iter().copied()).map(str::to_owned).collect()
}
