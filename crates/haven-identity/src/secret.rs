//! Bytes that nobody may read: passwords, tickets, keys. Wiped when dropped, never printed, never copied by accident.
//!
//! Both types keep their bytes on the heap, so that moving them copies a pointer and leaves nothing behind. What
//! ciphers leave on the stack is overwritten (`haven_sys::memory::wipe_stack`) after each use. What this can't do: wipe what a caller
//! copied, or hide a secret while it is in use.

use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use zeroize::Zeroizing;

/// A secret of any length. No `Clone`, no `Display`; `Debug` shows nothing of it, not even its length.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over without a copy; a vector with spare room may have left copies where it grew.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies the bytes; the caller wipes its own.
    pub fn copied(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// As text; `None` when it is not UTF-8 (a ticket, say).
    pub fn reveal_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// 32 bytes that seal something.
pub(crate) struct Key(Box<Zeroizing<[u8; Key::LENGTH]>>);

impl Key {
    pub(crate) const LENGTH: usize = 32;

    pub(crate) fn random() -> Self {
        let mut key = Self::zero();
        fill_random(key.0.as_mut_slice());
        key
    }

    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self::zero();
        if bytes.len() != Self::LENGTH {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    fn zero() -> Self {
        Self(Box::new(Zeroizing::new([0; Self::LENGTH])))
    }

    pub(crate) fn reveal(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// From the kernel's generator, which is never exhausted once seeded, getrandom(2).
pub(crate) fn fill_random(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the kernel's random numbers are always at hand");
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_printed() {
        let secret = Secret::from(String::from("open sesame"));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(format!("{:?}", Key::random()), "Key(…)");
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(Key::random().reveal(), Key::random().reveal());
    }
}
