//! Slows down who guesses passwords, and locks nobody out.
//!
//! Counting by account alone lets anybody lock anybody out; counting by address alone lets a botnet guess. So:
//! - each pair of account and address has a few attempts per window;
//! - each address has more, over all accounts; only failures stay counted, since a whole site may share an address;
//! - an account that many addresses try is *under attack*: strangers then have one attempt per window and address,
//!   so that its owner still gets in from a new place at the first right password;
//! - a browser its owner has signed in with before carries a device token and is counted by itself, whatever strangers
//!   do (OWASP, "Slow down online guessing attacks with device cookies").
//!
//! An attempt is counted before it is made and given back when it succeeds: a thousand at once are a thousand. What this
//! can't do: keep a directory's own lock-out from being reached by a botnet. Its threshold has to be above the limits here.

use crate::address_lock::Network;
use crate::facts::User;
use crate::keyring::{KeyVersion, Keyring};
use crate::moment::Moment;
use crate::seal;
use crate::secret::random;
use crate::store::{Mark, Owner, Store};
use crate::vault::Vault;
use crate::wire::Writer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haven_spec::Outcome;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// So many attempts within a window that begins with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub attempts: u64,
    pub window: Duration,
}

const fn allowance(attempts: u64, window_s: u64) -> Allowance {
    Allowance { attempts, window: Duration::from_secs(window_s) }
}

#[derive(Debug, Clone, Copy)]
pub struct ThrottlePolicy {
    /// One account from one address.
    pub pair: Allowance,
    /// All accounts from one address.
    pub address: Allowance,
    /// One account from all strangers' addresses; beyond it the account counts as under attack.
    pub account: Allowance,
    /// One account from one browser that knows it.
    pub device: Allowance,
    /// How long a browser is known.
    pub device_lifetime: Duration,
}

impl Default for ThrottlePolicy {
    fn default() -> Self {
        Self {
            pair: allowance(5, 60),
            address: allowance(60, 300),
            account: allowance(20, 300),
            device: allowance(8, 300),
            device_lifetime: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// Whether a password may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Say when to come again, and nothing about whether the account exists.
    Wait(Duration),
}

pub struct Throttle {
    vault: Arc<Vault>,
    policy: ThrottlePolicy,
}

impl Throttle {
    /// Counts in the vault's store, so that several instances count together.
    pub fn new(vault: Arc<Vault>, policy: ThrottlePolicy) -> Self {
        Self { vault, policy }
    }

    /// Asks before a password is tried, whoever `user` claims to be; counts the attempt.
    pub async fn attempt(
        &self,
        user: &User,
        address: IpAddr,
        device: Option<&str>,
        now: Moment,
    ) -> Outcome<Verdict> {
        let marks = Marks::of(user, address);
        if let Some(wait) = self.over(marks.address, self.policy.address, now).await? {
            return Ok(Verdict::Wait(wait));
        }
        if let Some(device) = device.and_then(|token| self.known_device(token, user, now))
            && self.over(device, self.policy.device, now).await?.is_none()
        {
            return Ok(Verdict::Go);
        }
        let under_attack = self.over(marks.account, self.policy.account, now).await?.is_some();
        let pair = if under_attack {
            Allowance { attempts: 1, window: self.policy.account.window }
        } else {
            self.policy.pair
        };
        Ok(self.over(marks.pair, pair, now).await?.map_or(Verdict::Go, Verdict::Wait))
    }

    /// Says that the attempt succeeded; the text is the token by which this browser is known from now on.
    pub async fn succeeded(
        &self,
        user: &User,
        address: IpAddr,
        device: Option<&str>,
        now: Moment,
    ) -> Outcome<String> {
        let marks = Marks::of(user, address);
        let store = self.store();
        store.uncount(marks.address, now).await?;
        store.clear(marks.pair).await?;
        if let Some(device) = device.and_then(|token| self.known_device(token, user, now)) {
            store.clear(device).await?;
        } else {
            store.uncount(marks.account, now).await?;
        }
        Ok(make_device(&self.vault.keys(), user, now.plus(self.policy.device_lifetime)))
    }

    fn store(&self) -> &dyn Store {
        self.vault.store()
    }

    /// Counts one more; how long to wait when that is too many.
    async fn over(&self, mark: Mark, allowance: Allowance, now: Moment) -> Outcome<Option<Duration>> {
        let count = self.store().count(mark, allowance.window, now).await?;
        Ok((count.so_far > allowance.attempts).then_some(count.left))
    }

    fn known_device(&self, token: &str, user: &User, now: Moment) -> Option<Mark> {
        known_device(&self.vault.keys(), token, user, now)
    }
}

struct Marks {
    pair: Mark,
    address: Mark,
    account: Mark,
}

impl Marks {
    fn of(user: &User, address: IpAddr) -> Self {
        let mut writer = Writer::default();
        Network::of_one_place(address).write(&mut writer);
        let (place, owner) = (writer.into_bytes(), Owner::of(user));
        Self {
            pair: Mark::of("bargate/throttle/pair", &[owner.as_bytes(), &place]),
            address: Mark::of("bargate/throttle/address", &[&place]),
            account: Mark::of("bargate/throttle/account", &[owner.as_bytes()]),
        }
    }
}

const DEVICE: &[u8] = b"bargate/device/v1";
const DEVICE_LENGTH: usize = 4 + 8 + 16 + 32;

/// `version ‖ end ‖ nonce ‖ mark`; says nothing about whose it is.
fn make_device(keys: &Keyring, user: &User, until: Moment) -> String {
    let version = keys.current();
    let key = keys.device(version).expect("a ring has its current key");
    let mut bytes = Vec::with_capacity(DEVICE_LENGTH);
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes.extend_from_slice(&until.as_ms().to_be_bytes());
    bytes.extend_from_slice(&random::<16>());
    let mark = seal::mark(key, &[DEVICE, Owner::of(user).as_bytes(), &bytes]);
    bytes.extend_from_slice(&mark);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The counter of a device that signed in as this person before.
fn known_device(keys: &Keyring, token: &str, user: &User, now: Moment) -> Option<Mark> {
    let mut bytes = [0_u8; DEVICE_LENGTH];
    let length = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
    let (body, mark) = bytes.split_last_chunk::<32>()?;
    let (version, rest) = body.split_first_chunk::<4>()?;
    let until = Moment::from_ms(u64::from_be_bytes(*rest.first_chunk::<8>()?));
    let key = keys.device(KeyVersion::from_be_bytes(*version))?;
    let good = length == DEVICE_LENGTH
        && until > now
        && seal::marked(key, &[DEVICE, Owner::of(user).as_bytes(), body], mark);
    good.then(|| Mark::of("bargate/throttle/device", &[body]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_000_000);

    #[test]
    fn a_device_token_is_good_for_its_person_until_its_end() {
        let keys = Keyring::generate();
        let alice = User::parse("alice").expect("a name");
        let bob = User::parse("bob").expect("a name");
        let token = make_device(&keys, &alice, NOW.plus(Duration::from_secs(10)));
        assert!(known_device(&keys, &token, &User::parse("ALICE").expect("a name"), NOW).is_some());
        assert!(known_device(&keys, &token, &bob, NOW).is_none());
        assert!(known_device(&keys, &token, &alice, NOW.plus(Duration::from_secs(10))).is_none());
        assert!(known_device(&Keyring::generate(), &token, &alice, NOW).is_none());
        for bad in ["", "A", &token[1..], &"A".repeat(80), &"A".repeat(81)] {
            assert!(known_device(&keys, bad, &alice, NOW).is_none());
        }
    }
}
