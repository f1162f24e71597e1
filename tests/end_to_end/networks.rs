//! Networks of users: closed and open ones, several for one container, coming and going while it runs.

use haven_tests::{BUSYBOX, House, eventually, probe};

/// A container that serves its own name on port 80.
pub(crate) fn serving(house: &House, name: &str, line: &str) {
    house.detached(&format!("--name {name} {line}"), &format!("exec /probe serve 80 {name}"));
    eventually("it listens", || reaches(house, name, "127.0.0.1", name));
}

/// Whether a container gets from port 80 of an address what `name` serves.
pub(crate) fn reaches(house: &House, from: &str, address: &str, name: &str) -> bool {
    house.haven(&format!("exec {from} /probe get {address} 80")).run().stdout.trim() == name
}

pub(crate) fn address(house: &House, name: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    house.inspect(name, &format)
}

/// Whether a container reaches somebody far away.
fn gets_out(house: &House, from: &str) -> bool {
    let _server = house.outside(&format!("{} serve 8000 far-away", probe().display())).start();
    let get = || house.haven(&format!("exec {from} /probe get 198.51.100.1 8000")).run();
    (0..20).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        get().stdout.trim() == "far-away"
    })
}

#[test]
fn a_network_is_closed_until_it_is_made_open() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    for (network, open, out) in [("shut", false, false), ("yard", true, false), ("road", true, true)] {
        let flags = format!("{} {}", if open { "--open" } else { "" }, if out { "--outbound" } else { "" });
        house.haven(&format!("network create {flags} {network}")).succeeds();
        let [one, two] = ["one", "two"].map(|n| format!("{network}-{n}"));
        serving(&house, &one, &format!("--network {network}"));
        serving(&house, &two, &format!("--network {network}"));
        assert_eq!(reaches(&house, &one, &address(&house, &two, network), &two), open, "{network}");
        assert_eq!(gets_out(&house, &one), out, "{network}");
    }
    // Open is open inside, not to others.
    assert!(!reaches(&house, "yard-one", &address(&house, "road-one", "road"), "road-one"));
    let listed = house.haven("network ls --format").arg("{{.Name}} {{.Inside}} {{.Outside}}").succeeds();
    for line in ["bridge closed open", "shut closed closed", "yard open closed", "road open open"] {
        assert!(listed.lines().any(|l| l == line), "{listed}");
    }
    // A network open inside is one element of the firewall, whoever is on it.
    let links = house.host("nft list map inet haven links_all").succeeds();
    assert_eq!(links.matches(" : 0x").count(), 2, "{links}");
}

#[test]
fn networks_of_docker_clients_are_as_those_clients_expect() {
    let house = House::open();
    house.docker("network create front").succeeds();
    house.docker("network create back").succeeds();
    serving(&house, "web", "--network front");
    serving(&house, "api", "--network front");
    serving(&house, "db", "--network back");
    assert!(reaches(&house, "web", &address(&house, "api", "front"), "api"));
    assert!(!reaches(&house, "web", &address(&house, "db", "back"), "db"));
    assert!(gets_out(&house, "web"));
    house.docker("network connect back api").succeeds();
    assert!(reaches(&house, "api", &address(&house, "db", "back"), "db"));
    assert!(!reaches(&house, "web", &address(&house, "db", "back"), "db"), "being between is no way through");
    house.docker("network rm front").fails().says("has active endpoints");
    house.docker("network disconnect back api").succeeds();
    assert!(!reaches(&house, "api", &address(&house, "db", "back"), "db"));
    house.docker("network create front").fails().says("network with name front already exists");
    let members = house.docker("network inspect front --format").arg("{{len .Containers}}").succeeds();
    assert_eq!(members, "2");
}

#[test]
fn nothing_leads_out_of_an_internal_network() {
    let house = House::open();
    house.haven("network create --internal --subnet 10.77.0.0/24 vault").succeeds();
    serving(&house, "safe", "--network vault --ip 10.77.0.9");
    assert_eq!(address(&house, "safe", "vault"), "10.77.0.9");
    if !house.is_peer() {
        house.haven("link add safe @outside").succeeds();
        house.haven("link test safe @outside").exits(1);
        house.haven("link add network:vault @outside").fails().says("internal");
    }
    assert!(!gets_out(&house, "safe"));
}

#[test]
fn a_container_changes_networks_while_it_runs_and_keeps_them() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create --open --subnet 10.78.0.0/24 blue").succeeds();
    house.haven("network create --open --subnet 10.79.0.0/24 red").succeeds();
    serving(&house, "web", "-p 8080:80");
    serving(&house, "inner", "--network red");
    house
        .haven("network connect --ip 10.79.0.5 --mac-address 02:00:00:00:00:05 --alias front red web")
        .succeeds();
    assert_eq!(address(&house, "web", "red"), "10.79.0.5");
    let shown = house.haven("exec web ip address show eth1").succeeds();
    assert!(shown.contains("02:00:00:00:00:05") && shown.contains("10.79.0.5/32"), "{shown}");
    let both = |house: &House| {
        reaches(house, "inner", "10.79.0.5", "web")
            && reaches(house, "web", &address(house, "inner", "red"), "inner")
            && gets_out(house, "web")
    };
    assert!(both(&house));
    house.haven("network connect red web").fails().says("already exists in network red");
    house.haven("network connect --ip 10.99.0.5 blue web").fails().says("no configured subnet contains");
    // The daemon comes and goes, the container starts again: it is where it was.
    house.kill_daemon();
    house.start_daemon();
    assert!(both(&house));
    house.haven("restart -t 0 web").succeeds();
    eventually("it is there again", || both(&house));
    house.haven("network disconnect default web").succeeds();
    assert!(reaches(&house, "inner", "10.79.0.5", "web") && !gets_out(&house, "web"));
    house.haven("network disconnect red web").succeeds();
    assert_eq!(house.haven("exec web ls /sys/class/net").succeeds(), "lo");
    house.haven("network connect blue web").succeeds();
    house.haven("network disconnect red web").fails().says("is not connected");
    house.haven("run -d --name guest --network host").args([BUSYBOX, "sleep", "1000"]).succeeds();
    house.haven("network connect blue guest").fails().says("sharing network namespace");
}

#[test]
fn networks_that_cannot_be_are_refused_and_unused_ones_are_pruned() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    for (line, words) in [
        ("--subnet 10.80.0.0/33 x", "10.80.0.0/33"),
        ("--subnet 10.80.0.0/31 x", "cannot be a network's subnet"),
        ("--subnet 192.0.2.0/25 x", "overlaps the host's route"),
        ("--subnet 10.80.0.0/24 --gateway 10.81.0.1 x", "not part of the subnet"),
        ("--gateway 10.80.0.1 x", "subnet"),
        ("--internal --outbound x", "contradict"),
        ("-o com.docker.network.bridge.name=br0 x", "bridge.name=br0"),
        ("host", "already exists"),
        ("a/b", "Invalid network name"),
    ] {
        house.haven(&format!("network create {line}")).fails().says(words);
    }
    house.haven("network create --subnet 10.80.0.0/30 tiny").succeeds();
    house.haven("network create --subnet 10.80.0.0/16 wide").fails().says("overlaps");
    serving(&house, "first", "--network tiny");
    house.haven("run --rm --network tiny").args([BUSYBOX, "true"]).exits(125).says("in use");
    house
        .haven("run --rm --network nowhere")
        .args([BUSYBOX, "true"])
        .exits(125)
        .says("network nowhere not found");
    house.haven("network create spare").succeeds();
    assert_eq!(house.haven("network prune --force").succeeds(), "Deleted Networks:\nspare");
    house.haven("network rm default").fails().says("pre-defined");
    house.haven("rm -f first").succeeds();
    assert_eq!(house.haven("network rm tiny").succeeds(), "tiny");
    // An interface's own route goes a moment after the interface.
    eventually("its routes are gone", || !house.host("ip route").run().stdout.contains("10.80."));
}
