//! Names: who is found by whom, and who may ask the outside.

use crate::networks::{address, serving};
use haven_tests::{BUSYBOX, House, Running, eventually, probe};

/// What a look-up in a container says.
fn look_up(house: &House, from: &str, name: &str) -> String {
    let answer = house.haven(&format!("exec {from} nslookup -type=a {name} 169.254.1.1")).run();
    format!("{}{}", answer.stdout, answer.stderr)
}

/// The addresses it found.
fn found(house: &House, from: &str, name: &str) -> Vec<String> {
    let text = look_up(house, from, name);
    // The first address is the server's own.
    let addresses = text.lines().filter_map(|line| line.strip_prefix("Address: "));
    let mut found: Vec<String> = addresses.filter(|a| !a.contains(":53")).map(str::to_owned).collect();
    found.sort();
    found
}

/// A name server of the outside that answers every question for an IPv4 address with 203.0.113.77.
fn outside_server(house: &House) -> Running {
    let mut server = house.outside(&format!("{} name-server 192.0.2.2", probe().display())).start();
    server.wait_for("ready");
    server
}

#[test]
fn a_name_is_found_by_those_whom_a_link_lets_reach_it() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create shop").succeeds();
    serving(&house, "api", "--network shop");
    serving(&house, "db", "--network shop --network-alias store --expose 5432");
    let db = address(&house, "db", "shop");
    assert_eq!(found(&house, "api", "api"), [address(&house, "api", "shop")], "everybody finds himself");
    assert!(look_up(&house, "api", "db").contains("REFUSED"), "{}", look_up(&house, "api", "db"));
    let suggested = house.haven("link suggest --from api").succeeds();
    assert_eq!(suggested, "haven link add api db 5432/tcp");
    house.haven("link add api db 80/tcp").succeeds();
    for name in ["db", "DB", "store", "db.shop", "store.shop"] {
        assert_eq!(found(&house, "api", name), [db.as_str()], "{name}");
    }
    assert!(look_up(&house, "db", "api").contains("REFUSED"), "a link has one direction");
    let reverse = db.split('.').rev().collect::<Vec<_>>().join(".") + ".in-addr.arpa";
    let named = house.haven(&format!("exec api nslookup -type=ptr {reverse} 169.254.1.1")).run().stdout;
    assert!(named.contains("name = db.shop"), "{named}");
    // The container's own settings lead here, and after a restart of the daemon too.
    assert!(house.haven("exec api cat /etc/resolv.conf").succeeds().contains("nameserver 169.254.1.1"));
    house.kill_daemon();
    house.start_daemon();
    assert_eq!(found(&house, "api", "db"), [db.as_str()]);
    house.haven("rm -f db").succeeds();
    assert!(found(&house, "api", "db").is_empty());
}

#[test]
fn on_an_open_network_everybody_is_found_and_replicas_together() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    for network in ["one", "two"] {
        house.docker(&format!("network create {network}")).succeeds();
        serving(&house, &format!("{network}-web"), &format!("--network {network}"));
        for n in [1, 2] {
            serving(&house, &format!("{network}-db-{n}"), &format!("--network {network} --network-alias db"));
        }
        let mut expected = [1, 2].map(|n| address(&house, &format!("{network}-db-{n}"), network));
        expected.sort();
        // Who is on the other network has the same alias, and is not meant.
        assert_eq!(found(&house, &format!("{network}-web"), "db"), expected);
    }
    assert!(look_up(&house, "one-web", "two-web").contains("REFUSED"));
    house.haven("network connect --alias late two one-web").succeeds();
    assert_eq!(found(&house, "two-web", "late"), [address(&house, "one-web", "two")]);
}

#[test]
fn names_of_the_outside_are_for_those_who_may_go_there() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    let _server = outside_server(&house);
    house.haven("network create shut").succeeds();
    serving(&house, "inner", "--network shut --dns 192.0.2.2");
    assert!(look_up(&house, "inner", "www.example.com").contains("REFUSED"));
    let denied = house.haven("denied --format").arg("{{.From}} {{.To}} {{.Traffic}}").succeeds();
    assert!(denied.lines().any(|line| line == "inner @outside name www.example.com"), "{denied}");
    let link = house.haven("link add inner @outside 443/tcp").succeeds();
    assert_eq!(found(&house, "inner", "www.example.com"), ["203.0.113.77"]);
    house.haven("link rm").arg(&link).succeeds();
    assert!(look_up(&house, "inner", "www.example.com").contains("REFUSED"));
}

#[test]
fn nonsense_and_floods_hold_up_nobody_else() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create --open yard").succeeds();
    serving(&house, "good", "--network yard");
    serving(&house, "bad", "--network yard");
    // Somebody who sends what is no question, and many of them.
    house
        .haven("exec -d bad sh -c")
        .arg("while :; do head -c 300 /dev/urandom | nc -u -w 0 169.254.1.1 53; done")
        .succeeds();
    house
        .haven("exec -d bad sh -c")
        .arg("while :; do head -c 9000 /dev/urandom | nc -w 1 169.254.1.1 53; done")
        .succeeds();
    for _ in 0..20 {
        assert_eq!(found(&house, "good", "bad"), [address(&house, "bad", "yard")]);
    }
    // The host offers nothing else at that address, and answers nobody from elsewhere.
    let other =
        house.haven("run --rm --network yard").args([BUSYBOX, "nc", "-w", "2", "169.254.1.1", "22"]).run();
    assert_ne!(other.code, 0);
    eventually("the daemon answers", || house.haven("version").run().code == 0);
}
