//! Starting a container: bundle, process, network, go. And finding it again after the daemon was away.

use super::bundle::{self, Surroundings};
use super::command::Live;
use super::confinement;
use super::files::Files;
use super::mounts;
use super::task::EarlyClient;
use crate::clock;
use crate::network::attaching;
use crate::record::ContainerRecord;
use crate::request::AttachContainer;
use crate::shared::{Shared, log_name};
use haven_network::{Endpoint, bring_loopback_up};
use haven_runtime::{AttachRequest, ExitWatch, Keeper, Settled};
use haven_runtime::{ExitRecord, IdRange, Launch, LogTarget, RootFs, StdinMode, read_exit, resolve_process};
use haven_spec::{ContainerId, ContainerSpec, Exit, Failure, NetworkMode, Outcome, PidMode};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

/// What a start leaves for the task.
pub(crate) struct Started {
    pub(crate) live: Arc<Live>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) paused: bool,
    pub(crate) exit: oneshot::Receiver<ExitRecord>,
}

/// Run-time facts of a container, in its run directory: written before its command runs, read after the daemon was
/// away. Gone with the run directory after a reboot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunFacts {
    pub(crate) pid: u32,
    pub(crate) start_time_ticks: u64,
    pub(crate) started_at_ns: i64,
    #[serde(default)]
    pub(crate) endpoints: Vec<Endpoint>,
}

const FACTS: &str = "facts.json";

fn write_json(path: &Path, value: &impl Serialize) -> Outcome<()> {
    let failed = |e: std::io::Error| Failure::host(format!("cannot write `{}`", path.display())).because(e);
    let text = serde_json::to_vec(value)
        .map_err(|e| Failure::internal("cannot encode run-time facts").because(e))?;
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Starts the container's command. When it fails, nothing of the attempt is left.
pub(crate) async fn start(
    shared: &Arc<Shared>,
    record: &ContainerRecord,
    clients: Vec<EarlyClient>,
) -> Outcome<Started> {
    let joined = Joined::resolve(shared, &record.spec).await?;
    let (worker, record) = (Arc::clone(shared), record.clone());
    let (live, endpoints, watch) =
        super::task::blocking(move || Starting { shared: &worker, record: &record, joined }.run(clients))
            .await?;
    Ok(Started { live, endpoints, paused: false, exit: watch_exit(watch)? })
}

/// Other containers whose namespaces are shared, by host pid.
struct Joined {
    network: Option<u32>,
    pid: Option<u32>,
    ipc: Option<u32>,
}

impl Joined {
    async fn resolve(shared: &Arc<Shared>, spec: &ContainerSpec) -> Outcome<Self> {
        let pid_of = async |id: &ContainerId| -> Outcome<u32> {
            let view = shared.registry.get(id)?.view();
            view.state.pid().ok_or_else(|| {
                Failure::conflict(format!(
                    "cannot join namespace of a non running container: container {id} is {}",
                    view.state.word()
                ))
                .hint(format!("start it first: haven start {}", view.name))
            })
        };
        Ok(Self {
            network: if let NetworkMode::Container(id) = &spec.network {
                Some(pid_of(id).await?)
            } else {
                None
            },
            pid: if let PidMode::Container(id) = &spec.security.pid { Some(pid_of(id).await?) } else { None },
            ipc: if let haven_spec::IpcMode::Container(id) = &spec.security.ipc {
                Some(pid_of(id).await?)
            } else {
                None
            },
        })
    }

    fn path(pid: Option<u32>, file: &str) -> Option<String> {
        pid.map(|pid| format!("/proc/{pid}/ns/{file}"))
    }

    fn any(&self) -> Option<u32> {
        self.network.or(self.pid).or(self.ipc)
    }
}

struct Starting<'a> {
    shared: &'a Arc<Shared>,
    record: &'a ContainerRecord,
    joined: Joined,
}

impl Starting<'_> {
    fn run(self, clients: Vec<EarlyClient>) -> Outcome<(Arc<Live>, Vec<Endpoint>, ExitWatch)> {
        let outcome = self.attempt(clients);
        if outcome.is_err() {
            self.undo();
        }
        outcome
    }

    fn run_dir(&self) -> PathBuf {
        self.shared.config.container_run(&self.record.id)
    }

    fn attempt(&self, clients: Vec<EarlyClient>) -> Outcome<(Arc<Live>, Vec<Endpoint>, ExitWatch)> {
        let (shared, record) = (self.shared, self.record);
        let run_dir = self.run_dir();
        forget_files(&run_dir);
        fs::create_dir_all(&run_dir)
            .map_err(|e| Failure::host(format!("cannot make `{}`", run_dir.display())).because(e))?;
        let endpoints = attaching::plan(shared, record)?;
        let files = Files::at(&run_dir);
        let hostname = hostname(record);
        let host_network = record.spec.network == NetworkMode::Host;
        let id_base = self.id_base();
        files.write(
            &record.spec,
            &hostname,
            endpoints.iter().map(|e| e.ipv4.into()).collect(),
            host_network,
            self.asks_us(),
            id_base.unwrap_or(0),
        )?;
        let launch = self.launch(&files, &hostname, id_base)?;
        let launched = shared.spawner.launch(&launch)?;
        let started_at_ns = clock::now_ns();
        if let Some(netns) = &launched.network {
            for endpoint in &endpoints {
                shared.network.attach(netns.as_fd(), endpoint)?;
            }
            if endpoints.is_empty() && self.joined.network.is_none() {
                bring_loopback_up(netns.as_fd())?;
            }
        }
        write_json(
            &run_dir.join(FACTS),
            &RunFacts {
                pid: launched.pid,
                start_time_ticks: launched.start_time_ticks,
                started_at_ns,
                endpoints: endpoints.clone(),
            },
        )?;
        for client in clients {
            // A client that went meanwhile is no reason not to start.
            if let Ok(socket) = launched.keeper.attach(attach_request(client.what, true)) {
                drop(client.streams.ready(socket));
            }
        }
        let watch = launched.keeper.watch()?;
        launched.keeper.start()?;
        let group = shared.cgroups.open(&shared.cgroup_path(record)?)?;
        let live = Live {
            pid: launched.pid,
            pidfd: launched.pidfd,
            started_at_ns,
            keeper: launched.keeper,
            cgroup: group.ok_or_else(|| Failure::host("the container's control group is gone"))?,
        };
        Ok((Arc::new(live), endpoints, watch))
    }

    /// Names are looked up with us: on the default network not by those whose user has named servers, since these
    /// are then the container's own.
    fn asks_us(&self) -> bool {
        let own_servers = !self.record.spec.dns.is_empty();
        self.shared.listening.is_on()
            && match &self.record.spec.network {
                NetworkMode::Default => !own_servers,
                NetworkMode::Named(_) | NetworkMode::Container(_) => true,
                NetworkMode::None | NetworkMode::Host => false,
            }
    }

    fn id_base(&self) -> Option<u32> {
        self.record.id_slot.map(|slot| self.shared.config.id_base + slot * confinement::ID_RANGE_SIZE)
    }

    fn launch(&self, files: &Files, hostname: &str, id_base: Option<u32>) -> Outcome<Launch> {
        let (shared, record) = (self.shared, self.record);
        let spec = &record.spec;
        let cgroup = shared.cgroup_path(record)?.to_string();
        let mapping = id_base.map(bundle::mapping);
        let mounts = mounts::to_oci(&spec.mounts, &shared.volumes, mapping)?;
        let join_user = id_base.and(self.joined.any()).and_then(|pid| Joined::path(Some(pid), "user"));
        let document = bundle::document(
            spec,
            &Surroundings {
                hostname,
                files,
                id_base,
                cgroup: &cgroup,
                join_network: Joined::path(self.joined.network, "net"),
                join_pid: Joined::path(self.joined.pid, "pid"),
                join_ipc: Joined::path(self.joined.ipc, "ipc"),
                join_user,
                mounts,
                default_pids_limit: shared.config.default_pids_limit,
                default_ulimits: &shared.config.default_ulimits,
            },
        )?;
        let data = shared.config.container_data(&record.id);
        Ok(Launch {
            id: record.id.to_string(),
            spec: document,
            rootfs: RootFs::Overlay {
                lowers: lowers(shared, record)?,
                upper: data.join("upper"),
                work: data.join("work"),
                volatile: spec.auto_remove,
            },
            id_range: id_base.map(|first| IdRange { first, count: confinement::ID_RANGE_SIZE }),
            run_dir: self.run_dir(),
            cgroup: format!("/{}", cgroup.trim_start_matches('/')),
            log: if spec.log.driver == "none" {
                LogTarget::None
            } else {
                LogTarget::JsonFile {
                    directory: data,
                    name: log_name(&record.id),
                    max_size_bytes: spec.log.max_size_bytes,
                    max_files: spec.log.max_files,
                }
            },
            stdin: match (spec.open_stdin, spec.stdin_once) {
                (false, _) => StdinMode::Null,
                (true, false) => StdinMode::Open,
                (true, true) => StdinMode::Once,
            },
            init: spec.init,
            user: Some(spec.user.clone()).filter(|user| !user.is_empty()),
            group_add: spec.security.group_add.clone(),
            landlock: !spec.security.privileged,
        })
    }

    /// Takes back whatever the attempt made; each step works when there is nothing to take back.
    fn undo(&self) {
        let (shared, record) = (self.shared, self.record);
        let keeper = Keeper::of_container(&self.run_dir());
        if let Ok((_, pidfd)) = keeper.identify() {
            rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).ok();
        }
        for failure in shared.network.detach(&record.id) {
            tracing::warn!(container = %record.id, error = %failure.one_line(), "cannot take the network back");
        }
        attaching::release(shared, &record.id);
        // Its keeper still writes how it ended, and a directory somebody writes to can't be removed; its control group
        // may only just be made.
        let begun = Instant::now();
        while keeper.identify().is_ok() && begun.elapsed() < KEEPER_PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        remove_cgroup(shared, record);
        forget_files(&self.run_dir());
    }
}

/// The image's layers, topmost first, as the overlay wants them; at the bottom the directories and files that every
/// container's own mounts need, so that an image without them is not changed by having them.
pub(crate) fn lowers(shared: &Shared, record: &ContainerRecord) -> Outcome<Vec<PathBuf>> {
    let base = std::iter::once(Ok(shared.config.data_root.join(BASE_LAYER)));
    record.layers.iter().rev().map(|layer| shared.images.layer_path(layer)).chain(base).collect()
}

const BASE_LAYER: &str = "base";

/// How long a keeper may take to write its record once its process was killed.
const KEEPER_PATIENCE: Duration = Duration::from_secs(1);

/// Makes the bottom layer; what is there already stays.
pub(crate) fn make_base_layer(data_root: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let base = data_root.join(BASE_LAYER);
    for directory in ["", "dev", "proc", "sys", "etc"] {
        let path = base.join(directory);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    for file in ["etc/hosts", "etc/hostname", "etc/resolv.conf"] {
        let path = base.join(file);
        fs::OpenOptions::new().create(true).append(true).open(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

pub(crate) fn hostname(record: &ContainerRecord) -> String {
    if let Some(hostname) = &record.spec.hostname {
        return hostname.clone();
    }
    if record.spec.network == NetworkMode::Host {
        let name = rustix::system::uname();
        return name.nodename().to_string_lossy().into_owned();
    }
    record.id.short().to_owned()
}

pub(crate) fn attach_request(what: AttachContainer, backpressure: bool) -> AttachRequest {
    AttachRequest { stdin: what.stdin, stdout: what.stdout, stderr: what.stderr, backpressure }
}

/// Turns the keeper's word into a future.
pub(crate) fn watch_exit(watch: ExitWatch) -> Outcome<oneshot::Receiver<ExitRecord>> {
    let (sender, receiver) = oneshot::channel();
    #[expect(
        deprecated,
        reason = "the watch owns its descriptor and gives it away to nobody, which is what `register` asks for"
    )]
    let fd =
        AsyncFd::new(watch).map_err(|e| Failure::host("cannot watch a container's keeper").because(e))?;
    tokio::spawn(async move {
        let exit = loop {
            let Ok(mut ready) = fd.readable().await else { break lost() };
            match fd.get_ref().try_exit() {
                Ok(Settled::NotYet) => ready.clear_ready(),
                Ok(Settled::Exited(exit)) => break exit,
                Ok(Settled::KeeperGone) | Err(_) => break lost(),
            }
        };
        drop(sender.send(exit));
    });
    Ok(receiver)
}

/// The keeper went without a word; its record may still lie in the run directory, see [`clean_up`].
pub(crate) fn lost() -> ExitRecord {
    ExitRecord {
        code: 137,
        signal: Some(9),
        oom_killed: false,
        finished_at_ns: clock::now_ns(),
        lost_log_lines: 0,
        error: None,
    }
}

/// Notes the networks of a container that runs, which have changed.
pub(crate) fn note_endpoints(shared: &Shared, id: &ContainerId, endpoints: &[Endpoint]) -> Outcome<()> {
    let path = shared.config.container_run(id).join(FACTS);
    let facts = read_json::<RunFacts>(&path);
    let facts = facts.ok_or_else(|| Failure::host(format!("cannot read `{}`", path.display())))?;
    write_json(&path, &RunFacts { endpoints: endpoints.to_vec(), ..facts })
}

/// What a failed start is recorded as: Docker's exit codes.
pub(crate) fn exit_of(failure: &Failure) -> Exit {
    let text = failure.one_line();
    let code = if text.contains("executable file not found") || text.contains("no such file or directory") {
        127
    } else if text.contains("permission denied")
        || text.contains("is a directory")
        || text.contains("exec format error")
    {
        126
    } else {
        128
    };
    Exit { code, oom_killed: false, error: Some(text), finished_at_ns: clock::now_ns() }
}

/// After the end: network, address and control group go; the run directory stays until the exit is on record.
pub(crate) async fn clean_up(shared: &Arc<Shared>, record: &ContainerRecord, live: Arc<Live>) {
    let (shared, record) = (Arc::clone(shared), record.clone());
    let done = super::task::blocking(move || {
        drop(live);
        release_everything(&shared, &record);
        Ok(())
    });
    if let Err(failure) = done.await {
        tracing::error!(error = %failure.one_line(), "cannot clean up after a container");
    }
}

fn release_everything(shared: &Shared, record: &ContainerRecord) {
    for failure in shared.network.detach(&record.id) {
        tracing::warn!(container = %record.id, error = %failure.one_line(), "cannot take the network back");
    }
    attaching::release(shared, &record.id);
    remove_cgroup(shared, record);
}

/// Kills what is left in the group and removes it.
fn remove_cgroup(shared: &Shared, record: &ContainerRecord) {
    const PATIENCE: Duration = Duration::from_secs(2);
    let remove = || -> Outcome<()> {
        if let Some(group) = shared.cgroups.open(&shared.cgroup_path(record)?)? {
            group.remove(PATIENCE)?;
        }
        Ok(())
    };
    if let Err(failure) = remove() {
        tracing::warn!(container = %record.id, error = %failure.one_line(), "cannot remove the control group yet");
    }
}

/// Run-time facts of an earlier life; the record of a fleeting container stays.
fn forget_files(run_dir: &Path) {
    for entry in fs::read_dir(run_dir).into_iter().flatten().flatten() {
        if entry.file_name() == crate::shared::FLEETING_RECORD {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            drop(fs::remove_dir_all(entry.path()));
        } else {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Once the exit is on record, the run directory says nothing more.
pub(crate) async fn forget_run(shared: &Arc<Shared>, record: &ContainerRecord) {
    let run_dir = shared.config.container_run(&record.id);
    drop(
        super::task::blocking(move || {
            drop(fs::remove_dir_all(run_dir));
            Ok(())
        })
        .await,
    );
}

/// What the run directory and the kernel say about a container after the daemon was away.
pub(crate) enum Recovered {
    /// It has no run-time facts: it doesn't run.
    Nothing,
    /// It runs on.
    Running(Started),
    /// It ended meanwhile.
    Ended { exit: ExitRecord, started_at_ns: i64 },
}

/// Blocking, within the tokio runtime's context.
pub(crate) fn recover(shared: &Arc<Shared>, record: &ContainerRecord) -> Outcome<Recovered> {
    let run_dir = shared.config.container_run(&record.id);
    let keeper = Keeper::of_container(&run_dir);
    let Some(facts) = read_json::<RunFacts>(&run_dir.join(FACTS)) else {
        // Launched but never let go: nobody was told that it runs.
        if let Ok((_, pidfd)) = keeper.identify() {
            rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).ok();
        }
        release_everything(shared, record);
        forget_files(&run_dir);
        return Ok(Recovered::Nothing);
    };
    if let Some(exit) = read_exit(&run_dir)? {
        return Ok(Recovered::Ended { exit, started_at_ns: facts.started_at_ns });
    }
    let process = resolve_process(facts.pid, facts.start_time_ticks)?;
    // An earlier life may have written the facts and died before it let the process go. A keeper that did let it go
    // refuses, which is as good; how it ended, if it did, the watch tells.
    let let_go = |watch| match keeper.start() {
        Err(failure) if failure.kind() != haven_spec::Kind::Invalid => Err(failure),
        Ok(()) | Err(_) => Ok(watch),
    };
    let watched = keeper.watch().and_then(let_go);
    match (process, watched) {
        (Some(pidfd), Ok(watch)) => {
            let group = shared.cgroups.open(&shared.cgroup_path(record)?)?;
            let cgroup = group.ok_or_else(|| {
                Failure::host(format!("the control group of container {} is gone", record.id))
            })?;
            let paused = cgroup.is_frozen().unwrap_or(false);
            let live = Live { pid: facts.pid, pidfd, started_at_ns: facts.started_at_ns, keeper, cgroup };
            let exit = watch_exit(watch)?;
            Ok(Recovered::Running(Started { live: Arc::new(live), endpoints: facts.endpoints, paused, exit }))
        }
        // It has just ended, and its keeper is about to say how.
        (None, Ok(watch)) => {
            let exit = settled(&watch).or(read_exit(&run_dir)?).unwrap_or_else(lost);
            Ok(Recovered::Ended { exit, started_at_ns: facts.started_at_ns })
        }
        (process, Err(_)) => {
            // Without its keeper it is not supervised; it must not go on unseen.
            if let Some(pidfd) = process {
                rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).ok();
            }
            // The keeper may have written the record between our two looks.
            let exit = read_exit(&run_dir)?.unwrap_or_else(lost);
            Ok(Recovered::Ended { exit, started_at_ns: facts.started_at_ns })
        }
    }
}

/// What the keeper of an ended process tells within a limit: a keeper that hangs must not keep the daemon from starting.
fn settled(watch: &ExitWatch) -> Option<ExitRecord> {
    const LIMIT: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut ready = [rustix::event::PollFd::new(watch, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ready, Some(&LIMIT)).ok().filter(|count| *count > 0)?;
    match watch.try_exit() {
        Ok(Settled::Exited(exit)) => Some(exit),
        Ok(Settled::NotYet | Settled::KeeperGone) | Err(_) => None,
    }
}

/// As [`clean_up`], for a container found ended.
pub(crate) fn clean_up_ended(shared: &Shared, record: &ContainerRecord) {
    release_everything(shared, record);
}
