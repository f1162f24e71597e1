//! Guessers are slowed down, owners are not locked out.

use crate::fixtures::{House, NOW, ip, user};
use haven_identity::{Policy, Throttle, ThrottlePolicy, Verdict};
use std::sync::Arc;
use std::time::Duration;

fn throttle() -> Throttle {
    Throttle::new(Arc::new(House::new(Policy::default()).vault), ThrottlePolicy::default())
}

#[tokio::test]
async fn a_guesser_at_one_address_waits() {
    let throttle = throttle();
    let (alice, here) = (user("alice"), ip("192.0.2.7"));
    for _ in 0..5 {
        assert_eq!(throttle.attempt(&alice, here, None, NOW).await.expect("counts"), Verdict::Go);
    }
    let wait = throttle.attempt(&alice, here, None, NOW.plus(Duration::from_secs(20))).await.expect("counts");
    assert_eq!(wait, Verdict::Wait(Duration::from_secs(40)));
    // Others there and she elsewhere are not held up.
    assert_eq!(throttle.attempt(&user("bob"), here, None, NOW).await.expect("counts"), Verdict::Go);
    assert_eq!(throttle.attempt(&alice, ip("192.0.2.8"), None, NOW).await.expect("counts"), Verdict::Go);
    let later = NOW.plus(Duration::from_secs(61));
    assert_eq!(throttle.attempt(&alice, here, None, later).await.expect("counts"), Verdict::Go);
}

#[tokio::test]
async fn a_botnet_does_not_lock_out_the_owner() {
    let throttle = throttle();
    let alice = user("alice");
    let home = ip("203.0.113.5");
    assert_eq!(throttle.attempt(&alice, home, None, NOW).await.expect("counts"), Verdict::Go);
    let device = throttle.succeeded(&alice, home, None, NOW).await.expect("succeeds");
    let mut allowed = 0;
    for host in 0..200_u8 {
        for _ in 0..5 {
            let from = ip(&format!("198.51.100.{host}"));
            allowed +=
                usize::from(throttle.attempt(&alice, from, None, NOW).await.expect("counts") == Verdict::Go);
        }
    }
    assert!((200..=220).contains(&allowed), "of 1,000 guesses {allowed} were let through");
    // She comes with the browser she had, or from a new place with a new one.
    assert_eq!(throttle.attempt(&alice, home, Some(&device), NOW).await.expect("counts"), Verdict::Go);
    assert_eq!(throttle.attempt(&alice, ip("2001:db8::1"), None, NOW).await.expect("counts"), Verdict::Go);
}

#[tokio::test]
async fn a_site_behind_one_address_signs_in_all_morning() {
    let throttle = throttle();
    let site = ip("192.0.2.1");
    for person in 0..500 {
        let person = user(&format!("person{person}"));
        assert_eq!(throttle.attempt(&person, site, None, NOW).await.expect("counts"), Verdict::Go);
        throttle.succeeded(&person, site, None, NOW).await.expect("succeeds");
    }
}

#[tokio::test]
async fn one_address_that_tries_every_account_waits() {
    let throttle = throttle();
    let mut allowed = 0;
    for person in 0..200 {
        let person = user(&format!("person{person}"));
        let verdict = throttle.attempt(&person, ip("2001:db8::42"), None, NOW).await.expect("counts");
        allowed += usize::from(verdict == Verdict::Go);
    }
    assert_eq!(allowed, 60);
    // The rest of an IPv6 address is no disguise.
    let verdict = throttle.attempt(&user("x"), ip("2001:db8::43"), None, NOW).await.expect("counts");
    assert!(matches!(verdict, Verdict::Wait(_)));
}

#[tokio::test]
async fn a_known_device_is_no_licence_to_guess() {
    let throttle = throttle();
    let (alice, here) = (user("alice"), ip("192.0.2.7"));
    let device = throttle.succeeded(&alice, here, None, NOW).await.expect("succeeds");
    let mut allowed = 0;
    for _ in 0..50 {
        let verdict = throttle.attempt(&alice, here, Some(&device), NOW).await.expect("counts");
        allowed += usize::from(verdict == Verdict::Go);
    }
    assert_eq!(allowed, 8 + 5);
}
