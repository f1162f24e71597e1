//! The assembler: the short-lived process that puts one container together with the host's rights.
//!
//! It is forked by the keeper and ends when everything is handed over, and its memory with it. What needs the host's
//! rights or paths happens here: the control group, the id maps, the overlay, copies of the host's mounts. What has to
//! happen inside the namespaces is the child's (see [`crate::child`]); mounts reach it as descriptors.
//!
//! The process made is the keeper's child, not the assembler's.

mod container;
pub(crate) mod dev;
mod exec;
pub(crate) mod foreground;
mod idmap;
pub(crate) mod mounts;
mod rootfs;

pub use rootfs::mount_rootfs;

use crate::keeper::Asked;
use crate::link;
use crate::machine::Machine;
use crate::setback::{Setback, Step};
use crate::spawner::{self, Order, Request};
use haven_sys::descriptor;
use haven_sys::process::SingleThread;
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
            if progress.answered {
                link::send_setback(report, &setback);
            } else {
                spawner::refuse(connection, &setback);
            }
            1
        }
    }
}

/// Answers whoever asked: the process exists.
fn answer(connection: &OwnedFd, pid: u32, descriptors: &[BorrowedFd<'_>], progress: &mut Progress) {
    let mut answer = vec![spawner::DONE];
    answer.extend_from_slice(&pid.to_ne_bytes());
    spawner::reply(connection, &answer, descriptors);
    progress.answered = true;
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
