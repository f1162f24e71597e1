//! Additional processes in running containers.

use crate::container::bundle;
use crate::container::command::{Command, Live};
use crate::container::confinement;
use crate::container::start::{self, watch_exit};
use crate::container::task::blocking;
use crate::engine::random;
use crate::event::EventObject;
use crate::registry::Handle;
use crate::request::{AttachContainer, ExecSpec};
use crate::shared::Shared;
use crate::stream::Attached;
use crate::view::{ContainerView, ExecView};
use haven_runtime::Keeper;
use haven_runtime::capability::CapabilitySets;
use haven_runtime::{ExecRequest, ExitRecord, StdinMode, oci};
use haven_spec::{ContainerId, ExecId, Failure, Outcome, Signal};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How long an ended exec can still be inspected.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// Execs that may be known at once, ended ones included.
const EXEC_LIMIT: usize = 10_000;

#[derive(Debug)]
enum ExecState {
    Created,
    Starting,
    Running { pid: u32, keeper: Keeper },
    Ended { pid: u32, code: i32 },
}

#[derive(Debug)]
struct Entry {
    container: ContainerId,
    spec: ExecSpec,
    state: ExecState,
}

/// Every exec that is known.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    entries: Mutex<HashMap<ExecId, Entry>>,
    /// Told whenever one has ended.
    ended: Notify,
}

fn no_such(id: &str) -> Failure {
    Failure::not_found(format!("No such exec instance: {id}"))
}

impl Execs {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ExecId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, id: &ExecId, state: ExecState) {
        if let Some(entry) = self.lock().get_mut(id) {
            entry.state = state;
        }
    }

    pub(crate) fn view(&self, wanted: &str) -> Outcome<ExecView> {
        let entries = self.lock();
        let parsed = ExecId::parse(wanted).map_err(|_| no_such(wanted))?;
        let entry = entries.get(&parsed).ok_or_else(|| no_such(wanted))?;
        let (running, exit_code, pid) = match &entry.state {
            ExecState::Created | ExecState::Starting => (false, None, 0),
            ExecState::Running { pid, .. } => (true, None, *pid),
            ExecState::Ended { pid, code } => (false, Some(*code), *pid),
        };
        let (container, spec) = (entry.container.clone(), entry.spec.clone());
        Ok(ExecView { id: parsed, container, running, exit_code, pid, spec })
    }

    /// Returns when the exec doesn't run, or nobody knows it.
    pub(crate) async fn ended(&self, id: &ExecId) {
        loop {
            let mut told = std::pin::pin!(self.ended.notified());
            // From here on no end is missed.
            told.as_mut().enable();
            if !self.view(id.as_str()).is_ok_and(|exec| exec.running) {
                return;
            }
            told.await;
        }
    }

    pub(crate) fn create(&self, view: &ContainerView, spec: ExecSpec, random: &[u8; 32]) -> Outcome<ExecId> {
        if spec.command.is_empty() || spec.command[0].is_empty() {
            return Err(Failure::invalid("No exec command specified"));
        }
        match view.state.word() {
            "running" => {}
            "paused" => {
                return Err(Failure::conflict(format!(
                    "Container {} is paused, unpause the container before exec",
                    view.id
                )));
            }
            "restarting" => {
                return Err(Failure::conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    view.id
                )));
            }
            _ => return Err(Failure::conflict(format!("container {} is not running", view.id))),
        }
        let id = ExecId::from_bytes(random);
        let mut entries = self.lock();
        if entries.len() >= EXEC_LIMIT {
            return Err(Failure::host(format!(
                "more than {EXEC_LIMIT} execs are under way or were not started"
            )));
        }
        entries.insert(id.clone(), Entry { container: view.id.clone(), spec, state: ExecState::Created });
        Ok(id)
    }

    /// Takes a created exec for starting, once.
    fn take(&self, id: &ExecId) -> Outcome<(ContainerId, ExecSpec)> {
        let mut entries = self.lock();
        let entry = entries.get_mut(id).ok_or_else(|| no_such(id.as_str()))?;
        match entry.state {
            ExecState::Created => {
                entry.state = ExecState::Starting;
                Ok((entry.container.clone(), entry.spec.clone()))
            }
            ExecState::Ended { .. } => Err(Failure::conflict(format!("exec command {id} has already run"))),
            _ => Err(Failure::conflict(format!("exec command {id} is already running"))),
        }
    }

    fn keeper(&self, id: &ExecId) -> Outcome<Keeper> {
        match self.lock().get(id).map(|entry| &entry.state) {
            Some(ExecState::Running { keeper, .. }) => Ok(keeper.clone()),
            Some(_) => Err(Failure::conflict(format!("exec command {id} is not running"))),
            None => Err(no_such(id.as_str())),
        }
    }

    pub(crate) fn forget_container(&self, container: &ContainerId) {
        self.lock().retain(|_, entry| entry.container != *container);
        self.ended.notify_waiters();
    }
}

/// A started exec.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
    keeper: Keeper,
    pub(crate) attached: Option<Attached>,
    pub(crate) exit: oneshot::Receiver<ExitRecord>,
}

impl Process {
    pub(crate) fn kill(&self) {
        drop(haven_sys::pidfd::send_signal(self.pidfd.as_fd(), Signal::KILL.number()));
    }
}

/// Starts `spec` in a running container.
pub(crate) async fn begin(
    shared: &Arc<Shared>,
    container: &ContainerId,
    spec: &ExecSpec,
    attach: bool,
) -> Outcome<Process> {
    begin_as(shared, container, spec, attach, &ExecId::from_bytes(&random())).await
}

async fn begin_as(
    shared: &Arc<Shared>,
    container: &ContainerId,
    spec: &ExecSpec,
    attach: bool,
    id: &ExecId,
) -> Outcome<Process> {
    let handle = shared.registry.get(container)?;
    let view = handle.view();
    let live = handle.ask(Command::Live).await?;
    let run_dir = shared.config.container_run(container);
    let request = request(&view, &live, spec, id, run_dir)?;
    let (worker, spec, spec_tty) = (Arc::clone(shared), spec.clone(), spec.tty);
    let stdin = spec.attach_stdin && attach;
    let (pid, pidfd, keeper, socket, watch) = blocking(move || {
        let execed = worker.spawner.exec(&request, live.pidfd.as_fd())?;
        let socket = if attach {
            let what = AttachContainer { stdin, stdout: spec.attach_stdout, stderr: spec.attach_stderr };
            Some(execed.keeper.attach(start::attach_request(what, true))?)
        } else {
            None
        };
        let watch = execed.keeper.watch()?;
        execed.keeper.start()?;
        Ok((execed.pid, execed.pidfd, execed.keeper, socket, watch))
    })
    .await?;
    let attached = match socket {
        Some(socket) => {
            let (streams, attached) = Attached::pending(stdin, spec_tty);
            streams.ready(socket)?;
            Some(attached)
        }
        None => None,
    };
    Ok(Process { pid, pidfd, keeper, attached, exit: watch_exit(watch)? })
}

fn request(
    view: &ContainerView,
    live: &Live,
    spec: &ExecSpec,
    id: &ExecId,
    run_dir: std::path::PathBuf,
) -> Outcome<ExecRequest> {
    let mut security = view.spec.security.clone();
    if spec.privileged {
        security.privileged = true;
    }
    let capabilities = confinement::capabilities(&security)?;
    let mut env = bundle::environment(&view.spec, view.spec.hostname.as_deref().unwrap_or(view.id.short()));
    for entry in &spec.env {
        let name = entry.split('=').next().unwrap_or_default();
        env.retain(|known| known.split('=').next() != Some(name));
        if entry.contains('=') {
            env.push(entry.clone());
        }
    }
    if spec.tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".into());
    }
    let working_dir = [spec.working_dir.as_str(), view.spec.working_dir.as_str(), "/"]
        .into_iter()
        .find(|dir| !dir.is_empty());
    let user = if spec.user.is_empty() { &view.spec.user } else { &spec.user };
    Ok(ExecRequest {
        exec_id: id.to_string(),
        run_dir,
        process: oci::Process {
            terminal: spec.tty,
            console_size: spec.console_size.map(bundle::console_size),
            args: spec.command.clone(),
            env,
            cwd: working_dir.unwrap_or("/").to_owned(),
            capabilities: Some(CapabilitySets::of(capabilities).to_oci()),
            rlimits: confinement::rlimits(&view.spec),
            no_new_privileges: security.no_new_privileges && !security.privileged,
            oom_score_adj: Some(security.oom_score_adj),
            ..oci::Process::default()
        },
        seccomp: confinement::seccomp_profile(&security, capabilities)?,
        cgroup: format!("/{}", live.cgroup.path().to_string().trim_start_matches('/')),
        stdin: if spec.attach_stdin { StdinMode::Once } else { StdinMode::Null },
        user: Some(user.clone()).filter(|user| !user.is_empty()),
        group_add: view.spec.security.group_add.clone(),
    })
}

/// Starts a created exec; `None` when nobody attaches.
pub(crate) async fn start(shared: &Arc<Shared>, id: &ExecId, attach: bool) -> Outcome<Option<Attached>> {
    let (container, spec) = shared.execs.take(id)?;
    let words = spec.command.join(" ");
    let mut process = match begin_as(shared, &container, &spec, attach, id).await {
        Ok(process) => process,
        Err(failure) => {
            shared.execs.set(id, ExecState::Ended { pid: 0, code: start::exit_of(&failure).code });
            remember_for_a_while(shared, id);
            return Err(failure);
        }
    };
    shared.execs.set(id, ExecState::Running { pid: process.pid, keeper: process.keeper.clone() });
    let handle = shared.registry.get(&container)?;
    drop(handle.mailbox.send(Command::ExecBegan(id.clone())).await);
    tell(shared, &handle, &format!("exec_start: {words}"), id, None);
    let attached = process.attached.take();
    let (worker, id) = (Arc::clone(shared), id.clone());
    tokio::spawn(async move {
        let code = (&mut process.exit).await.map_or(137, |exit| exit.code);
        worker.execs.set(&id, ExecState::Ended { pid: process.pid, code });
        worker.execs.ended.notify_waiters();
        drop(handle.mailbox.send(Command::ExecEnded(id.clone())).await);
        tell(&worker, &handle, "exec_die", &id, Some(code));
        remember_for_a_while(&worker, &id);
    });
    Ok(attached)
}

fn tell(shared: &Shared, handle: &Handle, action: &str, id: &ExecId, code: Option<i32>) {
    let view = handle.view();
    let mut attributes = view.spec.labels.clone();
    attributes.insert("image".into(), view.spec.image.clone());
    attributes.insert("name".into(), view.name.to_string());
    attributes.insert("execID".into(), id.to_string());
    if let Some(code) = code {
        attributes.insert("exitCode".into(), code.to_string());
    }
    shared.tell(EventObject::Container, action, view.id.as_str(), attributes);
}

fn remember_for_a_while(shared: &Arc<Shared>, id: &ExecId) {
    let (worker, id) = (Arc::clone(shared), id.clone());
    tokio::spawn(async move {
        tokio::time::sleep(REMEMBERED).await;
        worker.execs.lock().remove(&id);
    });
}

pub(crate) async fn resize(shared: &Shared, id: &ExecId, rows: u16, columns: u16) -> Outcome<()> {
    let keeper = shared.execs.keeper(id)?;
    blocking(move || keeper.resize(rows, columns)).await
}
