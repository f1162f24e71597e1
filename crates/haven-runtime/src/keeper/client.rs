//! The side of the keeper's control socket that asks.

use super::protocol::{
    ANSWER_BYTES, ATTACH, ATTACH_BACKPRESSURE, ATTACH_STDERR, ATTACH_STDIN, ATTACH_STDOUT, CLOSE_INPUT, DONE,
    EXITED, FAILED, IDENTIFY, RESIZE, START, WATCH,
};
use crate::exit::ExitRecord;
use crate::setback::Setback;
use haven_spec::{Failure, Outcome};
use haven_sys::socket;
use rustix::net::RecvFlags;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// A way to a keeper. Each question uses a connection of its own, so a `Keeper` can be shared and outlives the
/// questions; calls block for as long as the keeper needs.
#[derive(Debug, Clone)]
pub struct Keeper {
    socket: PathBuf,
}

/// What a client wants of the streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachRequest {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// The process waits when this client is slow, so that the client misses nothing. Without it the client is let
    /// go of when its buffer is full.
    pub backpressure: bool,
}

/// What asking the kept process for its end gave.
#[derive(Debug)]
pub enum Settled {
    /// It runs on.
    NotYet,
    Exited(ExitRecord),
    /// The keeper is gone without a word; its record, if it left one, is in the run directory.
    KeeperGone,
}

/// A connection on which the keeper tells the exit.
#[derive(Debug)]
pub struct ExitWatch {
    connection: OwnedFd,
}

impl Keeper {
    /// The keeper of the container whose run directory this is.
    pub fn of_container(run_dir: &Path) -> Self {
        Self { socket: run_dir.join("keeper.sock") }
    }

    /// The keeper of an additional process.
    pub fn of_exec(run_dir: &Path, exec_id: &str) -> Self {
        Self { socket: run_dir.join(format!("exec-{exec_id}.sock")) }
    }

    /// Whether somebody answers.
    pub fn is_alive(&self) -> bool {
        socket::connect(&self.socket).is_ok()
    }

    /// Lets the process go on to its command; returns when the command was executed, or why it wasn't.
    pub fn start(&self) -> Outcome<()> {
        self.ask(&[START]).map(drop)
    }

    /// Tells the terminal its size.
    pub fn resize(&self, rows: u16, columns: u16) -> Outcome<()> {
        let (rows, columns) = (rows.to_ne_bytes(), columns.to_ne_bytes());
        self.ask(&[RESIZE, rows[0], rows[1], columns[0], columns[1]]).map(drop)
    }

    /// Standard input ends, whoever is attached.
    pub fn close_stdin(&self) -> Outcome<()> {
        self.ask(&[CLOSE_INPUT]).map(drop)
    }

    /// The process kept: its number on this host and a descriptor for it, which can't be mistaken for another's.
    pub fn identify(&self) -> Outcome<(u32, OwnedFd)> {
        let (answer, mut descriptors) = self.ask(&[IDENTIFY])?;
        let pid = answer.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes));
        pid.zip(descriptors.pop()).ok_or_else(|| self.unexpected())
    }

    /// Joins the process's streams. The descriptor is a sequenced-packet socket of frames, a stream byte
    /// ([`super::STREAM_STDIN`], …) before the data; it ends after the last output.
    pub fn attach(&self, request: AttachRequest) -> Outcome<OwnedFd> {
        let mut flags = 0;
        for (wanted, flag) in [
            (request.stdin, ATTACH_STDIN),
            (request.stdout, ATTACH_STDOUT),
            (request.stderr, ATTACH_STDERR),
            (request.backpressure, ATTACH_BACKPRESSURE),
        ] {
            flags |= if wanted { flag } else { 0 };
        }
        let connection = self.connect()?;
        self.ask_on(&connection, &[ATTACH, flags])?;
        Ok(connection)
    }

    /// Begins to watch for the exit.
    pub fn watch(&self) -> Outcome<ExitWatch> {
        let connection = self.connect()?;
        self.ask_on(&connection, &[WATCH])?;
        Ok(ExitWatch { connection })
    }

    fn ask(&self, request: &[u8]) -> Outcome<(Vec<u8>, Vec<OwnedFd>)> {
        self.ask_on(&self.connect()?, request)
    }

    fn connect(&self) -> Outcome<OwnedFd> {
        socket::connect(&self.socket).map_err(|error| {
            let what = format!("cannot reach the keeper at `{}`", self.socket.display());
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) {
                Failure::not_found(what).because(error)
            } else {
                Failure::host(what).because(error)
            }
        })
    }

    fn ask_on(&self, connection: &OwnedFd, request: &[u8]) -> Outcome<(Vec<u8>, Vec<OwnedFd>)> {
        let broken = |error| {
            Failure::host(format!("cannot talk to the keeper at `{}`", self.socket.display())).because(error)
        };
        socket::send(connection, request, &[]).map_err(broken)?;
        let mut buffer = vec![0; ANSWER_BYTES];
        let packet = socket::receive(connection, &mut buffer, RecvFlags::empty()).map_err(broken)?;
        buffer.truncate(packet.length);
        match buffer.split_first() {
            Some((&DONE, rest)) => Ok((rest.to_vec(), packet.descriptors)),
            Some((&FAILED, rest)) => Err(Setback::read(rest).into_failure()),
            Some(_) => Err(self.unexpected()),
            None => Err(Failure::host(format!(
                "the keeper at `{}` ended without an answer",
                self.socket.display()
            ))),
        }
    }

    fn unexpected(&self) -> Failure {
        Failure::internal(format!("the keeper at `{}` answered something unexpected", self.socket.display()))
    }
}

impl ExitWatch {
    /// What has been told so far; never waits. Call it when the descriptor is readable.
    pub fn try_exit(&self) -> Outcome<Settled> {
        self.settle(RecvFlags::DONTWAIT)
    }

    /// Waits for the end.
    pub fn wait(&self) -> Outcome<Settled> {
        self.settle(RecvFlags::empty())
    }

    fn settle(&self, flags: RecvFlags) -> Outcome<Settled> {
        let mut buffer = vec![0; ANSWER_BYTES];
        let packet = match socket::receive(&self.connection, &mut buffer, flags) {
            Ok(packet) => packet,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(Settled::NotYet),
            Err(error) => return Err(Failure::host("cannot hear from the keeper").because(error)),
        };
        match buffer[..packet.length].split_first() {
            Some((&EXITED, record)) => serde_json::from_slice(record).map(Settled::Exited).map_err(|error| {
                Failure::internal("the keeper told an exit that can't be understood").because(error)
            }),
            Some(_) => Err(Failure::internal("the keeper told something unexpected")),
            None => Ok(Settled::KeeperGone),
        }
    }
}

impl AsFd for ExitWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// What asynchronous callers wait on.
impl AsRawFd for ExitWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.connection.as_raw_fd()
    }
}
