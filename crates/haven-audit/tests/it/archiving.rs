//! Disk use is bounded, and proofs outlive the segments they are about.

use crate::scratch::{Scratch, at, changes, entry};
use haven_audit::{Finding, Query, verify};
use haven_spec::Failure;

#[test]
fn archived_segments_leave_and_proofs_go_on() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(2000);
    changes(&mut log, 4);
    let old = log.checkpoint().clone();
    let first_line = std::fs::read_to_string(&scratch.segments()[0]).unwrap();
    let first_line = first_line.lines().find(|line| line.starts_with('{')).unwrap().to_owned();
    changes(&mut log, 40);
    let elsewhere = Scratch::new();
    let before = scratch.segments();
    let mut stored = 0;
    let archived = log
        .archive(2, &at(99), &mut |path| {
            stored += 1;
            std::fs::copy(path, elsewhere.path().join(path.file_name().unwrap())).unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!(archived.len(), stored);
    assert_eq!(stored, before.len() - 2);
    assert!(stored > 10 && before[..stored].iter().all(|path| !path.exists()));
    assert!(before[stored..].iter().all(|path| path.exists()));
    let new = log.checkpoint().clone();
    assert!(log.prove_inclusion(0).unwrap().holds(first_line.as_bytes(), new.checkpoint()));
    assert!(log.prove_consistency(old.size()).unwrap().holds(old.checkpoint(), new.checkpoint()));
    let verification = verify(&scratch.record(), &scratch.key(), std::slice::from_ref(&old)).unwrap();
    assert_eq!(verification.findings, []);
    assert!(verification.archived > 40 && verification.caveats().len() == 2);
    // The archive itself is recorded, and each segment's digest with it.
    let (recorded, _) =
        Query { action: Some("audit.archive".into()), ..Query::default() }.ask(&scratch.record()).unwrap();
    assert_eq!(recorded.len(), stored);
    assert_eq!(recorded[stored - 1].entry.after.as_ref().unwrap()["sha256"], archived[0].sha256.as_str());
    // It goes on, also after it was opened anew.
    drop(log);
    let (mut log, _) = scratch.open_with(2000);
    changes(&mut log, 3);
    drop(log);
    // With the archive put back everything is there again.
    for archived in &archived {
        let name = archived.path.file_name().unwrap();
        std::fs::copy(elsewhere.path().join(name), scratch.record().join(name)).unwrap();
    }
    let verification = verify(&scratch.record(), &scratch.key(), &[old, new]).unwrap();
    assert_eq!((verification.archived, &verification.findings[..]), (0, &[][..]));
    // And an altered hash is seen.
    for archived in &archived {
        std::fs::remove_file(&archived.path).unwrap();
    }
    let leaves = scratch.record().join(format!("{:020}.leaves", 0));
    let mut hashes = std::fs::read(&leaves).unwrap();
    hashes[33] ^= 1;
    std::fs::write(&leaves, hashes).unwrap();
    assert!(matches!(
        verify(&scratch.record(), &scratch.key(), &[]).unwrap().findings[0],
        Finding::Header { .. }
    ));
}

#[test]
fn what_could_not_be_stored_stays() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(2000);
    changes(&mut log, 20);
    let before = scratch.segments();
    let refused = log.archive(1, &at(0), &mut |_| Err(Failure::host("the archive is full")));
    assert_eq!(refused.unwrap_err().to_string(), "the archive is full");
    assert_eq!(scratch.segments(), before);
    assert!(verify(&scratch.record(), &scratch.key(), &[]).unwrap().is_intact());
}

#[test]
fn a_segment_with_a_change_that_has_not_ended_stays() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(2000);
    changes(&mut log, 6);
    log.begin(entry("link.add", "db", "alice"), &at(0)).unwrap();
    changes(&mut log, 20);
    let archived = log.archive(1, &at(0), &mut |_| Ok(())).unwrap();
    let gone: u64 = archived.iter().map(|segment| segment.records).sum();
    assert!(gone <= 12 && !archived.is_empty(), "{archived:?}");
}
