//! One-time codes from a person's telephone (RFC 6238: HMAC-SHA-1, six digits, thirty seconds, what every app does).
//!
//! The secret has 160 bits and is kept sealed under the key ring and bound to its person, so that a copied store gives
//! no codes and nobody's secret can be put in another's place. Each code is accepted once, on all instances; guesses
//! are counted. Who may write to the store can remove a secret: where a second factor is required, the edge says so
//! for everybody and lets nobody in without.

use crate::facts::User;
use crate::keyring::{KeyVersion, Keyring};
use crate::moment::Moment;
use crate::seal;
use crate::secret::{Secret, fill_random};
use crate::store::{Mark, Owner};
use crate::vault::Vault;
use haven_spec::{Failure, Outcome};
use haven_sys::memory::wipe_stack;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "totp";
const PURPOSE: &[u8] = b"bargate/totp/v1";
const SECRET: usize = 20;
const STEP_S: u64 = 30;
const DIGITS: usize = 6;

/// Clocks of telephones go wrong: one step early or late is accepted.
const DRIFT_STEPS: u64 = 1;

/// Wrong codes of one person per window; then she waits. A million codes are few.
const GUESSES: u64 = 5;
const GUESS_WINDOW: Duration = Duration::from_secs(300);

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What telephone and server share.
pub struct TotpSecret(Secret);

impl TotpSecret {
    pub fn generate() -> Self {
        let mut bytes = vec![0; SECRET];
        fill_random(&mut bytes);
        Self(Secret::new(bytes))
    }

    /// What a person types into an app when no picture can be read.
    pub fn to_base32(&self) -> Secret {
        let mut text = String::with_capacity(SECRET * 8 / 5);
        for chunk in self.0.reveal().chunks(5) {
            let bits = chunk.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for at in (0..8).rev() {
                let index = usize::try_from(bits >> (5 * at) & 31).expect("five bits");
                text.push(char::from(BASE32[index]));
            }
        }
        Secret::from(text)
    }

    /// As `to_base32` writes it; case and spaces don't count.
    pub fn from_base32(text: &str) -> Outcome<Self> {
        let refused = || Failure::invalid("this is no secret for one-time codes");
        let mut bytes = Vec::with_capacity(SECRET);
        let (mut bits, mut held) = (0_u32, 0);
        for letter in text.bytes().filter(|letter| *letter != b' ') {
            let value =
                BASE32.iter().position(|other| *other == letter.to_ascii_uppercase()).ok_or_else(refused)?;
            bits = bits << 5 | u32::try_from(value).expect("five bits");
            held += 5;
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from(bits >> held & 0xff).expect("eight bits"));
            }
            if bytes.len() > SECRET {
                return Err(refused());
            }
        }
        if bytes.len() == SECRET { Ok(Self(Secret::new(bytes))) } else { Err(refused()) }
    }

    /// What a picture for the app holds; `issuer` is shown there.
    pub fn to_uri(&self, issuer: &str, user: &User) -> Secret {
        let (issuer, user, secret) =
            (percent_encoded(issuer), percent_encoded(user.as_str()), self.to_base32());
        let secret = secret.reveal_text().expect("base32 is text");
        let mut uri = String::with_capacity(issuer.len() * 2 + user.len() + secret.len() + 64);
        write!(
            uri,
            "otpauth://totp/{issuer}:{user}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
        )
        .expect("writing to memory succeeds");
        Secret::from(uri)
    }

    /// The step around `now` whose code this is.
    fn step_of(&self, code: &str, now: Moment) -> Option<u64> {
        let present = now.as_ms() / 1000 / STEP_S;
        let steps = present.saturating_sub(DRIFT_STEPS)..=present.saturating_add(DRIFT_STEPS);
        // All are looked at, so that time tells nothing.
        let mut found = None;
        for step in steps {
            if same(self.code(step).as_bytes(), code.as_bytes()) {
                found = Some(step);
            }
        }
        wipe_stack();
        found
    }

    fn code(&self, step: u64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.reveal()).expect("HMAC takes keys of any length");
        mac.update(&step.to_be_bytes());
        let tag = mac.finalize().into_bytes();
        let at = usize::from(tag[19] & 0xf);
        let bits = u32::from_be_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]) & 0x7fff_ffff;
        format!("{:0width$}", bits % 1_000_000, width = DIGITS)
    }
}

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

/// What a code turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeVerdict {
    Right,
    Wrong,
    /// Right, and used before: somebody may have looked over a shoulder. Wait for the next one.
    Used,
    /// Too many wrong ones.
    Wait(Duration),
    /// This person has no telephone registered.
    NotRegistered,
}

/// The codes of all people, in the vault's store.
pub struct Totp {
    vault: Arc<Vault>,
}

impl Totp {
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    pub async fn is_registered(&self, user: &User) -> Outcome<bool> {
        Ok(self.vault.store().kept(Owner::of(user), NAME).await?.is_some())
    }

    /// Registers a telephone that has shown by a code that it has the secret; in place of an earlier one.
    pub async fn register(&self, user: &User, secret: &TotpSecret, code: &str, now: Moment) -> Outcome<()> {
        let step = secret.step_of(code, now).ok_or_else(|| {
            Failure::invalid("the code doesn't belong to this secret")
                .hint("wait for the next code, and see whether the telephone's clock is right")
        })?;
        let sealed = sealed(&self.vault.keys(), user, secret);
        self.claim(user, step, now).await?;
        self.vault.store().keep(Owner::of(user), NAME, sealed).await
    }

    pub async fn check(&self, user: &User, code: &str, now: Moment) -> Outcome<CodeVerdict> {
        let store = self.vault.store();
        let owner = Owner::of(user);
        let Some(kept) = store.kept(owner, NAME).await? else { return Ok(CodeVerdict::NotRegistered) };
        let guesses = Mark::of("bargate/totp/guesses", &[owner.as_bytes()]);
        let count = store.count(guesses, GUESS_WINDOW, now).await?;
        if count.so_far > GUESSES {
            return Ok(CodeVerdict::Wait(count.left));
        }
        let keys = self.vault.keys();
        let (step, resealed) = {
            let (secret, version) = unsealed(&keys, user, &kept)?;
            let resealed = (version != keys.current()).then(|| sealed(&keys, user, &secret));
            (secret.step_of(code, now), resealed)
        };
        let Some(step) = step else { return Ok(CodeVerdict::Wrong) };
        if !self.claim(user, step, now).await? {
            return Ok(CodeVerdict::Used);
        }
        store.clear(guesses).await?;
        if let Some(resealed) = resealed {
            store.keep(owner, NAME, resealed).await?;
        }
        Ok(CodeVerdict::Right)
    }

    /// As [`check`](Self::check); an empty code, before one was asked for, counts as no guess.
    pub async fn check_or_ask(&self, user: &User, code: &str, now: Moment) -> Outcome<CodeVerdict> {
        if !code.is_empty() {
            return self.check(user, code, now).await;
        }
        Ok(if self.is_registered(user).await? { CodeVerdict::Wrong } else { CodeVerdict::NotRegistered })
    }

    /// Forgets a person's telephone; `false` when there was none.
    pub async fn remove(&self, user: &User) -> Outcome<bool> {
        self.vault.store().discard(Owner::of(user), NAME).await
    }

    /// Whether this step's code is used for the first time.
    async fn claim(&self, user: &User, step: u64, now: Moment) -> Outcome<bool> {
        let used = Mark::of("bargate/totp/used", &[Owner::of(user).as_bytes(), &step.to_be_bytes()]);
        self.vault.store().claim(used, Duration::from_secs(STEP_S * (2 * DRIFT_STEPS + 2)), now).await
    }
}

fn sealed(keys: &Keyring, user: &User, secret: &TotpSecret) -> Vec<u8> {
    let version = keys.current();
    let key = keys.kept(version).expect("a ring has its current key");
    let sealed = seal::seal(key, &bound(version, user), secret.0.reveal());
    [&version.to_be_bytes()[..], &sealed].concat()
}

fn unsealed(keys: &Keyring, user: &User, kept: &[u8]) -> Outcome<(TotpSecret, KeyVersion)> {
    let lost = |why: &str| {
        Failure::host("the secret for one-time codes of this person can't be opened")
            .because(why.to_owned())
            .hint("remove it, and let the person register the telephone again")
    };
    let (version, sealed) = kept.split_first_chunk::<4>().ok_or_else(|| lost("it ends too early"))?;
    let version = KeyVersion::from_be_bytes(*version);
    let key = keys.kept(version).ok_or_else(|| lost("its key was taken out of the ring"))?;
    let secret =
        seal::open(key, &bound(version, user), sealed).ok_or_else(|| lost("it is not as it was written"))?;
    if secret.len() != SECRET {
        return Err(lost("it has another length"));
    }
    Ok((TotpSecret(secret), version))
}

fn bound(version: KeyVersion, user: &User) -> Vec<u8> {
    [PURPOSE, &version.to_be_bytes(), Owner::of(user).as_bytes()].concat()
}

/// In constant time for texts of one length.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to memory succeeds");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = TotpSecret(Secret::copied(b"12345678901234567890"));
        // Appendix B, the last six of eight digits.
        for (time, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let now = Moment::from_ms(time * 1000);
            assert_eq!(secret.step_of(code, now), Some(time / 30), "{time}");
            assert_eq!(secret.step_of(code, now.plus(Duration::from_secs(30))), Some(time / 30));
            assert_eq!(secret.step_of(code, now.plus(Duration::from_secs(61))), None);
        }
        for bad in ["", "28708", "2870820", "ü87082"] {
            assert_eq!(secret.step_of(bad, Moment::from_ms(59_000)), None);
        }
    }

    #[test]
    fn a_secret_is_written_and_read() {
        let secret = TotpSecret(Secret::copied(b"12345678901234567890"));
        let text = secret.to_base32();
        assert_eq!(text.reveal(), b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        let again = TotpSecret::from_base32("gezd gnbv gy3t qojq gezd gnbv gy3t qojq").expect("reads");
        assert_eq!(again.0.reveal(), secret.0.reveal());
        for bad in ["", "GEZD", "1EZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", &"A".repeat(1000)] {
            assert!(TotpSecret::from_base32(bad).is_err());
        }
        let uri = secret.to_uri("Files & more", &User::parse("älice@example").expect("a name"));
        assert!(
            uri.reveal_text()
                .expect("text")
                .starts_with("otpauth://totp/Files%20%26%20more:%C3%A4lice%40example?secret=GEZD")
        );
    }

    #[test]
    fn a_kept_secret_is_its_persons_alone() {
        let keys = Keyring::generate();
        let (alice, bob) = (User::parse("alice").expect("a name"), User::parse("bob").expect("a name"));
        let kept = sealed(&keys, &alice, &TotpSecret::generate());
        assert!(unsealed(&keys, &alice, &kept).is_ok());
        assert!(unsealed(&keys, &bob, &kept).is_err());
        assert!(unsealed(&Keyring::generate(), &alice, &kept).is_err());
        for cut in 0..kept.len() {
            assert!(unsealed(&keys, &alice, &kept[..cut]).is_err(), "cut at {cut}");
        }
    }
}
