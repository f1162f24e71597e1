//! One-time codes as the edge uses them: register, check, once only, few guesses, keys that change.

use crate::fixtures::{House, NOW, user};
use haven_identity::{CodeVerdict, Keyring, Moment, Policy, Totp, TotpSecret};
use std::sync::Arc;
use std::time::Duration;

/// A telephone: an implementation of its own, by trying all codes.
async fn right_code(secret: &TotpSecret, now: Moment) -> String {
    let other = Totp::new(Arc::new(House::new(Policy::default()).vault));
    for code in 0..1_000_000_u32 {
        let code = format!("{code:06}");
        if other.register(&user("phone"), secret, &code, now).await.is_ok() {
            return code;
        }
    }
    panic!("no code is right");
}

#[tokio::test]
async fn a_code_is_accepted_once() {
    let House { vault, .. } = House::new(Policy::default());
    let vault = Arc::new(vault);
    let totp = Totp::new(Arc::clone(&vault));
    let alice = user("alice");
    assert_eq!(totp.check(&alice, "123456", NOW).await.expect("checks"), CodeVerdict::NotRegistered);

    let secret = TotpSecret::generate();
    let code = right_code(&secret, NOW).await;
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert!(totp.register(&alice, &secret, wrong, NOW).await.is_err());
    assert!(!totp.is_registered(&alice).await.expect("asks"));
    totp.register(&alice, &secret, &code, NOW).await.expect("registers");
    // The code that registered is used; the next one is right, once.
    assert_eq!(totp.check(&alice, &code, NOW).await.expect("checks"), CodeVerdict::Used);
    let later = NOW.plus(Duration::from_secs(300));
    let code = right_code(&secret, later).await;
    assert_eq!(totp.check(&alice, &code, later).await.expect("checks"), CodeVerdict::Right);
    assert_eq!(totp.check(&alice, &code, later).await.expect("checks"), CodeVerdict::Used);

    // A ring without its key is no wrong code: the operator is told, and removes it.
    vault.replace_keys(Keyring::generate());
    let much_later = later.plus(Duration::from_secs(3000));
    assert!(totp.check(&alice, "000000", much_later).await.is_err(), "its key is gone");
    assert!(totp.remove(&alice).await.expect("removes"));
    assert!(!totp.is_registered(&alice).await.expect("asks"));
}

#[tokio::test]
async fn a_changed_key_leaves_telephones_registered() {
    let mut keys = Keyring::generate();
    let copy = |keys: &Keyring| Keyring::parse(&keys.to_text()).expect("parses");
    let House { vault, .. } = House::with_keys(Policy::default(), copy(&keys));
    let vault = Arc::new(vault);
    let totp = Totp::new(Arc::clone(&vault));
    let (alice, secret) = (user("alice"), TotpSecret::generate());
    totp.register(&alice, &secret, &right_code(&secret, NOW).await, NOW).await.expect("registers");

    keys.rotate(1).expect("rotates");
    vault.replace_keys(copy(&keys));
    let later = NOW.plus(Duration::from_secs(300));
    let code = right_code(&secret, later).await;
    assert_eq!(totp.check(&alice, &code, later).await.expect("checks"), CodeVerdict::Right);
    // It was sealed anew, so that the old key can go.
    keys.rotate(1).expect("rotates");
    vault.replace_keys(copy(&keys));
    let later = NOW.plus(Duration::from_secs(600));
    let code = right_code(&secret, later).await;
    assert_eq!(totp.check(&alice, &code, later).await.expect("checks"), CodeVerdict::Right);
}

#[tokio::test]
async fn guessing_codes_ends_soon() {
    let totp = Totp::new(Arc::new(House::new(Policy::default()).vault));
    let (alice, secret) = (user("alice"), TotpSecret::generate());
    totp.register(&alice, &secret, &right_code(&secret, NOW).await, NOW).await.expect("registers");
    let mut tried = 0;
    for code in 0..100 {
        let verdict = totp.check(&alice, &format!("{code:06}"), NOW).await.expect("checks");
        tried += usize::from(!matches!(verdict, CodeVerdict::Wait(_)));
    }
    assert_eq!(tried, 5);
    let later = NOW.plus(Duration::from_secs(301));
    let code = right_code(&secret, later).await;
    assert_eq!(totp.check(&alice, &code, later).await.expect("checks"), CodeVerdict::Right);
}
