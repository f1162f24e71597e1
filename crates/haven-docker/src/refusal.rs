//! What a handler says instead of an answer: a status and a message. Every [`Failure`] of the rooms below becomes
//! one here and nowhere else.

use haven_spec::{Failure, Kind};
use hyper::StatusCode;

/// A request refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// What handlers return.
pub(crate) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404 with the words of Docker's router.
    pub(crate) fn page_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }

    /// 501: a part of the API that isn't offered yet.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// Puts `what: ` in front, as Docker wraps some errors.
    pub(crate) fn prefixed(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Kind::Host | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let status = status_of(failure.kind());
        let message = match failure.advice() {
            Some(advice) => format!("{} ({advice})", failure.one_line()),
            None => failure.one_line(),
        };
        Self { status, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status_and_advice_follows_in_brackets() {
        for (kind, status) in [
            (Kind::Invalid, 400),
            (Kind::NotFound, 404),
            (Kind::Conflict, 409),
            (Kind::NotModified, 304),
            (Kind::Forbidden, 403),
            (Kind::Unsupported, 501),
            (Kind::Host, 500),
            (Kind::Internal, 500),
        ] {
            assert_eq!(Refusal::from(Failure::new(kind, "x")).status.as_u16(), status);
        }
        let refusal = Refusal::from(Failure::host("cannot mount").because("no space").hint("free some"));
        assert_eq!(refusal.message, "cannot mount: no space (free some)");
    }
}
