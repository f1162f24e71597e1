//! How containers end: `kill` and `delete`.

use super::arguments::Arguments;
use super::hooks;
use super::log::Log;
use super::record::Record;
use super::store::{Place, Store};
use crate::oci::{NamespaceType, Status};
use haven_spec::{Failure, Kind, Outcome, Signal};
use rustix::io::Errno;
use rustix::process::{Pid, Signal as RawSignal, pidfd_send_signal};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long killed processes may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn kill(store: &Store, arguments: &Arguments) -> Outcome<()> {
    let id = arguments.first();
    let signal = arguments.operands.get(1).map_or(Ok(Signal::TERM), |word| Signal::parse(word))?;
    let record = store.read(id)?;
    if arguments.has("all") {
        return match record.group()? {
            Some(group) if signal == Signal::KILL => group.kill_all(PATIENCE),
            Some(group) => group.signal_all(signal),
            None => Err(not_running()),
        };
    }
    let Some(process) = record.process() else {
        // Its first process is gone, but without a PID namespace of its own others may have stayed.
        return match record.group()? {
            Some(group) if signal == Signal::KILL && !owns_pids(&record) && !group.is_empty()? => {
                group.kill_all(PATIENCE)
            }
            _ => Err(not_running()),
        };
    };
    send(&record, &process, signal)?;
    // What is frozen by v1's freezer dies only when thawed.
    if signal == Signal::KILL
        && record.status(&store.start_socket(id)) == Status::Paused
        && let Some(group) = record.group()?
    {
        group.thaw()?;
    }
    Ok(())
}

/// Callers look for these words to tell "it has ended" from other failures.
fn not_running() -> Failure {
    Failure::conflict("container not running")
}

fn send(record: &Record, process: &OwnedFd, signal: Signal) -> Outcome<()> {
    let sent = match RawSignal::from_named_raw(signal.number()) {
        Some(raw) => pidfd_send_signal(process, raw).map_err(std::io::Error::from),
        // Real-time signals have no name; the open descriptor says the number is still the process's.
        None => match Pid::from_raw(record.pid) {
            Some(pid) => haven_sys::signal::send(pid, signal.number()),
            None => return Err(not_running()),
        },
    };
    sent.map_err(|error| {
        if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) {
            not_running()
        } else {
            Failure::host(format!("cannot send {signal} to process {}", record.pid)).because(error)
        }
    })
}

fn owns_pids(record: &Record) -> bool {
    record.spec.linux.as_ref().is_some_and(|linux| {
        linux.namespaces.iter().any(|one| one.kind == NamespaceType::Pid && one.path.is_empty())
    })
}

pub(super) fn delete(store: &Store, arguments: &Arguments, log: &Log) -> Outcome<()> {
    let id = arguments.first();
    let force = arguments.has("force");
    let place = match store.lock(id) {
        Err(failure) if force && failure.kind() == Kind::NotFound => return Ok(()),
        other => other?,
    };
    let record = match place.read() {
        Ok(record) => record,
        // Nothing but a directory: its maker was killed before it wrote a record.
        Err(failure) if failure.kind() == Kind::NotFound => {
            place.remove()?;
            return if force { Ok(()) } else { Err(failure) };
        }
        Err(failure) => return Err(failure),
    };
    match record.status(&place.start_socket()) {
        Status::Stopped | Status::Created | Status::Creating => {}
        _ if force => {}
        status => {
            return Err(Failure::conflict(format!(
                "cannot delete container {id} that is not stopped: {status}"
            ))
            .hint("kill it first, or use `--force`"));
        }
    }
    destroy(place, &record, log)
}

/// Ends what is left of a container, and forgets it.
pub(super) fn destroy(place: Place, record: &Record, log: &Log) -> Outcome<()> {
    if let Some(process) = record.process() {
        send(record, &process, Signal::KILL).or_else(ended_already)?;
        wait_for_end(&process)?;
    }
    if let Some(group) = record.group()? {
        group.kill_all(PATIENCE)?;
        group.remove(PATIENCE)?;
    }
    run_poststop(record, log);
    place.remove()
}

fn ended_already(failure: Failure) -> Outcome<()> {
    if failure.kind() == Kind::Conflict { Ok(()) } else { Err(failure) }
}

/// Waits until the process has ended; its parent may still have to ask for its status.
fn wait_for_end(process: &OwnedFd) -> Outcome<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let timeout = Timespec { tv_sec: 10, tv_nsec: 0 };
    loop {
        let mut polled = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => {
                return Err(Failure::host("the container's first process outlives being killed")
                    .hint("a process in state D (see `ps`) waits for a disk or a network file system"));
            }
            Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => {
                return Err(Failure::host("cannot wait for a process").because(std::io::Error::from(errno)));
            }
        }
    }
}

/// A hook that fails now is told and changes nothing.
pub(super) fn run_poststop(record: &Record, log: &Log) {
    if let Some(hooks) = &record.spec.hooks {
        for failure in hooks::run_all("poststop", &hooks.poststop, &record.state(Status::Stopped)) {
            log.warn(&failure.one_line());
        }
    }
}
