//! The measures: each asks every engine in turn, round after round, and gives all its figures.

use crate::engine::{Bench, Engine, words};
use crate::memory::sizes;
use haven_tests::{Archive, BUSYBOX, ImageConfig, Layer, binary, debian_archive, say};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How many containers a host has in the measures of many.
const MANY: usize = 100;
const AT_ONCE: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    KibiBytes,
    MebiBytes,
    PerSecond,
    MegabytesPerSecond,
}

/// What Haven is to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// At most this share of what the engine takes.
    ShareOf(Engine, f64),
    /// At least this multiple of what the engine does.
    MultipleOf(Engine, f64),
    AtMost(f64),
    AtLeast(f64),
}

pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) targets: Vec<Target>,
    pub(crate) values: BTreeMap<Engine, Vec<f64>>,
}

impl Figure {
    fn new(name: &str, unit: Unit, targets: &[Target]) -> Self {
        Self { name: name.into(), unit, targets: targets.to_vec(), values: BTreeMap::new() }
    }

    fn add(&mut self, engine: Engine, value: f64) {
        self.values.entry(engine).or_default().push(value);
    }

    pub(crate) fn median(&self, engine: Engine) -> Option<f64> {
        let mut values = self.values.get(&engine)?.clone();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

pub(crate) struct Plan {
    with_haven: bool,
    rounds: usize,
    measures: Vec<String>,
}

const MEASURES: &[&str] = &["run", "exec", "cli", "ps", "memory", "starts", "load", "logs"];

impl Plan {
    pub(crate) fn parse(words: &[&str]) -> Result<Self, String> {
        let mut plan = Self { with_haven: true, rounds: 25, measures: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--peers" => plan.with_haven = false,
                "--rounds" => {
                    plan.rounds = words.next().and_then(|count| count.parse().ok()).ok_or("--rounds")?
                }
                measure if MEASURES.contains(&measure) => plan.measures.push(measure.into()),
                other => return Err(other.into()),
            }
        }
        Ok(plan)
    }

    fn wants(&self, measure: &str) -> bool {
        self.measures.is_empty() || self.measures.iter().any(|wanted| wanted == measure)
    }

    fn engines(&self) -> Vec<Engine> {
        let all = Engine::ALL.into_iter().filter(|engine| engine.is_installed());
        all.filter(|engine| self.with_haven || *engine != Engine::Haven).collect()
    }
}

pub(crate) fn all(plan: &Plan) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut benches: Vec<Bench> =
        plan.engines().into_iter().map(|engine| Bench::set(engine, false)).collect();
    if plan.wants("cli") {
        figures.push(command_line(plan, &mut benches));
    }
    if plan.wants("run") {
        figures.extend(run_to_exit(plan, &mut benches));
    }
    if plan.wants("exec") {
        figures.push(exec(plan, &mut benches));
    }
    if ["ps", "memory", "starts"].iter().any(|measure| plan.wants(measure)) {
        figures.extend(many(plan, &mut benches));
    }
    if plan.wants("logs") {
        figures.push(logs(&mut benches));
    }
    drop(benches);
    if plan.wants("load") {
        figures.extend(load(plan));
    }
    figures
}

/// The command line alone: what every command costs before it asks anything.
fn command_line(plan: &Plan, benches: &mut [Bench]) -> Figure {
    say("measuring: the command line's start");
    let mut figure = Figure::new("command line, --version", Unit::Milliseconds, &[Target::AtMost(3.0)]);
    for _ in 0..plan.rounds {
        for bench in benches.iter_mut().filter(|bench| bench.engine != Engine::Floor) {
            let program = match bench.engine {
                Engine::Haven => binary().display().to_string(),
                other => other.name().to_owned(),
            };
            let taken = bench.time(&[program, "--version".into()]);
            figure.add(bench.engine, taken * 1e3);
        }
    }
    figure
}

fn run_to_exit(plan: &Plan, benches: &mut [Bench]) -> Vec<Figure> {
    say("measuring: run to exit");
    let whole = [Target::ShareOf(Engine::Docker, 1.0 / 20.0), Target::ShareOf(Engine::Crun, 1.0)];
    let mut bridged = Figure::new("run --rm IMAGE true, default network", Unit::Milliseconds, &whole);
    let mut alone = Figure::new(
        "run --rm --network none IMAGE true",
        Unit::Milliseconds,
        &[Target::ShareOf(Engine::Docker, 1.0 / 20.0)],
    );
    for round in 0..plan.rounds + 2 {
        for bench in benches.iter_mut() {
            let command = bench.run_to_exit(round, "");
            let with_network = bench.time(&command) * 1e3;
            let without_network = (!bench.engine.is_bare()).then(|| {
                let command = bench.run_to_exit(round, "--network none");
                bench.time(&command) * 1e3
            });
            // The first rounds warm every cache.
            if round >= 2 {
                bridged.add(bench.engine, with_network);
                if let Some(taken) = without_network {
                    alone.add(bench.engine, taken);
                }
            }
        }
    }
    vec![bridged, alone]
}

fn exec(plan: &Plan, benches: &mut [Bench]) -> Figure {
    say("measuring: exec");
    let mut figure = Figure::new(
        "exec CONTAINER true",
        Unit::Milliseconds,
        &[Target::ShareOf(Engine::Docker, 1.0 / 12.0)],
    );
    let mut able: Vec<&mut Bench> =
        benches.iter_mut().filter(|bench| bench.engine != Engine::Floor).collect();
    for bench in &mut able {
        let command = bench.start_idle("for-exec");
        bench.time(&command);
    }
    for round in 0..plan.rounds + 2 {
        for bench in &mut able {
            let command = bench.exec("for-exec");
            let taken = bench.time(&command) * 1e3;
            if round >= 2 {
                figure.add(bench.engine, taken);
            }
        }
    }
    for bench in &mut able {
        let command = if bench.engine.is_bare() {
            bench.cli("delete --force for-exec", &[])
        } else {
            bench.cli("rm -f for-exec", &[])
        };
        bench.time(&command);
    }
    figure
}

/// A hundred containers: starting them, listing them, what they cost.
fn many(plan: &Plan, benches: &mut [Bench]) -> Vec<Figure> {
    let mut starts = Figure::new("100 starts, 8 at a time", Unit::PerSecond, &[Target::AtLeast(60.0)]);
    let mut list =
        Figure::new("ps with 100 containers", Unit::Milliseconds, &[Target::ShareOf(Engine::Docker, 0.25)]);
    let mut each =
        Figure::new("memory per idle container over its process", Unit::KibiBytes, &[Target::AtMost(128.0)]);
    let mut daemon =
        Figure::new("memory of the daemon with 100 containers", Unit::MebiBytes, &[Target::AtMost(40.0)]);
    let mut able: Vec<&mut Bench> = benches.iter_mut().filter(|bench| !bench.engine.is_bare()).collect();
    for bench in &mut able {
        say(&format!("measuring: {} with {MANY} containers", bench.engine.name()));
        let before = sizes(bench);
        let commands = (0..MANY).map(|number| bench.start_idle(&format!("many-{number}"))).collect();
        let taken = bench.worker.time_all(commands, AT_ONCE);
        let count = f64::from(u32::try_from(MANY).unwrap_or(u32::MAX));
        starts.add(bench.engine, count / taken);
        std::thread::sleep(std::time::Duration::from_secs(2));
        let after = sizes(bench);
        assert_eq!(after.workload, MANY, "every container of {} runs", bench.engine.name());
        each.add(bench.engine, as_float(after.all.saturating_sub(before.all)) / count / 1024.0);
        if bench.engine != Engine::Podman {
            daemon.add(bench.engine, as_float(after.daemon) / (1 << 20) as f64);
        }
    }
    for _ in 0..plan.rounds {
        for bench in &mut able {
            let command = bench.cli("ps", &[]);
            let taken = bench.time(&command);
            list.add(bench.engine, taken * 1e3);
        }
    }
    for bench in &mut able {
        let names: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let command = bench.cli("rm -f", &names);
        bench.time(&command);
    }
    vec![starts, list, each, daemon]
}

/// Megabytes a second from a container that writes as fast as it can, until its end is known.
fn logs(benches: &mut [Bench]) -> Figure {
    say("measuring: logs");
    let mut figure = Figure::new("log throughput", Unit::MegabytesPerSecond, &[Target::AtLeast(300.0)]);
    for round in 0..3 {
        for bench in benches.iter_mut().filter(|bench| !bench.engine.is_bare()) {
            // About as long for each.
            let megabytes: u32 = if bench.engine == Engine::Haven { 1024 } else { 96 };
            let name = format!("flood-{round}");
            let limits = if bench.engine == Engine::Podman {
                "--ulimit nofile=1024:1024 --ulimit nproc=8192:8192"
            } else {
                ""
            };
            let run = bench.cli(
                &format!("run -d --network none --name {name} {limits} {BUSYBOX} /probe flood {megabytes}"),
                &[],
            );
            let wait = bench.cli(&format!("wait {name}"), &[]);
            let taken = bench.time(&run) + bench.time(&wait);
            figure.add(bench.engine, f64::from(megabytes) * 1.048_576 / taken);
            let remove = bench.cli(&format!("rm -f {name}"), &[]);
            bench.time(&remove);
        }
    }
    figure
}

/// A large image in several layers, its data in memory so that the disk isn't what is measured.
fn load(plan: &Plan) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (kind, packer) in [("plain", None), ("gzip", Some("gzip -1")), ("zstd", Some("zstd -q -3"))] {
        let (archive, content_bytes) = large_image(kind, packer);
        say(&format!("measuring: image load, layers {kind}"));
        let targets = [Target::MultipleOf(Engine::Docker, 3.0), Target::MultipleOf(Engine::Podman, 3.0)];
        let name = format!("image load, layers {kind}, in memory");
        let mut figure = Figure::new(&name, Unit::MegabytesPerSecond, &targets);
        for _ in 0..3 {
            for engine in plan.engines().into_iter().filter(|engine| !engine.is_bare()) {
                if kind == "zstd" && engine == Engine::Docker {
                    continue; // version 20.10 doesn't know the format
                }
                let mut bench = Bench::set(engine, true);
                let copy = bench.stage.path("data").join("archive");
                bench.time(&words("cp", &[&archive.display().to_string(), &copy.display().to_string()]));
                let command = bench.load(&copy);
                let taken = bench.time(&command);
                figure.add(engine, as_float(content_bytes) / 1e6 / taken);
            }
        }
        figures.push(figure);
    }
    figures
}

/// An archive of a Debian root file system and three more layers with the same files elsewhere; and its content's size.
fn large_image(kind: &str, packer: Option<&str>) -> (PathBuf, u64) {
    let rootfs = debian_archive();
    let size = std::fs::metadata(&rootfs).map(|metadata| metadata.len()).unwrap_or_default();
    let path = rootfs.with_file_name(format!("bench-large-{kind}.tar"));
    if !path.exists() {
        let mut archive = Archive::new("large:1", ImageConfig::default());
        for prefix in ["./", "./copy-1/", "./copy-2/", "./copy-3/"] {
            let content = moved(&rootfs, prefix);
            archive = match packer {
                None => archive.raw_layer(content),
                Some(packer) => {
                    let packed = piped(packer, &content);
                    archive.packed_layer(&content, packed)
                }
            };
        }
        archive.layer(Layer::new().file("last", 0o644, "x")).write(&path);
    }
    (path, size * 4)
}

/// The same archive with another directory before every name.
fn moved(archive: &std::path::Path, prefix: &str) -> Vec<u8> {
    let tree = archive.with_extension(format!("{}.tree", std::process::id()));
    let script = format!(
        "mkdir -p $0 && tar -xf {} -C $0 && tar -C $0 --transform 's,^\\./,{prefix},' -c . ; rm -rf $0",
        archive.display()
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).arg(&tree).output().expect("sh runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What a filter makes of some bytes.
fn piped(filter: &str, bytes: &[u8]) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("haven-bench-{}.layer", std::process::id()));
    std::fs::write(&file, bytes).expect("a file");
    let output =
        std::process::Command::new("sh").args(["-c", &format!("{filter} -c < {}", file.display())]).output();
    std::fs::remove_file(&file).expect("the file is there");
    let output = output.expect("sh runs");
    assert!(output.status.success(), "{filter}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Sizes here are far below 2^53.
fn as_float(bytes: u64) -> f64 {
    bytes as f64
}
