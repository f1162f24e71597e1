//! Proof of possession: a key the browser made and can't give away signs a challenge at intervals, so that a copied
//! cookie stops working within minutes.
//!
//! ECDSA on P-256 with SHA-256, since that is what browsers make (`crypto.subtle.generateKey`, not extractable) and
//! what device-bound sessions use; a signature is 64 bytes, r ‖ s, as `crypto.subtle.sign` gives it. Challenges are
//! not stored: they carry their time and a mark of the session's key, and each is accepted once.
//! This is the verifying side; the key is made, and challenges are signed, in the browser.

use crate::moment::Moment;
use crate::seal;
use crate::secret::{Key, random};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haven_spec::{Failure, Outcome};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use std::time::Duration;

/// How old a challenge may be when its answer comes.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

const PURPOSE: &[u8] = b"bargate/challenge/v1";
const NONCE: usize = 16;
const CHALLENGE: usize = 8 + NONCE + 32;

/// Everything before the point in the public key's usual form, RFC 5480: an uncompressed point on P-256.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Whether and how often sessions prove that they are where they were begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProofPolicy {
    /// Sessions without a key are refused. Otherwise proof is asked only of those that brought one at sign-in.
    pub required: bool,
    /// How often a browser is asked.
    pub interval: Duration,
    /// How long after that the session still works: time for a tab that slept.
    pub grace: Duration,
}

impl Default for ProofPolicy {
    fn default() -> Self {
        Self { required: false, interval: Duration::from_secs(180), grace: Duration::from_secs(120) }
    }
}

/// A browser's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofKey([u8; Self::LENGTH]);

impl ProofKey {
    /// An uncompressed point.
    pub(crate) const LENGTH: usize = 65;

    /// `raw` (65 bytes) or `spki` (91 bytes), the two forms `crypto.subtle.exportKey` gives. Whether the point is on
    /// the curve is seen when a signature is checked: one that isn't proves nothing.
    pub fn parse(bytes: &[u8]) -> Outcome<Self> {
        let point = bytes.strip_prefix(&SPKI_PREFIX).unwrap_or(bytes);
        match <[u8; Self::LENGTH]>::try_from(point) {
            Ok(point) if point[0] == 0x04 => Ok(Self(point)),
            _ => Err(Failure::invalid("the browser's public key is not a point on P-256")
                .because(format!("{} bytes in a form that is neither `raw` nor `spki`", bytes.len()))),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0).verify(message, signature).is_ok()
    }
}

/// What the browser signs: the very text it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(session_key: &Key, now: Moment) -> Self {
        let mut bytes = Vec::with_capacity(CHALLENGE);
        bytes.extend_from_slice(&now.as_ms().to_be_bytes());
        bytes.extend_from_slice(&random::<NONCE>());
        let tag = seal::mark(&purpose(session_key), &[PURPOSE, &bytes]);
        bytes.extend_from_slice(&tag);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// Why an answer to a challenge is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoProof {
    /// Not a challenge of this session.
    Foreign,
    /// It took too long: a new challenge helps.
    Late,
    /// Signed by another key.
    Signature,
}

/// When the challenge was made that `signature` answers.
pub(crate) fn check(
    session_key: &Key,
    proof_key: &ProofKey,
    challenge: &str,
    signature: &[u8],
    now: Moment,
) -> Result<Moment, NoProof> {
    let mut bytes = [0_u8; CHALLENGE];
    let length = URL_SAFE_NO_PAD.decode_slice(challenge, &mut bytes).map_err(|_| NoProof::Foreign)?;
    if length != CHALLENGE {
        return Err(NoProof::Foreign);
    }
    let (body, tag) = bytes.split_at(8 + NONCE);
    if !seal::marked(&purpose(session_key), &[PURPOSE, body], tag) {
        return Err(NoProof::Foreign);
    }
    let (time, _) = body.split_first_chunk::<8>().expect("the body begins with its time");
    let made = Moment::from_ms(u64::from_be_bytes(*time));
    if now.since(made) > ANSWER_WITHIN {
        return Err(NoProof::Late);
    }
    if !proof_key.signed(challenge.as_bytes(), signature) {
        return Err(NoProof::Signature);
    }
    Ok(made)
}

/// For how long an answered challenge has to be remembered.
pub(crate) fn remembered_for() -> Duration {
    ANSWER_WITHIN + Duration::from_secs(5)
}

fn purpose(session_key: &Key) -> Key {
    seal::derive(session_key, "bargate/proof/v1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    fn new_pair() -> (EcdsaKeyPair, ProofKey) {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
            .expect("a key");
        let public = ProofKey::parse(pair.public_key().as_ref()).expect("a point");
        (pair, public)
    }

    fn sign(pair: &EcdsaKeyPair, challenge: &Challenge) -> Vec<u8> {
        let random = SystemRandom::new();
        pair.sign(&random, challenge.as_str().as_bytes()).expect("signed").as_ref().to_vec()
    }

    const NOW: Moment = Moment::from_ms(1_000_000);

    #[test]
    fn the_key_that_was_registered_answers_and_no_other() {
        let session = Key::random();
        let (pair, public) = new_pair();
        let challenge = Challenge::new(&session, NOW);
        let signature = sign(&pair, &challenge);
        let later = NOW.plus(Duration::from_secs(30));
        assert_eq!(check(&session, &public, challenge.as_str(), &signature, later), Ok(NOW));

        let (other_pair, other_public) = new_pair();
        let other = sign(&other_pair, &challenge);
        let wrong = |key: &Key, public: &ProofKey, challenge: &str, signature: &[u8], now| {
            check(key, public, challenge, signature, now).expect_err("no proof")
        };
        assert_eq!(wrong(&session, &public, challenge.as_str(), &other, later), NoProof::Signature);
        assert_eq!(wrong(&session, &other_public, challenge.as_str(), &signature, later), NoProof::Signature);
        assert_eq!(wrong(&session, &public, challenge.as_str(), &signature[..63], later), NoProof::Signature);
        assert_eq!(wrong(&Key::random(), &public, challenge.as_str(), &signature, later), NoProof::Foreign);
        assert_eq!(wrong(&session, &public, "", &signature, later), NoProof::Foreign);
        assert_eq!(wrong(&session, &public, &"A".repeat(500), &signature, later), NoProof::Foreign);
        let much_later = NOW.plus(Duration::from_secs(61));
        assert_eq!(wrong(&session, &public, challenge.as_str(), &signature, much_later), NoProof::Late);
    }

    #[test]
    fn both_forms_of_a_public_key_are_read_and_others_refused() {
        let (_, public) = new_pair();
        let spki: Vec<u8> = SPKI_PREFIX.iter().chain(public.as_bytes()).copied().collect();
        assert_eq!(ProofKey::parse(&spki).expect("spki"), public);
        for bad in [&[][..], &[4; 64], &[2; 65], &spki[..90], &[0; 91]] {
            assert!(ProofKey::parse(bad).is_err());
        }
    }

    #[test]
    fn a_point_off_the_curve_proves_nothing() {
        let session = Key::random();
        let mut off = [7_u8; 65];
        off[0] = 4;
        let key = ProofKey::parse(&off).expect("a form");
        let challenge = Challenge::new(&session, NOW);
        assert_eq!(check(&session, &key, challenge.as_str(), &[1; 64], NOW), Err(NoProof::Signature));
    }
}
