//! What is recorded stays, is found again, and is told in full.

use crate::scratch::{Scratch, at, changes, entry};
use haven_audit::{Ending, Entry, Log, Object, Query, verify};

fn ask(scratch: &Scratch, query: Query) -> Vec<u64> {
    let (found, unread) = query.ask(&scratch.record()).unwrap();
    assert_eq!(unread, 0);
    found.iter().map(|change| change.sequence).collect()
}

#[test]
fn a_record_goes_on_where_it_was_left() {
    let scratch = Scratch::new();
    let (mut log, opening) = scratch.open();
    assert!(opening.created);
    changes(&mut log, 5);
    let kept = log.checkpoint().clone();
    drop(log);
    let (mut log, opening) = scratch.open();
    assert!(!opening.created && opening.cut_bytes == 0 && opening.unfinished.is_empty());
    assert_eq!(*log.checkpoint(), kept);
    changes(&mut log, 5);
    assert_eq!(log.checkpoint().size(), 20);
    let verification = verify(&scratch.record(), &scratch.key(), &[kept]).unwrap();
    assert_eq!((verification.records, &verification.findings[..]), (20, &[][..]));
    assert_eq!(verification.checkpoint.as_ref(), Some(log.checkpoint()));
}

#[test]
fn only_one_process_appends() {
    let scratch = Scratch::new();
    let (_log, _) = scratch.open();
    let refused = Log::open(&scratch.record(), "x", Default::default(), &at(0)).unwrap_err();
    assert_eq!(refused.kind(), haven_spec::Kind::Conflict);
}

#[test]
fn a_change_without_an_ending_is_reported_until_it_is_ended() {
    let scratch = Scratch::new();
    // Small segments: the intent is in an earlier one than the last.
    let (mut log, _) = scratch.open_with(500);
    let change = log.begin(entry("link.add", "db", "alice"), &at(1)).unwrap();
    changes(&mut log, 6);
    drop(log);
    assert!(scratch.segments().len() > 3);
    let (mut log, opening) = scratch.open_with(500);
    let unfinished: Vec<_> = opening.unfinished.iter().map(|record| record.sequence).collect();
    assert_eq!(unfinished, [change]);
    assert_eq!(opening.unfinished[0].entry().unwrap().objects[0].name, "db");
    log.end_unfinished("interrupted", &at(9)).unwrap();
    assert!(log.end(change, Ending::applied(), &at(9)).is_err(), "it has ended");
    drop(log);
    assert!(scratch.open().1.unfinished.is_empty());
    let (found, _) = Query { object: Some("db".into()), ..Query::default() }.ask(&scratch.record()).unwrap();
    assert_eq!(found[0].state(), "unknown");
}

#[test]
fn questions_find_what_they_ask_for_and_nothing_else() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(700);
    let add = log.begin(entry("link.add", "api", "alice"), &at(10)).unwrap();
    log.end(add, Ending::failed("policy forbids it"), &at(11)).unwrap();
    let exposing =
        Entry { affected: vec![Object::new("container", "vault")], ..entry("link.add", "web", "bob") };
    let exposing = log.begin(exposing, &at(20)).unwrap();
    let login = log.note(entry("login", "console", "alice"), &at(30)).unwrap();
    let linked = log.begin(entry("linkage", "api", "carol"), &at(40)).unwrap();
    let query = Query::default;
    let some = |text: &str| Some(text.to_owned());
    let since = |second| Some(at(second).wall);
    assert_eq!(ask(&scratch, query()), [linked, login, exposing, add]);
    assert_eq!(ask(&scratch, Query { limit: 2, ..query() }), [linked, login]);
    assert_eq!(ask(&scratch, Query { object: some("api"), ..query() }), [linked, add]);
    assert!(ask(&scratch, Query { object: some("vault"), ..query() }).is_empty());
    assert_eq!(ask(&scratch, Query { exposed: some("container:vault"), ..query() }), [exposing]);
    assert_eq!(ask(&scratch, Query { actor: some("alice"), ..query() }), [login, add]);
    assert_eq!(ask(&scratch, Query { action: some("link"), ..query() }), [exposing, add]);
    assert_eq!(ask(&scratch, Query { since: since(20), until: since(40), ..query() }), [login, exposing]);
    let (all, _) = query().ask(&scratch.record()).unwrap();
    let states: Vec<_> = all.iter().map(|change| change.state()).collect();
    assert_eq!(states, ["begun", "noted", "begun", "failed"]);
    assert_eq!(all[3].ending.as_ref().unwrap().detail.as_deref(), Some("policy forbids it"));
}

#[test]
fn many_events_cost_few_writes_and_are_all_there() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open();
    let events = (0..2500).map(|n| entry("link.expire", &format!("app{n}"), "clock")).collect();
    assert_eq!(log.note_all(events, &at(0)).unwrap(), Some(2499));
    assert_eq!(log.note_all(Vec::new(), &at(0)).unwrap(), None);
    let text = std::fs::read_to_string(&scratch.segments()[0]).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("= ")).count(), 4);
    assert!(verify(&scratch.record(), &scratch.key(), &[]).unwrap().is_intact());
}

#[test]
fn proofs_hold_for_who_has_only_checkpoints() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(1000);
    changes(&mut log, 7);
    let old = log.checkpoint().clone();
    changes(&mut log, 12);
    let new = log.checkpoint().clone();
    let consistency = log.prove_consistency(old.size()).unwrap();
    assert!(consistency.holds(old.checkpoint(), new.checkpoint()));
    assert!(!consistency.holds(new.checkpoint(), new.checkpoint()));
    let text = std::fs::read_to_string(&scratch.segments()[0]).unwrap();
    let line = text.lines().find(|line| line.starts_with("{\"sequence\":2,")).unwrap();
    let inclusion = log.prove_inclusion(2).unwrap();
    assert!(inclusion.holds(line.as_bytes(), new.checkpoint()));
    assert!(!inclusion.holds(line.replace("alice", "bob").as_bytes(), new.checkpoint()));
    assert!(!inclusion.holds(line.as_bytes(), old.checkpoint()));
    assert!(log.prove_inclusion(new.size()).is_err() && log.prove_consistency(new.size() + 1).is_err());
}

#[test]
fn a_record_as_long_as_its_fields_may_be_is_taken() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open();
    let long = |count| "\u{1}".repeat(count);
    let objects = vec![Object::new(long(9999), long(9999)).with_id(long(9999)); 9999];
    let mut huge =
        Entry { objects: objects.clone(), affected: objects, ..entry(&long(99_999), "x", &long(99_999)) };
    for value in [&mut huge.before, &mut huge.after, &mut huge.exposure] {
        *value = Some(long(32 * 1024 / 6 - 1).into());
    }
    huge.actor.exe = Some(long(99_999));
    huge.reason = Some(long(99_999));
    log.note(huge, &at(0)).unwrap();
    drop(log);
    assert_eq!(scratch.open().0.checkpoint().size(), 1);
}

#[test]
fn the_signing_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    drop(scratch.open());
    let mode =
        |name: &str| std::fs::metadata(scratch.record().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("key"), mode("key.pub"), mode(".")), (0o600, 0o644, 0o700));
}
