//! One link per session and server, made once, shared, bounded, closed at sign-out.

use crate::samba::{ALICE, Samba};
use haven_files::{FilePath, Pool, PoolOptions, ProblemKind, Protection, ServerAddress, WriteMode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn requests_at_once_sign_in_once() {
    let samba = Arc::new(Samba::start());
    let pool = Arc::new(Pool::new(PoolOptions::default()));
    let made = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (samba, pool, made) = (Arc::clone(&samba), Arc::clone(&pool), Arc::clone(&made));
            tokio::spawn(async move {
                let make = || async {
                    made.fetch_add(1, Ordering::Relaxed);
                    samba.link_as("alice", ALICE, Protection::Encrypted).await
                };
                let link = pool.link([1; 32], &samba.address(), Instant::now(), make).await.expect("a link");
                link.share("alice").await.expect("opens").space().await.expect("answers");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ends");
    }
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert_eq!(pool.len(), 1);
}

#[tokio::test]
async fn links_of_two_sessions_are_apart_and_sign_out_ends_ones_own() {
    let samba = Samba::start();
    let pool = Pool::new(PoolOptions::default());
    let link = |session: u8| {
        let make = || samba.link_as("alice", ALICE, Protection::Encrypted);
        let (pool, address) = (&pool, samba.address());
        async move { pool.link([session; 32], &address, Instant::now(), make).await.expect("a link") }
    };
    let (first, second) = (link(1).await, link(2).await);
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first, &link(1).await));
    let share = first.share("alice").await.expect("opens");
    let path = FilePath::parse("upload").expect("a path");
    let mut sink = share.write(&path, WriteMode::New).await.expect("opens");
    sink.write(b"begun").await.expect("writes");
    pool.close_session([1; 32]);
    assert!(first.is_broken() && !second.is_broken());
    assert!(sink.finish().await.is_err(), "what was under way ends with the session");
    assert!(!Arc::ptr_eq(&first, &link(1).await), "a new one is made");
}

#[tokio::test]
async fn a_failed_sign_in_leaves_nothing_and_a_broken_link_is_made_anew() {
    let mut samba = Samba::start();
    let pool = Pool::new(PoolOptions::default());
    let address = samba.address();
    let wrong = pool
        .link([1; 32], &address, Instant::now(), || samba.link_as("alice", "wrong", Protection::Encrypted))
        .await;
    assert_eq!(wrong.expect_err("is refused").kind(), ProblemKind::WrongPassword);
    let make = || samba.link_as("alice", ALICE, Protection::Encrypted);
    let link = pool.link([1; 32], &address, Instant::now(), make).await.expect("a link");
    let share = link.share("alice").await.expect("opens");
    samba.restart();
    assert_eq!(share.space().await.expect_err("is gone").kind(), ProblemKind::ServerGone);
    let make = || samba.link_as("alice", ALICE, Protection::Encrypted);
    let again = pool.link([1; 32], &address, Instant::now(), make).await.expect("a link");
    assert!(!Arc::ptr_eq(&link, &again));
    again.share("alice").await.expect("opens").space().await.expect("answers");
}

#[tokio::test]
async fn a_pool_is_bounded_and_closes_what_is_unused() {
    let samba = Samba::start();
    let options = PoolOptions { per_session: 2, in_all: 3, idle: Duration::from_secs(60) };
    let pool = Pool::new(options);
    let start = Instant::now();
    // One server under several names is several servers to the pool.
    let address = |name: &str| ServerAddress::parse(&format!("{name}:{}", samba.port())).expect("an address");
    let link = |session: u8, name: &str, at: u64| {
        let make = || samba.link_as("alice", ALICE, Protection::Encrypted);
        let (pool, address) = (&pool, address(name));
        async move { pool.link([session; 32], &address, start + Duration::from_secs(at), make).await }
    };
    drop(link(1, "a", 0).await.expect("a link"));
    drop(link(1, "b", 1).await.expect("a link"));
    drop(link(1, "c", 2).await.expect("makes room of the oldest"));
    assert_eq!(pool.len(), 2);
    let used: Vec<_> = [link(1, "b", 3).await, link(1, "c", 3).await, link(2, "a", 3).await]
        .into_iter()
        .map(|link| link.expect("a link"))
        .collect();
    assert_eq!(link(1, "d", 4).await.expect_err("all are in use").kind(), ProblemKind::Busy);
    assert_eq!(link(3, "a", 4).await.expect_err("all are in use").kind(), ProblemKind::Busy);
    pool.sweep(start + Duration::from_secs(1_000));
    assert_eq!(pool.len(), 3, "what is in use stays");
    drop(used);
    pool.sweep(start + Duration::from_secs(30));
    assert_eq!(pool.len(), 3);
    pool.sweep(start + Duration::from_secs(63));
    assert!(pool.is_empty());
}
