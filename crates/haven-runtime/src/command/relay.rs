//! Waiting for a container's process in the foreground: signals passed on, a terminal's two sides joined.

use haven_spec::{Failure, Outcome};
use haven_sys::SignalQueue;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Signals that are the process's: everything a caller would send to whoever runs in the foreground.
const PASSED_ON: [i32; 12] = [1, 2, 3, 10, 12, 13, 15, 18, 20, 21, 22, 28];
/// `SIGWINCH`: also the terminal's size.
const WINDOW_CHANGED: i32 = 28;

/// The caller's terminal, unprocessed as long as this lives.
struct Raw<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> Raw<'a> {
    /// `None`: it isn't one.
    fn make(terminal: BorrowedFd<'a>) -> Option<Self> {
        let before = tcgetattr(terminal).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _: rustix::io::Result<()> = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Begun before the process exists, so that no signal is lost.
#[derive(Debug)]
pub(super) struct Relay {
    signals: SignalQueue,
}

impl Relay {
    pub(super) fn begin() -> Outcome<Self> {
        SignalQueue::block(&PASSED_ON)
            .map(|signals| Self { signals })
            .map_err(|error| Failure::host("cannot take over signals").because(error))
    }

    /// Waits for the child; gives the exit status a shell would.
    pub(super) fn wait(self, pid: Pid, pidfd: &OwnedFd, master: Option<&OwnedFd>) -> Outcome<u8> {
        let (input, output) = (std::io::stdin(), std::io::stdout());
        let raw = master.and_then(|_| Raw::make(input.as_fd()));
        if let Some(master) = master {
            copy_size(input.as_fd(), master);
        }
        let mut input_open = master.is_some();
        let mut output_open = master.is_some();
        loop {
            let mut polled =
                vec![PollFd::new(pidfd, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
            if let Some(master) = master {
                let events = if output_open { PollFlags::IN } else { PollFlags::empty() };
                polled.push(PollFd::new(master, events));
                if input_open {
                    polled.push(PollFd::new(&input, PollFlags::IN));
                }
            }
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(
                        Failure::host("cannot wait for the process").because(std::io::Error::from(errno))
                    );
                }
            }
            let ready: Vec<bool> = polled.iter().map(|one| !one.revents().is_empty()).collect();
            let is_ready = |at: usize| ready.get(at).copied().unwrap_or(false);
            if is_ready(1) {
                self.pass_signals(pid, input.as_fd(), master);
            }
            if let Some(master) = master {
                if is_ready(2) && output_open {
                    output_open = copy(master.as_fd(), output.as_fd());
                }
                if is_ready(3) {
                    input_open = copy(input.as_fd(), master.as_fd());
                }
            }
            if is_ready(0) {
                break;
            }
        }
        // What the process wrote last may still be in the terminal.
        while let Some(master) = master.filter(|_| output_open) {
            let mut polled = [PollFd::new(master, PollFlags::IN)];
            let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let waiting = poll(&mut polled, Some(&now)).is_ok_and(|count| count > 0);
            output_open = waiting && copy(master.as_fd(), output.as_fd());
        }
        drop(raw);
        ended(pid)
    }

    fn pass_signals(&self, pid: Pid, terminal: BorrowedFd<'_>, master: Option<&OwnedFd>) {
        while let Ok(Some(number)) = self.signals.next() {
            match master {
                Some(master) if number == WINDOW_CHANGED => copy_size(terminal, master),
                // The child is ours and not waited for yet, so the number is still its own.
                _ => {
                    let _gone: std::io::Result<()> = haven_sys::signal::send(pid, number);
                }
            }
        }
    }
}

fn copy_size(terminal: BorrowedFd<'_>, master: &OwnedFd) {
    if let Ok(size) = tcgetwinsize(terminal) {
        // A size that can't be set leaves the one it has.
        let _: rustix::io::Result<()> = tcsetwinsize(master, size);
    }
}

/// Passes on what is there; whether there may be more.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; 16 * 1024];
    let count = match rustix::io::read(from, &mut buffer) {
        // A terminal nobody has open any more says EIO.
        Ok(0) | Err(Errno::IO) => return false,
        Ok(count) => count,
        Err(Errno::INTR | Errno::AGAIN) => return true,
        Err(_) => return false,
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Asks for a child's exit status: its own, or 128 and the signal's number.
pub(super) fn ended(pid: Pid) -> Outcome<u8> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                let by_signal = status.terminating_signal().map(|number| 128 + number);
                let status = status.exit_status().or(by_signal).unwrap_or(255);
                return Ok(u8::try_from(status).unwrap_or(255));
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(
                    Failure::host("cannot ask how the process ended").because(std::io::Error::from(errno))
                );
            }
        }
    }
}
