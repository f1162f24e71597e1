//! Failures on their way through `std::io`, and back, without losing what they say.

use haven_spec::Failure;
use std::io;

/// Packs a failure for a `Read` or `Write` to return.
pub(crate) fn into_io(failure: Failure) -> io::Error {
    io::Error::other(failure)
}

/// What went wrong when an archive was read: the failure packed by [`into_io`], or the reader's own words.
pub(crate) fn reading(error: io::Error) -> Failure {
    match unpack(error) {
        Ok(failure) => failure,
        Err(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Failure::invalid("it ends too early: it is truncated").because(error)
            }
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Failure::invalid("its compressed content is damaged").because(error)
            }
            _ => Failure::host("cannot read it").because(error),
        },
    }
}

/// What went wrong when something was written.
pub(crate) fn writing(what: &str, error: io::Error) -> Failure {
    match unpack(error) {
        Ok(failure) => failure,
        Err(error) => {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            let failure = Failure::host(format!("cannot write {what}")).because(error);
            if full { failure.hint("make room on the disk and try again") } else { failure }
        }
    }
}

fn unpack(error: io::Error) -> Result<Failure, io::Error> {
    error.downcast::<Failure>()
}
