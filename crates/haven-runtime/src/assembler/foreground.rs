//! Assembling without a keeper: for the OCI command, whose own process is the parent.
//!
//! ```text
//! command ──fork──▶ assembler ──clone3──▶ process (the command's child)
//!    ◀─MADE pid, pidfd─┘  ▲ ▲                 │
//!    ──GO (after hooks)───┘ └─mounts──────────┤
//!    ◀───────────────────READY + terminal | SETBACK
//! ```
//!
//! The assembler is forked because namespaces that are joined can't be left again, and hooks run in the command's.

use super::{container, exec, mounts, number};
use crate::cgroup::Group;
use crate::child;
use crate::link::{self, Parcel};
use crate::machine::Machine;
use crate::plan::{ExecPlan, Plan};
use crate::setback::{Blame, Setback, Step};
use haven_spec::{Failure, Outcome};
use haven_sys::process::{CloneRequest, SingleThread};
use haven_sys::{process, signal, socket};
use rustix::fs::Mode;
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal, WaitOptions, waitpid};
use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};

/// The first byte of the assembler's first word: the process exists; its number follows.
const MADE: u8 = 0x40;

/// A process that is being made.
#[derive(Debug)]
pub(crate) struct Making {
    pub(crate) pid: Pid,
    pub(crate) pidfd: OwnedFd,
    /// `None`: it has ended and was waited for.
    assembler: Cell<Option<Pid>>,
    link: OwnedFd,
    report: OwnedFd,
}

/// Begins a container: its first process exists then, in its namespaces and group, and goes no further until
/// [`Making::go_on`].
pub(crate) fn launch(
    proof: &SingleThread,
    plan: &Plan,
    group: Option<&Group>,
    start: OwnedFd,
    preserved: Vec<OwnedFd>,
) -> Outcome<Making> {
    begin(proof, |report, link| assemble(proof, plan.clone(), group, start, preserved, report, link))
}

/// Begins an additional process.
pub(crate) fn execute(
    proof: &SingleThread,
    plan: &ExecPlan,
    target: &OwnedFd,
    preserved: Vec<OwnedFd>,
) -> Outcome<Making> {
    begin(proof, |report, link| {
        let mut given: Vec<Parcel> = mounts::label_parcel(&plan.process)?.into_iter().collect();
        given.extend(parcels_of(preserved));
        let entered = exec::enter(proof, &Machine::look(), plan, target, link)?;
        made(report, entered.pid, &entered.pidfd)?;
        let file = plan.to_memfd()?;
        let told = |error| Setback::host("cannot tell the process", error);
        socket::send(&entered.feed, &[link::PLAN], &[file.as_fd()]).map_err(told)?;
        link::send_parcels(&entered.feed, &given).map_err(told)?;
        socket::send(&entered.feed, &[link::COMPLETE], &[]).map_err(told)
    })
}

fn begin(proof: &SingleThread, assemble: impl FnOnce(&OwnedFd, OwnedFd) -> Step<()>) -> Outcome<Making> {
    let host = |what: &'static str| move |error: std::io::Error| Setback::host(what, error);
    let (link, their_link) = socket::pair().map_err(host("cannot make a socket"))?;
    let (report, their_report) = socket::pair().map_err(host("cannot make a socket"))?;
    let assembler = process::fork(proof, move || {
        rustix::process::umask(Mode::empty());
        // It holds copies of the command's ends: their closing wouldn't tell it that the command is gone.
        if process::signal_on_parent_death(signal::KILL).is_err() {
            return 1;
        }
        match assemble(&their_report, their_link) {
            Ok(()) => 0,
            Err(setback) => {
                link::send_setback(&their_report, &setback);
                1
            }
        }
    })
    .map_err(host("cannot fork the process that puts containers together"))?;
    let mut buffer = vec![0; link::PACKET_BYTES];
    let heard = socket::receive(&report, &mut buffer, RecvFlags::empty());
    let gone = link::assembler_gone;
    let made = match heard {
        Ok(packet) => match (buffer[..packet.length].split_first(), packet.descriptors.into_iter().next()) {
            (Some((&MADE, body)), Some(pidfd)) => {
                let pid =
                    body.try_into().ok().map(u32::from_ne_bytes).and_then(|pid| i32::try_from(pid).ok());
                pid.and_then(Pid::from_raw).map(|pid| (pid, pidfd)).ok_or_else(gone)
            }
            (Some((&link::SETBACK, body)), _) => Err(Setback::read(body)),
            _ => Err(gone()),
        },
        Err(error) => Err(Setback::host("cannot hear from the process that puts containers together", error)),
    };
    match made {
        Ok((pid, pidfd)) => Ok(Making { pid, pidfd, assembler: Cell::new(Some(assembler)), link, report }),
        Err(setback) => {
            reap(assembler);
            Err(setback.into_failure())
        }
    }
}

fn made(report: &OwnedFd, pid: Pid, pidfd: &OwnedFd) -> Step<()> {
    let mut word = vec![MADE];
    word.extend_from_slice(&number(pid).to_ne_bytes());
    socket::send(report, &word, &[pidfd.as_fd()])
        .map_err(|error| Setback::host("cannot tell of a process", error))
}

fn parcels_of(preserved: Vec<OwnedFd>) -> Vec<Parcel> {
    (mounts::FIRST_PRESERVED..).zip(preserved).map(|(tag, content)| Parcel { tag, content }).collect()
}

fn assemble(
    proof: &SingleThread,
    mut plan: Plan,
    group: Option<&Group>,
    start: OwnedFd,
    preserved: Vec<OwnedFd>,
    report: &OwnedFd,
    link: OwnedFd,
) -> Step<()> {
    for (kind, path) in plan.namespaces.joined() {
        container::join(proof, *kind, path)?;
    }
    container::begin_time(proof, &plan)?;
    let machine = Machine::look();
    let (feed, their_feed) = socket::pair().map_err(|error| Setback::host("cannot make a socket", error))?;
    let request = CloneRequest {
        namespaces: plan.namespaces.new_at_clone(),
        sibling: true,
        cgroup: group.and_then(Group::birthplace),
    };
    let (pid, pidfd) =
        process::clone_process(proof, &request, || child::run(proof, &machine, their_feed, link))
            .map_err(|error| Setback::host("cannot make a process with its namespaces", error))?;
    let finish = || -> Step<()> {
        container::prepare(pid, &plan)?;
        container::join_group(pid, group)?;
        made(report, pid, &pidfd)?;
        let mut word = [0; 8];
        let heard = socket::receive(report, &mut word, RecvFlags::empty());
        if !heard.is_ok_and(|packet| word[..packet.length] == [link::GO]) {
            // The command gave up, and has said why to whoever asked.
            process::exit_now(1);
        }
        if let Some(state) = plan.independent.as_mut().and_then(|own| own.state.as_mut()) {
            state.pid = pid.as_raw_nonzero().get();
        }
        let mut extra = vec![Parcel { tag: mounts::START, content: start }];
        extra.extend(parcels_of(preserved));
        let file = plan.to_memfd()?;
        container::hand_over(proof, pid, &plan, &file, &feed, extra)?;
        container::tell_grouped(&feed)
    };
    finish().inspect_err(|_| {
        let _gone = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
    })
}

impl Making {
    /// Lets a container's first process be given its mounts.
    pub(crate) fn go_on(&self) -> Outcome<()> {
        socket::send(&self.report, &[link::GO], &[]).map_err(|error| {
            Setback::host("cannot tell the process that puts containers together", error).into_failure()
        })
    }

    /// Waits until the process is ready to execute its command; gives its terminal's outer side when it has one.
    pub(crate) fn ready(&self) -> Outcome<Option<OwnedFd>> {
        let mut buffer = vec![0; link::PACKET_BYTES];
        let packet = socket::receive(&self.link, &mut buffer, RecvFlags::empty())
            .map_err(|error| Setback::host("cannot hear from the process", error).into_failure())?;
        let told = match buffer[..packet.length].split_first() {
            Some((&link::READY, mask)) => {
                self.reap_assembler();
                let terminal = mask.first().is_some_and(|mask| mask & link::HAS_TERMINAL != 0);
                return Ok(packet.descriptors.into_iter().next().filter(|_| terminal));
            }
            Some((&link::SETBACK, body)) => Setback::read(body),
            // It ended without a word: the assembler knows why, or nobody.
            _ => self.assembler_failed().unwrap_or_else(|| {
                Setback::new(Blame::Host, "the container's first process ended before it was ready")
            }),
        };
        self.reap_assembler();
        Err(told.into_failure())
    }

    fn reap_assembler(&self) {
        if let Some(assembler) = self.assembler.take() {
            reap(assembler);
        }
    }

    fn assembler_failed(&self) -> Option<Setback> {
        let mut buffer = vec![0; link::PACKET_BYTES];
        let packet = socket::receive(&self.report, &mut buffer, RecvFlags::empty()).ok()?;
        match buffer[..packet.length].split_first() {
            Some((&link::SETBACK, body)) => Some(Setback::read(body)),
            _ => None,
        }
    }

    /// Lets an additional process execute its command, and waits until it has.
    pub(crate) fn start(&self) -> Outcome<()> {
        begin_command(&self.link)
    }

    /// Ends what was made.
    pub(crate) fn abandon(self) {
        let _gone = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        if let Some(assembler) = self.assembler.get() {
            // Not waited for yet, so the number is still its own.
            let _gone = rustix::process::kill_process(assembler, Signal::KILL);
        }
        self.reap_assembler();
        reap(self.pid);
    }
}

/// Says go over a connection to a process that waits for it; success is that it closes without a word, by the exec.
pub(crate) fn begin_command(connection: &OwnedFd) -> Outcome<()> {
    let failed = |error| Setback::host("cannot reach the container's process", error).into_failure();
    socket::send(connection, &[link::GO], &[]).map_err(failed)?;
    let mut buffer = vec![0; link::PACKET_BYTES];
    let packet = socket::receive(connection, &mut buffer, RecvFlags::empty()).map_err(failed)?;
    match buffer[..packet.length].split_first() {
        None => Ok(()),
        Some((&link::SETBACK, body)) => Err(Setback::read(body).into_failure()),
        Some(_) => Err(Failure::internal("the container's process talked out of order")),
    }
}

/// Waits for a child; one that somebody else waited for is gone as well.
fn reap(pid: Pid) {
    while let Err(rustix::io::Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
}
