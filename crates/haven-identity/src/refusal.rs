//! Why a request is not served as the person it claims to come from, and what the person does about it.
//!
//! Apart from `Failure`, because the edge acts on the difference: another sign-in, another proof, or an apology.
//! A person is never told which check a forged cookie failed; the log is (`Display`).

use haven_spec::Failure;
use std::fmt;

#[derive(Debug)]
pub enum Refusal {
    /// There is no such session any more: sign in again.
    SignIn(Ended),
    /// The session is tied to another address or network; it goes on there. Sign in from here.
    Elsewhere,
    /// The browser has to prove first that it is the one that signed in: sign a challenge and ask again.
    ProofDue,
    /// The store can't be asked or answered nonsense: the session may still be there; try again later.
    Store(Failure),
}

/// What became of a session, or what is wrong with a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The cookie is none of ours, or cut short.
    Malformed,
    /// Signed out, unused for too long, or the store has lost it.
    Gone,
    /// At its latest end.
    Expired,
    /// Its key was taken out of the ring.
    KeyRetired,
    /// The row in the store or the cookie is not as it was written. An attack, or a damaged store: worth an alarm.
    Forged,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignIn(Ended::Malformed) => "the cookie is not one of ours",
            Self::SignIn(Ended::Gone) => "the session was ended or forgotten",
            Self::SignIn(Ended::Expired) => "the session has reached its latest end",
            Self::SignIn(Ended::KeyRetired) => "the key of the session was retired",
            Self::SignIn(Ended::Forged) => {
                "cookie and stored session do not belong together, or one was changed"
            }
            Self::Elsewhere => "the session is tied to another address",
            Self::ProofDue => "the browser has not proved itself for too long",
            Self::Store(_) => "the store of sessions does not answer",
        })
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(failure) => Some(failure),
            _ => None,
        }
    }
}

impl From<Ended> for Refusal {
    fn from(ended: Ended) -> Self {
        Self::SignIn(ended)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Store(failure)
    }
}
