//! A session: a container's streams joined to ours until it ends or we leave.
//!
//! ```text
//! connection ──(output thread)──▶ stdout, stderr        blocks as it likes, loses nothing
//! stdin ──▶ escape ──▶ buffer ──▶ connection   ┐
//! signals ──▶ kill, resize                     ├─ one poll loop
//! wait's answer ──▶ exit status                ┘
//! ```
//!
//! Output has a thread of its own so that a slow reader of it stops neither signals nor input. Input is written only
//! when the connection takes it, so that a container that stopped reading does not stop us either.

use super::escape::{Escape, Typed};
use super::frame::{CopyError, copy_frames, copy_raw};
use super::signals::{self, Impatience};
use super::terminal::{self, RawMode};
use crate::console;
use crate::daemon::Daemon;
use crate::ending::{Refusal, Status};
use crate::wire::{Answer, Connection, Query, Request};
use haven_spec::{Failure, Outcome};
use haven_sys::SignalQueue;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

const INPUT_BYTES: usize = 32 * 1024;
/// A process that is just being started may not have its terminal yet.
const RESIZE_RETRY_MS: i64 = 20;
const RESIZE_ATTEMPTS: u8 = 20;

/// What is joined, and how.
pub(crate) struct Plan {
    /// The process has a terminal: one raw stream, raw keys.
    pub(crate) tty: bool,
    pub(crate) stdin: bool,
    /// Standard output or error is shown.
    pub(crate) output: bool,
    /// The sequence that detaches.
    pub(crate) detach_keys: Vec<u8>,
    /// Where new window sizes go: `/containers/ID/resize` or `/exec/ID/resize`.
    pub(crate) resize: String,
    /// The container that signals are passed on to.
    pub(crate) signals_to: Option<String>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The stream ended; the exit status if there was a wait.
    Over(Option<i64>),
    /// The user typed the detach keys.
    Detached,
}

/// A session whose output is flowing already.
pub(crate) struct Session<'d> {
    daemon: &'d Daemon,
    plan: Plan,
    socket: UnixStream,
    output: Option<JoinHandle<Result<(), CopyError>>>,
    /// Closed by the output thread's end.
    output_ended: OwnedFd,
    signals: Option<SignalQueue>,
    raw: Option<RawMode>,
}

struct RawReader(Connection);

impl Read for RawReader {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.0.read_some(space)
    }
}

impl<'d> Session<'d> {
    /// Begins to show output. `stream` is the answer to an attach or exec request; `signals` was opened before.
    pub(crate) fn begin(
        daemon: &'d Daemon,
        plan: Plan,
        stream: Answer,
        signals: Option<SignalQueue>,
    ) -> Outcome<Self> {
        let host = |error: io::Error| Failure::host("cannot set up the session").because(error);
        let connection = stream.body.into_raw();
        let socket = connection.socket().try_clone().map_err(host)?;
        let (output_ended, end_mark) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|error| host(error.into()))?;
        let raw =
            if plan.tty && plan.stdin && console::in_is_terminal() { Some(RawMode::enter()?) } else { None };
        let tty = plan.tty;
        let output = std::thread::Builder::new()
            .name("output".into())
            .spawn(move || {
                let mut reader = RawReader(connection);
                let copied = if tty {
                    copy_raw(&mut reader, &mut console::Output)
                } else {
                    copy_frames(&mut reader, &mut console::Output, &mut console::Errors)
                };
                drop(end_mark);
                copied
            })
            .map_err(host)?;
        Ok(Self { daemon, plan, socket, output: Some(output), output_ended, signals, raw })
    }

    /// Ends without having run: what should have been started was not.
    pub(crate) fn abandon(self) {
        drop(self.socket.shutdown(Shutdown::Both));
    }

    /// Serves the session to its end. `wait` is the answer to a wait request, whose body is still to come.
    pub(crate) fn serve(mut self, wait: Option<Answer>) -> Result<Ended, Refusal> {
        let ended = self.run(wait);
        self.raw = None;
        ended
    }

    fn run(&mut self, mut wait: Option<Answer>) -> Result<Ended, Refusal> {
        let mut input = Input::new(self.plan.stdin, &self.plan.detach_keys, self.plan.tty);
        if !self.plan.stdin {
            drop(self.socket.shutdown(Shutdown::Write));
        }
        // Known once the wait was answered; a failed wait is told when all output has been shown.
        let mut status: Option<Result<i64, Refusal>> = None;
        let mut impatience = Impatience::default();
        let mut resizes_left = if self.plan.tty && terminal::size().is_some() { RESIZE_ATTEMPTS } else { 0 };
        if resizes_left > 0 && self.resize().is_ok() {
            resizes_left = 0;
        }
        loop {
            let output_over = self.output.is_none();
            let status_over = wait.is_none();
            if status_over && (output_over || (status.is_some() && !self.plan.output)) {
                return status.transpose().map(Ended::Over);
            }
            if wait.as_ref().is_some_and(|wait| wait.body.has_pending()) {
                status = Some(read_status(wait.take()));
                continue;
            }
            let ready = self.poll(&input, wait.as_ref(), output_over, resizes_left > 0)?;
            if ready.timed_out {
                resizes_left -= 1;
                if self.resize().is_ok() {
                    resizes_left = 0;
                } else if resizes_left == 0 {
                    console::note("warning: the terminal's size could not be set");
                }
            }
            if ready.signal {
                self.pass_signals(&mut impatience)?;
            }
            if ready.wait {
                status = Some(read_status(wait.take()));
            }
            if ready.output {
                self.finish_output()?;
            }
            if ready.stdin && input.read()? == Typing::Detached {
                input.flush(&self.socket);
                drop(self.socket.shutdown(Shutdown::Both));
                return Ok(Ended::Detached);
            }
            if ready.socket || input.has_end() {
                input.flush(&self.socket);
            }
        }
    }

    fn poll(
        &self,
        input: &Input,
        wait: Option<&Answer>,
        output_over: bool,
        retry: bool,
    ) -> Result<Ready, Refusal> {
        let stdin = rustix::stdio::stdin();
        let mut descriptors = Vec::with_capacity(5);
        let mut roles = Vec::with_capacity(5);
        if let Some(signals) = &self.signals {
            descriptors.push(PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN));
            roles.push(Role::Signal);
        }
        if let Some(wait) = wait {
            descriptors
                .push(PollFd::from_borrowed_fd(wait.body.connection().socket().as_fd(), PollFlags::IN));
            roles.push(Role::Wait);
        }
        if !output_over {
            descriptors.push(PollFd::from_borrowed_fd(self.output_ended.as_fd(), PollFlags::IN));
            roles.push(Role::Output);
        }
        if input.wants_more() {
            descriptors.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            roles.push(Role::Stdin);
        } else if input.has_pending() {
            descriptors.push(PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::OUT));
            roles.push(Role::Socket);
        }
        let pause = Timespec { tv_sec: 0, tv_nsec: RESIZE_RETRY_MS * 1_000_000 };
        let count = loop {
            match rustix::event::poll(&mut descriptors, retry.then_some(&pause)) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err(Failure::host("cannot wait for input")
                        .because(io::Error::from(error))
                        .into());
                }
                Ok(count) => break count,
            }
        };
        let mut ready = Ready { timed_out: count == 0, ..Ready::default() };
        for (descriptor, role) in descriptors.iter().zip(roles) {
            if descriptor.revents().is_empty() {
                continue;
            }
            match role {
                Role::Signal => ready.signal = true,
                Role::Wait => ready.wait = true,
                Role::Output => ready.output = true,
                Role::Stdin => ready.stdin = true,
                Role::Socket => ready.socket = true,
            }
        }
        Ok(ready)
    }

    fn pass_signals(&self, impatience: &mut Impatience) -> Result<(), Refusal> {
        let Some(queue) = &self.signals else { return Ok(()) };
        while let Ok(Some(number)) = queue.next() {
            if number == signals::WINCH && self.plan.tty {
                drop(self.resize());
                continue;
            }
            if impatience.note(number) {
                return Err(Failure::host("interrupted for the third time")
                    .hint("the container may still run: haven ps")
                    .into());
            }
            if let (Some(container), Some(name)) = (&self.plan.signals_to, signals::name(number)) {
                let target =
                    format!("/containers/{container}/kill{}", Query::new().set("signal", &name).as_str());
                // A container that has just ended cannot be signalled; its end is seen elsewhere.
                drop(self.daemon.tell(Request::post(target)));
            }
        }
        Ok(())
    }

    fn resize(&self) -> Outcome<()> {
        let Some((rows, columns)) = terminal::size() else { return Ok(()) };
        let query = Query::new().set("h", &rows.to_string()).set("w", &columns.to_string());
        self.daemon.tell(Request::post(format!("{}{}", self.plan.resize, query.as_str())))
    }

    /// The output thread has ended: the terminal is ours again, and its failure is the session's.
    fn finish_output(&mut self) -> Result<(), Refusal> {
        let Some(output) = self.output.take() else { return Ok(()) };
        self.raw = None;
        match output.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(CopyError::Sink(error))) => Err(Refusal::output(error)),
            Ok(Err(CopyError::Reported(message))) => {
                Err(Failure::host("the daemon reports a failure of the stream").because(message).into())
            }
            // A connection reset after the last byte is how some daemons end a stream.
            Ok(Err(CopyError::Source(error))) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Ok(Err(CopyError::Source(error))) => {
                Err(Failure::host("the container's output broke off").because(error).into())
            }
            Err(_) => Err(Failure::internal("the output thread panicked").into()),
        }
    }
}

#[derive(Default)]
struct Ready {
    signal: bool,
    wait: bool,
    output: bool,
    stdin: bool,
    socket: bool,
    timed_out: bool,
}

enum Role {
    Signal,
    Wait,
    Output,
    Stdin,
    Socket,
}

/// The exit status in a wait's answer.
fn read_status(wait: Option<Answer>) -> Result<i64, Refusal> {
    let Some(mut wait) = wait else { return Ok(i64::from(Status::REFUSED)) };
    let document = wait.document().map_err(|failure| {
        Refusal::new(
            Status::REFUSED,
            failure.context("cannot learn how the container ended").hint("it may still run: haven ps"),
        )
    })?;
    let message = document.path(&["Error", "Message"]).as_str();
    if !message.is_empty() {
        let failure = Failure::host("cannot learn how the container ended").because(message.to_owned());
        return Err(Refusal::new(Status::REFUSED, failure));
    }
    Ok(document.at("StatusCode").number())
}

#[derive(PartialEq)]
enum Typing {
    On,
    Detached,
}

/// Standard input on its way to the container.
struct Input {
    /// Standard input may have more.
    open: bool,
    /// Everything was sent and the container was told that no more comes.
    closed: bool,
    pending: Vec<u8>,
    sent: usize,
    escape: Escape,
}

impl Input {
    fn new(open: bool, detach_keys: &[u8], tty: bool) -> Self {
        let sequence = if tty { detach_keys.to_vec() } else { Vec::new() };
        Self { open, closed: !open, pending: Vec::new(), sent: 0, escape: Escape::new(sequence) }
    }

    fn wants_more(&self) -> bool {
        self.open && self.sent == self.pending.len()
    }

    fn has_pending(&self) -> bool {
        self.sent < self.pending.len()
    }

    fn has_end(&self) -> bool {
        !self.open && !self.closed
    }

    fn read(&mut self) -> Result<Typing, Refusal> {
        let mut space = [0; INPUT_BYTES];
        self.pending.clear();
        self.sent = 0;
        match rustix::io::read(rustix::stdio::stdin(), &mut space) {
            Ok(0) => self.open = false,
            Ok(count) => match self.escape.feed(&space[..count]) {
                Typed::Keys(keys) => self.pending = keys,
                Typed::Detach(keys) => {
                    self.pending = keys;
                    return Ok(Typing::Detached);
                }
            },
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // A terminal that has gone reads as an error; there is no more input either way.
            Err(rustix::io::Errno::IO) => self.open = false,
            Err(error) => {
                return Err(Failure::host("cannot read standard input")
                    .because(io::Error::from(error))
                    .into());
            }
        }
        Ok(Typing::On)
    }

    /// Sends what the connection takes; after the last byte tells the container that no more comes. A container that
    /// doesn't read any more is no error: its end is seen elsewhere.
    fn flush(&mut self, socket: &UnixStream) {
        while self.has_pending() {
            match rustix::net::send(
                socket,
                &self.pending[self.sent..],
                rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL,
            ) {
                Ok(count) => self.sent += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    self.pending.clear();
                    self.sent = 0;
                    self.open = false;
                    self.closed = true;
                }
            }
        }
        if self.has_end() {
            drop(socket.shutdown(Shutdown::Write));
            self.closed = true;
        }
    }
}
