//! The assembler: the short-lived process that puts one container together with the host's rights.
//!
//! It is forked by the keeper and ends when everything is handed over, and its memory with it. What needs the host's
//! rights or paths happens here: the control group, the id maps, the overlay, copies of the host's mounts. What has to
//! happen inside the namespaces is the child's (see [`crate::child`]); mounts reach it as descriptors.
//!
//! The process made is the keeper's child, not the assembler's.

mod bare;
mod container;
pub(crate) mod dev;
mod exec;
pub(crate) mod foreground;
mod idmap;
pub(crate) mod mounts;
mod older;
mod rootfs;

pub use rootfs::mount_rootfs;

use crate::keeper::Asked;
use crate::link::{self, Message, Parcel};
use crate::machine::Machine;
use crate::plan::ProcessPlan;
use crate::setback::{Setback, Step};
use crate::spawner::{self, Order, Request};
use haven_sys::process::SingleThread;
use haven_sys::{descriptor, process, socket};
use rustix::process::{Signal, WaitOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How far things are: whom a failure is told depends on it.
struct Progress {
    answered: bool,
}

/// An assembler's whole life, in a process just forked; gives its exit status. `link`: the made process's end of its
/// link to the keeper; `report`: to the keeper.
pub(crate) fn run(
    proof: &SingleThread,
    machine: &Machine,
    link: OwnedFd,
    report: &OwnedFd,
    asked: &Asked,
) -> i32 {
    // The spawner's own, its lock above all, end with the spawner.
    let own = [link.as_fd(), report.as_fd()].into_iter().chain(asked.descriptors());
    let kept: Vec<BorrowedFd<'_>> = own.chain(machine.descriptors()).collect();
    if descriptor::close_all_but(&kept).is_err() {
        return 1;
    }
    match asked {
        Asked::Now(request) => assemble(proof, machine, link, report, request, None),
        Asked::Later { channel, container } => {
            let made = if *container { container::make_ahead(proof, machine, &link) } else { None };
            match Request::receive(channel) {
                Some(request) => assemble(proof, machine, link, report, &request, made),
                None => 0,
            }
        }
    }
}

fn assemble(
    proof: &SingleThread,
    machine: &Machine,
    link: OwnedFd,
    report: &OwnedFd,
    request: &Request,
    made: Option<container::Made>,
) -> i32 {
    let mut progress = Progress { answered: false };
    let connection = &request.connection;
    let done = match &request.order {
        Order::Launch { plan, ruleset } => container::Assembly {
            proof,
            machine,
            connection,
            report,
            link,
            plan,
            ruleset: ruleset.as_ref(),
            made,
        }
        .run(&mut progress),
        Order::Exec { plan, target } => {
            exec::Assembly { proof, machine, connection, report, link, plan, target }.run(&mut progress)
        }
    };
    match done {
        Ok(()) => 0,
        Err(setback) => {
            if !progress.answered {
                spawner::refuse(connection, &setback);
            }
            1
        }
    }
}

/// After a failure: while nobody knows of the process it is ended here, later the keeper ends it.
///
/// The keeper is told before the process can notice that nobody feeds it any more, and says only that.
fn give_up(report: &OwnedFd, setback: &Setback, progress: &Progress, process: &OwnedFd) {
    if progress.answered {
        link::send_setback(report, setback);
    } else {
        let _gone = rustix::process::pidfd_send_signal(process, Signal::KILL);
    }
}

/// Answers whoever asked: the process exists.
fn answer(connection: &OwnedFd, pid: u32, descriptors: &[BorrowedFd<'_>], progress: &mut Progress) {
    let mut answer = vec![spawner::DONE];
    answer.extend_from_slice(&pid.to_ne_bytes());
    spawner::reply(connection, &answer, descriptors);
    progress.answered = true;
}

/// The score for the out-of-memory killer to be set. A process of the spawner's would inherit its protection, which is
/// for Haven's own processes; one of the OCI command inherits what that was given.
fn score(process: &ProcessPlan, kept: bool) -> Option<i32> {
    let inherited = || std::fs::read_to_string("/proc/self/oom_score_adj").ok()?.trim().parse::<i32>().ok();
    process.oom_score_adj.or_else(|| (kept && inherited()? < 0).then_some(0))
}

/// A mount that has to be made by another process, which may change itself for that.
fn made_by_child(proof: &SingleThread, make: impl FnOnce() -> Step<OwnedFd>) -> Step<OwnedFd> {
    let failed = |error: std::io::Error| Setback::host("cannot have a mount made", error);
    let (here, there) = socket::pair().map_err(failed)?;
    let child = process::fork(proof, || match make() {
        Ok(content) => {
            i32::from(link::send_parcels(&there, &[Parcel { tag: mounts::ROOT, content }]).is_err())
        }
        Err(setback) => {
            link::send_setback(&there, &setback);
            1
        }
    })
    .map_err(failed)?;
    drop(there);
    let heard = link::receive(&here);
    let _ended = rustix::process::waitpid(Some(child), WaitOptions::empty());
    match heard? {
        Message::Parcels(parcels) => {
            parcels.into_iter().next().map(|parcel| parcel.content).ok_or_else(link::out_of_order)
        }
        _ => Err(link::out_of_order()),
    }
}

/// A number the kernel gave as a process id.
fn number(pid: rustix::process::Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

/// Writes a file of `/proc/PID`, in one call as the kernel wants it.
fn write_proc(pid: u32, file: &str, content: &str) -> Step<()> {
    let path = format!("/proc/{pid}/{file}");
    std::fs::write(&path, content)
        .map_err(|error| Setback::host(format!("cannot write `{}` to `{path}`", content.trim_end()), error))
}
