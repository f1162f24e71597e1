//! How the program ends: its exit status, and what is said when something failed.

use crate::console;
use haven_spec::{Failure, Kind};
use std::error::Error as _;
use std::io;

/// What a command returns: the exit status, or why it was refused.
pub(crate) type Done = Result<Status, Refusal>;

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u8);

impl Status {
    pub(crate) const FINE: Status = Status(0);
    /// Something was refused; the usual status.
    pub(crate) const FAILED: u8 = 1;
    /// `run` and `create`: the request is wrong, or the daemon refused it. A wrong flag of any command.
    pub(crate) const REFUSED: u8 = 125;
    /// `run`: the command is there and cannot be executed.
    pub(crate) const NOT_EXECUTABLE: u8 = 126;
    /// `run`: there is no such command.
    pub(crate) const NO_COMMAND: u8 = 127;
    /// As if killed by SIGPIPE: whoever read our output has gone.
    const READER_GONE: u8 = 141;

    /// A container's exit code, as a shell sees it.
    pub(crate) fn of_container(code: i64) -> Self {
        Self((code & 0xff).try_into().unwrap_or(Status::REFUSED))
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u8,
    /// `None` when everything has been said already.
    failure: Option<Failure>,
}

impl Refusal {
    pub(crate) fn new(status: u8, failure: Failure) -> Self {
        Self { status, failure: Some(failure) }
    }

    /// Ends with `status` without another word.
    pub(crate) fn silent(status: u8) -> Self {
        Self { status, failure: None }
    }

    /// Standard output cannot be written. A reader that has gone is no error.
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(Status::READER_GONE);
        }
        Self::new(Status::FAILED, Failure::host("cannot write to standard output").because(error))
    }

    /// The same refusal, ending with another status.
    pub(crate) fn ending(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Says what failed and returns the exit status.
    pub(crate) fn report(self) -> u8 {
        if let Some(failure) = &self.failure {
            report(failure);
        }
        self.status
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(Status::FAILED, failure)
    }
}

/// Prints a failure: what, why, what to do.
pub(crate) fn report(failure: &Failure) {
    let terminal = console::err_is_terminal();
    let mut text = format!("{} {failure}\n", console::emphasised("error:", terminal));
    let mut cause = failure.source();
    while let Some(reason) = cause {
        text.push_str(&format!("{} {reason}\n", console::emphasised("because:", terminal)));
        cause = reason.source();
    }
    if let Some(advice) = failure.advice() {
        text.push_str(&format!("{} {advice}\n", console::emphasised("try:", terminal)));
    } else if failure.kind() == Kind::Internal {
        text.push_str("try: report this, with `haven version` and what you did\n");
    }
    console::note_part(&text);
}

/// Runs `action` for each of `names`, reports what fails and goes on; the status says whether all went well.
pub(crate) fn each<N: AsRef<str>>(names: &[N], mut action: impl FnMut(&str) -> Result<(), Refusal>) -> Done {
    let mut ending = Status::FINE;
    for name in names {
        match action(name.as_ref()) {
            Ok(()) => {}
            Err(refusal) if refusal.failure.is_none() => return Err(refusal),
            Err(refusal) => ending = Status(refusal.report()),
        }
    }
    Ok(ending)
}
