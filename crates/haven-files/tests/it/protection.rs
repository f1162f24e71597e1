//! No link without signing, none without encryption unless that is asked for, and no password left in memory.

use crate::samba::{ALICE, Samba};
use haven_files::{FilePath, ProblemKind, Protection, WriteMode};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[path = "../../../haven-identity/tests/it/memory.rs"]
mod memory;

#[tokio::test]
async fn a_share_that_requires_encryption_works() {
    let samba = Samba::start();
    for protection in [Protection::Encrypted, Protection::Signed] {
        let link = samba.link_as("alice", ALICE, protection).await.expect("signs in");
        assert_eq!(link.is_encrypted(), protection == Protection::Encrypted);
        let share = link.share("sealed").await.expect("opens");
        assert!(link.is_encrypted(), "the share asked for it");
        let path = FilePath::parse("secret plan.txt").expect("a path");
        share.write_whole(&path, WriteMode::Replace, b"plan").await.expect("writes");
        assert_eq!(share.read_whole(&path, 100).await.expect("reads"), b"plan");
    }
}

#[tokio::test]
async fn a_server_that_requires_encryption_for_everything_works() {
    let samba = Samba::with("server smb encrypt = required");
    for protection in [Protection::Encrypted, Protection::Signed] {
        let link = samba.link_as("alice", ALICE, protection).await.expect("signs in");
        assert!(link.is_encrypted());
        link.share("both").await.expect("opens").space().await.expect("answers");
    }
}

#[tokio::test]
async fn a_server_that_cannot_encrypt_is_used_only_when_signing_is_enough() {
    for settings in ["server smb encrypt = off", "server max protocol = SMB2_10"] {
        let samba = Samba::with(settings);
        let refused = samba.link_as("alice", ALICE, Protection::Encrypted).await.expect_err("is refused");
        assert_eq!(refused.kind(), ProblemKind::NotProtected, "{settings}: {refused:?}");
        let link = samba.link_as("alice", ALICE, Protection::Signed).await.expect("signs in");
        link.share("alice").await.expect("opens").space().await.expect("answers");
    }
    let ancient = Samba::with("server max protocol = SMB2_02");
    let refused = ancient.link_as("alice", ALICE, Protection::Signed).await.expect_err("is refused");
    assert_eq!(refused.kind(), ProblemKind::NotProtected);
}

#[tokio::test]
async fn older_versions_that_encrypt_are_encrypted_with() {
    for version in ["SMB3_00", "SMB3_02"] {
        let samba = Samba::with(&format!("server max protocol = {version}"));
        let link = samba.link_as("alice", ALICE, Protection::Encrypted).await.expect("signs in");
        assert!(link.is_encrypted(), "{version}");
        link.share("sealed").await.expect("opens").space().await.expect("answers");
    }
}

/// Something between the two that keeps what goes by, and may change it.
fn in_between(
    port: u16,
    change: impl Fn(&mut [u8], usize) + Clone + Send + 'static,
) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let own = listener.local_addr().expect("an address").port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
            let (client_too, server_too) =
                (client.try_clone().expect("clones"), server.try_clone().expect("clones"));
            pump(client, server, Arc::clone(&kept), |_, _| ());
            pump(server_too, client_too, Arc::clone(&kept), change.clone());
        }
    });
    (own, seen)
}

fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    kept: Arc<Mutex<Vec<u8>>>,
    change: impl Fn(&mut [u8], usize) + Send + 'static,
) {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut passed = 0;
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            change(&mut buffer[..length], passed);
            passed += length;
            kept.lock().expect("nobody panicked").extend_from_slice(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
        drop(to.shutdown(std::net::Shutdown::Both));
    });
}

async fn through(port: u16, protection: Protection) -> Result<Arc<haven_files::Link>, haven_files::Problem> {
    let options = haven_files::LinkOptions { protection, patience: Duration::from_secs(3), operations: 4 };
    let address = haven_files::ServerAddress::parse(&format!("127.0.0.1:{port}")).expect("an address");
    let login = haven_files::Login { user: "alice", domain: "", password: ALICE };
    haven_files::Link::open(&haven_resolve::Resolver::of_this_host(), &address, login, &options).await
}

#[tokio::test]
async fn nothing_of_a_file_or_its_name_is_seen_on_the_way() {
    let samba = Samba::start();
    let (port, seen) = in_between(samba.port(), |_, _| ());
    let link = through(port, Protection::Encrypted).await.expect("signs in");
    let share = link.share("alice").await.expect("opens");
    let path = FilePath::parse("verydistinctname").expect("a path");
    share.write_whole(&path, WriteMode::New, b"a very distinct content").await.expect("writes");
    assert_eq!(share.read_whole(&path, 100).await.expect("reads"), b"a very distinct content");
    let seen = seen.lock().expect("nobody panicked").clone();
    assert!(seen.len() > 1000);
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for word in [
        wide("verydistinct"),
        b"distinct content".to_vec(),
        ALICE.as_bytes().to_vec(),
        wide(ALICE),
        wide("alice\\"),
    ] {
        assert!(!seen.windows(word.len()).any(|window| window == word));
    }
}

#[tokio::test]
async fn somebody_who_changes_the_greeting_gets_nothing() {
    let samba = Samba::start();
    for protection in [Protection::Encrypted, Protection::Signed] {
        // One bit of the server's first answer (its own number): the hash of the greeting no longer fits, nor any key.
        let (port, seen) = in_between(samba.port(), |bytes, passed| {
            if passed == 0
                && let Some(byte) = bytes.get_mut(4 + 64 + 8)
            {
                *byte ^= 1;
            }
        });
        let problem = through(port, protection).await.expect_err("is refused");
        assert!(
            matches!(problem.kind(), ProblemKind::Tampered | ProblemKind::Denied | ProblemKind::ServerGone),
            "{problem:?}"
        );
        let seen = seen.lock().expect("nobody panicked").clone();
        assert!(!seen.windows(ALICE.len()).any(|window| window == ALICE.as_bytes()));
    }
}

#[tokio::test]
async fn answers_that_were_changed_are_refused() {
    let samba = Samba::start();
    let (port, _) = in_between(samba.port(), |bytes, passed| {
        // Well after the sign-in, one bit in each piece.
        if passed > 2_000
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
    });
    if let Ok(link) = through(port, Protection::Signed).await
        && let Ok(share) = link.share("alice").await
    {
        for _ in 0..50 {
            if share.space().await.is_err() {
                return;
            }
        }
        panic!("answers that were changed were taken for good");
    }
}

#[tokio::test]
async fn no_password_stays_in_memory_after_a_sign_in() {
    use memory::{Masked, memory_has};
    let samba = Samba::start();
    let password = Masked::random_password();
    {
        let mut script = samba.password_command("games");
        let mut child = script.stdin(std::process::Stdio::piped()).spawn().expect("smbpasswd");
        let line = [password.reveal(), b"\n".to_vec()].concat();
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(&line).expect("writes");
        input.write_all(&line).expect("writes");
        drop(input);
        assert!(child.wait().expect("ends").success());
    }
    let link = {
        let text = String::from_utf8(password.reveal()).expect("text");
        assert!(memory_has(&password), "the search works");
        samba.link_as("alice", &text, Protection::Encrypted).await.expect("signs in")
    };
    assert!(!memory_has(&password), "after the sign-in");
    // SMB has it in UTF-16 on the way to its hash.
    let wide = Masked::of(&password.reveal().iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>());
    assert!(!memory_has(&wide), "after the sign-in, in UTF-16");
    link.share("alice").await.expect("opens").space().await.expect("answers");
}

/// Everything a person does, through something that garbles the server's answers.
async fn use_everything(port: u16, protection: Protection) -> Result<(), haven_files::Problem> {
    let options =
        haven_files::LinkOptions { protection, patience: Duration::from_millis(400), operations: 4 };
    let address = haven_files::ServerAddress::parse(&format!("127.0.0.1:{port}")).expect("an address");
    let login = haven_files::Login { user: "alice", domain: "", password: ALICE };
    let link =
        haven_files::Link::open(&haven_resolve::Resolver::of_this_host(), &address, login, &options).await?;
    link.shares().await?;
    let share = link.share("alice").await?;
    share.list(&FilePath::root()).await?.rest(1_000).await?;
    share.space().await?;
    let path = FilePath::parse("garbled").expect("a path");
    share.write_whole(&path, WriteMode::Replace, &[7; 100_000]).await?;
    share.look(&path).await?;
    assert_eq!(
        share.read_whole(&path, 1_000_000).await?,
        vec![7; 100_000],
        "what was garbled is never taken for good"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_whose_answers_are_garbled_is_a_problem_in_time_and_no_panic() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    std::panic::set_hook(Box::new(|_| {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }));
    let samba = Samba::start();
    std::fs::write(samba.path("alice/file"), "x").expect("writes");
    let mut failed = 0;
    for seed in 0..48_usize {
        // One byte in each stretch of the answers; where the stretch begins goes through the whole conversation.
        let start = seed * 61;
        let (port, _) = in_between(samba.port(), move |bytes, passed| {
            for (at, byte) in bytes.iter_mut().enumerate() {
                let place = passed + at;
                if place >= start && (place - start) % 997 == 0 {
                    *byte = byte.wrapping_add(u8::try_from(1 + (seed * 37 + place) % 255).unwrap_or(1));
                }
            }
        });
        let protection = if seed % 2 == 0 { Protection::Signed } else { Protection::Encrypted };
        let result = tokio::time::timeout(Duration::from_secs(20), use_everything(port, protection)).await;
        failed += usize::from(result.expect("in time").is_err());
    }
    drop(std::panic::take_hook());
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    assert!(failed > 40, "only {failed} of 48 noticed");
}
