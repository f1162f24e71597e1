//! Networks as this stage has them: none, host, the default one, and published ports.

use haven_tests::{BUSYBOX, House, eventually, probe};

const SERVE: &str = "exec /probe serve 80 served";

/// What a client gets from a port; empty when nothing answers.
fn get(house: &House, from_outside: bool, address: &str) -> String {
    let (address, port) = address.split_once(':').unwrap_or((address, "80"));
    let line = format!("{} get {address} {port}", probe().display());
    let call = if from_outside { house.outside(&line) } else { house.host(&line) };
    call.run().stdout.trim().to_owned()
}

#[test]
fn a_published_port_answers_from_outside_and_from_the_host() {
    let house = House::open();
    house.detached("--name web -p 8080:80", SERVE);
    eventually("it answers from outside", || get(&house, true, "192.0.2.1:8080") == "served");
    eventually("it answers the host", || get(&house, false, "127.0.0.1:8080") == "served");
    eventually("it answers the host by its address", || get(&house, false, "192.0.2.1:8080") == "served");
    house.haven("stop -t 0 web").succeeds();
    assert_eq!(get(&house, true, "192.0.2.1:8080"), "");
}

#[test]
fn a_port_published_on_loopback_is_not_reachable_from_outside() {
    let house = House::open();
    house.detached("--name web -p 127.0.0.1:8080:80", SERVE);
    eventually("it answers the host", || get(&house, false, "127.0.0.1:8080") == "served");
    assert_eq!(get(&house, true, "192.0.2.1:8080"), "");
}

#[test]
fn a_free_port_is_chosen_when_none_is_given() {
    let house = House::open();
    house.detached("--name web -p 80", SERVE);
    let shown = house.haven("port web 80").succeeds();
    let port = shown.lines().next().and_then(|line| line.rsplit(':').next()).unwrap_or_default().to_owned();
    assert!(port.parse::<u16>().is_ok_and(|port| port >= 1024), "{shown}");
    eventually("it answers", || get(&house, true, &format!("192.0.2.1:{port}")) == "served");
}

#[test]
fn a_port_in_use_is_refused_and_named() {
    let house = House::open();
    house.detached("--name first -p 8080:80", "sleep 1000");
    house.haven("run -d --name second -p 8080:80").args([BUSYBOX, "sleep", "1000"]).exits(125).says("8080");
    // It failed to start, and left the port to its owner.
    assert_eq!(house.haven("port first").succeeds().lines().next(), Some("80/tcp -> 0.0.0.0:8080"));
}

#[test]
fn ports_are_published_and_taken_back_while_a_container_runs() {
    let mut house = House::open();
    if house.is_peer() {
        return;
    }
    house.detached("--name web", SERVE);
    let outside = |house: &House| get(house, true, "192.0.2.1:8080") == "served";
    assert!(!outside(&house));
    house.haven("publish web 8080:80 --from 192.0.2.0/24 --reason intranet").succeeds();
    eventually("it answers those it is for", || outside(&house));
    assert_eq!(house.haven("port web").succeeds(), "80/tcp -> 0.0.0.0:8080");
    house.haven("publish web 8080:80").fails().says("published there already");
    house.haven("publish web 8081:80").fails().says("published for others already");
    house.haven("publish web 9090:90 --from 10.0.0.0/8 --from 10.1.0.0/16").fails().says("overlap");
    house.haven("publish web 70000:80").fails().says("70000");
    // It is on record.
    house.kill_daemon();
    house.start_daemon();
    house.haven("restart -t 0 web").succeeds();
    eventually("it answers again", || outside(&house));
    house.haven("unpublish web 8080:80").succeeds();
    assert!(!outside(&house) && house.haven("port web").succeeds().is_empty());
    house.haven("unpublish web 80").fails().says("is not published");
    house.haven("publish web 8080:80 --from 10.0.0.0/8 --from 192.0.2.3").succeeds();
    assert!(!outside(&house), "others than those it is for");
    eventually("the host itself may always", || get(&house, false, "127.0.0.1:8080") == "served");
    house.haven("unpublish web 80").succeeds();
    house.haven("publish web 8080:80").succeeds();
    eventually("everybody may", || outside(&house));
    // What it publishes goes along to the network that leads out.
    house.haven("network create side").succeeds();
    house.haven("network connect side web").succeeds();
    house.haven("network disconnect default web").succeeds();
    eventually("it answers from its other network", || outside(&house));
}

#[test]
fn a_container_reaches_the_outside() {
    let house = House::open();
    let _server = house.outside(&format!("{} serve 8000 far-away", probe().display())).start();
    eventually("it is reached", || {
        house.haven("run --rm").args([BUSYBOX, "/probe", "get", "198.51.100.1", "8000"]).run().stdout.trim()
            == "far-away"
    });
}

#[test]
fn without_a_network_there_is_only_loopback() {
    let house = House::open();
    let links = house.haven("run --rm --network none").args([BUSYBOX, "ls", "/sys/class/net"]).succeeds();
    assert_eq!(links, "lo");
    house.haven("run --rm --network none").args([BUSYBOX, "/probe", "get", "192.0.2.2", "80"]).exits(1);
}

#[test]
fn the_hosts_network_is_the_hosts() {
    let house = House::open();
    let addresses = house.haven("run --rm --network host").args([BUSYBOX, "ip", "-4", "address"]).succeeds();
    assert!(addresses.contains("192.0.2.1/24"), "{addresses}");
}

#[test]
fn containers_on_the_default_network_do_not_reach_each_other() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.detached("--name web", SERVE);
    let address = house.inspect("web", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    assert!(address.parse::<std::net::Ipv4Addr>().is_ok(), "{address}");
    let got = house.haven("run --rm").args([BUSYBOX, "/probe", "get", &address, "80"]).run();
    assert_ne!(got.code, 0, "{}", got.story());
}

#[test]
fn an_address_of_a_container_is_not_reachable_from_outside() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.detached("--name web -p 8080:80", SERVE);
    let address = house.inspect("web", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    house.outside(&format!("ip route add {address} via 192.0.2.1")).succeeds();
    eventually("the published port answers", || get(&house, true, "192.0.2.1:8080") == "served");
    assert_eq!(get(&house, true, &address), "");
}

#[test]
fn a_container_that_would_share_the_network_of_another_is_told_so() {
    let house = House::open();
    house.detached("--name web", SERVE);
    let run = || {
        house
            .haven("run --rm --network container:web")
            .args([BUSYBOX, "/probe", "get", "127.0.0.1", "80"])
            .run()
    };
    if house.is_peer() {
        return eventually("it answers on loopback", || run().stdout.trim() == "served");
    }
    // FIXME: share it; a container joins another's user namespace for that, which the runtime doesn't do yet.
    let answer = run();
    assert_eq!(answer.code, 125, "{}", answer.story());
    answer.says("not supported");
}
