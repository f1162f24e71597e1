//! What the browser keeps of a session: `v1.VERSION.ID.WRAPPED`, the session's id and its key, wrapped.
//!
//! Neither password nor ciphertext of it is in there. It is worth a session while it lasts and is treated as a secret:
//! wiped after use, never logged. Whoever sends it sets it as `__Host-…; Secure; HttpOnly; SameSite`.

use crate::keyring::{KeyVersion, Keyring};
use crate::seal;
use crate::secret::{Key, Secret, random};
use crate::store::Handle;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haven_sys::memory::wipe_stack;
use std::fmt;
use zeroize::Zeroizing;

const FORM: &str = "v1";
const SID: usize = 16;
const WRAPPED: usize = Key::LENGTH + seal::OVERHEAD;
const PURPOSE: &[u8] = b"bargate/cookie/v1";

/// Longest text that is looked at.
const LIMIT: usize = 256;

/// The session's id: who knows it finds the row, and can't open it.
pub(crate) type Sid = Box<Zeroizing<[u8; SID]>>;

pub(crate) fn new_sid() -> Sid {
    Box::new(Zeroizing::new(random()))
}

/// The text to give to the browser.
pub struct CookieValue(Zeroizing<String>);

impl CookieValue {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CookieValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieValue(…)")
    }
}

/// A cookie that was read, not yet believed.
pub(crate) struct Cookie {
    pub(crate) version: KeyVersion,
    pub(crate) sid: Sid,
    /// On the heap: where a copy of it is left on the stack, half a session is left.
    wrapped: Box<Zeroizing<[u8; WRAPPED]>>,
}

impl Cookie {
    /// `None` for anything that was not written by [`wrap`], or not all of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > LIMIT {
            return None;
        }
        let mut parts = text.split('.');
        let (form, version, sid, wrapped) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if form != FORM || parts.next().is_some() {
            return None;
        }
        Some(Self { version: version.parse().ok()?, sid: decoded(sid)?, wrapped: decoded(wrapped)? })
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::of(&self.sid)
    }

    /// The session's key; `None` when another key wrapped it, or for another session or other facts.
    pub(crate) fn unwrap(&self, key: &Key, facts: &[u8]) -> Option<Key> {
        let opened = seal::open(key, &bound(self.version, &self.sid, facts), self.wrapped.as_slice())?;
        Key::from_slice(opened.reveal())
    }
}

/// Wraps a session's key with the newest key of the ring.
pub(crate) fn wrap(ring: &Keyring, sid: &Sid, session_key: &Key, facts: &[u8]) -> CookieValue {
    let version = ring.current();
    let key = ring.wrap(version).expect("a ring has its current key");
    let wrapped = Secret::new(seal::seal(key, &bound(version, sid, facts), session_key.reveal()));
    // Room for all of it: a text that grows leaves copies.
    let mut text = String::with_capacity(LIMIT);
    text.push_str(FORM);
    text.push('.');
    text.push_str(&version.to_string());
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(sid.as_slice(), &mut text);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(wrapped.reveal(), &mut text);
    wipe_stack();
    CookieValue(Zeroizing::new(text))
}

fn bound(version: KeyVersion, sid: &[u8; SID], facts: &[u8]) -> Vec<u8> {
    [PURPOSE, &version.to_be_bytes(), sid, facts].concat()
}

fn decoded<const N: usize>(text: &str) -> Option<Box<Zeroizing<[u8; N]>>> {
    // The decoder wants room for its estimate, which may exceed N by two.
    let mut bytes = Zeroizing::new([0_u8; LIMIT]);
    let length = URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()).ok()?;
    let mut exact = Box::new(Zeroizing::new([0_u8; N]));
    if length != N {
        return None;
    }
    exact.copy_from_slice(&bytes[..N]);
    Some(exact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_opens_with_its_key_version_session_and_facts_alone() {
        let ring = Keyring::generate();
        let sid: Sid = new_sid();
        let session_key = Key::random();
        let value = wrap(&ring, &sid, &session_key, b"facts");
        let cookie = Cookie::parse(value.as_str()).expect("a cookie");
        let key = ring.wrap(1).expect("a key");
        assert_eq!(cookie.unwrap(key, b"facts").expect("unwraps").reveal(), session_key.reveal());
        assert!(cookie.unwrap(key, b"other facts").is_none());
        assert!(cookie.unwrap(Keyring::generate().wrap(1).expect("a key"), b"facts").is_none());

        let mut other_version = Cookie::parse(value.as_str()).expect("a cookie");
        other_version.version = 2;
        assert!(other_version.unwrap(key, b"facts").is_none());
        let mut other_session = Cookie::parse(value.as_str()).expect("a cookie");
        other_session.sid = new_sid();
        assert!(other_session.unwrap(key, b"facts").is_none());
    }

    #[test]
    fn what_is_no_cookie_is_refused() {
        let value = wrap(&Keyring::generate(), &new_sid(), &Key::random(), b"");
        let text = value.as_str();
        for cut in 0..text.len() {
            assert!(Cookie::parse(&text[..cut]).is_none(), "cut at {cut}");
        }
        let long = format!("{text}{}", "A".repeat(200));
        for bad in [
            &text.replacen("v1", "v2", 1),
            &format!("{text}.x"),
            &format!("{text}AA"),
            &long,
            "v1.x.y.z",
            "…",
        ] {
            assert!(Cookie::parse(bad).is_none(), "{bad}");
        }
    }
}
