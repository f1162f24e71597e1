//! The terminal: raw mode with a guard that puts it back, and its size.

use haven_spec::{Failure, Outcome};
use rustix::termios::{self, OptionalActions, Termios};
use std::io;

/// Standard input in raw mode until dropped: keys go to the container as they are.
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    pub(crate) fn enter() -> Outcome<Self> {
        let refuse = |error: rustix::io::Errno| {
            Failure::host("cannot put the terminal into raw mode").because(io::Error::from(error))
        };
        let before = termios::tcgetattr(rustix::stdio::stdin()).map_err(refuse)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw).map_err(refuse)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone.
        let _ = termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Rows and columns of the terminal that standard output is, if it is one with a size.
pub(crate) fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_row > 0 || size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
