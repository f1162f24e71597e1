//! Who may in, and what those are told who may not.

use crate::samba::{ALICE, BOB, Samba};
use haven_files::{Link, LinkOptions, Login, Problem, ProblemKind, Protection, ServerAddress};
use haven_resolve::Resolver;
use std::sync::Arc;
use std::time::Duration;

fn kind(result: Result<Arc<Link>, Problem>) -> ProblemKind {
    result.expect_err("is refused").kind()
}

#[tokio::test]
async fn a_right_password_signs_in_encrypted() {
    let samba = Samba::start();
    let link = samba.link().await;
    assert!(link.is_encrypted());
    let mut shares: Vec<String> =
        link.shares().await.expect("lists").into_iter().map(|share| share.name).collect();
    shares.sort();
    assert_eq!(shares, ["alice", "bob", "both", "fixed", "sealed"], "administrators' own are not shown");
}

#[tokio::test]
async fn accounts_that_may_not_are_told_apart() {
    let samba = Samba::start();
    let as_alice = |password: &'static str| samba.link_as("alice", password, Protection::Encrypted);
    assert_eq!(kind(as_alice("wrong").await), ProblemKind::WrongPassword);
    assert_eq!(
        kind(samba.link_as("nobody-here", ALICE, Protection::Encrypted).await),
        ProblemKind::WrongPassword
    );
    assert_eq!(kind(as_alice("").await), ProblemKind::WrongPassword, "an empty one is not even sent");
    assert_eq!(kind(samba.link_as("", "", Protection::Encrypted).await), ProblemKind::WrongPassword);

    samba.pdbedit(&["-c", "[D]", "-u", "games"]);
    assert_eq!(kind(as_alice(ALICE).await), ProblemKind::AccountDisabled);
    samba.pdbedit(&["-c", "[]", "-u", "games"]);
    assert!(as_alice(ALICE).await.is_ok());

    samba.pdbedit(&["--kickoff-time=1000000000", "-u", "games"]);
    assert_eq!(kind(as_alice(ALICE).await), ProblemKind::AccountExpired);
    samba.pdbedit(&["--kickoff-time=never", "-u", "games"]);

    samba.pdbedit(&["-P", "bad lockout attempt", "-C", "2"]);
    for _ in 0..3 {
        as_alice("wrong").await.expect_err("is refused");
    }
    assert_eq!(kind(as_alice(ALICE).await), ProblemKind::AccountLocked);
}

#[tokio::test]
async fn a_password_that_is_too_old_or_to_be_changed_is_told() {
    let samba = Samba::start();
    samba.pdbedit(&["-P", "maximum password age", "-C", "1"]);
    std::thread::sleep(Duration::from_millis(2100));
    let problem = samba.link_as("alice", ALICE, Protection::Encrypted).await.expect_err("is refused");
    assert!(
        matches!(problem.kind(), ProblemKind::PasswordExpired | ProblemKind::PasswordMustChange),
        "{problem:?}"
    );
    assert!(problem.is_about_the_account());
}

#[tokio::test]
async fn a_server_that_takes_anybody_for_a_guest_signs_nobody_in() {
    let samba = Samba::with("map to guest = bad password\nguest account = nobody");
    let guest = samba.link_as("alice", "wrong", Protection::Signed).await.expect_err("is refused");
    assert!(matches!(guest.kind(), ProblemKind::Guest | ProblemKind::Tampered), "{guest:?}");
    let unknown = samba.link_as("whoever", "x", Protection::Signed).await.expect_err("is refused");
    assert!(!matches!(unknown.kind(), ProblemKind::Other), "{unknown:?}");
    assert!(samba.link_as("alice", ALICE, Protection::Encrypted).await.is_ok());
}

#[tokio::test]
async fn each_person_sees_their_own() {
    let samba = Samba::start();
    let bob = samba.link_as("bob", BOB, Protection::Encrypted).await.expect("signs in");
    assert_eq!(bob.share("alice").await.expect_err("is refused").kind(), ProblemKind::Denied);
    assert!(bob.share("bob").await.is_ok());
    assert_eq!(bob.share("nowhere").await.expect_err("is refused").kind(), ProblemKind::NoSuchShare);
    for odd in ["", "a\\b", "a/b", "IPC$\0", &"x".repeat(81)] {
        assert_eq!(bob.share(odd).await.expect_err("is refused").kind(), ProblemKind::NoSuchShare, "{odd:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_or_silent_is_told_in_time() {
    let options = LinkOptions { patience: Duration::from_millis(500), ..LinkOptions::default() };
    let open = |port: u16| {
        let address = ServerAddress::parse(&format!("127.0.0.1:{port}")).expect("an address");
        async move {
            let login = Login { user: "alice", domain: "", password: ALICE };
            let resolver = Resolver::of_this_host();
            let opening = Link::open(&resolver, &address, login, &options);
            kind(tokio::time::timeout(Duration::from_secs(10), opening).await.expect("in time"))
        }
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    assert_eq!(open(port).await, ProblemKind::TooSlow, "it accepts and says nothing");
    drop(listener);
    assert_eq!(open(port).await, ProblemKind::ServerGone);
    let nowhere = ServerAddress::parse("nowhere.invalid").expect("a name");
    let login = Login { user: "alice", domain: "", password: ALICE };
    let problem =
        Link::open(&Resolver::new("/dev/null".as_ref(), "/dev/null".as_ref()), &nowhere, login, &options)
            .await;
    assert_eq!(kind(problem), ProblemKind::ServerGone);
}
