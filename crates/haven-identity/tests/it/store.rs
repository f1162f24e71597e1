//! What a store promises, held against every back end there is.

use crate::fixtures::{NOW, Scratch, user};
use haven_identity::{Count, EmbeddedStore, Handle, Owner, ROW_LIMIT, Store};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn handle(number: u8) -> Handle {
    Handle::from_bytes([number; 32])
}

/// The promises; `now` moves the clock only of stores that take it from the caller.
pub(crate) async fn holds_its_promises(store: &dyn Store, owner_prefix: &str) {
    let alice = Owner::of(&user(&format!("{owner_prefix}-alice")));
    let bob = Owner::of(&user(&format!("{owner_prefix}-bob")));
    let put = |number: u8, owner, bytes: &'static [u8]| {
        store.put(handle(number), owner, bytes.to_vec(), MINUTE, NOW)
    };
    put(1, alice, b"one").await.expect("puts");
    put(2, alice, b"two").await.expect("puts");
    put(3, bob, b"three").await.expect("puts");

    let row = store.find(handle(1), NOW).await.expect("finds").expect("is there");
    assert_eq!(row.bytes, b"one");
    assert!(row.left <= MINUTE && row.left > MINUTE - Duration::from_secs(10), "{:?}", row.left);
    assert_eq!(store.find(handle(9), NOW).await.expect("finds"), None);

    assert!(store.replace(handle(1), b"uno".to_vec(), NOW).await.expect("replaces"));
    let row = store.find(handle(1), NOW).await.expect("finds").expect("is there");
    assert_eq!(row.bytes, b"uno");
    assert!(row.left <= MINUTE, "its lifetime stays");
    assert!(
        !store.replace(handle(9), b"x".to_vec(), NOW).await.expect("replaces"),
        "nothing is made by replacing"
    );
    assert_eq!(store.find(handle(9), NOW).await.expect("finds"), None);

    assert!(store.touch(handle(1), MINUTE * 5, NOW).await.expect("touches"));
    let row = store.find(handle(1), NOW).await.expect("finds").expect("is there");
    assert!(row.left > MINUTE * 4);
    assert!(!store.touch(handle(9), MINUTE, NOW).await.expect("touches"));

    let mut owned = store.owned_by(alice, NOW).await.expect("lists");
    owned.sort_by_key(|(handle, _)| *handle);
    assert_eq!(owned.iter().map(|(handle, _)| *handle).collect::<Vec<_>>(), [handle(1), handle(2)]);

    assert!(!store.remove(handle(3), alice, NOW).await.expect("removes"), "not hers");
    assert!(store.find(handle(3), NOW).await.expect("finds").is_some());
    assert!(store.remove(handle(1), alice, NOW).await.expect("removes"));
    assert!(!store.remove(handle(1), alice, NOW).await.expect("removes"));
    assert_eq!(store.remove_owned_by(alice, NOW).await.expect("removes"), 1);
    assert_eq!(store.owned_by(alice, NOW).await.expect("lists"), []);
    assert_eq!(store.remove_owned_by(alice, NOW).await.expect("removes"), 0);
    assert_eq!(store.owned_by(bob, NOW).await.expect("lists").len(), 1);

    let too_long = store.put(handle(4), bob, vec![0; ROW_LIMIT + 1], MINUTE, NOW).await;
    assert!(too_long.is_err());
    store.put(handle(4), bob, vec![7; ROW_LIMIT], MINUTE, NOW).await.expect("at the limit");
    assert_eq!(store.remove_owned_by(bob, NOW).await.expect("removes"), 2);

    counts_and_keeps(store, owner_prefix).await;
}

async fn counts_and_keeps(store: &dyn Store, prefix: &str) {
    use haven_identity::Mark;
    let mark = Mark::from_bytes(*Owner::of(&user(&format!("{prefix}-mark"))).as_bytes());
    for expected in 1..=3 {
        let Count { so_far, left } = store.count(mark, MINUTE, NOW).await.expect("counts");
        assert_eq!(so_far, expected);
        assert!(left <= MINUTE && left > Duration::from_secs(50));
    }
    store.uncount(mark, NOW).await.expect("takes back");
    assert_eq!(store.count(mark, MINUTE, NOW).await.expect("counts").so_far, 3);
    store.clear(mark).await.expect("clears");
    store.uncount(mark, NOW).await.expect("takes nothing back");
    assert_eq!(store.count(mark, MINUTE, NOW).await.expect("counts").so_far, 1);
    store.clear(mark).await.expect("clears");

    assert!(store.claim(mark, MINUTE, NOW).await.expect("claims"));
    assert!(!store.claim(mark, MINUTE, NOW).await.expect("claims"));

    let owner = Owner::of(&user(&format!("{prefix}-keeper")));
    assert_eq!(store.kept(owner, "totp").await.expect("asks"), None);
    store.keep(owner, "totp", b"sealed".to_vec()).await.expect("keeps");
    store.keep(owner, "totp", b"sealed again".to_vec()).await.expect("keeps");
    assert_eq!(store.kept(owner, "totp").await.expect("asks").as_deref(), Some(&b"sealed again"[..]));
    assert_eq!(store.kept(owner, "other").await.expect("asks"), None);
    assert!(store.discard(owner, "totp").await.expect("discards"));
    assert!(!store.discard(owner, "totp").await.expect("discards"));
}

/// Of many at once exactly one claims.
pub(crate) async fn one_of_many_claims(store: Arc<dyn Store>, name: &str) {
    let mark = haven_identity::Mark::from_bytes(*Owner::of(&user(name)).as_bytes());
    let tasks: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.claim(mark, MINUTE, NOW).await.expect("claims") })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.expect("ends"));
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn the_embedded_store_holds_its_promises() {
    let scratch = Scratch::new();
    let store = EmbeddedStore::open(&scratch.file("sessions")).expect("opens");
    holds_its_promises(&store, "embedded").await;
    one_of_many_claims(Arc::new(store), "embedded").await;
}

#[tokio::test]
async fn the_embedded_store_forgets_what_has_ended() {
    let scratch = Scratch::new();
    let store = EmbeddedStore::open(&scratch.file("sessions")).expect("opens");
    let alice = Owner::of(&user("alice"));
    for number in 0..200 {
        store.put(handle(number), alice, vec![number; 600], MINUTE, NOW).await.expect("puts");
    }
    let later = NOW.plus(MINUTE);
    assert_eq!(store.find(handle(5), later).await.expect("finds"), None);
    assert_eq!(store.owned_by(alice, later).await.expect("lists"), []);
    assert!(
        !store.touch(handle(5), MINUTE, later).await.expect("touches"),
        "what has ended does not come back"
    );
    assert!(!store.replace(handle(5), vec![1], later).await.expect("replaces"));
    // Writes that follow remove it: after four of them no row is left to remove.
    for number in 0..4 {
        store.put(handle(200 + number), Owner::of(&user("bob")), vec![1], MINUTE, later).await.expect("puts");
    }
    assert_eq!(store.remove_owned_by(alice, later).await.expect("removes"), 0);
}

#[tokio::test]
async fn one_instance_at_a_time_uses_the_embedded_store() {
    let scratch = Scratch::new();
    let _first = EmbeddedStore::open(&scratch.file("sessions")).expect("opens");
    let second = EmbeddedStore::open(&scratch.file("sessions")).err().expect("is refused");
    assert!(second.advice().expect("a hint").contains("Redis"), "{second:?}");
}

#[test]
fn the_file_of_sessions_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let path = scratch.file("sessions");
    drop(EmbeddedStore::open(&path).expect("opens"));
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_no_panic() {
    let scratch = Scratch::new();
    let path = scratch.file("sessions");
    {
        let store = EmbeddedStore::open(&path).expect("opens");
        for number in 0..50 {
            store
                .put(handle(number), Owner::of(&user("alice")), vec![number; 900], MINUTE, NOW)
                .await
                .expect("puts");
        }
    }
    let good = std::fs::read(&path).expect("reads");
    for damage in [Damage::Cut(0.5), Damage::Cut(0.01), Damage::Zero, Damage::Text, Damage::Flip] {
        let mut bytes = good.clone();
        damage.apply(&mut bytes);
        std::fs::write(&path, &bytes).expect("writes");
        match EmbeddedStore::open(&path) {
            Err(failure) => assert!(failure.advice().is_some(), "{failure:?}"),
            // Damage in a page that no longer counts; what is read is then as it was.
            Ok(store) => {
                for number in 0..50 {
                    drop(store.find(handle(number), NOW).await);
                }
            }
        }
    }
}

enum Damage {
    Cut(f64),
    Zero,
    Text,
    Flip,
}

impl Damage {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small file"
    )]
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Cut(share) => bytes.truncate((bytes.len() as f64 * share) as usize),
            Self::Zero => bytes.fill(0),
            Self::Text => *bytes = b"this is no database".repeat(1000),
            Self::Flip => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x55),
        }
    }
}
