//! What other systems are told.

use crate::scratch::{Scratch, at, entry};
use haven_audit::{
    Ending, Entry, ExportFormat, Object, Origin, Query, SignedCheckpoint, send_checkpoint, write_change,
};
use serde_json::{Value, json};

fn origin() -> Origin {
    Origin { host: "host one".into(), version: "0.1.0".into(), pid: 77 }
}

fn exported(change: Entry, ending: Option<Ending>, format: ExportFormat) -> String {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open();
    let sequence = log.begin(change, &at(0)).unwrap();
    if let Some(ending) = ending {
        log.end(sequence, ending, &at(1)).unwrap();
    }
    let (changes, _) = Query::default().ask(&scratch.record()).unwrap();
    let mut line = Vec::new();
    write_change(&mut line, &changes[0], format, &origin()).unwrap();
    String::from_utf8(line).unwrap()
}

#[test]
fn syslog_messages_are_one_line_each_whatever_a_reason_holds() {
    let mut change = entry("link.add", "db", "alice");
    change.reason = Some("a \"quoted\" ]\\ word\n<13>1 forged".into());
    let message = exported(change, Some(Ending::applied()), ExportFormat::Rfc5424);
    assert_eq!(
        message,
        "<109>1 2027-01-15T08:00:00.000000Z hostone haven 77 link.add [haven@32473 sequence=\"0\" boot=\"0123\" \
         client=\"cli\" result=\"applied\" uid=\"1000\" user=\"alice\" reason=\"a \\\"quoted\\\" \\]\\\\ word <13>1 forged\" \
         object=\"container:db\"] \u{feff}alice: link.add container:db: applied\n"
    );
    let failed =
        exported(entry("link.add", "db", "alice"), Some(Ending::failed("no")), ExportFormat::Rfc5424);
    assert!(failed.starts_with("<108>1 ") && failed.contains(" error=\"no\""), "{failed}");
}

#[test]
fn ocsf_events_have_what_the_class_requires() {
    let mut change = entry("link.add", "db", "alice");
    change.actor.pid = Some(9);
    change.actor.exe = Some("/usr/bin/haven".into());
    change.affected = vec![Object::new("container", "vault")];
    let event: Value =
        serde_json::from_str(&exported(change, Some(Ending::failed("no")), ExportFormat::Ocsf)).unwrap();
    for required in [
        "activity_id",
        "actor",
        "api",
        "category_uid",
        "class_uid",
        "metadata",
        "severity_id",
        "src_endpoint",
        "time",
        "type_uid",
    ] {
        assert!(!event[required].is_null(), "{required}");
    }
    assert_eq!((event["class_uid"].as_u64(), event["type_uid"].as_u64()), (Some(6003), Some(600_301)));
    assert_eq!(event["time"], 1_800_000_000_000_u64);
    assert_eq!((&event["status_id"], &event["status_detail"]), (&json!(2), &json!("no")));
    assert_eq!(event["actor"]["user"], json!({"name": "alice", "uid": "1000"}));
    assert_eq!(event["actor"]["process"]["file"]["path"], "/usr/bin/haven");
    assert_eq!(event["unmapped"]["affected"], json!(["container:vault"]));
    assert_eq!(event["resources"], json!([{"type": "container", "name": "db"}]));
}

#[test]
fn a_change_without_an_ending_is_exported_as_begun() {
    let line = exported(entry("link.add", "db", "alice"), None, ExportFormat::Json);
    let change: Value = serde_json::from_str(&line).unwrap();
    assert!(change["ending"].is_null() && change["action"] == "link.add" && change["noted"] == false);
    assert!(ExportFormat::parse("cef").is_err());
}

#[test]
fn a_checkpoint_sent_to_syslog_can_be_opened_again() {
    let scratch = Scratch::new();
    let (mut log, _) = scratch.open();
    log.note(entry("login", "x", "alice"), &at(0)).unwrap();
    let mut sent = Vec::new();
    send_checkpoint(&mut sent, log.checkpoint(), at(2).wall, &origin()).unwrap();
    let message = String::from_utf8(sent).unwrap();
    assert!(message.starts_with("<109>1 2027-01-15T08:00:02.000000Z hostone haven 77 audit.checkpoint ["));
    let note = message.split_once('\u{feff}').unwrap().1.replace("\\n", "\n");
    assert_eq!(SignedCheckpoint::open(&note, &scratch.key()).unwrap(), *log.checkpoint());
}
