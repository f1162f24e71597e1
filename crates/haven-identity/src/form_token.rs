//! What a form carries so that no other site can send it: a token that only this session's key makes.
//!
//! A new one for each page, so that compression of pages tells nothing about it; any of them is good while the session
//! lasts. `SameSite` cookies and the check of `Origin` stand beside it and are the edge's.

use crate::seal;
use crate::secret::{Key, random};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PURPOSE: &str = "bargate/form/v1";
const NONCE: usize = 16;
const LENGTH: usize = NONCE + 32;

pub(crate) fn make(session_key: &Key) -> String {
    let nonce = random::<NONCE>();
    let tag = seal::mark(&seal::derive(session_key, PURPOSE), &[&nonce]);
    URL_SAFE_NO_PAD.encode([&nonce[..], &tag[..]].concat())
}

pub(crate) fn is_ours(session_key: &Key, token: &str) -> bool {
    let mut bytes = [0_u8; LENGTH];
    let Ok(LENGTH) = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) else { return false };
    let (nonce, tag) = bytes.split_at(NONCE);
    seal::marked(&seal::derive(session_key, PURPOSE), &[nonce], tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_session_alone() {
        let key = Key::random();
        let token = make(&key);
        assert_eq!(token.len(), 64);
        assert!(is_ours(&key, &token));
        assert_ne!(make(&key), token);
        assert!(!is_ours(&Key::random(), &token));
        for bad in ["", "A", &token[..63], &"A".repeat(64), &"A".repeat(1000), "ü"] {
            assert!(!is_ours(&key, bad), "{bad}");
        }
    }
}
