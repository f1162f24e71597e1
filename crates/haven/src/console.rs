//! The only way out: standard output and standard error. Unbuffered, so that what was printed is out before anything
//! else happens; callers print whole lines or blocks.

use crate::ending::Refusal;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;

/// Standard output as a writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output;

/// Standard error as a writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errors;

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(rustix::stdio::stdout(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Errors {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(rustix::stdio::stderr(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes some of `bytes`; waits where whoever shares the descriptor has made it non-blocking.
fn write(descriptor: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::io::write(descriptor, bytes) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut wait = [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)];
                match rustix::event::poll(&mut wait, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Prints `text` as it is on standard output.
pub(crate) fn print(text: &str) -> Result<(), Refusal> {
    Output.write_all(text.as_bytes()).map_err(Refusal::output)
}

/// Prints `text` and a line end on standard output.
pub(crate) fn line(text: &str) -> Result<(), Refusal> {
    print(&format!("{text}\n"))
}

/// Prints `text` and a line end on standard error; whether anybody reads it does not matter.
pub(crate) fn note(text: &str) {
    drop(Errors.write_all(format!("{text}\n").as_bytes()));
}

/// Prints `text` as it is on standard error.
pub(crate) fn note_part(text: &str) {
    drop(Errors.write_all(text.as_bytes()));
}

pub(crate) fn out_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdout())
}

pub(crate) fn err_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stderr())
}

pub(crate) fn in_is_terminal() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin())
}

/// Columns of the terminal that standard output or error is, if one is.
pub(crate) fn columns() -> Option<usize> {
    [rustix::stdio::stdout(), rustix::stdio::stderr()]
        .into_iter()
        .filter_map(|descriptor| rustix::termios::tcgetwinsize(descriptor).ok())
        .map(|size| usize::from(size.ws_col))
        .find(|columns| *columns > 0)
}

/// `text` in bold, on a terminal whose user does not object (`NO_COLOR`).
pub(crate) fn emphasised(text: &str, terminal: bool) -> String {
    let objects = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if terminal && !objects && !dumb { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}
