//! Connecting, leaving, crashing, coming back.

use crate::lab::{HOST, Lab, OUTSIDE, endpoint, is_free, pool, publish, same};
use haven_network::{Network, NetworkConfig, bring_loopback_up};
use haven_spec::{Kind, Outcome};
use std::time::{Duration, Instant};

impl Lab {
    fn on_host<T: Send>(&self, work: impl FnOnce(&Network) -> T + Send) -> T {
        self.host.inside(|| work(&self.network))
    }
}

fn shown<T>(result: Outcome<T>) -> T {
    result.unwrap_or_else(|failure| panic!("{}", failure.one_line()))
}

#[test]
fn a_connected_container_has_what_it_needs() {
    let Some(lab) = Lab::new() else { return };
    let one = endpoint(1);
    let a = lab.attach(&one);
    assert!(a.run("ip -br addr show lo").contains("127.0.0.1/8"));
    let address = a.run("ip addr show eth0");
    assert!(address.contains("inet 10.210.0.2/32") && address.contains("02:42:0a:d2:00:02"), "{address}");
    assert!(!address.contains("inet6"), "no IPv6 that nobody asked for: {address}");
    assert_eq!(
        a.run("ip route show | sed 's/ linkdown//; s/ *$//'"),
        "default via 169.254.1.1 dev eth0 proto 118\n169.254.1.1 dev eth0 proto 118 scope link\n"
    );
    let host = lab.host.run("ip -d link show hv0101010101010; ip addr show hv0101010101010");
    assert!(host.contains("alias haven 0101") && host.contains("169.254.1.1/32"), "{host}");
    for (setting, value) in
        [("arp_ignore", "1"), ("route_localnet", "1"), ("accept_redirects", "0"), ("forwarding", "1")]
    {
        let path = format!("cat /proc/sys/net/ipv4/conf/hv0101010101010/{setting}");
        assert_eq!(lab.host.run(&path).trim(), value, "{setting}");
    }
    assert_eq!(lab.host.run("cat /proc/sys/net/ipv6/conf/hv0101010101010/disable_ipv6").trim(), "1");
    assert_eq!(lab.host.run("cat /proc/sys/net/ipv4/conf/uplink/route_localnet").trim(), "0");
}

#[test]
fn loopback_alone_comes_up_for_a_container_without_network() {
    let Some(lab) = Lab::new() else { return };
    let place = lab.place();
    shown(bring_loopback_up(place.fd()));
    place.run("busybox ping -c1 -W1 127.0.0.1");
    assert_eq!(place.run("ip -o link show up | wc -l").trim(), "1");
}

#[test]
fn opening_again_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let _a = lab.attach(&web);
    let state = |lab: &Lab| lab.kernel_state() + &lab.host.run("nft -a list ruleset");
    let before = state(&lab);
    let lab = lab.reopened();
    same(&state(&lab), &before);
    let repairs = shown(lab.on_host(|n| n.reconcile(&[web])));
    assert!(repairs.is_empty(), "{repairs:?}");
    same(&state(&lab), &before);
}

#[test]
fn attaching_again_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let state = |lab: &Lab| lab.kernel_state() + &a.run("ip -o -4 addr; ip route | sed 's/ linkdown//'");
    let before = state(&lab);
    shown(lab.on_host(|n| n.attach(a.fd(), &web)));
    same(&state(&lab), &before);
    // Also after a restart.
    let lab = lab.reopened();
    shown(lab.on_host(|n| n.reconcile(std::slice::from_ref(&web))));
    shown(lab.on_host(|n| n.attach(a.fd(), &web)));
    same(&state(&lab), &before);
}

#[test]
fn a_container_that_left_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    let before = lab.kernel_state();
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let started = Instant::now();
    assert!(lab.on_host(|n| n.detach(&web.container)).is_empty());
    assert!(started.elapsed() < Duration::from_millis(250));
    // The namespace still lives; the interface goes in the background all the same.
    let deadline = Instant::now() + Duration::from_secs(10);
    while lab.kernel_state() != before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    same(&lab.kernel_state(), &before);
    assert_eq!(a.run("ip -o link show | grep -c eth0 || true").trim(), "0");
    assert!(lab.on_host(|n| n.detach(&web.container)).is_empty(), "leaving twice is no failure");
}

#[test]
fn a_container_comes_back_before_its_old_interface_is_gone() {
    let Some(lab) = Lab::new() else { return };
    let one = endpoint(1);
    let listener = lab.outside.listen("203.0.113.2:443");
    let mut lives = Vec::new();
    for _ in 0..4 {
        let a = lab.attach(&one);
        assert!(a.reaches(OUTSIDE, 443, &listener));
        assert!(lab.on_host(|n| n.detach(&one.container)).is_empty());
        lives.push(a); // the namespace stays, and with it the interface
    }
    let last = lab.attach(&one);
    assert!(last.reaches(OUTSIDE, 443, &listener));
    for earlier in &lives {
        let forged = earlier.inside(|| {
            std::net::TcpStream::connect_timeout(
                &"203.0.113.2:443".parse().unwrap(),
                Duration::from_millis(200),
            )
        });
        assert!(forged.is_err(), "an earlier life has no way out");
    }
}

#[test]
fn a_failed_attachment_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    let before = lab.kernel_state();
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    // The namespace has an eth0 already.
    let occupied = lab.place();
    occupied.run("ip link add eth0 type veth peer name other");
    let refused = lab.on_host(|n| n.attach(occupied.fd(), &web)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{}", refused.one_line());
    same(&lab.kernel_state(), &before);
    // A process has the port.
    let process = lab.host.listen("0.0.0.0:8080");
    let place = lab.place();
    let refused = lab.on_host(|n| n.attach(place.fd(), &web)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{}", refused.one_line());
    same(&lab.kernel_state(), &before);
    assert_eq!(place.run("ip -o link show | grep -c eth0 || true").trim(), "0");
    drop(process);
    assert!(is_free(&lab.host, "0.0.0.0:8080"));
    // What is no namespace at all.
    let file = std::fs::File::open("/dev/null").unwrap();
    let refused = lab.on_host(|n| n.attach(std::os::fd::AsFd::as_fd(&file), &web)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Host, "{}", refused.one_line());
    same(&lab.kernel_state(), &before);
    for interface in ["", "lo", "a/b", "../x", "much-too-long-name", "a b", "x\0y"] {
        let mut odd = web.clone();
        odd.interface = interface.into();
        assert_eq!(
            lab.on_host(|n| n.attach(place.fd(), &odd)).unwrap_err().kind(),
            Kind::Invalid,
            "{interface:?}"
        );
    }
    shown(lab.on_host(|n| n.attach(place.fd(), &web)));
}

#[test]
fn reconciling_after_a_flush_restores_everything() {
    let Some(lab) = Lab::new() else { return };
    let (mut web, two) = (endpoint(1), endpoint(2));
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let (a, b) = (lab.attach(&web), lab.attach(&two));
    let whole = lab.kernel_state();
    let desired = [web.clone(), two.clone()];
    for damage in [
        "nft flush ruleset",
        "nft flush table inet haven",
        "nft flush chain inet haven linkpol",
        "nft insert rule inet haven linkpol accept",
        "nft add rule inet haven deny accept",
        "nft 'add chain inet haven mine; add rule inet haven mine accept'",
        "nft flush map inet haven src_id",
        "nft add element inet haven bind4 { uplink . 1.2.3.4 }",
        "nft 'add element inet haven live { 0x80000009 }; add element inet haven links { 1 . 2 . tcp . 1 : 0x80000009 }'",
        "nft 'delete table inet haven; add table inet haven { flags dormant; }'",
        "nft 'delete table inet haven; add table inet haven; add set inet haven live { type ipv4_addr; }'",
        "ip addr flush dev hv0101010101010",
        "ip route del 10.210.0.2",
        "ip route del unreachable 10.210.0.0/16",
        "ip link set hv0101010101010 down",
        "ip link add hv0909090909090 type veth; ip link set hv0909090909090 group 0x68760000",
    ] {
        lab.host.run(damage);
        let repairs = shown(lab.on_host(|n| n.reconcile(&desired)));
        assert!(repairs.failures.is_empty(), "{damage}: {repairs:?}");
        eprintln!("after `{damage}`: {repairs:?}");
        same(&lab.kernel_state(), &whole);
        let repairs = shown(lab.on_host(|n| n.reconcile(&desired)));
        assert!(repairs.is_empty(), "{damage}: a second time finds {repairs:?}");
    }
    let (inner, outer) = (a.listen("0.0.0.0:80"), lab.outside.listen("203.0.113.2:443"));
    assert!(lab.outside.reaches(HOST, 8080, &inner));
    assert!(b.reaches(OUTSIDE, 443, &outer) && !b.reaches(web.ipv4, 80, &inner));
}

#[test]
fn repairing_the_rules_does_not_interrupt_connections() {
    let Some(lab) = Lab::new() else { return };
    let one = endpoint(1);
    let a = lab.attach(&one);
    let listener = lab.outside.listen("203.0.113.2:443");
    let (mut client, mut server) = a.connection("203.0.113.2:443".parse().unwrap(), &listener);
    for damage in ["nft flush chain inet haven deny", "nft add chain inet haven strange"] {
        lab.host.run(damage);
        // The daemon starts: first the table, then, later, the endpoints.
        let _second = lab.host.inside(|| Network::open(NetworkConfig::default()).unwrap());
        crate::lab::exchange(&mut client, &mut server).unwrap();
    }
    shown(lab.on_host(|n| n.reconcile(&[one])));
    crate::lab::exchange(&mut client, &mut server).unwrap();
}

#[test]
fn leftovers_of_any_moment_are_removed() {
    let Some(lab) = Lab::new() else { return };
    let empty = lab.kernel_state();
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let (_a, b) = (lab.attach(&web), lab.attach(&endpoint(2)));
    // Killed after the veth was made: no alias, no elements, down.
    let half = lab.place();
    half.run("true");
    lab.host.run("ip link add hv7777777777770 type veth; ip link set hv7777777777770 group 0x68760000");
    // Killed after the elements were removed: the interface stays.
    lab.host.run("nft flush set inet haven bind4; nft flush map inet haven dst_id");
    let lab = lab.reopened();
    let repairs = shown(lab.on_host(|n| n.reconcile(&[])));
    assert_eq!(repairs.interfaces_removed.len(), 3, "{repairs:?}");
    same(&lab.kernel_state(), &empty);
    assert_eq!(b.run("ip -o link show | grep -c eth0 || true").trim(), "0");
    assert!(is_free(&lab.host, "0.0.0.0:8080"));
}

#[test]
fn an_endpoint_whose_interface_is_gone_is_reported() {
    let Some(lab) = Lab::new() else { return };
    let one = endpoint(1);
    let a = lab.attach(&one);
    lab.host.run("ip link del hv0101010101010");
    let repairs = shown(lab.on_host(|n| n.reconcile(std::slice::from_ref(&one))));
    assert_eq!(repairs.detached, std::slice::from_ref(&one.container));
    assert!(repairs.elements_removed >= 4, "{repairs:?}");
    shown(lab.on_host(|n| n.attach(a.fd(), &one)));
    assert!(a.reaches(OUTSIDE, 443, &lab.outside.listen("203.0.113.2:443")));
}

#[test]
fn a_port_taken_while_the_daemon_was_away_still_leads_to_the_container() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let Lab { host, outside, network } = lab;
    drop(network);
    let _thief = host.listen("0.0.0.0:8080");
    let network = host.inside(|| Network::open(NetworkConfig::default()).unwrap());
    let repairs = shown(host.inside(|| network.reconcile(std::slice::from_ref(&web))));
    assert_eq!(repairs.failures.len(), 1);
    let line = repairs.failures[0].one_line();
    assert!(line.contains("port 8080/tcp leads to container `010101010101`"), "{line}");
    assert!(outside.reaches(HOST, 8080, &a.listen("0.0.0.0:80")));
}

#[test]
fn counters_are_seen_from_the_container() {
    let Some(lab) = Lab::new() else { return };
    let one = endpoint(1);
    let a = lab.attach(&one);
    assert!(a.reaches(OUTSIDE, 443, &lab.outside.listen("203.0.113.2:443")));
    let counters = shown(lab.on_host(|n| n.counters(&one.container)));
    assert_eq!(counters.len(), 1);
    let text = a.run("ip -s link show eth0");
    assert_eq!(counters[0].interface, "eth0");
    assert!(counters[0].sent_packets >= 4 && counters[0].received_packets >= 3, "{counters:?} {text}");
    assert!(counters[0].sent_bytes > counters[0].sent_packets * 40);
    assert!(shown(lab.on_host(|n| n.counters(&endpoint(2).container))).is_empty());
}

#[test]
fn the_status_tells_facts() {
    let Some(lab) = Lab::new() else { return };
    let _a = lab.attach(&endpoint(1));
    let status = shown(lab.on_host(Network::status));
    assert!(status.table_intact && status.ipv4_forwarding && status.forwarding_by_us);
    assert_eq!((status.pool, status.interfaces), (pool(), 1));
    assert!(status.foreign.is_empty());
    lab.host.run("nft flush chain inet haven deny");
    lab.host.run("nft 'table ip filter { chain ufw-user-input { }; }; add table inet firewalld { }; add chain inet firewalld x'");
    let status = shown(lab.on_host(Network::status));
    assert!(!status.table_intact);
    assert_eq!(status.foreign, [haven_network::Foreign::Ufw, haven_network::Foreign::Firewalld]);
}

#[test]
fn cleaning_up_needs_no_memory_and_touches_nothing_of_others() {
    let Some(lab) = Lab::new() else { return };
    lab.host.run("nft 'table ip other { chain c { type filter hook forward priority 0; }; }'");
    lab.host.run("ip link add hvnotours type veth; ip route add unreachable 10.99.0.0/16");
    let _places = [lab.attach(&endpoint(1)), lab.attach(&endpoint(2))];
    let Lab { host, network, .. } = lab;
    drop(network);
    for _ in 0..2 {
        let failures = host.inside(Network::cleanup_all);
        assert!(failures.is_empty(), "{failures:?}");
    }
    assert!(!host.run("nft list ruleset").contains("haven"));
    let links = host.run("ip -o link show");
    assert!(!links.contains("hv0") && links.contains("hvnotours"), "{links}");
    let routes = host.run("ip route show");
    assert!(!routes.contains("10.210") && routes.contains("10.99"), "{routes}");
    assert!(host.run("nft list ruleset").contains("table ip other"));
}

#[test]
fn a_pool_keeps_clear_of_the_hosts_routes() {
    let Some(lab) = Lab::new() else { return };
    let place = lab.place();
    place.run(
        "ip link set lo up; ip link add d0 type veth; ip link set d0 up; ip link set veth0 up; ip addr add 10.210.5.1/24 dev d0",
    );
    let network = place.inside(|| Network::open(NetworkConfig::default()).unwrap());
    assert_eq!(network.pool().to_string(), "10.211.0.0/16");
    assert_eq!(lab.network.pool(), pool());
}

#[test]
fn many_containers_come_and_go_at_once() {
    let Some(lab) = Lab::new() else { return };
    let empty = lab.kernel_state();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let lab = &lab;
            scope.spawn(move || {
                for round in 0..6_u8 {
                    let n = 1 + thread * 10 + round;
                    let place = lab.attach(&endpoint(n));
                    if round % 2 == 0 {
                        assert!(lab.on_host(|n2| n2.detach(&endpoint(n).container)).is_empty());
                    }
                    drop(place);
                }
            });
        }
    });
    let repairs = shown(lab.on_host(|n| n.reconcile(&[])));
    assert!(repairs.failures.is_empty(), "{repairs:?}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while lab.kernel_state() != empty && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    same(&lab.kernel_state(), &empty);
}

#[test]
fn a_foreign_change_is_noticed_with_its_process_and_our_own_are_not() {
    let Some(lab) = Lab::new() else { return };
    let mut watch = shown(lab.on_host(Network::watch));
    let _a = lab.attach(&endpoint(1));
    lab.host.run("nft 'add table ip other { chain c { type filter hook forward priority 0; }; }'");
    lab.host.run("nft add table ip another");
    lab.host.run("nft flush ruleset");
    let mut next = || shown(watch.wait()).unwrap().process.unwrap().1;
    assert_eq!(next(), "nft");
    shown(lab.on_host(|n| n.reconcile(&[endpoint(1)])));
    lab.host.run("nft add element inet haven observe { 7 }");
    // Between the two lay our own repair.
    assert_eq!(next(), "nft");
}
