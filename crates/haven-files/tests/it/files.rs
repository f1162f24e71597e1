//! What people do with files: look, list, read, write, rename, copy, delete; and each way in which it fails.

use crate::samba::Samba;
use haven_files::{EntryKind, FileName, FilePath, Problem, ProblemKind, Progress, Share, WriteMode};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

fn path(text: &str) -> FilePath {
    FilePath::parse(text).expect("a path")
}

fn kind<T>(result: Result<T, Problem>) -> ProblemKind {
    match result {
        Err(problem) => problem.kind(),
        Ok(_) => panic!("it should have failed"),
    }
}

/// Bytes that show when they are in another order.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at / 7 + at / 65_521) % 251).expect("small")).collect()
}

async fn put(share: &Share, name: &str, bytes: &[u8]) {
    share.write_whole(&path(name), WriteMode::New, bytes).await.expect("writes");
}

#[tokio::test]
async fn a_file_is_written_looked_at_and_read() {
    let samba = Samba::start();
    let share = samba.share().await;
    let bytes = content(5_000_000);
    let mut sink = share.write(&path("big.bin"), WriteMode::New).await.expect("opens");
    for piece in bytes.chunks(70_001) {
        sink.write(piece).await.expect("writes");
    }
    assert_eq!(sink.finish().await.expect("is on disk"), 5_000_000);
    assert_eq!(std::fs::read(samba.path("alice/big.bin")).expect("is there"), bytes);

    let entry = share.look(&path("big.bin")).await.expect("is there");
    assert_eq!((entry.name.as_str(), entry.kind, entry.size_bytes), ("big.bin", EntryKind::File, 5_000_000));
    let age = SystemTime::now().duration_since(entry.modified.expect("a time")).unwrap_or_default();
    assert!(age < Duration::from_secs(60));
    assert_eq!(share.read_whole(&path("big.bin"), u64::MAX).await.expect("reads"), bytes);

    for (start, end) in
        [(0, 1), (1_000_000, 1_000_000), (999_999, 3_600_001), (4_999_999, u64::MAX), (9_000_000, u64::MAX)]
    {
        let mut stream = share.read(&path("big.bin"), start..end).await.expect("opens");
        let mut read = Vec::new();
        while let Some(piece) = stream.next().await.expect("reads") {
            read.extend(piece);
        }
        let from = usize::try_from(start).expect("small").min(bytes.len());
        let to = usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len()).max(from);
        assert!(read == bytes[from..to], "{start}..{end}");
    }
    // Who stops reading costs nothing more.
    let mut stream = share.read(&path("big.bin"), 0..u64::MAX).await.expect("opens");
    stream.next().await.expect("reads");
    drop(stream);
    share.delete_file(&path("big.bin")).await.expect("nobody has it open");
}

#[tokio::test]
async fn an_empty_file_and_a_small_limit() {
    let samba = Samba::start();
    let share = samba.share().await;
    put(&share, "empty", b"").await;
    assert_eq!(share.read_whole(&path("empty"), 0).await.expect("reads"), b"");
    put(&share, "small", b"12345").await;
    assert_eq!(kind(share.read_whole(&path("small"), 4).await), ProblemKind::Unsupported);
}

#[tokio::test]
async fn an_interrupted_write_is_carried_on() {
    let samba = Samba::start();
    let share = samba.share().await;
    let mut sink = share.write(&path("part"), WriteMode::New).await.expect("opens");
    sink.write(b"first half, ").await.expect("writes");
    assert_eq!(sink.finish().await.expect("is on disk"), 12);
    let mut sink = share.write(&path("part"), WriteMode::CarryOn(12)).await.expect("opens");
    sink.write(b"second half").await.expect("writes");
    sink.finish().await.expect("is on disk");
    assert_eq!(share.read_whole(&path("part"), 100).await.expect("reads"), b"first half, second half");
    assert_eq!(kind(share.write(&path("part"), WriteMode::CarryOn(1_000)).await), ProblemKind::NotFound);
    assert_eq!(kind(share.write(&path("none"), WriteMode::CarryOn(0)).await), ProblemKind::NotFound);
    // Replacing leaves nothing of what was longer.
    share.write_whole(&path("part"), WriteMode::Replace, b"short").await.expect("writes");
    assert_eq!(share.read_whole(&path("part"), 100).await.expect("reads"), b"short");
}

#[tokio::test]
async fn ten_thousand_names_come_in_batches() {
    let samba = Samba::start();
    let folder = samba.path("alice/many");
    std::fs::create_dir(&folder).expect("a directory");
    for number in 0..10_000 {
        std::fs::write(folder.join(format!("file {number:05} ü.txt")), "").expect("writes");
    }
    let share = samba.share().await;
    let mut listing = share.list(&path("many")).await.expect("opens");
    let mut names = Vec::new();
    let mut batches = 0;
    while let Some(batch) = listing.next().await.expect("lists") {
        batches += 1;
        names.extend(batch.into_iter().map(|entry| entry.name));
    }
    assert!(batches > 5, "{batches} batches");
    names.sort();
    assert_eq!(names.len(), 10_000);
    assert_eq!(names[9_999], "file 09999 ü.txt");
    // Who stops in the middle leaves the folder deletable and the link usable.
    let mut listing = share.list(&path("many")).await.expect("opens");
    listing.next().await.expect("lists");
    drop(listing);
    assert_eq!(share.list(&path("")).await.expect("opens").rest(10).await.expect("lists").len(), 1);
    assert_eq!(
        kind(share.list(&path("many")).await.expect("opens").rest(9_999).await),
        ProblemKind::Unsupported
    );
}

#[tokio::test]
async fn names_of_all_kinds_go_and_come_back() {
    let samba = Samba::start();
    let share = samba.share().await;
    let long = "ü".repeat(120);
    let names = [
        "plain.txt",
        "with spaces and.dots",
        "日本語.pdf",
        "😀 emoji",
        "é",
        "e\u{301}",
        ".hidden",
        "a'b",
        &long,
    ]
    .map(str::to_owned);
    for name in &names {
        put(&share, name, name.as_bytes()).await;
    }
    let listed = share.list(&path("")).await.expect("opens").rest(100).await.expect("lists");
    for name in &names {
        assert!(listed.iter().any(|entry| entry.name == *name), "{name}");
        assert_eq!(share.read_whole(&path(name), 1_000).await.expect("reads"), name.as_bytes());
    }
    // What the server's own people made with other systems' names can be opened.
    std::fs::write(samba.path("alice/what?: <now>.txt"), "odd").expect("writes");
    std::fs::set_permissions(samba.path("alice/what?: <now>.txt"), std::fs::Permissions::from_mode(0o666))
        .expect("mode");
    // Samba lists it under a name that Windows takes, and knows it by that.
    let listed = share.list(&path("")).await.expect("opens").rest(100).await.expect("lists");
    assert_eq!(listed.len(), names.len() + 1);
    for entry in &listed {
        assert!(share.look(&path("").child(&entry.name).expect("a path")).await.is_ok(), "{}", entry.name);
    }
}

#[tokio::test]
async fn names_that_windows_forbids_are_refused_before_they_are_sent() {
    let samba = Samba::start();
    let share = samba.share().await;
    for bad in ["a:b", "what?", "con.txt", "trailing.", "a*"] {
        let bad = FilePath::parse(bad).expect("a path that could exist");
        assert_eq!(kind(share.write(&bad, WriteMode::New).await), ProblemKind::BadName, "{bad}");
        assert_eq!(kind(share.make_folder(&bad).await), ProblemKind::BadName, "{bad}");
    }
    assert_eq!(std::fs::read_dir(samba.path("alice")).expect("reads").count(), 0);
}

#[tokio::test]
async fn folders_are_made_renamed_and_moved() {
    let samba = Samba::start();
    let share = samba.share().await;
    share.make_folder(&path("one")).await.expect("makes");
    share.make_folder(&path("one/two")).await.expect("makes");
    put(&share, "one/two/plan.txt", b"plan").await;
    let renamed =
        share.rename(&path("one/two"), &FileName::parse("zwei").expect("a name")).await.expect("renames");
    assert_eq!(renamed.to_string(), "one/zwei");
    share.move_to(&path("one/zwei/plan.txt"), &path("plan.txt"), false).await.expect("moves");
    assert_eq!(share.read_whole(&path("plan.txt"), 10).await.expect("reads"), b"plan");
    // Only letters' case.
    share.rename(&path("plan.txt"), &FileName::parse("Plan.txt").expect("a name")).await.expect("renames");
    let listed = share.list(&path("")).await.expect("opens").rest(10).await.expect("lists");
    assert!(listed.iter().any(|entry| entry.name == "Plan.txt"), "{listed:?}");

    put(&share, "other.txt", b"other").await;
    assert_eq!(kind(share.move_to(&path("other.txt"), &path("Plan.txt"), false).await), ProblemKind::Exists);
    share.move_to(&path("other.txt"), &path("Plan.txt"), true).await.expect("replaces");
    assert_eq!(share.read_whole(&path("Plan.txt"), 10).await.expect("reads"), b"other");
    assert_eq!(kind(share.move_to(&path("one"), &path("one/zwei/one"), false).await), ProblemKind::Loop);
    assert_eq!(kind(share.move_to(&path(""), &path("x"), false).await), ProblemKind::Denied);
}

#[tokio::test]
async fn problems_are_told_apart() {
    let samba = Samba::start();
    let share = samba.share().await;
    put(&share, "file", b"x").await;
    share.make_folder(&path("folder")).await.expect("makes");
    put(&share, "folder/inside", b"x").await;

    assert_eq!(kind(share.look(&path("none")).await), ProblemKind::NotFound);
    assert_eq!(kind(share.look(&path("no/where")).await), ProblemKind::NotFound);
    assert_eq!(kind(share.read(&path("none"), 0..1).await), ProblemKind::NotFound);
    assert_eq!(kind(share.write(&path("file"), WriteMode::New).await), ProblemKind::Exists);
    assert_eq!(kind(share.make_folder(&path("folder")).await), ProblemKind::Exists);
    assert_eq!(kind(share.make_folder(&path("file")).await), ProblemKind::Exists);
    assert_eq!(kind(share.make_folder(&path("")).await), ProblemKind::Exists);
    assert_eq!(kind(share.list(&path("file")).await), ProblemKind::NotAFolder);
    assert_eq!(kind(share.read(&path("folder"), 0..1).await), ProblemKind::IsAFolder);
    assert_eq!(kind(share.delete_file(&path("folder")).await), ProblemKind::IsAFolder);
    assert_eq!(kind(share.delete_folder(&path("file")).await), ProblemKind::NotAFolder);
    assert_eq!(kind(share.delete_folder(&path("folder")).await), ProblemKind::NotEmpty);
    assert_eq!(kind(share.delete_folder(&path("")).await), ProblemKind::Denied);
    assert_eq!(kind(share.delete_file(&path("none")).await), ProblemKind::NotFound);

    let fixed = samba.link().await.share("fixed").await.expect("opens");
    assert_eq!(kind(fixed.write(&path("file"), WriteMode::New).await), ProblemKind::Denied);
    std::fs::create_dir(samba.path("both/closed")).expect("a directory");
    std::fs::set_permissions(samba.path("both/closed"), std::fs::Permissions::from_mode(0o700))
        .expect("mode");
    let both = samba.link().await.share("both").await.expect("opens");
    assert_eq!(kind(both.list(&path("closed")).await), ProblemKind::Denied);
    let problem = both.list(&path("closed")).await.err().expect("is denied");
    assert_eq!(problem.to_string(), "`closed`: the file server doesn't permit it");
    // A file that another has open for itself alone.
    let _writing = share.write(&path("busy"), WriteMode::New).await.expect("opens");
    let other = samba.share().await;
    let result = other.delete_file(&path("busy")).await;
    assert!(result.is_err(), "it is open elsewhere");
}

#[tokio::test]
async fn a_file_is_copied_by_the_server_and_across_shares_through_us() {
    let samba = Samba::start();
    let link = samba.link().await;
    let (alice, both) = (link.share("alice").await.expect("opens"), link.share("both").await.expect("opens"));
    let bytes = content(3_000_000);
    put(&alice, "a.bin", &bytes).await;
    let copied = alice.copy_file(&path("a.bin"), &alice, &path("b.bin")).await.expect("copies");
    assert_eq!((copied.bytes, copied.by_server), (3_000_000, true));
    assert_eq!(alice.read_whole(&path("b.bin"), u64::MAX).await.expect("reads"), bytes);
    let copied = alice.copy_file(&path("a.bin"), &both, &path("c.bin")).await.expect("copies");
    assert_eq!((copied.bytes, copied.by_server), (3_000_000, false));
    assert_eq!(std::fs::read(samba.path("both/c.bin")).expect("is there"), bytes);
    put(&alice, "empty", b"").await;
    assert_eq!(alice.copy_file(&path("empty"), &alice, &path("empty too")).await.expect("copies").bytes, 0);

    assert_eq!(kind(alice.copy_file(&path("a.bin"), &alice, &path("b.bin")).await), ProblemKind::Exists);
    assert_eq!(kind(alice.copy_file(&path("none"), &alice, &path("d.bin")).await), ProblemKind::NotFound);
    assert_eq!(kind(alice.look(&path("d.bin")).await), ProblemKind::NotFound, "nothing half is left");
    alice.make_folder(&path("folder")).await.expect("makes");
    assert_eq!(kind(alice.copy_file(&path("folder"), &alice, &path("e")).await), ProblemKind::IsAFolder);
}

#[tokio::test]
async fn free_space_is_told() {
    let samba = Samba::start();
    let space = samba.share().await.space().await.expect("answers");
    assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes);
}

fn tree(samba: &Samba, at: &str, depth: usize) {
    std::fs::create_dir(samba.path(at)).expect("a directory");
    std::fs::set_permissions(samba.path(at), std::fs::Permissions::from_mode(0o777)).expect("mode");
    for number in 0..100 {
        std::fs::write(samba.path(&format!("{at}/file {number}")), "x").expect("writes");
    }
    if depth > 0 {
        for number in 0..3 {
            tree(samba, &format!("{at}/folder {number}"), depth - 1);
        }
    }
}

#[tokio::test]
async fn a_folder_is_deleted_with_all_in_it() {
    let samba = Samba::start();
    tree(&samba, "alice/tree", 2);
    let share = samba.share().await;
    let (progress, problems) = share.remove_folder(&path("tree")).expect("begins").run().await.expect("runs");
    assert_eq!(progress, Progress { files: 1_300, folders: 13, failed: 0 });
    assert!(problems.is_empty());
    assert!(!samba.path("alice/tree").exists());
    assert_eq!(kind(share.remove_folder(&path(""))), ProblemKind::Denied);
}

#[tokio::test]
async fn deleting_tells_how_far_it_is_and_stops_when_nobody_asks_on() {
    let samba = Samba::start();
    tree(&samba, "alice/tree", 1);
    let share = samba.share().await;
    let mut removal = share.remove_folder(&path("tree")).expect("begins");
    let mut last = Progress::default();
    while last.files < 100 {
        let now = removal.step().await.expect("goes on").expect("is not done");
        assert!(now.files >= last.files);
        last = now;
    }
    drop(removal);
    assert!(samba.path("alice/tree").exists(), "the rest stays");
}

#[tokio::test]
async fn what_cannot_be_deleted_is_left_and_told() {
    let samba = Samba::start();
    tree(&samba, "alice/tree", 1);
    let kept = samba.path("alice/tree/folder 1");
    // Only its owner, who isn't Alice, may change this one.
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let share = samba.share().await;
    let (progress, problems) = share.remove_folder(&path("tree")).expect("begins").run().await.expect("runs");
    assert_eq!((progress.files, progress.folders), (300, 2));
    assert_eq!(problems.len(), 100);
    assert!(problems.iter().all(|problem| problem.kind() == ProblemKind::Denied), "{:?}", problems[0]);
    assert!(problems[0].name().expect("a name").starts_with("tree/folder 1/file"));
    assert_eq!(std::fs::read_dir(&kept).expect("reads").count(), 100);
}

#[tokio::test]
async fn many_things_at_once_on_one_link() {
    let samba = Samba::start();
    let share = samba.share().await;
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let share = share.clone();
            tokio::spawn(async move {
                let name = path(&format!("file {number}"));
                let bytes = content(100_000 + number);
                share.write_whole(&name, WriteMode::New, &bytes).await.expect("writes");
                assert_eq!(share.read_whole(&name, u64::MAX).await.expect("reads"), bytes);
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("ends");
    }
    assert_eq!(share.list(&path("")).await.expect("opens").rest(100).await.expect("lists").len(), 60);
}
