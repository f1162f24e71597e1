//! Whatever is done to a record is seen: by the public key alone, or with a checkpoint kept elsewhere.

use crate::scratch::{Scratch, at, changes, entry};
use haven_audit::{Finding, Limits, Log, SignedCheckpoint, verify};
use haven_spec::Kind;

/// Twelve changes in several segments, and a checkpoint from the middle and from the end.
fn record() -> (Scratch, SignedCheckpoint, SignedCheckpoint) {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(3000);
    changes(&mut log, 6);
    let middle = log.checkpoint().clone();
    changes(&mut log, 6);
    assert!(scratch.segments().len() > 1);
    let end = log.checkpoint().clone();
    (scratch, middle, end)
}

fn findings(scratch: &Scratch, kept: &[SignedCheckpoint]) -> Vec<Finding> {
    verify(&scratch.record(), &scratch.key(), kept).unwrap().findings
}

/// Which line holds the record with this sequence.
fn line_of(lines: &[String], sequence: u64) -> usize {
    lines.iter().position(|line| line.starts_with(&format!("{{\"sequence\":{sequence},"))).unwrap()
}

fn without_checkpoints(scratch: &Scratch) {
    for slot in ["checkpoint.0", "checkpoint.1"] {
        std::fs::remove_file(scratch.record().join(slot)).unwrap();
    }
}

#[test]
fn an_untouched_record_is_intact() {
    let (scratch, middle, end) = record();
    let verification = verify(&scratch.record(), &scratch.key(), &[middle, end]).unwrap();
    assert_eq!(verification.findings, []);
    assert_eq!((verification.records, verification.kept, verification.unfinished_bytes), (24, 2, 0));
}

#[test]
fn an_edited_record_is_named() {
    let (scratch, _, _) = record();
    scratch.meddle(0, |lines| {
        let line = line_of(lines, 4);
        lines[line] = lines[line].replace("alice", "mallory");
    });
    assert_eq!(findings(&scratch, &[]), [Finding::Altered { from: 4, to: 5 }]);
}

#[test]
fn a_removed_record_is_named() {
    let (scratch, _, _) = record();
    scratch.meddle(0, |lines| {
        let line = line_of(lines, 4);
        lines.drain(line..line + 2);
    });
    let found = findings(&scratch, &[]);
    assert!(found.contains(&Finding::Misplaced { expected: 4, found: Some(5) }), "{found:?}");
}

#[test]
fn reordered_records_are_named() {
    let (scratch, _, _) = record();
    scratch.meddle(0, |lines| {
        let (one, other) = (line_of(lines, 4), line_of(lines, 6));
        lines.swap(one, other);
    });
    let found = findings(&scratch, &[]);
    assert!(found.contains(&Finding::Misplaced { expected: 4, found: Some(6) }), "{found:?}");
}

#[test]
fn an_inserted_record_is_named() {
    let (scratch, _, _) = record();
    scratch.meddle(0, |lines| {
        let line = line_of(lines, 4);
        lines.insert(line, lines[line].clone());
    });
    assert!(!findings(&scratch, &[]).is_empty());
}

#[test]
fn a_removed_segment_is_named() {
    let (scratch, _, _) = record();
    let [first, .., last] = &scratch.segments()[..] else { panic!() };
    let copy = scratch.copy();
    std::fs::remove_file(copy.record().join(first.file_name().unwrap())).unwrap();
    assert!(matches!(findings(&copy, &[])[0], Finding::Missing { from: 0, .. }));
    let copy = scratch.copy();
    std::fs::remove_file(copy.record().join(last.file_name().unwrap())).unwrap();
    assert!(matches!(findings(&copy, &[])[0], Finding::Truncated { kept: 24, .. }));
}

#[test]
fn a_truncated_record_is_seen_by_the_checkpoint_beside_it_and_by_one_kept_elsewhere() {
    let (scratch, middle, end) = record();
    let last = scratch.segments().len() - 1;
    scratch.meddle(last, |lines| lines.truncate(lines.len() - 4));
    let truncated = [Finding::Truncated { kept: 24, present: 22 }];
    assert_eq!(findings(&scratch, &[]), truncated);
    without_checkpoints(&scratch);
    // What remains is a record that was true once: nothing on this host can tell.
    assert_eq!(findings(&scratch, std::slice::from_ref(&middle)), []);
    assert_eq!(findings(&scratch, &[middle, end]), truncated);
}

#[test]
fn a_record_rewritten_with_its_own_key_is_seen_by_a_kept_checkpoint_alone() {
    let (scratch, middle, _) = record();
    let key = std::fs::read(scratch.record().join("key")).unwrap();
    let other = Scratch::new();
    std::fs::create_dir_all(other.record()).unwrap();
    std::fs::write(other.record().join("key"), key).unwrap();
    std::fs::copy(scratch.record().join("key.pub"), other.record().join("key.pub")).unwrap();
    let (mut log, _) = other.open();
    for _ in 0..24 {
        log.note(entry("link.remove", "evidence", "root"), &at(0)).unwrap();
    }
    let verification = verify(&other.record(), &scratch.key(), &[]).unwrap();
    assert!(verification.is_intact());
    assert!(verification.caveats()[0].contains("root on its host"), "it says that it can't know");
    assert_eq!(findings(&other, &[middle]), [Finding::Rewritten { kept: 12 }]);
}

#[test]
fn heads_that_were_made_to_fit_have_no_signature() {
    let (scratch, _, _) = record();
    // Another record of the same length, signed with another key.
    let other = Scratch::new();
    let (mut log, _) = other.open_with(3000);
    changes(&mut log, 12);
    for (from, to) in other.segments().iter().zip(scratch.segments()) {
        std::fs::copy(from, to).unwrap();
    }
    let found = findings(&scratch, &[]);
    assert!(found.contains(&Finding::ForgedHead { size: 24 }), "{found:?}");
}

#[test]
fn every_flipped_bit_of_a_record_is_seen() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open();
    changes(&mut log, 2);
    drop(log);
    let path = &scratch.segments()[0];
    let good = std::fs::read(path).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        std::fs::write(path, &bad).unwrap();
        let in_head = good[..place].rsplit(|byte| *byte == b'\n').next().unwrap().starts_with(b"=");
        let found = findings(&scratch, &[]);
        assert!(!found.is_empty() || in_head, "byte {place}: {:?}", String::from_utf8_lossy(&bad));
    }
}

#[test]
fn a_damaged_record_is_not_written_over() {
    let (scratch, _, _) = record();
    let last = scratch.segments().len() - 1;
    scratch.meddle(last, |lines| {
        let line = lines.iter().position(|line| line.starts_with('{')).unwrap();
        lines[line] = lines[line].replace("alice", "mallory");
    });
    let before = std::fs::read(&scratch.segments()[last]).unwrap();
    let open = |anyway: bool| {
        let by = if anyway { Log::open_anyway } else { Log::open };
        by(&scratch.record(), "example.org/test", Limits::default(), &at(0))
    };
    let refused = open(false).unwrap_err();
    assert_eq!(refused.kind(), Kind::Host);
    assert!(refused.one_line().contains("is not what was signed"), "{}", refused.one_line());
    let (log, opening) = open(true).unwrap();
    let (aside, _) = opening.set_aside.unwrap();
    assert!(opening.created && log.checkpoint().size() == 1, "the new one says what happened");
    let name = scratch.record().join("x").with_file_name(before.len().to_string());
    assert!(!name.exists());
    let kept = std::fs::read_dir(&aside).unwrap().filter_map(|file| std::fs::read(file.unwrap().path()).ok());
    assert!(kept.into_iter().any(|content| content == before));
    assert!(aside.starts_with(scratch.path()));
}

#[test]
fn a_record_that_was_cut_is_not_gone_on_with() {
    for what in ["records", "segments", "key"] {
        let (scratch, _, _) = record();
        match what {
            "records" => {
                let last = scratch.segments().len() - 1;
                scratch.meddle(last, |lines| lines.truncate(lines.len() - 2));
            }
            "segments" => scratch.segments().iter().for_each(|path| std::fs::remove_file(path).unwrap()),
            _ => std::fs::remove_file(scratch.record().join("key")).unwrap(),
        }
        let opened = Log::open(&scratch.record(), "example.org/test", Limits::default(), &at(0));
        assert!(opened.unwrap_err().to_string().contains("damaged"), "{what}");
    }
}
