//! The spawner's own loop: accept, check who asks, fork a keeper, forget.
//!
//! It never waits for a client and never does a container's work: a request is read when it is there, and the keeper
//! forked for it takes over its connection. Ended keepers vanish by themselves.

use super::client::GroupMoves;
use super::favour;
use super::protocol::{DONE, FAILED, HELLO, LEAVE_MOVES, RETIRE, SOCKET, VERSION};
use super::request::{Order, Request};
use super::standby::Standby;
use crate::keeper::{self, Asked};
use crate::machine::Machine;
use crate::setback::Setback;
use haven_spec::{Failure, Outcome};
use haven_sys::process::SingleThread;
use haven_sys::{descriptor, process, signal, socket};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::net::{RecvFlags, SendFlags};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Connections that have not sent their request yet; more are turned away.
const WAITING_LIMIT: usize = 256;

/// Runs the spawner: `arguments` are those after the word `spawner`. Returns in the process that was started, once
/// the spawner serves (or when one already does); the spawner itself ends inside.
pub fn run_spawner(arguments: impl IntoIterator<Item = OsString>) -> Outcome<()> {
    let (run_root, group_moves) = read(arguments)?;
    let host = |what: &str, error: std::io::Error| Failure::host(format!("cannot {what}")).because(error);
    let proof = SingleThread::prove().map_err(|error| host("become the spawner", error))?;
    std::fs::create_dir_all(&run_root)
        .map_err(|error| host(&format!("make `{}`", run_root.display()), error))?;
    let Some(lock) = take_lock(&run_root)? else {
        return Ok(());
    };
    let path = run_root.join(SOCKET);
    let listener = socket::listen(&path, 1024)
        .map_err(|error| host(&format!("listen at `{}`", path.display()), error))?;
    process::fork(&proof, || {
        let proof = &proof;
        if prepare(&lock, &listener).is_err() {
            return 1;
        }
        let machine = Machine::look();
        let _favoured = (group_moves == GroupMoves::Favoured).then(|| favour::moves(&machine)).flatten();
        serve(proof, &machine, &listener, &path)
    })
    .map_err(|error| host("fork the spawner", error))?;
    Ok(())
}

fn read(arguments: impl IntoIterator<Item = OsString>) -> Outcome<(PathBuf, GroupMoves)> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.as_slice() {
        [flag, directory, rest @ ..] if flag == "--run-dir" && Path::new(directory).is_absolute() => {
            let group_moves = match rest {
                [] => Some(GroupMoves::Favoured),
                [flag] if flag == LEAVE_MOVES => Some(GroupMoves::AsTheHostHasThem),
                _ => None,
            };
            group_moves.map(|moves| (PathBuf::from(directory), moves))
        }
        _ => None,
    }
    .ok_or_else(|| Failure::invalid("the spawner takes `--run-dir` and an absolute path"))
}

/// The lock that tells a spawner serves this directory; `None` when another one holds it. It lives as long as the
/// spawner and is not inherited by keepers.
fn take_lock(run_root: &Path) -> Outcome<Option<OwnedFd>> {
    let path = run_root.join("spawner.lock");
    let failed = |error: rustix::io::Errno| {
        Failure::host(format!("cannot lock `{}`", path.display())).because(std::io::Error::from(error))
    };
    let file =
        rustix::fs::open(&path, OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o600))
            .map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// A session of its own, nothing of the starter's: streams, directory, descriptors.
fn prepare(lock: &OwnedFd, listener: &OwnedFd) -> std::io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::chdir("/")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    for stream in descriptor::StandardStream::ALL {
        descriptor::set_standard(stream, null.as_fd())?;
    }
    drop(null);
    descriptor::close_all_but(&[lock.as_fd(), listener.as_fd()])?;
    rustix::thread::set_name(c"haven-spawner")?;
    for number in signal::TERMINAL_AND_PIPE {
        signal::ignore(number)?;
    }
    signal::reap_children_automatically()?;
    // Best effort: without the privilege the kernel refuses, and the spawner is small.
    let _refused = std::fs::write("/proc/self/oom_score_adj", "-999");
    process::forbid_inspection()
}

fn serve(proof: &SingleThread, machine: &Machine, listener: &OwnedFd, path: &Path) -> i32 {
    let mut waiting: Vec<OwnedFd> = Vec::new();
    let mut standby = Standby::new();
    loop {
        let ready: Vec<bool> = {
            let mut polled: Vec<PollFd<'_>> = std::iter::once(listener.as_fd())
                .chain(waiting.iter().map(AsFd::as_fd))
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
                .collect();
            let patience = standby.patience().and_then(|time| Timespec::try_from(time).ok());
            match rustix::event::poll(&mut polled, patience.as_ref()) {
                Ok(0) => {
                    drop(polled);
                    standby.replenish(proof, machine);
                    continue;
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return 1,
            }
            polled.iter().map(|entry| !entry.revents().is_empty()).collect()
        };
        for index in (0..waiting.len()).rev() {
            if ready.get(index + 1).copied().unwrap_or(false) {
                let connection = waiting.swap_remove(index);
                if answer(proof, machine, &mut standby, connection) == After::Retire {
                    let _gone = rustix::fs::unlink(path);
                    return 0;
                }
            }
        }
        if ready.first().copied().unwrap_or(false)
            && let Ok((connection, peer)) = socket::accept(listener.as_fd())
            && peer == rustix::process::geteuid().as_raw()
            && waiting.len() < WAITING_LIMIT
        {
            // The request usually came with the connection.
            waiting.push(connection);
        }
    }
}

#[derive(PartialEq, Eq)]
enum After {
    GoOn,
    Retire,
}

/// Answers the request on `connection`, or has a keeper answer it.
fn answer(proof: &SingleThread, machine: &Machine, standby: &mut Standby, connection: OwnedFd) -> After {
    let mut kind = [0; 8];
    let Ok(packet) = socket::receive(&connection, &mut kind, RecvFlags::DONTWAIT) else {
        return After::GoOn;
    };
    match kind[..packet.length].first() {
        Some(&HELLO) => {
            let mut hello = vec![DONE];
            hello.extend_from_slice(&VERSION.to_ne_bytes());
            hello.extend_from_slice(env!("CARGO_PKG_VERSION").as_bytes());
            reply(&connection, &hello, &[]);
        }
        Some(&RETIRE) => {
            reply(&connection, &[DONE], &[]);
            return After::Retire;
        }
        Some(kind) => match Order::read(*kind, packet.descriptors) {
            Some(order) => {
                if let Some(request) = standby.serve(Request { connection, order }) {
                    fork_keeper(proof, machine, request);
                }
            }
            None => {
                refuse(
                    &connection,
                    &Setback::from(Failure::internal("the spawner was asked something unknown")),
                );
            }
        },
        None => {}
    }
    After::GoOn
}

fn fork_keeper(proof: &SingleThread, machine: &Machine, request: Request) {
    let second = request.connection.try_clone();
    let forked = process::fork(proof, || keeper::stand(proof, machine, Asked::Now(request)));
    if let (Err(error), Ok(connection)) = (forked, second) {
        refuse(&connection, &Setback::host("cannot fork a keeper", error));
    }
}

pub(crate) fn refuse(connection: &OwnedFd, setback: &Setback) {
    let mut answer = vec![FAILED];
    answer.extend_from_slice(&setback.write());
    reply(connection, &answer, &[]);
}

/// Answers without ever waiting; a client that is gone or doesn't listen gets nothing.
pub(crate) fn reply(connection: &OwnedFd, answer: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let parts = [std::io::IoSlice::new(answer)];
    let _gone = socket::send_parts(connection, &parts, descriptors, SendFlags::DONTWAIT);
}
