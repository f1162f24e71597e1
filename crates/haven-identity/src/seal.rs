//! Authenticated encryption and what is derived from a key: the only file that calls a cipher.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): its 192-bit nonce may be random under a key that lives for months, it
//! is constant-time without special instructions, and it is pure Rust. Derived keys are HMAC-SHA-256 of a label, the
//! expansion step of RFC 5869. A sealed thing is `nonce ‖ ciphertext ‖ tag`.

use crate::secret::{Key, Secret, random};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use haven_sys::memory::wipe_stack;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

const NONCE: usize = 24;
const TAG: usize = 16;

/// By how much sealing lengthens.
pub(crate) const OVERHEAD: usize = NONCE + TAG;

/// `bound` is authenticated with it and has to be the same to open it.
pub(crate) fn seal(key: &Key, bound: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce = random::<NONCE>();
    // One allocation: the plain bytes in it are overwritten by the ciphertext.
    let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let cipher = XChaCha20Poly1305::new(key.reveal().into());
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), bound, (&mut sealed[NONCE..]).into())
        .expect("what is sealed is shorter than the cipher's limit of 256 GiB");
    sealed.extend_from_slice(&tag);
    drop(cipher);
    wipe_stack();
    sealed
}

/// `None` when key, `bound` or a bit of `sealed` is another than when it was sealed.
pub(crate) fn open(key: &Key, bound: &[u8], sealed: &[u8]) -> Option<Secret> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk::<TAG>()?;
    let mut plain = body.to_vec();
    let cipher = XChaCha20Poly1305::new(key.reveal().into());
    let opened = cipher.decrypt_inout_detached(
        &XNonce::from(*nonce),
        bound,
        plain.as_mut_slice().into(),
        &Tag::from(*tag),
    );
    drop(cipher);
    wipe_stack();
    if opened.is_err() {
        plain.zeroize();
        return None;
    }
    Some(Secret::new(plain))
}

/// A key for another purpose, from which this one can't be found.
pub(crate) fn derive(key: &Key, purpose: &str) -> Key {
    let mut derived = mac_of(key, &[purpose.as_bytes(), &[1]]).finalize().into_bytes();
    let result = Key::from_slice(&derived).expect("SHA-256 gives 32 bytes");
    derived.zeroize();
    wipe_stack();
    result
}

/// A tag that only holders of the key can make for these parts.
pub(crate) fn mark(key: &Key, parts: &[&[u8]]) -> [u8; 32] {
    let tag = mac_of(key, parts).finalize().into_bytes().into();
    wipe_stack();
    tag
}

/// In constant time.
pub(crate) fn marked(key: &Key, parts: &[&[u8]], tag: &[u8]) -> bool {
    let same = mac_of(key, parts).verify_slice(tag).is_ok();
    wipe_stack();
    same
}

fn mac_of(key: &Key, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key.reveal()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// SHA-256 of parts, each with its length, so that no two lists of parts have the same.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_bound_bytes_alone() {
        let key = Key::random();
        let sealed = seal(&key, b"alice", b"open sesame");
        assert_eq!(sealed.len(), b"open sesame".len() + OVERHEAD);
        assert_eq!(open(&key, b"alice", &sealed).expect("opens").reveal(), b"open sesame");
        assert!(open(&key, b"bob", &sealed).is_none());
        assert!(open(&Key::random(), b"alice", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key, b"alice", &changed).is_none(), "byte {at}");
            assert!(open(&key, b"alice", &sealed[..at]).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        let key = Key::random();
        assert_ne!(seal(&key, b"", b"x"), seal(&key, b"", b"x"));
    }

    /// draft-irtf-cfrg-xchacha-03, A.3.1: that it is this cipher and no other.
    #[test]
    fn the_cipher_is_the_published_one() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
                .collect()
        };
        let key = Key::from_slice(&(0x80..=0x9f).collect::<Vec<u8>>()).expect("32 bytes");
        let mut sealed: Vec<u8> = (0x40..=0x57).collect();
        sealed.extend(hex(concat!(
            "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39",
            "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9",
            "21f9664c97637da9768812f615c68b13b52e",
            "c0875924c1c7987947deafd8780acf49"
        )));
        let bound = hex("50515253c0c1c2c3c4c5c6c7");
        let opened = open(&key, &bound, &sealed).expect("opens");
        assert!(opened.reveal().starts_with(b"Ladies and Gentlemen of the class of '99"));
    }

    #[test]
    fn derived_keys_differ_by_purpose() {
        let key = Key::random();
        assert_ne!(derive(&key, "a").reveal(), derive(&key, "b").reveal());
        assert_eq!(derive(&key, "a").reveal(), derive(&key, "a").reveal());
    }

    #[test]
    fn a_mark_is_checked_with_all_its_parts() {
        let key = Key::random();
        let tag = mark(&key, &[b"a", b"b"]);
        assert!(marked(&key, &[b"a", b"b"], &tag));
        assert!(!marked(&key, &[b"a", b"c"], &tag));
        assert!(!marked(&key, &[b"a", b"b"], &tag[..31]));
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
