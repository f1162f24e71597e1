//! Servers that go away in the middle: told as that, in time, and never as a file that is missing.

use crate::samba::Samba;
use haven_files::{FilePath, ProblemKind, WriteMode};
use std::time::Duration;
use tokio::time::timeout;

fn path(text: &str) -> FilePath {
    FilePath::parse(text).expect("a path")
}

#[tokio::test]
async fn a_server_that_vanishes_is_no_file_that_is_missing() {
    let mut samba = Samba::start();
    let share = samba.share().await;
    share.write_whole(&path("plan.txt"), WriteMode::New, b"plan").await.expect("writes");
    samba.kill();
    let within = Duration::from_secs(20);
    let problem = timeout(within, share.look(&path("plan.txt"))).await.expect("in time").expect_err("fails");
    assert_eq!(problem.kind(), ProblemKind::ServerGone, "{problem:?}");
    assert!(problem.ends_the_link());
    let again =
        timeout(within, share.read(&path("plan.txt"), 0..1)).await.expect("in time").err().expect("fails");
    assert_eq!(again.kind(), ProblemKind::ServerGone);
    let listing = timeout(within, share.list(&path(""))).await.expect("in time").err().expect("fails");
    assert_eq!(listing.kind(), ProblemKind::ServerGone);
}

#[tokio::test]
async fn a_server_that_vanishes_during_a_transfer_ends_it() {
    let mut samba = Samba::start();
    let share = samba.share().await;
    std::fs::write(samba.path("alice/big"), vec![7; 50_000_000]).expect("writes");
    let mut stream = share.read(&path("big"), 0..u64::MAX).await.expect("opens");
    stream.next().await.expect("reads").expect("a piece");
    let mut sink = share.write(&path("new"), WriteMode::New).await.expect("opens");
    sink.write(&[1; 100_000]).await.expect("writes");
    samba.kill();
    let reading = async {
        loop {
            match stream.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("half a file was told as a whole one"),
                Err(problem) => return problem.kind(),
            }
        }
    };
    let kind = timeout(Duration::from_secs(30), reading).await.expect("in time");
    assert!(matches!(kind, ProblemKind::ServerGone | ProblemKind::TooSlow), "{kind:?}");
    let finished = timeout(Duration::from_secs(60), sink.finish()).await.expect("in time");
    assert!(finished.is_err(), "what isn't on disk isn't told as written");
}
