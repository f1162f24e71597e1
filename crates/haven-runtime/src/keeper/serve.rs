//! A keeper at work: one loop over the process, its streams and the control socket.
//!
//! ```text
//! link (init) ──streams──▶ ┌────────┐ ──lines──▶ log
//! stdout, stderr, pty ───▶ │  loop  │ ──frames──▶ attached clients
//! control socket ◀───────▶ └────────┘ ──exit────▶ watchers, record
//! ```
//!
//! Nothing here waits for a client: one that doesn't listen is let go of, unless it asked that the process wait for
//! it; then its stream isn't read while its socket is full. Once the process has ended, what it said last is moved to
//! the clients' sockets whole, so that no client can hold up the news.

use super::client_side::{Client, Role};
use super::input::Input;
use super::log::{Log, Partial};
use super::protocol::{
    ATTACH, ATTACH_BACKPRESSURE, ATTACH_STDERR, ATTACH_STDIN, ATTACH_STDOUT, CLOSE_INPUT, DONE, FRAME_BYTES,
    IDENTIFY, RESIZE, START, STREAM_STDERR, STREAM_STDIN, STREAM_STDOUT, WATCH,
};
use super::setup::{Facts, Setup};
use super::stand::start_twice;
use crate::exit::ExitRecord;
use crate::launch::StdinMode;
use crate::link;
use crate::setback::Setback;
use haven_sys::region::Region;
use haven_sys::socket;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use rustix::termios::Winsize;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Clients at one time; more are turned away.
const CLIENTS: usize = 128;

/// What one read takes at most: two frames.
const READ_BYTES: usize = 2 * (FRAME_BYTES - 1);

/// How long output is waited for after the end, when other processes hold the streams.
const DRAIN: Duration = Duration::from_secs(2);
const DRAIN_QUIET: Duration = Duration::from_millis(250);

/// How long a setback is kept for whoever asks to start.
const SETBACK_KEPT: Duration = Duration::from_secs(60);

/// After this time without output, buffers are given back.
const REST_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Keep {
    facts: Facts,
    pidfd: OwnedFd,
    run_dir: OwnedFd,
    listener: OwnedFd,
    oom: Option<OwnedFd>,
    /// To the process until it executes its command.
    link: Option<OwnedFd>,
    /// From the assembler until it is done.
    report: Option<OwnedFd>,
    /// Why the assembler gave up, until it is judged.
    reported: Option<Setback>,
    /// The process waited for the assembler in vain; why is still to be heard, or was.
    orphaned: bool,
    assembler: Pid,
    streams: Streams,
    log: Option<Log>,
    clients: Vec<Client>,
    input: Input,
    buffer: Region,
    phase: Phase,
    /// Rows and columns asked for before there was a terminal.
    size: Option<(u16, u16)>,
    ended: Option<Ended>,
    last_output: Instant,
    rested: bool,
}

/// How far the process is on its way to its command.
#[derive(Debug, PartialEq)]
enum Phase {
    /// Being put together, or ready and waiting.
    Waiting,
    /// Told to go; its command isn't executed yet.
    Starting,
    Running,
    /// Something failed before the command ran; `told`: whoever asked to start knows.
    Failed {
        setback: Setback,
        since: Instant,
        told: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    code: i32,
    signal: Option<i32>,
    at: Instant,
    at_ns: i64,
}

#[derive(Default)]
struct Streams {
    stdin: Option<OwnedFd>,
    outputs: [Option<Output>; 2],
    terminal: Option<OwnedFd>,
    /// The other side of the terminal, held open so that it doesn't end while nobody else has it.
    terminal_peer: Option<OwnedFd>,
}

struct Output {
    fd: OwnedFd,
    partial: Partial,
    number: u8,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Link,
    Report,
    Process,
    Listener,
    Stdin,
    Output(usize),
    Client(usize),
}

impl Keep {
    pub(super) fn new(setup: Setup, assembler: Pid, link: OwnedFd, report: OwnedFd) -> std::io::Result<Self> {
        let Setup { facts, pidfd, run_dir, listener, log_dir } = setup;
        let log = match (log_dir, facts.log.clone()) {
            (Some(directory), Some(facts)) => Some(Log::new(directory, facts)?),
            _ => None,
        };
        Ok(Self {
            facts,
            pidfd,
            run_dir,
            listener,
            oom: None,
            link: Some(link),
            report: Some(report),
            reported: None,
            orphaned: false,
            assembler,
            streams: Streams::default(),
            log,
            clients: Vec::new(),
            input: Input::new()?,
            buffer: Region::new(READ_BYTES)?,
            phase: Phase::Waiting,
            size: None,
            ended: None,
            last_output: Instant::now(),
            rested: true,
        })
    }

    /// Keeps the process until it has ended and everything is told.
    pub(super) fn run(mut self) -> i32 {
        while !self.is_finished() {
            let woken = self.wait();
            if woken.is_empty() {
                self.rest();
            }
            // Clients last and backwards: letting go of one moves only those already attended to.
            for (source, flags) in woken {
                self.attend(source, flags);
            }
            self.clients.retain(|client| client.role != Role::Gone);
        }
        self.finish()
    }

    fn is_finished(&self) -> bool {
        let told = match &self.phase {
            Phase::Failed { since, told, .. } => *told || since.elapsed() >= SETBACK_KEPT,
            // The assembler will say why.
            _ => !self.orphaned,
        };
        let drained = self.ended.is_some_and(|ended| {
            self.streams.outputs.iter().all(Option::is_none)
                || ended.at.elapsed() >= DRAIN
                || ended.at.max(self.last_output).elapsed() >= DRAIN_QUIET
        });
        // Until its assembler has ended, one that never ran may still leave something behind.
        let assembled = self.report.is_none() || !matches!(self.phase, Phase::Failed { .. } | Phase::Waiting);
        told && drained && assembled
    }

    /// How long nothing may happen before something is to be done.
    fn patience(&self) -> Option<Duration> {
        let kept = match &self.phase {
            Phase::Failed { since, .. } => Some(SETBACK_KEPT.saturating_sub(since.elapsed())),
            _ => None,
        };
        let drain = self.ended.and(self.streams.outputs.iter().flatten().next()).map(|_| DRAIN_QUIET);
        let rest = (!self.rested).then_some(REST_AFTER);
        [kept, drain, rest].into_iter().flatten().min()
    }

    /// Gives memory back that is only needed while something is said.
    fn rest(&mut self) {
        self.buffer.release();
        self.input.rest();
        if let Some(log) = &mut self.log {
            log.rest();
        }
        for output in self.streams.outputs.iter_mut().flatten() {
            output.partial.rest();
        }
        self.rested = true;
    }

    /// Waits until something happens; nothing: the patience ran out.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let mut sources = Vec::with_capacity(8 + self.clients.len());
        let mut polled = Vec::with_capacity(8 + self.clients.len());
        let mut add = |source, fd, flags| {
            sources.push(source);
            polled.push(PollFd::from_borrowed_fd(fd, flags));
        };
        if let Some(link) = &self.link {
            add(Source::Link, link.as_fd(), PollFlags::IN);
        }
        if let Some(report) = &self.report {
            add(Source::Report, report.as_fd(), PollFlags::IN);
        }
        for (index, output) in self.streams.outputs.iter().enumerate() {
            if let Some(output) = output
                && !self.is_held_up(output.number)
            {
                add(Source::Output(index), output.fd.as_fd(), PollFlags::IN);
            }
        }
        if self.ended.is_none() {
            add(Source::Process, self.pidfd.as_fd(), PollFlags::IN);
        }
        add(Source::Listener, self.listener.as_fd(), PollFlags::IN);
        if self.input.is_pending()
            && let Some(stdin) = self.stdin()
        {
            add(Source::Stdin, stdin.as_fd(), PollFlags::OUT);
        }
        for (index, client) in self.clients.iter().enumerate().rev() {
            let mut flags = PollFlags::empty();
            if !matches!(client.role, Role::Attached(_)) || self.takes_input(client) {
                flags |= PollFlags::IN;
            }
            if client.is_full {
                flags |= PollFlags::OUT;
            }
            // Without flags the end of the connection is still told.
            add(Source::Client(index), client.connection.as_fd(), flags);
        }
        let patience = self.patience().and_then(|time| Timespec::try_from(time).ok());
        if rustix::event::poll(&mut polled, patience.as_ref()).is_err() {
            return Vec::new();
        }
        sources
            .into_iter()
            .zip(&polled)
            .map(|(source, entry)| (source, entry.revents()))
            .filter(|(_, flags)| !flags.is_empty())
            .collect()
    }

    /// Whether a client that wants everything can't take more of this stream.
    fn is_held_up(&self, stream: u8) -> bool {
        self.ended.is_none() && self.clients.iter().any(|client| client.holds_up(stream))
    }

    fn takes_input(&self, client: &Client) -> bool {
        matches!(client.role, Role::Attached(flags) if flags & ATTACH_STDIN != 0)
            && !self.input.is_pending()
            && (self.facts.stdin == StdinMode::Null || self.link.is_none() || self.stdin().is_some())
    }

    fn stdin(&self) -> Option<&OwnedFd> {
        self.streams.terminal.as_ref().or(self.streams.stdin.as_ref())
    }

    fn attend(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Link | Source::Report => self.hear(),
            Source::Process => self.process_ended(),
            Source::Listener => self.accept(),
            Source::Stdin => self.give_input(),
            Source::Output(index) => self.read_output(index),
            Source::Client(index) => self.attend_client(index, flags),
        }
    }

    // The way to the command.

    /// Everything the process and its assembler have said so far, before the command runs.
    fn hear(&mut self) {
        self.rested = false;
        self.hear_process();
        self.hear_assembler();
        // What the process said before the assembler noticed that it is gone.
        self.hear_process();
        self.judge();
    }

    fn hear_process(&mut self) {
        while let Some(link) = &self.link {
            match socket::receive(link, &mut self.buffer, RecvFlags::DONTWAIT) {
                Ok(packet) => match self.buffer[..packet.length].split_first() {
                    Some((&link::READY, [mask, ..])) => self.take_streams(*mask, packet.descriptors),
                    Some((&link::SETBACK, setback)) => match Setback::read(setback) {
                        // Why is the assembler's to tell.
                        setback if setback == link::assembler_gone() => self.orphaned = true,
                        setback => self.fail(setback),
                    },
                    Some(_) => {}
                    None => self.link = None,
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.link = None,
            }
        }
    }

    fn hear_assembler(&mut self) {
        while let Some(report) = &self.report {
            let Ok(packet) = socket::receive(report, &mut self.buffer, RecvFlags::DONTWAIT) else { return };
            match self.buffer[..packet.length].split_first() {
                Some((&link::COUNTER, _)) => self.oom = packet.descriptors.into_iter().next(),
                Some((_, setback)) => self.reported = Some(Setback::read(setback)),
                None => {
                    self.report = None;
                    let _ended = rustix::process::waitpid(Some(self.assembler), WaitOptions::empty());
                }
            }
        }
    }

    /// What follows from all that was heard. When the process failed or was killed first, a failure of the assembler
    /// only follows from that; when the assembler failed first, all the process knows is that it was left alone.
    fn judge(&mut self) {
        if let Some(setback) = self.reported.take()
            && (self.orphaned || (self.link.is_some() && !self.was_killed()))
        {
            self.fail(setback);
            self.kill();
        }
        if self.orphaned {
            if self.report.is_none() {
                self.fail(link::assembler_gone());
            }
        } else if self.link.is_none() && self.phase == Phase::Starting {
            self.phase = Phase::Running;
            self.tell_starters();
        }
    }

    fn fail(&mut self, setback: Setback) {
        if !matches!(self.phase, Phase::Failed { .. }) {
            self.phase = Phase::Failed { setback, since: Instant::now(), told: false };
        }
        self.tell_starters();
    }

    fn tell_starters(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.role == Role::Starter) {
            match &mut self.phase {
                Phase::Running => client.answer(&[DONE], &[]),
                Phase::Failed { setback, told, .. } => {
                    client.refuse(setback);
                    *told = true;
                }
                Phase::Waiting | Phase::Starting => continue,
            }
            client.role = Role::New;
        }
    }

    fn start(&mut self, index: usize) {
        match &self.phase {
            Phase::Waiting => {
                self.phase = Phase::Starting;
                self.clients[index].role = Role::Starter;
                // When the process is gone its end tells more.
                let _gone = self.link.as_ref().map(|link| socket::send(link, &[link::GO], &[]));
            }
            Phase::Failed { .. } => {
                self.clients[index].role = Role::Starter;
                self.tell_starters();
            }
            Phase::Starting | Phase::Running => self.clients[index].refuse(&start_twice()),
        }
    }

    fn kill(&self) {
        let _gone = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Whether somebody ended the process, who need not be told that it couldn't go on.
    fn was_killed(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), options);
        status.is_ok_and(|status| status.is_some_and(|status| status.terminating_signal().is_some()))
    }

    fn take_streams(&mut self, mask: u8, descriptors: Vec<OwnedFd>) {
        let mut descriptors = descriptors.into_iter();
        let mut next = |bit: u8| (mask & bit != 0).then(|| descriptors.next()).flatten();
        self.streams.stdin = next(link::HAS_STDIN);
        let (stdout, stderr) = (next(link::HAS_STDOUT), next(link::HAS_STDERR));
        self.streams.terminal = next(link::HAS_TERMINAL);
        self.streams.terminal_peer = descriptors.next();
        let terminal = self.streams.terminal.as_ref().and_then(|fd| fd.try_clone().ok());
        self.streams.outputs =
            [output(stdout.or(terminal), STREAM_STDOUT, "stdout"), output(stderr, STREAM_STDERR, "stderr")];
        for fd in [&self.streams.stdin, &self.streams.terminal].into_iter().flatten() {
            let _unlikely = rustix::io::ioctl_fionbio(fd, true);
        }
        if self.input.is_closing() {
            self.streams.stdin = None;
        }
        if let Some((rows, columns)) = self.size.take() {
            let _none = self.resize(rows, columns);
        }
    }

    fn resize(&mut self, rows: u16, columns: u16) -> Result<(), Setback> {
        match &self.streams.terminal {
            Some(terminal) => {
                let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
                rustix::termios::tcsetwinsize(terminal, size)
                    .map_err(|error| Setback::host("cannot resize the terminal", error))
            }
            None if self.link.is_some() => {
                self.size = Some((rows, columns));
                Ok(())
            }
            None => Err(Setback::request("cannot resize: the process has no terminal")),
        }
    }

    // Output.

    fn read_output(&mut self, index: usize) {
        let Some(output) = &mut self.streams.outputs[index] else { return };
        // Output of the other stream may have filled a client since the loop looked.
        if self.ended.is_none() && self.clients.iter().any(|client| client.holds_up(output.number)) {
            return;
        }
        match rustix::io::read(&output.fd, &mut self.buffer[..]) {
            Ok(0) | Err(Errno::IO) => self.output_ended(index),
            Ok(count) => {
                self.rested = false;
                self.last_output = Instant::now();
                let said = &self.buffer[..count];
                if let Some(log) = &mut self.log {
                    log.take(&mut output.partial, said, now_ns());
                    log.flush();
                }
                for client in &mut self.clients {
                    client.give_output(output.number, said);
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.output_ended(index),
        }
    }

    fn output_ended(&mut self, index: usize) {
        if let (Some(mut output), Some(log)) = (self.streams.outputs[index].take(), &mut self.log) {
            log.finish(&mut output.partial, now_ns());
            log.flush();
        }
    }

    // Input.

    fn give_input(&mut self) {
        let Some(stdin) = self.streams.terminal.as_ref().or(self.streams.stdin.as_ref()) else {
            self.input.discard();
            return;
        };
        if !self.input.write_to(stdin) {
            self.streams.stdin = None;
        }
        if !self.input.is_pending() && self.input.is_closing() {
            self.streams.stdin = None;
        }
    }

    /// Standard input ends once what is on its way has arrived. A terminal's doesn't end.
    fn close_input(&mut self) {
        self.input.close();
        if !self.input.is_pending() {
            self.streams.stdin = None;
        }
    }

    // Clients.

    fn accept(&mut self) {
        if let Ok((connection, peer)) = socket::accept(self.listener.as_fd())
            && peer == rustix::process::geteuid().as_raw()
            && self.clients.len() < CLIENTS
        {
            self.clients.push(Client::new(connection));
        }
    }

    fn attend_client(&mut self, index: usize, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.clients[index].is_full = false;
        }
        if !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        let client = &mut self.clients[index];
        match client.role {
            Role::Attached(wants) if flags.contains(PollFlags::IN) => {
                let connection = client.connection.as_fd();
                match socket::receive(connection, self.input.frame(), RecvFlags::DONTWAIT) {
                    Ok(packet) if packet.length > 0 => {
                        self.rested = false;
                        self.input_frame(packet.length);
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    _ => self.attached_client_gone(index, wants),
                }
            }
            Role::Attached(wants) => self.attached_client_gone(index, wants),
            _ => {
                let mut request = [0; 16];
                match socket::receive(&client.connection, &mut request, RecvFlags::DONTWAIT) {
                    Ok(packet) if packet.length > 0 => self.request(index, &request[..packet.length]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    _ => client.role = Role::Gone,
                }
            }
        }
    }

    fn attached_client_gone(&mut self, index: usize, wants: u8) {
        self.clients[index].role = Role::Gone;
        if wants & ATTACH_STDIN != 0 && self.facts.stdin == StdinMode::Once {
            self.close_input();
        }
    }

    /// A frame of `length` bytes lies in the input's buffer.
    fn input_frame(&mut self, length: usize) {
        if self.input.stream() != STREAM_STDIN {
            return;
        }
        if length == 1 {
            self.close_input();
        } else if self.stdin().is_some() {
            self.input.begin(length);
            self.give_input();
        }
    }

    fn request(&mut self, index: usize, request: &[u8]) {
        match request {
            [START] => self.start(index),
            [RESIZE, r0, r1, c0, c1] => {
                let (rows, columns) = (u16::from_ne_bytes([*r0, *r1]), u16::from_ne_bytes([*c0, *c1]));
                let done = self.resize(rows, columns);
                self.clients[index].settle(done);
            }
            [CLOSE_INPUT] => {
                self.close_input();
                self.clients[index].settle(Ok(()));
            }
            [IDENTIFY] => {
                let mut answer = vec![DONE];
                answer.extend_from_slice(&self.facts.pid.to_ne_bytes());
                self.clients[index].answer(&answer, &[self.pidfd.as_fd()]);
            }
            [WATCH] => {
                self.clients[index].role = Role::Watcher;
                self.clients[index].answer(&[DONE], &[]);
            }
            [ATTACH, flags] => {
                let known = ATTACH_STDIN | ATTACH_STDOUT | ATTACH_STDERR | ATTACH_BACKPRESSURE;
                self.clients[index].answer(&[DONE], &[]);
                self.clients[index].attach(flags & known);
            }
            _ => self.clients[index].refuse(&Setback::request("the keeper was asked something unknown")),
        }
    }

    // The end.

    fn process_ended(&mut self) {
        let status = rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        let (code, signal) = match status {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => (code, None),
                (None, Some(number)) => (128 + number, Some(number)),
                (None, None) => (255, None),
            },
            Err(Errno::INTR) | Ok(None) => return,
            // Somebody else has waited for it; that it ended is all that is known.
            Err(_) => (255, None),
        };
        self.ended = Some(Ended { code, signal, at: Instant::now(), at_ns: now_ns() });
        self.hear();
        self.link = None;
        self.judge();
        self.streams.terminal_peer = None;
        self.input.discard();
        for client in &mut self.clients {
            client.hold_everything();
        }
    }

    fn finish(mut self) -> i32 {
        for index in 0..self.streams.outputs.len() {
            self.output_ended(index);
        }
        let Some(ended) = self.ended else { return 1 };
        let error = match &self.phase {
            Phase::Failed { setback, .. } => Some(setback.clone().into_failure().one_line()),
            Phase::Waiting => Some("it ended before it was started".to_owned()),
            _ => None,
        };
        let record = ExitRecord {
            code: ended.code,
            signal: ended.signal,
            oom_killed: self.oom.as_ref().is_some_and(super::oom::struck),
            finished_at_ns: ended.at_ns,
            lost_log_lines: self.log.as_ref().map_or(0, Log::lost_lines),
            error,
        };
        let json = serde_json::to_vec(&record).unwrap_or_default();
        let recorded = self.record(&json);
        for client in self.clients.iter_mut().filter(|client| client.role == Role::Watcher) {
            client.tell_exit(&json);
        }
        let _gone = rustix::fs::unlinkat(&self.run_dir, self.facts.socket_name.as_str(), AtFlags::empty());
        i32::from(recorded.is_err())
    }

    /// Leaves the record, whole or not at all.
    fn record(&self, json: &[u8]) -> rustix::io::Result<()> {
        let name = self.facts.exit_name.as_str();
        let temporary = format!("{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.run_dir, temporary.as_str(), flags, Mode::from_raw_mode(0o600))?;
        rustix::io::write(&file, json)?;
        rustix::fs::renameat(&self.run_dir, temporary.as_str(), &self.run_dir, name)
    }
}

fn output(fd: Option<OwnedFd>, number: u8, name: &'static str) -> Option<Output> {
    let fd = fd?;
    let _unlikely = rustix::io::ioctl_fionbio(&fd, true);
    Some(Output { fd, partial: Partial::new(name).ok()?, number })
}

fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
