//! A crash at any moment loses nothing that was acknowledged, and what it tore is repaired and told.

use crate::scratch::{Scratch, at, changes};
use haven_audit::{Query, verify};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

#[test]
fn an_append_torn_at_any_byte_is_cut_off_and_recorded() {
    let whole = Scratch::new();
    let (mut log, _) = whole.open();
    changes(&mut log, 2);
    drop(log);
    let path = whole.segments()[0].clone();
    let content = std::fs::read(&path).unwrap();
    // The last append: the lines of its record and of its head. Its checkpoint was not written yet.
    let lines: Vec<usize> =
        content.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(place, _)| place + 1).collect();
    let start = lines[lines.len() - 3];
    for slot in ["checkpoint.0", "checkpoint.1"] {
        std::fs::remove_file(whole.record().join(slot)).unwrap();
    }
    for end in start..content.len() {
        let torn = whole.copy();
        std::fs::write(&torn.segments()[0], &content[..end]).unwrap();
        let (log, opening) = torn.open();
        assert_eq!(opening.cut_bytes, end - start, "torn at {end}");
        assert_eq!(opening.unfinished.len(), 1, "the second change's ending was torn");
        drop(log);
        let verification = verify(&torn.record(), &torn.key(), &[]).unwrap();
        assert_eq!(verification.findings, [], "torn at {end}");
        let repaired = Query { action: Some("audit.repair".into()), ..Query::default() };
        let told = repaired.ask(&torn.record()).unwrap().0.len();
        assert_eq!(told, usize::from(end > start));
    }
}

#[test]
fn verifying_a_record_in_use_finds_nothing_wrong() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open_with(5000);
    changes(&mut log, 3);
    let path = scratch.record();
    let key = scratch.key();
    let watcher = std::thread::spawn(move || {
        for _ in 0..50 {
            let verification = verify(&path, &key, &[]).unwrap();
            assert_eq!(verification.findings, []);
        }
    });
    while !watcher.is_finished() {
        changes(&mut log, 5);
    }
    watcher.join().unwrap();
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged() {
    let variable = "HAVEN_TEST_APPEND_TO";
    if std::env::var_os(variable).is_some() {
        let scratch = std::mem::ManuallyDrop::new(Scratch::of(variable));
        let (mut log, _) = scratch.open_with(20_000);
        loop {
            changes(&mut log, 1);
            println!("acknowledged {}", log.checkpoint().size());
        }
    }
    let scratch = Scratch::new();
    let mut unfinished = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::a_kill_at_any_moment_loses_nothing_that_was_acknowledged",
                "--nocapture",
            ])
            .env(variable, scratch.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        let mut take = |line: String| {
            if let Some((_, size)) = line.split_once("acknowledged ") {
                acknowledged = size.parse::<u64>().unwrap();
            }
        };
        for line in said.by_ref().take(3) {
            take(line.unwrap());
        }
        std::thread::sleep(std::time::Duration::from_micros(3000 + round * 1777 % 9000));
        child.kill().unwrap();
        child.wait().unwrap();
        said.map_while(Result::ok)
            .filter(|line| line.ends_with(|c: char| c.is_ascii_digit()))
            .for_each(&mut take);
        let (mut log, opening) = scratch.open_with(20_000);
        assert!(acknowledged > 0 && log.checkpoint().size() >= acknowledged, "{acknowledged}");
        unfinished += opening.unfinished.len();
        log.end_unfinished("killed", &at(0)).unwrap();
        let verification = verify(&scratch.record(), &scratch.key(), &[]).unwrap();
        assert_eq!(verification.findings, []);
    }
    assert!(unfinished > 0, "no kill hit a change");
}
