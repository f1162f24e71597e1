//! Links: who may connect to whom, told by a person and held by the kernel.

use crate::networks::{address, reaches, serving};
use haven_tests::{House, eventually, probe};

/// What somebody outside gets from a port.
fn from_outside(house: &House, address: &str, port: u16) -> String {
    let line = format!("{} get {address} {port}", probe().display());
    house.outside(&line).run().stdout.trim().to_owned()
}

#[test]
fn of_three_tiers_only_the_proxy_is_reachable() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    house.haven("network create shop").succeeds();
    serving(&house, "proxy", "--network shop -p 8080:80");
    serving(&house, "app", "--network shop");
    serving(&house, "db", "--network shop");
    let first = house.haven("link add proxy app 80/tcp --reason pages --owner web").succeeds();
    let second = house.haven("link add app db 80/tcp --reason orders").succeeds();
    let tiers = ["proxy", "app", "db"];
    let reach = |house: &House| {
        let mut found = Vec::new();
        for from in tiers {
            for to in tiers.into_iter().filter(|to| *to != from) {
                if reaches(house, from, &address(house, to, "shop"), to) {
                    found.push(format!("{from}>{to}"));
                }
            }
        }
        found.join(" ")
    };
    assert_eq!(reach(&house), "proxy>app app>db");

    // From outside: everything that could be there is asked, and one port of one address answers.
    let addresses = tiers.map(|name| address(&house, name, "shop"));
    house.outside(&format!("ip route add {}/22 via 192.0.2.1", addresses[0])).run();
    for address in &addresses {
        house.outside(&format!("ip route replace {address} via 192.0.2.1")).succeeds();
    }
    let mut open = Vec::new();
    for address in addresses.iter().map(String::as_str).chain(["192.0.2.1"]) {
        for port in [22, 53, 80, 443, 5432, 8000, 8080] {
            let got = from_outside(&house, address, port);
            if !got.is_empty() {
                open.push(format!("{address}:{port} {got}"));
            }
        }
    }
    assert_eq!(open, ["192.0.2.1:8080 proxy"]);

    // It is the kernel that holds it, whatever becomes of the daemon.
    house.kill_daemon();
    let app = format!("{} get {} 80", probe().display(), addresses[1]);
    assert_eq!(house.outside(&app).run().stdout.trim(), "");
    house.start_daemon();
    assert_eq!(reach(&house), "proxy>app app>db");
    // What is made anew under the same name has the same links.
    house.haven("rm -f db").succeeds();
    assert_eq!(house.haven("link ls --filter state=waiting --quiet").succeeds(), second);
    serving(&house, "db", "--network shop");
    assert_eq!(reach(&house), "proxy>app app>db");
    // And each check fails without its link.
    house.haven(&format!("link rm {second}")).succeeds();
    assert_eq!(reach(&house), "proxy>app");
    house.haven(&format!("link rm {first}")).succeeds();
    assert_eq!(reach(&house), "");
    house.haven("link add network:shop network:shop").succeeds();
    assert_eq!(reach(&house).split(' ').count(), 6);
}

#[test]
fn a_link_is_on_record_with_who_and_why() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "api", "");
    serving(&house, "db", "");
    let id = house
        .haven("link add api db 80/tcp --reason")
        .arg("orders of the shop")
        .args(["--owner", "ops"])
        .succeeds();
    let shown = house
        .haven("link show --format")
        .arg("{{.From}} {{.To}} {{.Traffic}} {{.Owner}} {{.Reason}} {{.CreatedBy}}")
        .arg(&id);
    assert_eq!(shown.succeeds(), "api db 80/tcp ops orders of the shop 0");
    assert!(reaches(&house, "api", &address(&house, "db", "bridge"), "db"));
    let bytes = house.haven("link show --format {{.Bytes}}").arg(&id).succeeds();
    assert!(bytes.parse::<u64>().is_ok_and(|bytes| bytes > 0), "{bytes}");
    house
        .haven("link add api db 80/tcp")
        .fails()
        .says(&format!("link {id} is there already: api → db 80/tcp"));
    house.haven("link test api db 80/tcp").succeeds();
    house.haven("link test db api 80/tcp").exits(1);
    for (line, words) in [
        ("api nobody 80/tcp", "there is no container, application or network called `nobody`"),
        ("api db 0/tcp", "ports are numbers from 1 to 65535"),
        ("api db 70000", "ports are numbers from 1 to 65535"),
        ("api db 90-80", "ends before it begins"),
        ("api api", "at both ends"),
        ("@outside api 80", "cannot begin at"),
        ("api 2001:db8::/32 80", "IPv6 range"),
        ("api 10.210.0.0/16 80", "containers of network"),
        ("api db 81 --expires 2001-01-01", "would have expired already"),
        ("api db 81 --expires -1d", "passed already"),
        ("api @nowhere", "no end of a link"),
    ] {
        house.haven(&format!("link add {line}")).fails().says(words);
    }
    house.haven("link rm 999").fails().says("there is no link 999");
    // Numbers are not given twice, and links go where their container goes.
    house.haven("link rm").arg(&id).succeeds();
    house.kill_daemon();
    house.start_daemon();
    let next = house.haven("link add api db 80/tcp").succeeds();
    assert_ne!(next, id);
    house.haven("rename db store").succeeds();
    assert_eq!(house.haven("link show --format {{.To}}").arg(&next).succeeds(), "store");
    assert!(reaches(&house, "api", &address(&house, "store", "bridge"), "db"));
    house.haven("link add api container:later").succeeds();
    house.haven("rename store later").fails().says("links wait for a container called `later`");
}

#[test]
fn a_link_goes_at_its_time() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "api", "");
    serving(&house, "db", "");
    let mut events = house.events("--filter type=link");
    house.haven("link add api db 80/tcp --expires 3s").succeeds();
    let db = address(&house, "db", "bridge");
    assert!(reaches(&house, "api", &db, "db"));
    eventually("it has gone", || house.haven("link ls --quiet").succeeds().is_empty());
    assert!(!reaches(&house, "api", &db, "db"));
    events.wait_for("link expire");
    events.kill();
}

#[test]
fn replicas_of_an_application_share_its_links() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "db", "");
    serving(&house, "web-1", "--label haven.application=web");
    house.haven("link add web db 80/tcp").succeeds();
    serving(&house, "web-2", "--label haven.application=web");
    serving(&house, "other", "");
    let db = address(&house, "db", "bridge");
    assert!(reaches(&house, "web-1", &db, "db") && reaches(&house, "web-2", &db, "db"));
    assert!(!reaches(&house, "other", &db, "db"));
    house.haven("rm -f web-1").succeeds();
    assert!(reaches(&house, "web-2", &db, "db"));
    assert!(!reaches(&house, "db", &address(&house, "web-2", "bridge"), "web-2"));
}

#[test]
fn what_is_denied_is_counted_and_becomes_a_suggestion() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "api", "");
    serving(&house, "db", "");
    let db = address(&house, "db", "bridge");
    assert!(!reaches(&house, "api", &db, "db"));
    let denied = house.haven("denied --format").arg("{{.From}} {{.To}} {{.Traffic}}").succeeds();
    assert!(denied.lines().any(|line| line == "api db 80/tcp"), "{denied}");
    let suggested = house.haven("link suggest --from api").succeeds();
    assert_eq!(suggested, "haven link add api db 80/tcp");
    house.haven(suggested.trim_start_matches("haven ")).succeeds();
    assert!(reaches(&house, "api", &db, "db"));
}

#[test]
fn a_firewall_that_somebody_flushes_is_put_right() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "api", "");
    serving(&house, "db", "");
    serving(&house, "other", "-p 8080:80");
    house.haven("link add api db 80/tcp").succeeds();
    let mut events = house.events("--filter type=network");
    let before = house.host("nft -s list table inet haven").succeeds();
    for harm in [
        "flush ruleset",
        "delete table inet haven",
        "flush chain inet haven forward",
        "flush set inet haven live",
    ] {
        house.host(&format!("nft {harm}")).succeeds();
        eventually("it is as it was", || {
            house.host("nft -s list table inet haven").run().stdout.trim() == before
        });
    }
    events.wait_for("network repair firewall (by=nft");
    events.kill();
    let db = address(&house, "db", "bridge");
    assert!(reaches(&house, "api", &db, "db") && !reaches(&house, "other", &db, "db"));
    assert_eq!(from_outside(&house, "192.0.2.1", 8080), "other");
}

#[test]
fn who_is_observed_may_talk_and_what_it_needs_is_known_afterwards() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    serving(&house, "api", "");
    serving(&house, "db", "--expose 80");
    let db = address(&house, "db", "bridge");
    assert!(!reaches(&house, "api", &db, "db"));
    house.haven("observe api").fails().says("for how long");
    house.haven("observe api --for 99d").fails().says("31 days");
    house.haven("observe network:default --for 1h").fails().says("as a whole");
    assert_eq!(house.haven("observe api --for 1h").succeeds(), "api");
    assert!(
        reaches(&house, "api", &db, "db") && !reaches(&house, "db", &address(&house, "api", "bridge"), "api")
    );
    let denied = house.haven("denied --format").arg("{{.From}} {{.To}} {{.Traffic}} {{.State}}").succeeds();
    assert!(denied.lines().any(|line| line == "api db 80/tcp observed"), "{denied}");
    house.kill_daemon();
    house.start_daemon();
    assert!(reaches(&house, "api", &db, "db"));
    assert!(house.haven("observe").succeeds().contains("api"));
    house.haven("observe api --stop").succeeds();
    assert!(!reaches(&house, "api", &db, "db"));
    house.haven("observe api --for 2s").succeeds();
    eventually("it is over", || !reaches(&house, "api", &db, "db"));
    assert_eq!(house.haven("link suggest --from api").succeeds(), "haven link add api db 80/tcp");
}

#[test]
fn links_come_from_a_compose_file_and_go_out_as_policies() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    let file = house.stage().path("compose.yaml");
    let text = "name: shop\nservices:\n  api:\n    image: api\n    depends_on: [db]\n  db:\n    image: db\n    expose: [80]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let proposed = house.haven("link import").arg(&file).succeeds();
    assert!(proposed.contains("haven link add app:shop/api app:shop/db 80/tcp"), "{proposed}");
    let id = house.haven("link import --apply").arg(&file).succeeds();
    let labels = |service: &str| {
        format!("--label com.docker.compose.project=shop --label com.docker.compose.service={service}")
    };
    serving(&house, "shop-api-1", &labels("api"));
    serving(&house, "shop-db-1", &labels("db"));
    assert!(reaches(&house, "shop-api-1", &address(&house, "shop-db-1", "bridge"), "shop-db-1"));
    let policies = house.haven("link export --kubernetes").succeeds();
    assert!(policies.contains("kind: NetworkPolicy") && policies.contains("port: 80"), "{policies}");
    let exported = house.stage().path("policies.yaml");
    std::fs::write(&exported, &policies).unwrap();
    let back = house.haven("link import").arg(exported.display().to_string()).succeeds();
    assert!(back.contains("app:shop/api app:shop/db 80/tcp"), "{back}");
    house.haven("link rm").arg(&id).succeeds();
    house.haven("link import --as sideways").arg(&file).fails().says("no way to import");
    house.haven("link import /nonexistent").fails().says("cannot read");
}
