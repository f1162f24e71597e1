//! Who can reach what, as the daemon tells it, and policies that hold changes up.

use crate::networks::serving;
use haven_tests::{BUSYBOX, House, Options};
use std::fs;

/// A file that a daemon's configuration names, gone with the value.
pub(crate) struct Fleeting(pub(crate) std::path::PathBuf);

impl Fleeting {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("haven-{}-{name}", std::process::id())))
    }
}

impl Drop for Fleeting {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[test]
fn what_is_exposed_is_told_with_the_way() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create shop").succeeds();
    serving(&house, "web", "--network shop -p 8080:80");
    serving(&house, "db", "--network shop");
    house.haven("link add web db 5432/tcp").succeeds();
    let told = house.haven("exposure db").succeeds();
    assert!(told.contains("web → db by link 1 (5432/tcp)"), "{told}");
    assert!(told.contains("@outside → web by published 0.0.0.0:8080->80/tcp"), "{told}");
    let told = house.haven("exposure --from internet").succeeds();
    let (direct, beyond) = told.split_once("by way of others:").expect("both");
    assert!(direct.contains("web") && !direct.contains("db") && beyond.contains("db"), "{told}");
    let planned = house.haven("exposure --diff").arg("rm 1").succeeds();
    assert!(planned.contains("- web → db by link 1 (5432/tcp)"), "{planned}");
    assert!(planned.contains("can no longer be got at from outside: db"), "{planned}");
    assert!(house.haven("exposure --choke-points").succeeds().contains("web: conceals 1"));
    // What people forget.
    house
        .haven(&format!("run -d --name tool --network shop -v /var/run:/host-run {BUSYBOX} sleep 60"))
        .succeeds();
    assert!(house.haven("exposure @host").succeeds().contains("tool → @host by engine's socket"));
    house.haven("exposure nobody").fails().says("nobody is called `nobody`");
}

#[test]
fn a_policy_refuses_what_it_forbids_unless_glass_is_broken_with_a_reason() {
    let file = Fleeting::new("policy.toml");
    let policy = &file.0;
    fs::write(policy, "assert = [{ rule = \"deny * -> vault\", because = \"keys\" }]").expect("a policy");
    let config = format!("[network]\npolicy = \"{}\"\n", policy.display());
    let house = House::open_with(Options { config, ..Options::default() });
    if house.is_peer() {
        return;
    }
    serving(&house, "web", "");
    serving(&house, "vault", "");
    house.haven("policy test").succeeds();
    house.haven("link add web vault 80/tcp --reason curiosity").fails().says("deny * -> vault").says("keys");
    house.haven("--break-glass link add web vault 80/tcp").fails().says("takes a reason");
    house
        .haven(&format!("run -d --name hole --network host {BUSYBOX} sleep 60"))
        .fails()
        .says("policy forbids it");
    house.haven("link ls --quiet").succeeds();
    let id = house.haven("--break-glass link add web vault 80/tcp --reason fire").succeeds();
    house.haven("policy test").exits(1).says("BROKEN deny * -> vault");
    let told = house.haven("audit --action link --format").arg("{{.State}} {{.Reason}}").succeeds();
    assert_eq!(
        told.lines().map(str::trim).collect::<Vec<_>>(),
        ["applied (against policy) fire", "failed", "failed curiosity"]
    );
    // What is broken already holds up nothing that has no part in it.
    house.haven("network create yard").succeeds();
    house.haven("link rm").arg(&id).succeeds();
    // Without its policy the daemon changes nothing.
    fs::write(policy, "assert = [").expect("a broken policy");
    house.haven("link add web vault 80/tcp").fails().says("cannot go by the policy");
}

#[test]
fn publishing_is_recorded_with_what_it_exposes() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "web", "");
    house.haven("publish web 8080:80 --reason demo").succeeds();
    let told = house.haven("exposure web --from internet").succeeds();
    assert!(told.contains("@outside → web by published 0.0.0.0:8080->80/tcp"), "{told}");
    house.haven("unpublish web 8080:80").succeeds();
    let told = house.haven("exposure web --from internet").succeeds();
    assert_eq!(told, "nobody");
    let recorded = house.haven("audit export --action port --exposed web").succeeds();
    let lines: Vec<&str> = recorded.lines().collect();
    assert_eq!(lines.len(), 2, "{recorded}");
    for (line, parts) in lines.iter().zip([
        ["\"action\":\"port.publish\"", "\"directly_exposed\":[\"web\"]", "\"reason\":\"demo\""],
        ["\"action\":\"port.unpublish\"", "\"directly_concealed\":[\"web\"]", "\"result\":\"applied\""],
    ]) {
        for part in parts {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
