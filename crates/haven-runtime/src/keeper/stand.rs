//! A keeper's beginning: it has an assembler make the process, learns what was made, and keeps it.

use super::serve::Keep;
use super::setup::Setup;
use crate::assembler;
use crate::machine::Machine;
use crate::setback::{Blame, Setback};
use crate::spawner::{Request, refuse};
use haven_sys::process::SingleThread;
use haven_sys::{descriptor, process, signal, socket};
use rustix::net::RecvFlags;
use rustix::process::{Pid, WaitOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a keeper is to have made.
#[derive(Debug)]
pub(crate) enum Asked {
    Now(Request),
    /// It is told on this channel; `container`: it will be one, whose first process can be made meanwhile.
    Later {
        channel: OwnedFd,
        container: bool,
    },
}

impl Asked {
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Now(request) => request.descriptors(),
            Self::Later { channel, .. } => vec![channel.as_fd()],
        }
    }
}

/// A keeper's whole life, in a process just forked; gives its exit status.
///
/// The plan is read by the assembler, a child that ends when everything is made: what reading it costs in memory goes
/// with it.
pub(crate) fn stand(proof: &SingleThread, machine: &Machine, asked: Asked) -> i32 {
    match begin(proof, machine, &asked) {
        Ok((assembler, link, report)) => {
            drop(asked);
            match descriptor::keep_only([link, report]) {
                Ok([link, report]) => keep(assembler, link, report),
                Err(_) => 1,
            }
        }
        Err(error) => {
            if let Asked::Now(request) = &asked {
                refuse(&request.connection, &Setback::host("cannot begin to keep a container", error));
            }
            1
        }
    }
}

/// Forks the assembler; gives it and the two sockets to hear from the process and from it.
fn begin(proof: &SingleThread, machine: &Machine, asked: &Asked) -> std::io::Result<(Pid, OwnedFd, OwnedFd)> {
    rustix::process::setsid()?;
    rustix::thread::set_name(c"haven-keeper")?;
    signal::keep_ended_children()?;
    // Whoever ends a whole session or machine ends the container by its first process, and the keeper after it.
    signal::ignore(signal::TERM)?;
    let (link, their_link) = socket::pair()?;
    let (report, their_report) = socket::pair()?;
    let assembler =
        process::fork(proof, || assembler::run(proof, machine, their_link, &their_report, asked))?;
    Ok((assembler, link, report))
}

fn keep(assembler: Pid, link: OwnedFd, report: OwnedFd) -> i32 {
    let mut buffer = vec![0; super::setup::BYTES];
    let received = socket::receive(&report, &mut buffer, RecvFlags::empty());
    let setup = received
        .ok()
        .filter(|packet| packet.length > 0)
        .map(|packet| Setup::read(&buffer[..packet.length], packet.descriptors));
    drop(buffer);
    match setup {
        // Nothing was made; the assembler has told whoever asked.
        None => {
            let _ended = rustix::process::waitpid(Some(assembler), WaitOptions::empty());
            1
        }
        Some(Err(_)) => 1,
        Some(Ok(setup)) => Keep::new(setup, assembler, link, report).map_or(1, Keep::run),
    }
}

pub(super) fn start_twice() -> Setback {
    Setback::new(Blame::Request, "it was started already")
}
