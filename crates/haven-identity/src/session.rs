//! A session during one request: its key is here, and nowhere on the server once this is dropped.
//!
//! The password is opened only when somebody asks for it; most requests need no more than who it is.

use crate::cookie::{CookieValue, Sid};
use crate::credential::Credential;
use crate::facts::{Authentication, SecondFactor, User};
use crate::form_token;
use crate::moment::Moment;
use crate::proof::Challenge;
use crate::record::Record;
use crate::refusal::{Ended, Refusal};
use crate::seal;
use crate::secret::Key;
use crate::store::Handle;
use std::net::IpAddr;

const CREDENTIAL: &str = "bargate/credential/v1";

pub struct Session {
    pub(crate) sid: Sid,
    pub(crate) key: Key,
    pub(crate) record: Record,
    pub(crate) fresh_cookie: Option<CookieValue>,
    /// Nothing before this: proof is overdue.
    pub(crate) proof_is_due: bool,
}

impl Session {
    pub fn user(&self) -> &User {
        &self.record.facts.user
    }

    pub fn authentication(&self) -> Authentication {
        self.record.facts.authentication
    }

    pub fn second_factor(&self) -> SecondFactor {
        self.record.facts.second_factor
    }

    pub fn created(&self) -> Moment {
        self.record.facts.created
    }

    /// The latest end.
    pub fn expires(&self) -> Moment {
        self.record.facts.expires
    }

    /// Where it was begun.
    pub fn begun_at(&self) -> IpAddr {
        self.record.facts.address
    }

    /// A name for this session that may be logged and shown; it opens nothing.
    pub fn handle(&self) -> Handle {
        Handle::of(&self.sid)
    }

    /// Set when the key ring has a newer key than the cookie: the browser is to be given this one.
    pub fn fresh_cookie(&self) -> Option<&CookieValue> {
        self.fresh_cookie.as_ref()
    }

    /// Whether the browser registered a key at sign-in.
    pub fn proves_itself(&self) -> bool {
        self.record.facts.proof_key.is_some()
    }

    /// Opens the password or ticket. Keep it no longer than it takes to use it.
    pub fn credential(&self) -> Result<Credential, Refusal> {
        if self.proof_is_due {
            return Err(Refusal::ProofDue);
        }
        let key = seal::derive(&self.key, CREDENTIAL);
        let bound = bound(&self.sid, &self.record.facts_bytes);
        let packed = seal::open(&key, &bound, &self.record.sealed).ok_or(Ended::Forged)?;
        Credential::unpack(&packed).map_err(|_| Ended::Forged.into())
    }

    /// A token for the forms of one page.
    pub fn form_token(&self) -> String {
        form_token::make(&self.key)
    }

    pub fn accepts_form(&self, token: &str) -> bool {
        form_token::is_ours(&self.key, token)
    }

    /// Something for the browser's key to sign.
    pub fn challenge(&self, now: Moment) -> Challenge {
        Challenge::new(&self.key, now)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("user", self.user())
            .field("handle", &self.handle())
            .finish_non_exhaustive()
    }
}

/// The credential as the store gets it.
pub(crate) fn sealed(credential: &Credential, session_key: &Key, sid: &Sid, facts: &[u8]) -> Vec<u8> {
    let key = seal::derive(session_key, CREDENTIAL);
    seal::seal(&key, &bound(sid, facts), credential.pack().reveal())
}

fn bound(sid: &Sid, facts: &[u8]) -> Vec<u8> {
    [CREDENTIAL.as_bytes(), sid.as_slice(), facts].concat()
}
