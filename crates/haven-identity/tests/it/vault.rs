//! Whole sessions: sign in, be recognised, change keys, prove, be revoked; and everything a hostile store can try.

use crate::fixtures::{House, NOW, ip, sign_in, user};
use haven_identity::{
    AddressLock, Ended, Handle, Keyring, Moment, Owner, Policy, ProofKey, ProofPolicy, Refusal, SecondFactor,
    Vault,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use std::sync::Arc;
use std::time::Duration;

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn ended(result: Result<String, Refusal>) -> Ended {
    match result {
        Err(Refusal::SignIn(ended)) => ended,
        other => panic!("expected an end, not {other:?}"),
    }
}

#[tokio::test]
async fn a_session_gives_back_the_password_it_was_begun_with() {
    let house = House::new(Policy::default());
    let cookie = house.begin("alice", "open sesame").await;
    assert_eq!(house.password(&cookie, NOW).await.expect("opens"), "open sesame");
    let session = house.vault.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect("opens");
    assert_eq!(session.user().as_str(), "alice");
    assert_eq!(session.expires(), NOW.plus(minutes(600)));
    assert!(session.fresh_cookie().is_none());
}

#[tokio::test]
async fn every_session_has_a_key_of_its_own() {
    let house = House::new(Policy::default());
    let first = house.begin("alice", "open sesame").await;
    let second = house.begin("alice", "open sesame").await;
    assert_ne!(first.as_str(), second.as_str());
    // One session's key with another's id opens nothing.
    let mut first_parts: Vec<&str> = first.as_str().split('.').collect();
    first_parts[3] = second.as_str().split('.').nth(3).expect("a part");
    let mixed = first_parts.join(".");
    let refusal = house.vault.open(&mixed, ip("192.0.2.7"), NOW).await.expect_err("is refused");
    assert!(matches!(refusal, Refusal::SignIn(Ended::Forged)));
}

#[tokio::test]
async fn a_session_ends_when_unused_and_goes_on_when_used() {
    let house = House::new(Policy { idle: minutes(30), lifetime: minutes(100), ..Policy::default() });
    let used = house.begin("alice", "open sesame").await;
    let unused = house.begin("alice", "open sesame").await;
    for minute in [20, 40, 60, 80] {
        assert!(house.password(&used, NOW.plus(minutes(minute))).await.is_ok(), "minute {minute}");
    }
    assert_eq!(ended(house.password(&unused, NOW.plus(minutes(31))).await), Ended::Gone);
    // The absolute end holds however often it is used.
    assert!(house.password(&used, NOW.plus(minutes(99))).await.is_ok());
    assert_eq!(ended(house.password(&used, NOW.plus(minutes(100))).await), Ended::Gone);
}

#[tokio::test]
async fn a_key_is_changed_without_signing_anybody_out() {
    let mut keys = Keyring::generate();
    let house = House::with_keys(Policy::default(), Keyring::parse(&keys.to_text()).expect("parses"));
    let old = house.begin("alice", "open sesame").await;
    keys.rotate(1).expect("rotates");
    house.vault.replace_keys(Keyring::parse(&keys.to_text()).expect("parses"));

    let session = house.vault.open(old.as_str(), ip("192.0.2.7"), NOW).await.expect("opens");
    let fresh = session.fresh_cookie().expect("is wrapped anew");
    assert!(fresh.as_str().starts_with("v1.2."));
    assert_eq!(house.password(fresh, NOW).await.expect("opens"), "open sesame");
    // Requests that were under way with the old cookie are served too.
    assert_eq!(house.password(&old, NOW).await.expect("opens"), "open sesame");

    keys.rotate(1).expect("rotates");
    house.vault.replace_keys(Keyring::parse(&keys.to_text()).expect("parses"));
    assert_eq!(ended(house.password(&old, NOW).await), Ended::KeyRetired);
    assert_eq!(house.password(fresh, NOW).await.expect("opens"), "open sesame");
}

#[tokio::test]
async fn a_cookie_with_another_key_version_is_refused() {
    let mut keys = Keyring::generate();
    keys.rotate(3).expect("rotates");
    let house = House::with_keys(Policy::default(), keys);
    let cookie = house.begin("alice", "open sesame").await;
    for (version, expected) in [("1", Ended::Forged), ("9", Ended::KeyRetired), ("0", Ended::KeyRetired)] {
        let changed = cookie.as_str().replacen("v1.2.", &format!("v1.{version}."), 1);
        let refusal = house.vault.open(&changed, ip("192.0.2.7"), NOW).await.expect_err("is refused");
        assert!(matches!(refusal, Refusal::SignIn(ended) if ended == expected), "{refusal:?}");
    }
}

#[tokio::test]
async fn truncated_and_garbled_cookies_are_refused() {
    let house = House::new(Policy::default());
    let cookie = house.begin("alice", "open sesame").await;
    let text = cookie.as_str();
    for cut in 0..text.len() {
        let refusal = house.vault.open(&text[..cut], ip("192.0.2.7"), NOW).await.expect_err("is refused");
        assert!(matches!(refusal, Refusal::SignIn(Ended::Malformed)), "cut at {cut}: {refusal:?}");
    }
    for at in 0..text.len() {
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).expect("text");
        assert!(house.vault.open(&changed, ip("192.0.2.7"), NOW).await.is_err(), "at {at}");
    }
}

/// The rows of `name` as the store has them.
async fn rows(house: &House, name: &str) -> Vec<(Handle, Vec<u8>)> {
    let rows = house.store.owned_by(Owner::of(&user(name)), NOW).await.expect("rows");
    rows.into_iter().map(|(handle, row)| (handle, row.bytes)).collect()
}

#[tokio::test]
async fn rows_swapped_in_the_store_open_nothing() {
    let house = House::new(Policy::default());
    let alice = house.begin("alice", "open sesame").await;
    let mallory = house.begin("mallory", "mallory's own").await;
    let alice_row = rows(&house, "alice").await.remove(0);
    let mallory_row = rows(&house, "mallory").await.remove(0);
    // Mallory can write to the store and has a session of her own: she puts Alice's row in its place.
    assert!(house.store.replace(mallory_row.0, alice_row.1.clone(), NOW).await.expect("replaces"));
    assert_eq!(ended(house.password(&mallory, NOW).await), Ended::Forged);
    // And her own under Alice's, who must not work as Mallory.
    assert!(house.store.replace(alice_row.0, mallory_row.1, NOW).await.expect("replaces"));
    assert_eq!(ended(house.password(&alice, NOW).await), Ended::Forged);
}

#[tokio::test]
async fn every_changed_bit_of_a_row_is_refused_and_none_panics() {
    let house = House::new(Policy { lock: AddressLock::Address, ..Policy::default() });
    let cookie = house.begin("alice", "open sesame").await;
    let (handle, row) = rows(&house, "alice").await.remove(0);
    for at in 0..row.len() {
        let mut changed = row.clone();
        changed[at] ^= 1 << (at % 8);
        house.store.replace(handle, changed, NOW).await.expect("replaces");
        let result = house.password(&cookie, NOW).await;
        assert!(result.is_err(), "byte {at}: {result:?}");
    }
    for cut in (0..row.len()).step_by(7) {
        house.store.replace(handle, row[..cut].to_vec(), NOW).await.expect("replaces");
        assert_eq!(ended(house.password(&cookie, NOW).await), Ended::Forged, "cut at {cut}");
    }
    house.store.replace(handle, vec![0xff; 100_000], NOW).await.expect("replaces");
    assert_eq!(ended(house.password(&cookie, NOW).await), Ended::Forged);
    house.store.replace(handle, row, NOW).await.expect("replaces");
    assert_eq!(house.password(&cookie, NOW).await.expect("opens"), "open sesame");
}

#[tokio::test]
async fn an_expiry_extended_in_the_store_opens_nothing() {
    let house = House::new(Policy { idle: minutes(10), lifetime: minutes(20), ..Policy::default() });
    let cookie = house.begin("alice", "open sesame").await;
    let (handle, row) = rows(&house, "alice").await.remove(0);
    let end = NOW.plus(minutes(20)).as_ms().to_be_bytes();
    let at = row.windows(8).position(|window| window == end).expect("the end stands in the row");
    let mut extended = row.clone();
    extended[at..at + 8].copy_from_slice(&NOW.plus(minutes(10_000)).as_ms().to_be_bytes());
    house.store.replace(handle, extended, NOW).await.expect("replaces");
    assert_eq!(ended(house.password(&cookie, NOW).await), Ended::Forged);
    // A store that keeps a row beyond its end changes nothing either.
    house.store.replace(handle, row, NOW).await.expect("replaces");
    house.store.touch(handle, minutes(10_000), NOW).await.expect("touches");
    assert_eq!(ended(house.password(&cookie, NOW.plus(minutes(20))).await), Ended::Expired);
    assert_eq!(ended(house.password(&cookie, NOW.plus(minutes(19))).await), Ended::Gone, "and it is removed");
}

#[tokio::test]
async fn a_locked_session_works_where_it_was_begun() {
    let house = House::new(Policy { lock: AddressLock::Network, ..Policy::default() });
    let cookie = house.begin("alice", "open sesame").await;
    let open = |address: &'static str| house.vault.open(cookie.as_str(), ip(address), NOW);
    assert!(open("192.0.2.99").await.is_ok());
    assert!(matches!(open("198.51.100.7").await, Err(Refusal::Elsewhere)));
    assert!(matches!(open("2001:db8::1").await, Err(Refusal::Elsewhere)));
    assert!(open("192.0.2.7").await.is_ok(), "the session goes on where it was begun");
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_by_their_owner_alone() {
    let house = House::new(Policy::default());
    let first = house.begin("alice", "open sesame").await;
    let later = NOW.plus(minutes(5));
    let second = house.vault.sign_in(sign_in("Alice", "open sesame"), later).await.expect("signs in");
    let bob = house.begin("bob", "bob's").await;

    let list = house.vault.sessions(&user("alice"), later).await.expect("a list");
    assert_eq!(list.len(), 2, "however the name is written");
    assert_eq!(list[0].created, later);
    assert_eq!(list[1].last_used, NOW);
    assert_eq!(list[0].client, "Firefox");

    assert!(house.vault.revoke(&user("bob"), list[0].handle, later).await.is_err(), "not bob's to end");
    house.vault.revoke(&user("alice"), list[0].handle, later).await.expect("revokes");
    assert_eq!(ended(house.password(&second, later).await), Ended::Gone);
    assert!(house.password(&first, later).await.is_ok());

    assert_eq!(house.vault.sign_out_everywhere(&user("alice"), later).await.expect("ends all"), 1);
    assert_eq!(ended(house.password(&first, later).await), Ended::Gone);
    assert!(house.password(&bob, later).await.is_ok());
}

#[tokio::test]
async fn signing_out_ends_a_copied_cookie_too() {
    let house = House::new(Policy::default());
    let cookie = house.begin("alice", "open sesame").await;
    let session = house.vault.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect("opens");
    house.vault.sign_out(session, NOW).await.expect("signs out");
    assert_eq!(ended(house.password(&cookie, NOW).await), Ended::Gone);
}

#[tokio::test]
async fn one_person_has_a_limited_number_of_sessions() {
    let house = House::new(Policy { most_sessions: 3, ..Policy::default() });
    let mut cookies = Vec::new();
    for minute in 0..5 {
        let now = NOW.plus(minutes(minute));
        cookies.push(house.vault.sign_in(sign_in("alice", "open sesame"), now).await.expect("signs in"));
    }
    let now = NOW.plus(minutes(5));
    assert_eq!(house.vault.sessions(&user("alice"), now).await.expect("a list").len(), 3);
    assert_eq!(ended(house.password(&cookies[1], now).await), Ended::Gone);
    assert!(house.password(&cookies[2], now).await.is_ok());
}

#[tokio::test]
async fn a_second_factor_begins_a_new_session() {
    let house = House::new(Policy::default());
    let before = house.begin("alice", "open sesame").await;
    let session = house.vault.open(before.as_str(), ip("192.0.2.7"), NOW).await.expect("opens");
    let token = session.form_token();
    assert!(session.accepts_form(&token));
    let later = NOW.plus(minutes(10));
    let after = house.vault.renew(session, SecondFactor::Totp, later).await.expect("renews");
    assert_eq!(ended(house.password(&before, later).await), Ended::Gone);
    let session = house.vault.open(after.as_str(), ip("192.0.2.7"), later).await.expect("opens");
    assert_eq!(session.second_factor(), SecondFactor::Totp);
    assert_eq!(session.expires(), NOW.plus(minutes(600)), "the latest end stays");
    assert!(!session.accepts_form(&token), "forms of the session before are void");
    assert_eq!(house.password(&after, later).await.expect("opens"), "open sesame");
}

struct Browser(EcdsaKeyPair);

impl Browser {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        Self(
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random)
                .expect("a key"),
        )
    }

    fn public(&self) -> ProofKey {
        ProofKey::parse(self.0.public_key().as_ref()).expect("a point")
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        self.0.sign(&SystemRandom::new(), text.as_bytes()).expect("signed").as_ref().to_vec()
    }
}

#[tokio::test]
async fn a_copied_cookie_stops_working_within_minutes() {
    let proof = ProofPolicy { required: true, interval: minutes(3), grace: minutes(2) };
    let house = House::new(Policy { proof, ..Policy::default() });
    let browser = Browser::new();
    let without =
        house.vault.sign_in(sign_in("alice", "open sesame"), NOW).await.expect_err("a key is required");
    assert!(without.one_line().contains("made no key"), "{without:?}");

    let mut arrival = sign_in("alice", "open sesame");
    arrival.proof_key = Some(browser.public());
    let cookie = house.vault.sign_in(arrival, NOW).await.expect("signs in");
    assert!(house.password(&cookie, NOW.plus(minutes(5))).await.is_ok());
    // The thief has the cookie and asks for a challenge, but has another key.
    let late = NOW.plus(minutes(6));
    assert!(matches!(house.password(&cookie, late).await, Err(Refusal::ProofDue)));
    let mut session = house.vault.open(cookie.as_str(), ip("192.0.2.7"), late).await.expect("is recognised");
    let challenge = session.challenge(late);
    let forged = Browser::new().sign(challenge.as_str());
    let refusal = house.vault.prove(&mut session, challenge.as_str(), &forged, late).await;
    assert!(matches!(refusal, Err(Refusal::ProofDue)));
    // The browser it was begun with proves itself, and the session goes on.
    let signature = browser.sign(challenge.as_str());
    house.vault.prove(&mut session, challenge.as_str(), &signature, late).await.expect("proves");
    assert!(session.credential().is_ok());
    assert!(house.password(&cookie, late.plus(minutes(5))).await.is_ok());
    // The same answer again, copied from the wire, is worth nothing.
    let again = house.vault.prove(&mut session, challenge.as_str(), &signature, late).await;
    assert!(matches!(again, Err(Refusal::ProofDue)));
    assert!(matches!(house.password(&cookie, late.plus(minutes(6))).await, Err(Refusal::ProofDue)));
}

#[tokio::test]
async fn requests_of_one_session_at_once_are_all_served() {
    let house = Arc::new(House::new(Policy::default()));
    let cookie = Arc::new(house.begin("alice", "open sesame").await);
    let later = NOW.plus(minutes(10));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (house, cookie) = (Arc::clone(&house), Arc::clone(&cookie));
            tokio::spawn(async move { house.password(&cookie, later).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.expect("ends").expect("opens"), "open sesame");
    }
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let keys = Keyring::generate();
    let text = keys.to_text();
    let House { scratch, store, vault } = House::with_keys(Policy::default(), keys);
    let cookie = vault.sign_in(sign_in("alice", "open sesame"), NOW).await.expect("signs in");
    drop((vault, store));
    let store = haven_identity::EmbeddedStore::open(&scratch.file("sessions")).expect("opens again");
    let vault = Vault::new(Arc::new(store), Keyring::parse(&text).expect("parses"), Policy::default());
    let session = vault.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect("opens");
    assert_eq!(session.credential().expect("opens").secret.reveal(), b"open sesame");
}

#[tokio::test]
async fn a_clock_that_jumps_does_no_harm() {
    let house = House::new(Policy::default());
    let cookie = house.begin("alice", "open sesame").await;
    assert!(house.password(&cookie, Moment::from_ms(0)).await.is_ok());
    assert_eq!(ended(house.password(&cookie, Moment::from_ms(u64::MAX)).await), Ended::Gone);
}
