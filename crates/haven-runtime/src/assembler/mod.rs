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

use crate::keeper::Order;
use crate::link;
use crate::setback::{Setback, Step};
use crate::spawner;
use haven_sys::process::SingleThread;
use std::os::fd::{BorrowedFd, OwnedFd};

/// What an assembler talks through.
pub(crate) struct Ends<'a> {
    /// To whoever asked.
    pub(crate) connection: &'a OwnedFd,
    /// The process's end of its link to the keeper.
    pub(crate) link: OwnedFd,
    /// To the keeper.
    pub(crate) report: OwnedFd,
}

/// How far things are: whom a failure is told depends on it.
struct Progress {
    answered: bool,
}

/// An assembler's whole life, in a process just forked; gives its exit status.
pub(crate) fn run(proof: &SingleThread, ends: Ends<'_>, order: Order) -> i32 {
    let mut progress = Progress { answered: false };
    let Ends { connection, link, report } = ends;
    let done = match order {
        Order::Launch { plan, ruleset } => {
            container::assemble(proof, connection, link, &report, (plan, ruleset), &mut progress)
        }
        Order::Exec { plan, target } => {
            exec::assemble(proof, connection, link, &report, plan, target, &mut progress)
        }
    };
    match done {
        Ok(()) => 0,
        Err(setback) => {
            if progress.answered {
                link::send_setback(&report, &setback);
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
