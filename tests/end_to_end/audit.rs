//! The audit record: who changed what, and that it can't be altered unseen.

use crate::exposure::Fleeting;
use crate::networks::serving;
use haven_tests::{BUSYBOX, House, eventually};
use std::fs;

const TABLE: &str = "{{.Action}} {{.Objects}} {{.State}} {{.Reason}}";

/// What is on record, the newest first, without the house's own beginnings.
fn record(house: &House, line: &str) -> Vec<String> {
    let shown = house.haven(&format!("audit {line} --format")).arg(TABLE).succeeds();
    let lines = shown.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.starts_with("image.") && !line.starts_with("audit.")).collect()
}

#[test]
fn every_change_is_on_record_with_who_and_why() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create shop").succeeds();
    serving(&house, "api", "--network shop");
    serving(&house, "db", "--network shop");
    let id = house.haven("link add api db 80/tcp --reason orders --owner ops").succeeds();
    house.haven("link add api db 80/tcp").fails();
    house.haven("--reason tidying link rm").arg(&id).succeeds();
    house
        .haven(&format!("run -d --name helper --privileged -p 127.0.0.1:8000:80 {BUSYBOX} sleep 60"))
        .succeeds();
    house.haven("network connect shop helper").succeeds();
    house.haven("rm -f helper").succeeds();
    // What nobody waits for is there a moment later.
    eventually("the removal is recorded", || {
        record(&house, "").first().is_some_and(|line| line.contains("remove"))
    });
    let lines = record(&house, "");
    let about = |beginning: &str| {
        lines.iter().filter(|line| line.starts_with(beginning)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(about("network.create"), ["network.create network:shop applied"]);
    assert_eq!(about("network.connect"), ["network.connect network:shop container:helper applied"]);
    assert_eq!(
        about("link."),
        [
            format!("link.remove link:{id} application:api application:db applied tidying"),
            "link.add application:api application:db failed".to_owned(),
            "link.add application:api application:db applied orders".to_owned(),
        ]
    );
    assert_eq!(about("container.create").len(), 3, "{lines:?}");
    let details = house.haven("audit --object helper --action container.create --as json export").succeeds();
    for detail in [
        "\"privileged\":true",
        "127.0.0.1:8000->80/tcp",
        "can take over the host",
        "\"user\":\"root\"",
        "\"client\":\"cli\"",
    ] {
        assert!(details.contains(detail), "{detail}: {details}");
    }
    assert_eq!(record(&house, "--actor root --action link").len(), 3);
    assert_eq!(record(&house, "--actor nobody --action link").len(), 0);
    assert_eq!(record(&house, "--since 7d --object db").len(), 4);
    // Another client is told apart, and what it does is recorded alike.
    house.docker("network create yard").succeeds();
    let client = house.haven("audit --object yard --format").arg("{{.Client}}").succeeds();
    assert!(client.starts_with("docker api ("), "{client}");
    // It is under `db` that a change is found which exposes it without naming it.
    serving(&house, "front", "-p 8080:80");
    house.haven("link add front api 80/tcp").succeeds();
    house.haven("link add api db 80/tcp").succeeds();
    let exposing = record(&house, "--exposed front --action link");
    assert_eq!(exposing.len(), 2, "{exposing:?}");
    for format in ["rfc5424", "ocsf"] {
        let exported = house.haven(&format!("audit export --as {format} --action link")).succeeds();
        assert_eq!(exported.lines().count(), 5, "{exported}");
    }
}

#[test]
fn a_link_that_expires_and_a_firewall_that_is_changed_are_on_record() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create shop").succeeds();
    house.haven("link add network:shop network:shop --expires 1s").succeeds();
    eventually("it expires", || !record(&house, "--action link.expire").is_empty());
    house.host("nft flush ruleset").succeeds();
    eventually("it is put right", || !record(&house, "--action firewall").is_empty());
    assert_eq!(
        record(&house, "--action link.expire"),
        ["link.expire link:1 network:shop network:shop applied its time has come"]
    );
}

#[test]
fn what_was_done_to_the_record_is_seen() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create one").succeeds();
    let kept = house.stage().path("kept");
    fs::write(&kept, format!("{}\n", house.haven("audit checkpoint").succeeds())).expect("a file");
    house.haven("network create two").succeeds();
    house.haven("audit verify --kept").arg(kept.display().to_string()).succeeds();
    house.haven("audit verify").succeeds();
    house.kill_daemon();
    house.start_daemon();
    house.haven("audit verify --kept").arg(kept.display().to_string()).succeeds();
    // A copy is checked with the public key alone.
    let copy = house.stage().path("copy");
    let take = |from: &std::path::Path, to: &std::path::Path| {
        fs::create_dir_all(to).expect("a directory");
        for file in fs::read_dir(from).expect("the record").flatten() {
            fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    };
    let original = house.data_root().join("audit");
    take(&original, &copy);
    fs::remove_file(copy.join("key")).expect("the copy needs no signing key");
    let verify = |copy: &std::path::Path| {
        house
            .haven("audit verify --directory")
            .arg(copy.display().to_string())
            .arg("--kept")
            .arg(kept.display().to_string())
    };
    verify(&copy).succeeds();
    let segment = copy.join(format!("{:020}.records", 0));
    let text = fs::read_to_string(&segment).expect("a segment");
    fs::write(&segment, text.replacen("network.create", "network.remove", 1)).expect("an edit");
    verify(&copy).exits(1).says("was altered");
    // Cut off where nothing beside it tells: the kept checkpoint does.
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&segment, lines[..4].join("\n") + "\n").expect("a cut");
    for slot in ["checkpoint.0", "checkpoint.1"] {
        fs::remove_file(copy.join(slot)).expect("a slot");
    }
    verify(&copy).exits(1).says("there were");
}

#[test]
fn a_change_that_cannot_be_recorded_is_not_made() {
    let mut house = House::open_with(haven_tests::Options { disk_megabytes: Some(64), ..Default::default() });
    if house.is_peer() {
        return;
    }
    let filler = house.data_root().join("filler");
    house.host(&format!("dd if=/dev/zero of={} bs=64k", filler.display())).run();
    // The record's last page may have room for a few more.
    let refused = (0..50).map(|_| house.haven("network create shop").fails().story());
    let last = refused.into_iter().find(|story| story.contains("cannot be recorded"));
    assert!(last.is_some_and(|story| story.contains("make room on the disk")));
    house.host(&format!("rm -f {}", filler.display())).succeeds();
    // The state database wants to be opened anew after a failed write.
    house.kill_daemon();
    house.start_daemon();
    house.haven("network create shop").succeeds();
    house.haven("audit verify").succeeds();
}

#[test]
fn checkpoints_are_sent_to_syslog() {
    let file = Fleeting::new("syslog");
    let path = &file.0;
    let socket = std::os::unix::net::UnixDatagram::bind(path).expect("a socket");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a limit");
    let config = format!("[audit]\nsyslog = \"{}\"\n", path.display());
    let house = House::open_with(haven_tests::Options { config, ..Default::default() });
    let mut message = [0; 4096];
    let received = socket.recv(&mut message);
    if house.is_peer() {
        return;
    }
    let message = String::from_utf8_lossy(&message[..received.expect("a message")]).into_owned();
    assert!(message.starts_with("<109>1 ") && message.contains(" audit.checkpoint [haven@"), "{message}");
    // It is what the record can be held to.
    let (_, note) = message.split_once('\u{feff}').expect("a note");
    let kept = house.stage().path("kept");
    fs::write(&kept, note.replace("\\n", "\n")).expect("a file");
    house.haven("audit verify --kept").arg(kept.display().to_string()).succeeds();
}
