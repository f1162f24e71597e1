//! A refusing answer as a failure: the daemon's message, and what to do where that is known.

use crate::wire::Answer;
use haven_spec::{Failure, Kind};

pub(super) fn of(mut answer: Answer) -> Failure {
    let status = answer.status();
    if let Some(failure) = answer.body.upload_failure() {
        return failure;
    }
    let kind = match status {
        400 => Kind::Invalid,
        403 => Kind::Forbidden,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        501 => Kind::Unsupported,
        _ => Kind::Host,
    };
    let document = answer.document().unwrap_or_default();
    let message = document.at("message").as_str().trim();
    if message.is_empty() {
        return Failure::new(kind, format!("the daemon refused with status {status} and no reason"));
    }
    let failure = Failure::new(kind, message);
    // Haven's daemon may say what to do; Docker's has no word for it.
    match document.at("hint").as_str() {
        "" => match advice(message) {
            Some(advice) => failure.hint(advice),
            None => failure,
        },
        hint => failure.hint(hint),
    }
}

fn advice(message: &str) -> Option<&'static str> {
    let message = message.to_ascii_lowercase();
    let known = [
        ("no such container", "list containers with: haven ps -a"),
        ("no such image", "list images with: haven images; load one with: haven load -i ARCHIVE.tar"),
        ("no such volume", "list volumes with: haven volume ls"),
        (
            "is already in use by container",
            "choose another --name, or remove the old container with: haven rm NAME",
        ),
        ("port is already allocated", "publish another port, or stop what uses this one"),
    ];
    known.into_iter().find(|(words, _)| message.contains(words)).map(|(_, advice)| advice)
}
