//! The task that owns one container: its record, its phase, its waiters. Everything that changes the container comes
//! through its mailbox, one command at a time; what it publishes is a snapshot that readers take without waiting.
//!
//! ```text
//!            start                      exit, policy says no
//!  Resting ─────────▶ Running ───────────────────────────────▶ Resting
//!     │  ▲              │ exit, policy says again   ▲
//!     │  └──── stop ── BackingOff ◀─┘ ── pause over ┘
//!     └─ remove ─▶ (the task ends)
//! ```

use super::command::{Command, Live, Reply};
use super::start::{self, Started};
use super::{health, merge};
use crate::clock;
use crate::event::EventObject;
use crate::network::networks::{self, NetworkRecord};
use crate::network::subject::Subject;
use crate::network::{attaching, links, publishing};
use crate::record::{ContainerRecord, Stage, Write};
use crate::registry::{Handle, MAILBOX_LIMIT};
use crate::request::{AttachContainer, RemoveContainer, StopContainer, UpdateContainer, WaitCondition};
use crate::shared::Shared;
use crate::stream::{Attached, StreamsSender, Waiter};
use crate::view::{ContainerFiles, ContainerView, Health, HealthRun};
use haven_network::Endpoint;
use haven_runtime::{ExitRecord, read_warnings};
use haven_spec::{
    ContainerName, ContainerSpec, ContainerState, ExecId, Exit, Failure, HealthStatus, Kind,
    NetworkAttachment, NetworkMode, Outcome, RestartPolicy, Signal,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// First pause before a restart; doubled each time up to [`BACKOFF_MOST`], as Docker does.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(60);
/// A container that ran this long starts counting from the beginning.
const BACKOFF_RESET_NS: i64 = 10_000_000_000;
/// Clients that may wait for one container.
const WAITER_LIMIT: usize = 10_000;
/// Clients that may be attached before the start.
const EARLY_CLIENT_LIMIT: usize = 64;
/// How long a killed container is waited for before the failure is reported.
const KILL_PATIENCE: Duration = Duration::from_secs(30);
/// How long processes may take to reach a point where they freeze.
const FREEZE_PATIENCE: Duration = Duration::from_secs(10);
/// Health runs that are kept.
const HEALTH_LOG_LENGTH: usize = 5;

enum Phase {
    /// Never started, or ended.
    Resting,
    Running(Box<Running>),
    /// Ended, and to be started again at `until`.
    BackingOff {
        until: Instant,
    },
    /// Removal failed half-way.
    Dead,
}

struct Running {
    live: Arc<Live>,
    endpoints: Vec<Endpoint>,
    paused: bool,
    exit: oneshot::Receiver<ExitRecord>,
    stopping: Option<Stopping>,
    health_checker: Option<JoinHandle<()>>,
}

/// A stop under way: killed at `kill_at`, given up at `give_up_at`.
struct Stopping {
    kill_at: Option<Instant>,
    give_up_at: Option<Instant>,
    replies: Vec<Reply<()>>,
    /// Who only wants it killed, which is no stop to be told of.
    killed: Vec<Reply<()>>,
    then: Then,
}

enum Then {
    Rest,
    Start(Vec<Reply<()>>),
    Remove(RemoveContainer, Vec<Reply<()>>),
}

/// A client that attached before the start and waits for the streams.
pub(crate) struct EarlyClient {
    pub(crate) streams: StreamsSender,
    pub(crate) what: AttachContainer,
}

pub(crate) struct Task {
    shared: Arc<Shared>,
    record: ContainerRecord,
    phase: Phase,
    mailbox: mpsc::Receiver<Command>,
    own_mailbox: mpsc::WeakSender<Command>,
    publisher: watch::Sender<Arc<ContainerView>>,
    waiters: Vec<(WaitCondition, oneshot::Sender<Exit>)>,
    early_clients: Vec<EarlyClient>,
    backoff: Duration,
    health: Option<Health>,
    /// Counts starts, so that a health checker of an earlier one is not believed.
    generation: u64,
    execs: Vec<ExecId>,
    /// The record lies in the run directory only: a container that is removed when it ends needs no survival of a
    /// reboot, and no wait for the disk.
    fleeting: bool,
}

/// What a daemon that comes up finds of a container.
pub(crate) enum Found {
    Resting,
    Running(Started),
}

impl Task {
    /// Publishes the container and starts its task.
    pub(crate) fn spawn(shared: &Arc<Shared>, record: ContainerRecord, found: Found) -> Handle {
        let (sender, mailbox) = mpsc::channel(MAILBOX_LIMIT);
        let fleeting = record.spec.auto_remove;
        let id = record.id.clone();
        let mut task = Self {
            shared: Arc::clone(shared),
            phase: Phase::Resting,
            mailbox,
            own_mailbox: sender.downgrade(),
            publisher: watch::channel(Arc::new(empty_view(&record))).0,
            waiters: Vec::new(),
            early_clients: Vec::new(),
            backoff: BACKOFF_FIRST,
            health: None,
            generation: 0,
            execs: Vec::new(),
            fleeting,
            record,
        };
        if let Found::Running(started) = found {
            task.enter_running(started);
        }
        task.publish();
        let handle =
            Handle { mailbox: sender, view: task.publisher.subscribe(), id_slot: task.record.id_slot };
        shared.registry.insert(id, handle.clone());
        tokio::spawn(task.run());
        handle
    }

    async fn run(mut self) {
        loop {
            let deadline = self.deadline();
            let happening = tokio::select! {
                biased;
                exit = next_exit(&mut self.phase) => Happening::Exited(exit),
                command = self.mailbox.recv() => match command {
                    Some(command) => Happening::Asked(command),
                    None => return,
                },
                () = sleep_until(deadline) => Happening::Due,
            };
            let goes_on = match happening {
                Happening::Exited(exit) => self.exited(exit).await,
                Happening::Asked(Command::Leave(done)) => {
                    done.send(()).ok();
                    return;
                }
                Happening::Asked(command) => self.obey(command).await,
                Happening::Due => self.due().await,
            };
            if !goes_on {
                return;
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::BackingOff { until } => Some(*until),
            Phase::Running(running) => running.stopping.as_ref().and_then(|s| s.kill_at.or(s.give_up_at)),
            Phase::Resting | Phase::Dead => None,
        }
    }

    /// `false`: the container is gone and so is the task.
    async fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Start(reply) => {
                let outcome = self.start_asked().await;
                answer(reply, outcome);
                return !self.removed_after_failed_start().await;
            }
            Command::Stop(how, reply) => self.stop(how, reply).await,
            Command::Restart(how, reply) => return self.restart(how, reply).await,
            Command::Kill(Signal::KILL, reply) => self.kill_for_good(reply).await,
            Command::Kill(signal, reply) => {
                let outcome = self.signal(signal).await;
                answer(reply, outcome);
            }
            Command::Pause(reply) => {
                let outcome = self.freeze(true).await;
                answer(reply, outcome);
            }
            Command::Unpause(reply) => {
                let outcome = self.freeze(false).await;
                answer(reply, outcome);
            }
            Command::Rename(name, reply) => {
                let outcome = self.rename(name).await;
                answer(reply, outcome);
            }
            Command::Update(change, reply) => {
                let outcome = self.update(*change).await;
                answer(reply, outcome);
            }
            Command::Connect(network, wish, reply) => {
                let outcome = self.connect(&network, *wish).await;
                answer(reply, outcome);
            }
            Command::Disconnect(network, reply) => {
                let outcome = self.disconnect(&network).await;
                answer(reply, outcome);
            }
            Command::Publish(more, reply) => {
                let changed = publishing::with(&self.record.spec, more);
                let outcome = self.republish("publish", changed).await;
                answer(reply, outcome);
            }
            Command::Unpublish(fewer, reply) => {
                let changed = publishing::without(&self.record.spec, &fewer);
                let outcome = self.republish("unpublish", changed).await;
                answer(reply, outcome);
            }
            Command::Remove(how, reply) => return self.remove_asked(how, reply).await,
            Command::Wait(condition, reply) => {
                let outcome = self.wait(condition);
                answer(reply, outcome);
            }
            Command::Attach(what, reply) => {
                let outcome = self.attach(what).await;
                answer(reply, outcome);
            }
            Command::Resize { rows, columns, reply } => {
                let outcome = self.resize(rows, columns).await;
                answer(reply, outcome);
            }
            Command::Live(reply) => {
                let outcome = match &self.phase {
                    Phase::Running(running) => Ok(Arc::clone(&running.live)),
                    _ => Err(self.not_running()),
                };
                answer(reply, outcome);
            }
            Command::Record(reply) => answer(reply, Ok(self.record.clone())),
            Command::Health { generation, run } if generation == self.generation => self.checked(run),
            Command::Health { .. } => {}
            Command::ExecBegan(id) => {
                self.execs.push(id);
                self.publish();
            }
            Command::ExecEnded(id) => {
                self.execs.retain(|known| *known != id);
                self.publish();
            }
            Command::Leave(_) => {}
        }
        true
    }

    async fn due(&mut self) -> bool {
        match &mut self.phase {
            Phase::BackingOff { .. } => {
                self.phase = Phase::Resting;
                if let Err(failure) = self.start().await {
                    tracing::warn!(container = %self.record.id, error = %failure.one_line(), "cannot restart the container");
                    return self.ended(true).await;
                }
                true
            }
            Phase::Running(running) => {
                let Some(stopping) = &mut running.stopping else { return true };
                if stopping.kill_at.take().is_some() {
                    stopping.give_up_at = Some(Instant::now() + KILL_PATIENCE);
                    let live = Arc::clone(&running.live);
                    self.tell("kill", [("signal", "9".to_owned())]);
                    if let Err(failure) = kill_everything(live).await {
                        tracing::warn!(container = %self.record.id, error = %failure.one_line(), "cannot kill the container");
                    }
                } else if let Some(stopping) = running.stopping.take() {
                    let id = self.record.id.clone();
                    let stuck = || {
                        Failure::host(format!("cannot stop container {id}: it did not end after SIGKILL"))
                            .hint(
                                "a process may hang in the kernel; see its state with `haven top` and dmesg",
                            )
                    };
                    let waiting = stopping.replies.into_iter().chain(stopping.killed);
                    waiting.for_each(|reply| answer(reply, Err(stuck())));
                    match stopping.then {
                        Then::Rest => {}
                        Then::Start(replies) | Then::Remove(_, replies) => {
                            replies.into_iter().for_each(|reply| answer(reply, Err(stuck())));
                        }
                    }
                }
                true
            }
            Phase::Resting | Phase::Dead => true,
        }
    }

    // --- starting

    async fn start_asked(&mut self) -> Outcome<()> {
        match &self.phase {
            Phase::Running(running) if running.paused => {
                return Err(Failure::conflict("cannot start a paused container, try unpause instead"));
            }
            Phase::Running(_) => {
                return Err(Failure::new(Kind::NotModified, "the container is already started"));
            }
            Phase::Dead => {
                return Err(Failure::conflict("container is marked for removal and cannot be started"));
            }
            Phase::Resting | Phase::BackingOff { .. } => {}
        }
        self.record.restart_count = 0;
        self.record.stopped_by_user = false;
        self.backoff = BACKOFF_FIRST;
        self.phase = Phase::Resting;
        self.start().await
    }

    async fn start(&mut self) -> Outcome<()> {
        let clients = std::mem::take(&mut self.early_clients);
        match start::start(&self.shared, &self.record, clients).await {
            Ok(started) => {
                let started_at_ns = started.live.started_at_ns;
                self.record.stage = Stage::Started { started_at_ns };
                self.enter_running(started);
                // Without a restart policy the run directory tells the same until the host goes down.
                let write = if self.record.spec.restart == RestartPolicy::No {
                    Write::Derivable
                } else {
                    Write::Durable
                };
                self.save(write).await;
                self.publish();
                let warnings = self.warnings();
                self.tell("start", (!warnings.is_empty()).then_some(("warnings", warnings)));
                Ok(())
            }
            Err(failure) => {
                let exit = start::exit_of(&failure);
                self.record.stage = Stage::Exited { exit: exit.clone(), started_at_ns: 0 };
                self.save(Write::Derivable).await;
                self.publish();
                self.wake(&exit, false);
                Err(failure)
            }
        }
    }

    /// What isn't quite as wished, in the event of the start and in the daemon's log.
    fn warnings(&self) -> String {
        let warnings = read_warnings(&self.shared.config.container_run(&self.record.id)).unwrap_or_default();
        for warning in &warnings {
            tracing::warn!(container = %self.record.id, "{warning}");
        }
        warnings.join("; ")
    }

    fn enter_running(&mut self, started: Started) {
        self.generation += 1;
        let checks =
            self.record.spec.health.as_ref().filter(|check| check.test.first().is_some_and(|w| w != "NONE"));
        self.health =
            checks.map(|_| Health { status: HealthStatus::Starting, failing_streak: 0, log: Vec::new() });
        let health_checker = match (checks, self.own_mailbox.upgrade()) {
            (Some(check), Some(mailbox)) => {
                let checker = health::Checker {
                    shared: Arc::clone(&self.shared),
                    container: self.record.id.clone(),
                    check: check.clone(),
                    generation: self.generation,
                    mailbox: mailbox.downgrade(),
                };
                Some(tokio::spawn(checker.run()))
            }
            _ => None,
        };
        self.phase = Phase::Running(Box::new(Running {
            live: started.live,
            endpoints: started.endpoints,
            paused: started.paused,
            exit: started.exit,
            stopping: None,
            health_checker,
        }));
    }

    /// A container that is removed when it ends is also removed when it could not be started.
    async fn removed_after_failed_start(&mut self) -> bool {
        let failed =
            matches!(self.phase, Phase::Resting) && matches!(self.record.stage, Stage::Exited { .. });
        failed
            && self.record.spec.auto_remove
            && self.remove(RemoveContainer { force: true, volumes: true }).await.is_ok()
    }

    // --- ending

    async fn exited(&mut self, found: ExitRecord) -> bool {
        let Phase::Running(running) = std::mem::replace(&mut self.phase, Phase::Resting) else { return true };
        if let Some(checker) = &running.health_checker {
            checker.abort();
        }
        let exit = Exit {
            code: found.code,
            oom_killed: found.oom_killed,
            error: None,
            finished_at_ns: if found.finished_at_ns > 0 { found.finished_at_ns } else { clock::now_ns() },
        };
        let started_at_ns = running.live.started_at_ns;
        self.record.stage = Stage::Exited { exit: exit.clone(), started_at_ns };
        if exit.oom_killed {
            self.tell("oom", []);
        }
        self.tell(
            "die",
            [
                ("exitCode", exit.code.to_string()),
                ("execDuration", ((exit.finished_at_ns - started_at_ns) / 1_000_000_000).to_string()),
            ],
        );
        let ran_ns = exit.finished_at_ns - started_at_ns;
        start::clean_up(&self.shared, &self.record, running.live).await;
        let again = running.stopping.is_none() && self.wants_restart(&exit);
        if !self.fleeting {
            self.save(Write::Durable).await;
            start::forget_run(&self.shared, &self.record).await;
        }
        let (replies, killed, then) = match running.stopping {
            Some(stopping) => (stopping.replies, stopping.killed, Some(stopping.then)),
            None => (Vec::new(), Vec::new(), None),
        };
        if again {
            self.backoff = if ran_ns > BACKOFF_RESET_NS { BACKOFF_FIRST } else { self.backoff };
            self.phase = Phase::BackingOff { until: Instant::now() + self.backoff };
            self.backoff = (self.backoff * 2).min(BACKOFF_MOST);
            self.record.restart_count += 1;
            self.publish();
            self.wake(&exit, false);
            return true;
        }
        self.publish();
        self.wake(&exit, false);
        if !replies.is_empty() {
            self.tell("stop", []);
        }
        replies.into_iter().chain(killed).for_each(|reply| answer(reply, Ok(())));
        match then {
            Some(Then::Start(waiting)) => {
                let outcome = self.start().await;
                if outcome.is_ok() {
                    self.tell("restart", []);
                }
                answer_all(waiting, outcome);
                true
            }
            Some(Then::Remove(how, waiting)) => {
                let outcome = self.remove(how).await;
                let gone = outcome.is_ok();
                answer_all(waiting, outcome);
                !gone
            }
            _ => self.ended(false).await,
        }
    }

    /// After an end that nobody restarts: removed, if its user wanted that.
    async fn ended(&mut self, failed: bool) -> bool {
        self.publish();
        if failed && self.wants_restart_after_failure() {
            self.phase = Phase::BackingOff { until: Instant::now() + self.backoff };
            self.backoff = (self.backoff * 2).min(BACKOFF_MOST);
            self.record.restart_count += 1;
            self.publish();
            return true;
        }
        if self.record.spec.auto_remove {
            match self.remove(RemoveContainer { force: false, volumes: true }).await {
                Ok(()) => return false,
                Err(failure) => {
                    tracing::error!(container = %self.record.id, error = %failure.one_line(), "cannot remove the container");
                }
            }
        }
        true
    }

    fn wants_restart(&self, exit: &Exit) -> bool {
        match self.record.spec.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !self.record.stopped_by_user,
            RestartPolicy::OnFailure { max_retries } => {
                exit.code != 0 && (max_retries == 0 || self.record.restart_count < max_retries)
            }
        }
    }

    fn wants_restart_after_failure(&self) -> bool {
        match self.record.spec.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => !self.record.stopped_by_user,
            RestartPolicy::OnFailure { max_retries } => {
                max_retries == 0 || self.record.restart_count < max_retries
            }
        }
    }

    async fn stop(&mut self, how: StopContainer, reply: Reply<()>) {
        match &mut self.phase {
            Phase::BackingOff { .. } => {
                self.phase = Phase::Resting;
                self.record.stopped_by_user = true;
                self.save(Write::Durable).await;
                self.publish();
                answer(reply, Ok(()));
            }
            Phase::Resting | Phase::Dead => {
                answer(reply, Err(Failure::new(Kind::NotModified, "the container is already stopped")));
            }
            Phase::Running(_) => {
                self.begin_stop(how, vec![reply], Then::Rest, true).await;
            }
        }
    }

    async fn begin_stop(&mut self, how: StopContainer, replies: Vec<Reply<()>>, then: Then, by_user: bool) {
        if by_user && !self.record.stopped_by_user {
            self.record.stopped_by_user = true;
            // Written before the signal: after a crash in between it must not be started again.
            let durable =
                matches!(self.record.spec.restart, RestartPolicy::Always | RestartPolicy::UnlessStopped);
            self.save(if durable { Write::Durable } else { Write::Derivable }).await;
        }
        let signal = how.signal.or(self.record.spec.stop_signal).unwrap_or(Signal::TERM);
        let timeout_s = how
            .timeout_s
            .or(self.record.spec.stop_timeout_s)
            .unwrap_or(self.shared.config.default_stop_timeout_s);
        let Phase::Running(running) = &mut self.phase else { return };
        let kill_at = u64::try_from(timeout_s).ok().map(|s| Instant::now() + Duration::from_secs(s));
        match &mut running.stopping {
            Some(stopping) => {
                stopping.replies.extend(replies);
                stopping.kill_at =
                    stopping.kill_at.min(kill_at).or(kill_at).filter(|_| stopping.give_up_at.is_none());
                if !matches!(then, Then::Rest) {
                    stopping.then = then;
                }
            }
            None => {
                running.stopping =
                    Some(Stopping { kill_at, give_up_at: None, replies, killed: Vec::new(), then });
            }
        }
        let live = Arc::clone(&running.live);
        let was_paused = running.paused;
        if was_paused {
            drop(thaw(Arc::clone(&live)).await);
            if let Phase::Running(running) = &mut self.phase {
                running.paused = false;
            }
        }
        self.tell("kill", [("signal", signal.number().to_string())]);
        if let Err(failure) = live.signal(signal) {
            tracing::debug!(container = %self.record.id, error = %failure.one_line(), "the stop signal found nobody");
        }
    }

    async fn restart(&mut self, how: StopContainer, reply: Reply<()>) -> bool {
        match &self.phase {
            Phase::Running(_) => {
                self.record.restart_count = 0;
                self.begin_stop(how, Vec::new(), Then::Start(vec![reply]), false).await;
                true
            }
            _ => {
                let outcome = self.start_asked().await;
                if outcome.is_ok() {
                    self.tell("restart", []);
                }
                answer(reply, outcome);
                !self.removed_after_failed_start().await
            }
        }
    }

    async fn signal(&mut self, signal: Signal) -> Outcome<()> {
        let Phase::Running(running) = &self.phase else { return Err(self.not_to_be_killed()) };
        let live = Arc::clone(&running.live);
        if Some(signal) == self.record.spec.stop_signal || signal == Signal::TERM {
            self.user_ends_it().await;
        }
        live.signal(signal)?;
        self.tell("kill", [("signal", signal.number().to_string())]);
        Ok(())
    }

    /// Answers once the end is recorded: who looks next sees it.
    async fn kill_for_good(&mut self, reply: Reply<()>) {
        let Phase::Running(running) = &self.phase else {
            answer(reply, Err(self.not_to_be_killed()));
            return;
        };
        let live = Arc::clone(&running.live);
        self.user_ends_it().await;
        self.tell("kill", [("signal", Signal::KILL.number().to_string())]);
        if let Err(failure) = kill_everything(live).await {
            answer(reply, Err(failure));
            return;
        }
        let Phase::Running(running) = &mut self.phase else { return };
        let stopping = running.stopping.get_or_insert_with(|| Stopping {
            kill_at: None,
            give_up_at: None,
            replies: Vec::new(),
            killed: Vec::new(),
            then: Then::Rest,
        });
        stopping.kill_at = None;
        stopping.give_up_at.get_or_insert(Instant::now() + KILL_PATIENCE);
        stopping.killed.push(reply);
    }

    fn not_to_be_killed(&self) -> Failure {
        let id = &self.record.id;
        Failure::conflict(format!("Cannot kill container: {id}: Container {id} is not running"))
    }

    /// A user who ends it does not want it back.
    async fn user_ends_it(&mut self) {
        if self.record.stopped_by_user {
            return;
        }
        self.record.stopped_by_user = true;
        if matches!(self.record.spec.restart, RestartPolicy::Always | RestartPolicy::UnlessStopped) {
            self.save(Write::Durable).await;
        }
    }

    async fn freeze(&mut self, freeze: bool) -> Outcome<()> {
        let id = self.record.id.clone();
        let Phase::Running(running) = &mut self.phase else {
            return Err(self.not_running());
        };
        match (freeze, running.paused) {
            (true, true) => return Err(Failure::conflict(format!("Container {id} is already paused"))),
            (false, false) => return Err(Failure::conflict(format!("Container {id} is not paused"))),
            _ => {}
        }
        let live = Arc::clone(&running.live);
        let outcome = if freeze { freeze_now(live).await } else { thaw(live).await };
        outcome.map_err(|failure| {
            failure.context(format!("Cannot {} container {id}", if freeze { "pause" } else { "unpause" }))
        })?;
        running.paused = freeze;
        self.publish();
        self.tell(if freeze { "pause" } else { "unpause" }, []);
        Ok(())
    }

    // --- changing

    async fn rename(&mut self, name: ContainerName) -> Outcome<()> {
        // Links name it, unless its application is meant.
        let subject = |name: &ContainerName| Subject::of_container(name, &self.record.spec);
        let (from, to) = (subject(&self.record.name), subject(&name));
        let renames = move |shared: Arc<Shared>, from: Subject, to: Subject| {
            blocking(move || if from == to { Ok(()) } else { links::rename(&shared, &from, &to) })
        };
        renames(Arc::clone(&self.shared), from.clone(), to.clone()).await?;
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(failure) = self.try_save(Write::Durable).await {
            renames(Arc::clone(&self.shared), to, from).await?;
            let new = std::mem::replace(&mut self.record.name, old);
            self.shared.registry.release_name(&new);
            return Err(failure);
        }
        self.shared.registry.release_name(&old);
        self.publish();
        self.tell("rename", [("oldName", format!("/{old}"))]);
        Ok(())
    }

    async fn update(&mut self, change: UpdateContainer) -> Outcome<()> {
        let mut spec = self.record.spec.clone();
        if let Some(restart) = change.restart {
            if spec.auto_remove && restart != RestartPolicy::No {
                return Err(Failure::conflict(
                    "Restart policy cannot be updated because AutoRemove is enabled for the container",
                ));
            }
            spec.restart = restart;
        }
        super::update::lay_over(&mut spec.resources, &change.resources);
        merge::check_resources(&spec.resources)?;
        if let Phase::Running(running) = &self.phase {
            let limits = super::confinement::limits(&spec.resources, self.shared.config.default_pids_limit)?;
            let live = Arc::clone(&running.live);
            let warnings = blocking(move || live.cgroup.apply(&limits)).await?;
            for warning in warnings {
                tracing::warn!(container = %self.record.id, warning, "a limit is held differently");
            }
        }
        let old = std::mem::replace(&mut self.record.spec, spec);
        if let Err(failure) = self.try_save(Write::Durable).await {
            self.record.spec = old;
            return Err(failure);
        }
        self.publish();
        self.tell("update", []);
        Ok(())
    }

    // --- networks

    async fn connect(&mut self, network: &Arc<NetworkRecord>, wish: NetworkAttachment) -> Outcome<()> {
        let name = network.name.to_string();
        match &self.record.spec.network {
            NetworkMode::Host | NetworkMode::Container(_) => {
                return Err(Failure::new(
                    Kind::Forbidden,
                    "container sharing network namespace with another container or host cannot be connected to any \
                     other network",
                ));
            }
            _ => {}
        }
        if networks::wanted(&self.record.spec).contains(&name) {
            return Err(Failure::new(
                Kind::Forbidden,
                format!("endpoint with name {} already exists in network {name}", self.record.name),
            ));
        }
        attaching::check(network, &wish)?;
        let old = self.record.spec.clone();
        if old.network == NetworkMode::None {
            self.record.spec.network = if name == networks::DEFAULT {
                NetworkMode::Default
            } else {
                NetworkMode::Named(network.name.clone())
            };
        }
        self.record.spec.attachments.insert(name, wish.clone());
        if let Phase::Running(running) = &mut self.phase {
            let (shared, record, live) =
                (Arc::clone(&self.shared), self.record.clone(), Arc::clone(&running.live));
            let (mut endpoints, network) = (running.endpoints.clone(), Arc::clone(network));
            let made = blocking(move || {
                let made = attaching::connect(&shared, &record, &live, &endpoints, &network, &wish)?;
                endpoints.push(made);
                start::note_endpoints(&shared, &record.id, &endpoints)?;
                Ok(endpoints)
            });
            match made.await {
                Ok(endpoints) => running.endpoints = endpoints,
                Err(failure) => {
                    self.record.spec = old;
                    return Err(failure);
                }
            }
        }
        self.try_save(Write::Durable).await?;
        self.publish();
        self.tell_network("connect", network);
        Ok(())
    }

    async fn disconnect(&mut self, name: &str) -> Outcome<()> {
        let wanted = networks::wanted(&self.record.spec);
        if !wanted.iter().any(|network| network == name) {
            return Err(Failure::new(
                Kind::Forbidden,
                format!("container {} is not connected to network {name}", self.record.id),
            ));
        }
        let spec = &mut self.record.spec;
        spec.attachments.remove(name);
        if wanted.first().is_some_and(|main| main == name) {
            spec.network = match wanted.get(1).map(String::as_str) {
                None => NetworkMode::None,
                Some(networks::DEFAULT) => NetworkMode::Default,
                Some(next) => NetworkMode::Named(haven_spec::NetworkName::parse(next)?),
            };
        }
        if let Phase::Running(running) = &mut self.phase {
            let (shared, record, live) =
                (Arc::clone(&self.shared), self.record.clone(), Arc::clone(&running.live));
            let (endpoints, name) = (running.endpoints.clone(), name.to_owned());
            running.endpoints = blocking(move || {
                let left = attaching::disconnect(&shared, &record, &live, &endpoints, &name)?;
                start::note_endpoints(&shared, &record.id, &left)?;
                Ok(left)
            })
            .await?;
        }
        self.try_save(Write::Durable).await?;
        self.publish();
        if let Ok(network) = self.shared.networks.find(name) {
            self.tell_network("disconnect", &network);
        }
        Ok(())
    }

    async fn republish(&mut self, action: &str, changed: Outcome<ContainerSpec>) -> Outcome<()> {
        let before = std::mem::replace(&mut self.record.spec, changed?);
        let mut undo = None;
        if let Phase::Running(running) = &mut self.phase {
            let (shared, record) = (Arc::clone(&self.shared), self.record.clone());
            let (mut endpoints, old) = (running.endpoints.clone(), before.ports.clone());
            let done = blocking(move || {
                publishing::apply(&shared, &record, &old, &mut endpoints)?;
                start::note_endpoints(&shared, &record.id, &endpoints)?;
                Ok(endpoints)
            });
            match done.await {
                Ok(endpoints) => running.endpoints = endpoints,
                Err(failure) => undo = Some(failure),
            }
        }
        if let Some(failure) = undo {
            self.record.spec = before;
            return Err(failure);
        }
        self.try_save(Write::Durable).await?;
        self.publish();
        let ports =
            self.record.spec.ports.iter().map(|m| m.container.to_string()).collect::<Vec<_>>().join(",");
        self.tell(action, [("ports", ports)]);
        Ok(())
    }

    fn tell_network(&self, action: &str, network: &NetworkRecord) {
        let attributes = BTreeMap::from([("container".to_owned(), self.record.id.to_string())]);
        networks::tell(&self.shared, action, network, attributes);
    }

    async fn remove_asked(&mut self, how: RemoveContainer, reply: Reply<()>) -> bool {
        match &mut self.phase {
            Phase::Running(running) if !how.force => {
                let state = if running.paused { "paused" } else { "running" };
                answer(
                    reply,
                    Err(Failure::conflict(format!(
                        "cannot remove container \"/{}\": container is {state}: stop the container before removing or force remove",
                        self.record.name
                    ))),
                );
                true
            }
            Phase::Running(running) => {
                let live = Arc::clone(&running.live);
                if running.paused {
                    drop(thaw(Arc::clone(&live)).await);
                }
                let Phase::Running(running) = &mut self.phase else { return true };
                let give_up_at = Some(Instant::now() + KILL_PATIENCE);
                let (replies, killed) =
                    running.stopping.take().map(|s| (s.replies, s.killed)).unwrap_or_default();
                running.stopping = Some(Stopping {
                    kill_at: None,
                    give_up_at,
                    replies,
                    killed,
                    then: Then::Remove(how, vec![reply]),
                });
                self.tell("kill", [("signal", "9".to_owned())]);
                drop(kill_everything(live).await);
                true
            }
            _ => {
                let outcome = self.remove(how).await;
                let gone = outcome.is_ok();
                answer(reply, outcome);
                !gone
            }
        }
    }

    /// Record first; what lies about afterwards is garbage that the next start finds too.
    async fn remove(&mut self, how: RemoveContainer) -> Outcome<()> {
        if let Err(failure) =
            super::remove::remove(&self.shared, &self.record, how.volumes, self.fleeting).await
        {
            self.phase = Phase::Dead;
            self.publish();
            return Err(failure);
        }
        self.shared.registry.forget(&self.record.id, &self.record.name, self.record.id_slot);
        self.tell("destroy", []);
        let exit =
            self.last_exit().unwrap_or(Exit { code: 0, oom_killed: false, error: None, finished_at_ns: 0 });
        self.wake(&exit, true);
        Ok(())
    }

    // --- watching and attaching

    fn wait(&mut self, condition: WaitCondition) -> Outcome<Waiter> {
        let (sender, receiver) = oneshot::channel();
        let running = matches!(self.phase, Phase::Running(_) | Phase::BackingOff { .. });
        match (condition, self.last_exit()) {
            (WaitCondition::NotRunning, exit) if !running => {
                let never = Exit { code: 0, oom_killed: false, error: None, finished_at_ns: 0 };
                drop(sender.send(exit.unwrap_or(never)));
            }
            _ => {
                self.waiters.retain(|(_, waiter)| !waiter.is_closed());
                if self.waiters.len() >= WAITER_LIMIT {
                    return Err(Failure::host(format!(
                        "more than {WAITER_LIMIT} clients wait for this container"
                    )));
                }
                self.waiters.push((condition, sender));
            }
        }
        Ok(Waiter(receiver))
    }

    /// Tells those who wait for an end, or, when `removed`, everybody.
    fn wake(&mut self, exit: &Exit, removed: bool) {
        let restarting = matches!(self.phase, Phase::BackingOff { .. });
        let mut kept = Vec::new();
        for (condition, waiter) in self.waiters.drain(..) {
            let due = match condition {
                WaitCondition::NextExit => true,
                WaitCondition::NotRunning => !restarting,
                WaitCondition::Removed => removed,
            };
            if due || removed {
                drop(waiter.send(exit.clone()));
            } else {
                kept.push((condition, waiter));
            }
        }
        self.waiters = kept;
    }

    async fn attach(&mut self, what: AttachContainer) -> Outcome<Attached> {
        let stdin = what.stdin && self.record.spec.open_stdin;
        let (streams, attached) = Attached::pending(stdin, self.record.spec.tty);
        match &self.phase {
            Phase::Running(running) => {
                let live = Arc::clone(&running.live);
                let socket = blocking(move || live.keeper.attach(start::attach_request(what, false))).await?;
                streams.ready(socket)?;
            }
            Phase::Dead => {
                return Err(Failure::conflict("container is marked for removal and cannot be attached to"));
            }
            Phase::Resting | Phase::BackingOff { .. } => {
                self.early_clients.retain(|client| !client.streams.is_abandoned());
                if self.early_clients.len() >= EARLY_CLIENT_LIMIT {
                    return Err(Failure::host(format!(
                        "more than {EARLY_CLIENT_LIMIT} clients wait for this container's start"
                    )));
                }
                self.early_clients.push(EarlyClient { streams, what });
            }
        }
        self.tell("attach", []);
        Ok(attached)
    }

    async fn resize(&mut self, rows: u16, columns: u16) -> Outcome<()> {
        let Phase::Running(running) = &self.phase else { return Err(self.not_running()) };
        let live = Arc::clone(&running.live);
        blocking(move || live.keeper.resize(rows, columns)).await?;
        self.tell("resize", [("height", rows.to_string()), ("width", columns.to_string())]);
        Ok(())
    }

    fn checked(&mut self, run: HealthRun) {
        let Some(health) = &mut self.health else { return };
        let check = self.record.spec.health.clone().unwrap_or_default();
        let started_ns = match self.record.stage {
            Stage::Started { started_at_ns } => started_at_ns,
            _ => 0,
        };
        let before = health.status;
        if run.exit_code == 0 {
            health.failing_streak = 0;
            health.status = HealthStatus::Healthy;
        } else {
            let in_start_period =
                before == HealthStatus::Starting && run.ended_at_ns - started_ns < check.start_period_ns;
            if !in_start_period {
                health.failing_streak += 1;
                if health.failing_streak
                    >= if check.retries == 0 { health::DEFAULT_RETRIES } else { check.retries }
                {
                    health.status = HealthStatus::Unhealthy;
                }
            }
        }
        health.log.push(run);
        if health.log.len() > HEALTH_LOG_LENGTH {
            health.log.remove(0);
        }
        let after = health.status;
        self.publish();
        if before != after {
            self.tell(&format!("health_status: {}", after.word()), []);
        }
    }

    // --- record and snapshot

    fn not_running(&self) -> Failure {
        Failure::conflict(format!("Container {} is not running", self.record.id))
    }

    fn last_exit(&self) -> Option<Exit> {
        match &self.record.stage {
            Stage::Exited { exit, .. } => Some(exit.clone()),
            _ => None,
        }
    }

    /// Writes the record; a failure is logged, for the container's state is derivable or in memory still.
    async fn save(&self, write: Write) {
        if let Err(failure) = self.try_save(write).await {
            tracing::error!(container = %self.record.id, error = %failure.one_line(), "cannot write the container's record");
        }
    }

    async fn try_save(&self, write: Write) -> Outcome<()> {
        let shared = Arc::clone(&self.shared);
        let record = self.record.clone();
        let fleeting = self.fleeting;
        blocking(move || shared.save_container(&record, write, fleeting)).await
    }

    fn tell<'a>(&self, action: &str, extra: impl IntoIterator<Item = (&'a str, String)>) {
        let mut attributes: BTreeMap<String, String> = self.record.spec.labels.clone();
        attributes.insert("image".into(), self.record.spec.image.clone());
        attributes.insert("name".into(), self.record.name.to_string());
        attributes.extend(extra.into_iter().map(|(key, value)| (key.to_owned(), value)));
        self.shared.tell(EventObject::Container, action, self.record.id.as_str(), attributes);
    }

    fn state(&self) -> ContainerState {
        match (&self.phase, &self.record.stage) {
            (Phase::Running(running), _) => {
                let (pid, started_at_ns) = (running.live.pid, running.live.started_at_ns);
                if running.paused {
                    ContainerState::Paused { pid, started_at_ns }
                } else {
                    ContainerState::Running { pid, started_at_ns }
                }
            }
            (Phase::BackingOff { .. }, Stage::Exited { exit, started_at_ns }) => {
                ContainerState::Restarting { exit: exit.clone(), started_at_ns: *started_at_ns }
            }
            (Phase::Dead, stage) => {
                let exit = if let Stage::Exited { exit, .. } = stage { Some(exit.clone()) } else { None };
                ContainerState::Dead { exit, started_at_ns: 0 }
            }
            (_, Stage::Exited { exit, started_at_ns }) => {
                ContainerState::Exited { exit: exit.clone(), started_at_ns: *started_at_ns }
            }
            _ => ContainerState::Created,
        }
    }

    fn publish(&self) {
        let spec = Arc::new(self.record.spec.clone());
        let endpoints = match &self.phase {
            Phase::Running(running) => {
                running.endpoints.iter().map(|e| attaching::view(&self.shared, &self.record, e)).collect()
            }
            _ => Vec::new(),
        };
        let files = super::files::Files::at(&self.shared.config.container_run(&self.record.id));
        let view = ContainerView {
            id: self.record.id.clone(),
            name: self.record.name.clone(),
            created_at_ns: self.record.created_at_ns,
            image_id: self.record.image_id.clone(),
            state: self.state(),
            restart_count: self.record.restart_count,
            health: self.health.clone().filter(|_| matches!(self.phase, Phase::Running(_))),
            endpoints,
            mounts: spec
                .mounts
                .iter()
                .map(|mount| super::mounts::view(mount, &self.shared.volumes))
                .collect(),
            execs: self.execs.clone(),
            files: ContainerFiles {
                log: (spec.log.driver != "none").then(|| self.shared.log_path(&self.record.id)),
                hostname: files.hostname,
                hosts: files.hosts,
                resolv_conf: files.resolv_conf,
            },
            spec,
        };
        self.publisher.send_replace(Arc::new(view));
        self.shared.registry.changed();
    }
}

enum Happening {
    Exited(ExitRecord),
    Asked(Command),
    Due,
}

async fn next_exit(phase: &mut Phase) -> ExitRecord {
    match phase {
        Phase::Running(running) => match (&mut running.exit).await {
            Ok(record) => record,
            // The watching task itself was lost: say so rather than wait for ever.
            Err(_) => start::lost(),
        },
        _ => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// A client that went away while it waited for an answer is no error.
fn answer<T>(reply: Reply<T>, outcome: Outcome<T>) {
    drop(reply.send(outcome));
}

fn answer_all(replies: Vec<Reply<()>>, outcome: Outcome<()>) {
    let text = outcome.as_ref().err().map(|failure| (failure.kind(), failure.one_line()));
    let mut first = Some(outcome);
    for reply in replies {
        let outcome = first.take().unwrap_or_else(|| match &text {
            Some((kind, text)) => Err(Failure::new(*kind, text.clone())),
            None => Ok(()),
        });
        answer(reply, outcome);
    }
}

/// Runs what waits for the kernel or the disk where it holds up no other task.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::internal("a step of the engine was cut short").because(error)))
}

async fn kill_everything(live: Arc<Live>) -> Outcome<()> {
    blocking(move || {
        // Its first process takes the others along; a frozen group must thaw to die (v1).
        let outcome = live.signal(Signal::KILL);
        drop(live.cgroup.thaw());
        outcome
    })
    .await
}

async fn thaw(live: Arc<Live>) -> Outcome<()> {
    blocking(move || live.cgroup.thaw()).await
}

async fn freeze_now(live: Arc<Live>) -> Outcome<()> {
    blocking(move || live.cgroup.freeze(FREEZE_PATIENCE)).await
}

/// Before the first real snapshot.
fn empty_view(record: &ContainerRecord) -> ContainerView {
    ContainerView {
        id: record.id.clone(),
        name: record.name.clone(),
        created_at_ns: record.created_at_ns,
        spec: Arc::new(record.spec.clone()),
        image_id: record.image_id.clone(),
        state: ContainerState::Created,
        restart_count: 0,
        health: None,
        endpoints: Vec::new(),
        mounts: Vec::new(),
        execs: Vec::new(),
        files: ContainerFiles::default(),
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;

    /// A snapshot of a container that runs, or has ended.
    pub(crate) fn view(running: bool) -> Arc<ContainerView> {
        let record = ContainerRecord {
            id: haven_spec::ContainerId::from_bytes(&[7; 32]),
            name: ContainerName::parse("fixture").unwrap(),
            created_at_ns: 0,
            spec: ContainerSpec::default(),
            image_id: haven_spec::Digest::sha256(&[7; 32]),
            layers: Vec::new(),
            id_slot: None,
            stage: Stage::Created,
            stopped_by_user: false,
            restart_count: 0,
            anonymous_volumes: Vec::new(),
        };
        let mut view = empty_view(&record);
        let exit = Exit { code: 0, oom_killed: false, error: None, finished_at_ns: 0 };
        view.state = if running {
            ContainerState::Running { pid: 1, started_at_ns: 0 }
        } else {
            ContainerState::Exited { exit, started_at_ns: 0 }
        };
        Arc::new(view)
    }
}
