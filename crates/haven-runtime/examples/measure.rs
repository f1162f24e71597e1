//! Measures what a container costs: launch to exit, an additional process, memory of a keeper, log throughput.
//!
//! Plays the spawner for itself. Needs root and `/bin/busybox`; everything happens in directories of its own below
//! `/tmp` and `/dev/shm`, and is removed. Numbers are microseconds. Arguments: a number of runs (200), and any of
//!
//! - `short`: only launch to exit
//! - `warm`: without the pauses that let what the kernel batches grow cold
//! - `no-group`: without control groups
//! - `real-time`: groups have a share of real time, for running this at real-time priority (`chrt -f 10`), where the
//!   machine's other load doesn't count
//! - `durable`: overlays that wait for the disk
//! - `maps`: also show one keeper's memory

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for developers, which shows numbers or stops"
)]

use haven_runtime::oci::{Cpu, Pids, Process, Resources, Root, Spec};
use haven_runtime::{
    AttachRequest, ExecRequest, IdRange, Launch, LogTarget, RootFs, Spawner, StdinMode, capability, cgroup,
    defaults, seccomp,
};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    if std::env::args().nth(1).is_some_and(|word| word == "spawner") {
        haven_runtime::run_spawner(arguments.by_ref().skip(1)).unwrap();
        return;
    }
    let options: Vec<String> = arguments.map(|word| word.into_string().unwrap()).collect();
    let runs = options.iter().find_map(|option| option.parse().ok()).unwrap_or(200);
    let top = Path::new("/tmp").join(format!("haven-measure-{}", std::process::id()));
    let run = Path::new("/dev/shm").join(format!("haven-measure-{}", std::process::id()));
    std::fs::create_dir_all(&run).unwrap();
    std::fs::create_dir_all(&top).unwrap();
    make_image(&top.join("image"));
    if options.iter().any(|option| option == "real-time") {
        std::fs::create_dir_all("/sys/fs/cgroup/cpu/haven-measure").unwrap();
        std::fs::write("/sys/fs/cgroup/cpu/haven-measure/cpu.rt_runtime_us", "900000").unwrap();
    }
    let spawner =
        Spawner::connect_or_start(&run, Path::new("/proc/self/exe"), haven_runtime::GroupMoves::Favoured)
            .unwrap();
    let bench = Bench { top, run, spawner, options };
    bench.run_to_exit(runs);
    if bench.wants("short") {
        bench.finish();
        return;
    }
    bench.exec(runs);
    bench.memory();
    bench.log_throughput();
    bench.parallel(8, runs);
    bench.finish();
}

struct Bench {
    top: PathBuf,
    /// On a tmpfs, as `/run` is.
    run: PathBuf,
    spawner: Spawner,
    options: Vec<String>,
}

impl Bench {
    fn wants(&self, option: &str) -> bool {
        self.options.iter().any(|given| given == option)
    }

    /// Long enough for what the kernel batches to be cold again, as for a user who types.
    fn pause(&self) {
        if !self.wants("warm") {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn finish(&self) {
        self.spawner.retire().unwrap();
        std::fs::remove_dir_all(&self.top).unwrap();
        std::fs::remove_dir_all(&self.run).unwrap();
    }

    fn launch(&self, id: &str, command: &[&str]) -> Launch {
        let base = self.top.join("containers").join(id);
        for part in ["upper", "work", "log"] {
            std::fs::create_dir_all(base.join(part)).unwrap();
        }
        let run_dir = self.run.join(id);
        std::fs::create_dir_all(&run_dir).unwrap();
        let set = capability::CapabilitySet::DEFAULT;
        let mut linux = defaults::linux();
        linux.seccomp = Some(seccomp::default_profile(set));
        linux.resources = Some(Resources {
            devices: cgroup::default_device_rules(),
            pids: Some(Pids { limit: Some(4096) }),
            // A real-time process may only enter a group that has a share of real time.
            cpu: self.wants("real-time").then(|| Cpu { realtime_runtime: Some(100_000), ..Cpu::default() }),
            ..Resources::default()
        });
        Launch {
            id: id.into(),
            spec: Spec {
                process: Some(Process {
                    args: command.iter().map(|word| (*word).to_owned()).collect(),
                    env: vec!["PATH=/bin".into()],
                    cwd: "/".into(),
                    capabilities: Some(capability::CapabilitySets::of(set).to_oci()),
                    no_new_privileges: true,
                    ..Process::default()
                }),
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
                volatile: !self.wants("durable"),
            },
            id_range: Some(IdRange { first: 1_000_000, count: 65_536 }),
            run_dir,
            cgroup: if self.wants("no-group") {
                String::new()
            } else {
                format!("/haven-measure/{id}-{}", std::process::id())
            },
            log: LogTarget::JsonFile {
                directory: base.join("log"),
                name: "json.log".into(),
                max_size_bytes: 10_000_000,
                max_files: 3,
            },
            stdin: StdinMode::Null,
            init: false,
            user: None,
            group_add: Vec::new(),
            landlock: true,
        }
    }

    fn discard(&self, launch: &Launch) {
        std::fs::remove_dir_all(self.top.join("containers").join(&launch.id)).unwrap();
        std::fs::remove_dir_all(&launch.run_dir).unwrap();
        if launch.cgroup.is_empty() {
            return;
        }
        let layout = cgroup::Layout::detect().unwrap();
        let path = cgroup::GroupPath::parse(&launch.cgroup).unwrap();
        if let Some(group) = layout.open(&path).unwrap() {
            group.remove(Duration::from_secs(5)).unwrap();
        }
    }

    fn run_to_exit(&self, runs: usize) {
        let (mut launches, mut starts, mut exits, mut wholes) = (vec![], vec![], vec![], vec![]);
        for number in 0..runs {
            let launch = self.launch(&format!("run{number}"), &["/bin/true"]);
            let begun = Instant::now();
            let launched = self.spawner.launch(&launch).unwrap();
            let made = begun.elapsed();
            let watch = launched.keeper.watch().unwrap();
            launched.keeper.start().unwrap();
            let started = begun.elapsed();
            watch.wait().unwrap();
            let ended = begun.elapsed();
            launches.push(made);
            starts.push(started - made);
            exits.push(ended - started);
            wholes.push(ended);
            self.discard(&launch);
            self.pause();
        }
        show("launch to exit", &mut wholes);
        show("  launch returns", &mut launches);
        show("  start returns", &mut starts);
        show("  exit is told", &mut exits);
    }

    fn exec(&self, runs: usize) {
        let launch = self.launch("exec", &["/bin/sleep", "1000"]);
        let launched = self.spawner.launch(&launch).unwrap();
        let watch = launched.keeper.watch().unwrap();
        launched.keeper.start().unwrap();
        let mut times = vec![];
        for number in 0..runs {
            let mut process = launch.spec.process.clone().unwrap();
            process.args = vec!["/bin/true".into()];
            let request = ExecRequest {
                exec_id: number.to_string(),
                run_dir: launch.run_dir.clone(),
                process,
                seccomp: launch.spec.linux.as_ref().unwrap().seccomp.clone(),
                cgroup: launch.cgroup.clone(),
                stdin: StdinMode::Null,
                user: None,
                group_add: Vec::new(),
            };
            let begun = Instant::now();
            let execed = self.spawner.exec(&request, launched.pidfd.as_fd()).unwrap();
            let ended = execed.keeper.watch().unwrap();
            execed.keeper.start().unwrap();
            ended.wait().unwrap();
            times.push(begun.elapsed());
            self.pause();
        }
        show("exec to exit", &mut times);
        rustix::process::pidfd_send_signal(&launched.pidfd, rustix::process::Signal::KILL).unwrap();
        watch.wait().unwrap();
        self.discard(&launch);
    }

    fn memory(&self) {
        let launches: Vec<Launch> =
            (0..20).map(|number| self.launch(&format!("idle{number}"), &["/bin/sleep", "1000"])).collect();
        let running: Vec<_> = launches
            .iter()
            .map(|launch| {
                let launched = self.spawner.launch(launch).unwrap();
                launched.keeper.start().unwrap();
                launched
            })
            .collect();
        std::thread::sleep(Duration::from_millis(1500));
        let keepers: Vec<u64> = running.iter().map(|launched| pss_kib(parent_of(launched.pid))).collect();
        println!("keeper PSS: {} KiB mean of 20", keepers.iter().sum::<u64>() / 20);
        if self.wants("maps") {
            println!(
                "{}",
                std::fs::read_to_string(format!("/proc/{}/smaps", parent_of(running[0].pid))).unwrap()
            );
        }
        for (launched, launch) in running.iter().zip(&launches) {
            let watch = launched.keeper.watch().unwrap();
            rustix::process::pidfd_send_signal(&launched.pidfd, rustix::process::Signal::KILL).unwrap();
            watch.wait().unwrap();
            self.discard(launch);
        }
    }

    fn log_throughput(&self) {
        let megabytes = 400;
        let image = self.top.join("image");
        let line = "0123456789".repeat(10) + "\n";
        std::fs::write(image.join("lines"), line.repeat(10_000_000 / line.len())).unwrap();
        std::fs::write(image.join("short"), "0123456789\n".repeat(1_000_000)).unwrap();
        std::fs::write(image.join("zeros"), vec![b'0'; 10_000_000]).unwrap();
        for (what, file) in [("lines of 100", "lines"), ("lines of 10", "short"), ("no lines", "zeros")] {
            let script = format!("for i in $(seq {}); do cat /{file}; done", megabytes / 10);
            let launch = self.launch("log", &["/bin/sh", "-c", &script]);
            let launched = self.spawner.launch(&launch).unwrap();
            let watch = launched.keeper.watch().unwrap();
            let begun = Instant::now();
            launched.keeper.start().unwrap();
            watch.wait().unwrap();
            println!("log, {what}: {:.0} MB/s", f64::from(megabytes) / begun.elapsed().as_secs_f64());
            self.discard(&launch);
        }
        let launch = Launch {
            log: LogTarget::None,
            ..self.launch(
                "attach",
                &["/bin/sh", "-c", &format!("for i in $(seq {}); do cat /zeros; done", megabytes / 10)],
            )
        };
        let launched = self.spawner.launch(&launch).unwrap();
        let all = AttachRequest { stdin: false, stdout: true, stderr: true, backpressure: true };
        let mut stream = std::fs::File::from(launched.keeper.attach(all).unwrap());
        let begun = Instant::now();
        launched.keeper.start().unwrap();
        let mut buffer = vec![0; haven_runtime::FRAME_BYTES];
        while stream.read(&mut buffer).unwrap() > 0 {}
        println!("attach: {:.0} MB/s", f64::from(megabytes) / begun.elapsed().as_secs_f64());
        self.discard(&launch);
    }

    fn parallel(&self, threads: usize, runs: usize) {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for number in 0..runs / threads {
                        let launch = self.launch(&format!("p{thread}-{number}"), &["/bin/true"]);
                        let launched = self.spawner.launch(&launch).unwrap();
                        let watch = launched.keeper.watch().unwrap();
                        launched.keeper.start().unwrap();
                        watch.wait().unwrap();
                        self.discard(&launch);
                    }
                });
            }
        });
        let rate =
            f64::from(u32::try_from(runs / threads * threads).unwrap()) / begun.elapsed().as_secs_f64();
        println!("{threads} at a time: {rate:.0} per second");
    }
}

fn show(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_micros();
    println!("{what}: min {} p50 {} p90 {} max {}", at(0), at(50), at(90), at(100));
}

fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn pss_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn make_image(image: &Path) {
    for directory in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(image.join(directory)).unwrap();
    }
    std::fs::copy("/bin/busybox", image.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "true", "sleep", "seq"] {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(name)).unwrap();
    }
}
