//! Declared links and networks, on packets.

use crate::lab::{HOST, Lab, OUTSIDE, Place, endpoint, exchange, publish};
use haven_network::{Endpoint, Identity, Link, LinkId, Network, Party, Peer, Permission, Traffic};
use haven_spec::{Kind, PortProtocol};
use std::net::{SocketAddr, UdpSocket};

fn identity(n: u32) -> Identity {
    Identity::new(n).unwrap()
}

fn app(n: u32) -> Party {
    Party::Application(identity(n))
}

fn link(id: u32, from: Party, to: Party, traffic: Traffic) -> Link {
    Link { id: LinkId::new(id).unwrap(), from, to, traffic }
}

fn tcp(first: u16, last: u16) -> Traffic {
    Traffic::Ports { protocol: PortProtocol::Tcp, first, last }
}

/// Without a way out of its own.
fn closed(n: u8) -> Endpoint {
    Endpoint { egress: false, ..endpoint(n) }
}

fn on(network: &str, n: u8) -> Endpoint {
    Endpoint { network: network.into(), ..closed(n) }
}

impl Lab {
    fn declare(&self, links: &[Link]) {
        self.host.inside(|| self.network.add_links(links)).unwrap();
    }

    fn remove(&self, ids: &[u32]) -> usize {
        let ids = ids.iter().map(|id| LinkId::new(*id).unwrap()).collect::<Vec<_>>();
        self.host.inside(|| self.network.remove_links(&ids)).unwrap()
    }
}

/// Whether `from` reaches a port of the other.
fn reaches(from: &Place, to: &Place, endpoint: &Endpoint, port: u16) -> bool {
    from.reaches(endpoint.ipv4, port, &to.listen(&format!("0.0.0.0:{port}")))
}

#[test]
fn a_link_opens_what_it_says_and_closing_it_ends_what_stands() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (closed(1), closed(2));
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    assert!(!reaches(&a, &b, &two, 5432));
    lab.declare(&[link(7, app(1), app(2), tcp(5432, 5432))]);
    assert!(reaches(&a, &b, &two, 5432));
    assert!(!reaches(&a, &b, &two, 5433) && !reaches(&b, &a, &one, 5432));
    let listener = b.listen("0.0.0.0:5432");
    let (mut client, mut server) = a.connection(SocketAddr::new(two.ipv4.into(), 5432), &listener);
    exchange(&mut client, &mut server).unwrap();
    assert_eq!(lab.remove(&[7, 8]), 1);
    assert!(exchange(&mut client, &mut server).is_err());
    assert!(!a.reaches(two.ipv4, 5432, &listener));
}

#[test]
fn every_kind_of_traffic_is_what_it_says() {
    let Some(lab) = Lab::new() else { return };
    let two = closed(2);
    let (a, b) = (lab.attach(&closed(1)), lab.attach(&two));
    let ping = || a.try_run(&format!("busybox ping -c1 -W1 {}", two.ipv4)).0;
    let datagram = |port| {
        let mailbox = b.inside(|| UdpSocket::bind(("0.0.0.0", port)).unwrap());
        a.datagram(SocketAddr::new(two.ipv4.into(), port), &mailbox)
    };
    let udp = Traffic::Protocol(PortProtocol::Udp);
    for (traffic, expected) in [
        (tcp(8000, 8010), [true, false, false, false]),
        (Traffic::Protocol(PortProtocol::Tcp), [true, true, false, false]),
        (udp, [false, false, true, false]),
        (Traffic::Icmp, [false, false, false, true]),
        (Traffic::All, [true, true, true, true]),
    ] {
        lab.declare(&[link(1, app(1), app(2), traffic)]);
        let found = [reaches(&a, &b, &two, 8010), reaches(&a, &b, &two, 8011), datagram(53), ping()];
        assert_eq!(found, expected, "{traffic:?}");
        assert_eq!(lab.remove(&[1]), 1);
        assert!(!reaches(&a, &b, &two, 8010) && !datagram(53) && !ping());
    }
}

#[test]
fn the_way_out_is_as_wide_as_its_link() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&closed(1));
    let out = |port: u16| a.reaches(OUTSIDE, port, &lab.outside.listen(&format!("203.0.113.2:{port}")));
    let range = |net: &str| Party::Range(haven_spec::Ipv4Net::parse(net).unwrap());
    for (to, traffic, expected) in [
        (Party::Outside, Traffic::All, [true, true]),
        (Party::Outside, tcp(443, 443), [true, false]),
        (range("203.0.113.0/24"), tcp(1, 443), [true, false]),
        (range("203.0.113.2/32"), Traffic::Protocol(PortProtocol::Tcp), [true, true]),
        (range("203.0.113.128/25"), Traffic::All, [false, false]),
        (Party::Outside, Traffic::Protocol(PortProtocol::Udp), [false, false]),
    ] {
        lab.declare(&[link(1, app(1), to, traffic)]);
        assert_eq!([out(443), out(8443)], expected, "{to:?} {traffic:?}");
        lab.remove(&[1]);
        assert!(!out(443));
    }
}

#[test]
fn the_way_out_over_ipv6_follows_the_same_link() {
    let Some(lab) = Lab::new() else { return };
    lab.host.run("sysctl -qw net.ipv6.conf.all.forwarding=1");
    let six = Endpoint { ipv6: Some("fd00:210::2".parse().unwrap()), ..closed(1) };
    let a = lab.attach(&six);
    let out = |port: u16| {
        let listener = lab.outside.listen(&format!("[2001:db8::2]:{port}"));
        a.reaches("2001:db8::2".parse::<std::net::Ipv6Addr>().unwrap(), port, &listener)
    };
    assert!(!out(443));
    lab.declare(&[link(1, app(1), Party::Outside, tcp(443, 443))]);
    assert!(out(443) && !out(444));
    lab.remove(&[1]);
    lab.declare(&[link(2, app(1), Party::Outside, Traffic::Icmp)]);
    assert!(a.try_run("busybox ping -c1 -W2 2001:db8::2").0 && !out(443));
}

#[test]
fn networks_are_parties_of_links_and_an_open_one_is_one_link() {
    let Some(lab) = Lab::new() else { return };
    let (shop, back) = (Party::Network(identity(1000)), Party::Network(identity(1001)));
    lab.network.declare_network("shop", identity(1000));
    lab.network.declare_network("back", identity(1001));
    let (one, two, three) = (on("shop", 1), on("shop", 2), on("back", 3));
    let (a, b, c) = (lab.attach(&one), lab.attach(&two), lab.attach(&three));
    let d = lab.attach(&closed(4));
    assert!(!reaches(&a, &b, &two, 80), "closed inside");
    // Being on a network takes nothing away from links of one's own.
    lab.declare(&[link(6, app(1), app(2), tcp(7, 7)), link(7, app(2), back, tcp(8, 8))]);
    assert!(reaches(&a, &b, &two, 7) && !reaches(&b, &a, &one, 7));
    assert!(reaches(&b, &c, &three, 8) && !reaches(&a, &c, &three, 8));
    // Open: everybody of it with everybody of it, and nobody else.
    lab.declare(&[link(1, shop, shop, Traffic::All)]);
    assert!(reaches(&a, &b, &two, 80) && reaches(&b, &a, &one, 81));
    assert!(!reaches(&a, &c, &three, 80) && !reaches(&c, &a, &one, 80) && !reaches(&d, &a, &one, 80));
    // Network to network, to and from one application.
    lab.declare(&[
        link(2, shop, back, tcp(5432, 5432)),
        link(3, back, app(1), tcp(80, 80)),
        link(4, app(4), back, tcp(1, 9)),
    ]);
    assert!(reaches(&a, &c, &three, 5432) && reaches(&b, &c, &three, 5432));
    assert!(!reaches(&a, &c, &three, 5433) && !reaches(&d, &c, &three, 5432));
    assert!(reaches(&c, &a, &one, 80) && !reaches(&c, &b, &two, 80));
    assert!(reaches(&d, &c, &three, 9) && !reaches(&d, &a, &one, 9));
    // The way out, for a whole network.
    let outside = lab.outside.listen("203.0.113.2:443");
    assert!(!a.reaches(OUTSIDE, 443, &outside));
    lab.declare(&[link(5, shop, Party::Outside, Traffic::All)]);
    assert!(a.reaches(OUTSIDE, 443, &outside) && b.reaches(OUTSIDE, 443, &outside));
    assert!(!c.reaches(OUTSIDE, 443, &outside));
    // What is denied is recorded as who it was, not as a network.
    assert!(!reaches(&c, &b, &two, 99));
    let attempts = lab.host.inside(|| lab.network.denied()).unwrap();
    assert!(
        attempts.iter().any(|attempt| {
            (attempt.source, attempt.destination, attempt.port)
                == (Peer::Known(identity(3)), Peer::Known(identity(2)), 99)
        }),
        "{attempts:?}"
    );
}

#[test]
fn links_and_attempts_are_counted_exactly() {
    let Some(lab) = Lab::new() else { return };
    let (mut one, two) = (endpoint(1), closed(2));
    one.published = vec![publish("0.0.0.0", 8080, "80")];
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    lab.declare(&[link(9, app(1), app(2), tcp(80, 80))]);
    assert!(reaches(&a, &b, &two, 80));
    assert!(lab.outside.reaches(HOST, 8080, &a.listen("0.0.0.0:80")));
    assert!(!reaches(&b, &a, &one, 22));
    let traffic = lab.host.inside(|| lab.network.link_traffic()).unwrap();
    let of = |permission| traffic.iter().find(|t| t.permission == permission).unwrap();
    assert!(of(Permission::Declared(LinkId::new(9).unwrap())).packets >= 6);
    assert!(of(Permission::Published(identity(1))).bytes > 200);
    assert_eq!(of(Permission::Egress(identity(1))).packets, 0);
    let denied = lab.host.inside(|| lab.network.denied()).unwrap();
    let attempt = denied.iter().find(|d| d.port == 22).unwrap();
    assert_eq!((attempt.source, attempt.destination), (Peer::Known(identity(2)), Peer::Known(identity(1))));
    assert_eq!((attempt.protocol, attempt.packets), (PortProtocol::Tcp, 1));
}

#[test]
fn links_survive_the_daemon_and_a_flush() {
    let Some(lab) = Lab::new() else { return };
    let declared = [
        link(1, app(1), app(2), tcp(80, 80)),
        link(2, app(1), app(2), tcp(100, 200)),
        link(3, app(1), Party::Outside, tcp(443, 443)),
        link(4, Party::Network(identity(1000)), Party::Network(identity(1000)), Traffic::All),
    ];
    let desired = [on("shop", 1), on("shop", 2)];
    lab.network.declare_network("shop", identity(1000));
    let (a, b) = (lab.attach(&desired[0]), lab.attach(&desired[1]));
    lab.declare(&declared);
    lab.declare(&declared); // again is nothing new
    let whole = lab.kernel_state();
    let lab = lab.reopened();
    assert!(reaches(&a, &b, &desired[1], 80), "before anybody has looked");
    let again = |network: &Network| {
        network.declare_network("shop", identity(1000));
        network.restore_links(declared)?;
        network.reconcile(&desired)
    };
    let repairs = lab.host.inside(|| again(&lab.network)).unwrap();
    assert!(repairs.is_empty(), "{repairs:?}");
    crate::lab::same(&lab.kernel_state(), &whole);
    lab.host.run("nft flush ruleset");
    lab.host.inside(|| lab.network.reconcile(&desired)).unwrap();
    crate::lab::same(&lab.kernel_state(), &whole);
    // Links that the records do not have go.
    let repairs = lab
        .host
        .inside(|| lab.network.restore_links([]).and_then(|()| lab.network.reconcile(&desired)))
        .unwrap();
    assert_eq!(repairs.elements_removed, 2 + 2 + 3 + 2);
    assert!(!reaches(&a, &b, &desired[1], 80));
}

#[test]
fn links_are_added_all_or_none() {
    let Some(lab) = Lab::new() else { return };
    let before = lab.kernel_state();
    let clash = [link(1, app(1), app(2), tcp(80, 80)), link(2, app(1), app(2), tcp(80, 80))];
    let refused = lab.host.inside(|| lab.network.add_links(&clash)).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.to_string().as_str()),
        (Kind::Conflict, "link `1` permits some of the same")
    );
    assert!(lab.network.links().is_empty());
    crate::lab::same(&lab.kernel_state(), &before);
    // Also when it is the kernel that refuses.
    lab.host.run("nft flush ruleset");
    assert!(lab.host.inside(|| lab.network.add_links(&clash[..1])).is_err());
    assert!(lab.network.links().is_empty());
}

#[test]
fn a_hundred_thousand_links_are_loaded_and_changed_one_by_one() {
    const COUNT: u32 = 100_000;
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (closed(1), closed(2));
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    let many = (0..COUNT)
        .map(|n| link(n + 10, app(100 + n / 300), app(1000 + n % 300), tcp(80, 80)))
        .collect::<Vec<_>>();
    let started = std::time::Instant::now();
    lab.declare(&many);
    let loaded = started.elapsed();
    let started = std::time::Instant::now();
    lab.declare(&[link(1, app(1), app(2), tcp(80, 80))]);
    let added = started.elapsed();
    assert!(reaches(&a, &b, &two, 80));
    let started = std::time::Instant::now();
    assert_eq!(lab.remove(&[1]), 1);
    let removed = started.elapsed();
    assert!(!reaches(&a, &b, &two, 80));
    // Generous: the machine is shared and the build is not optimised. The figures stand in the example's output.
    eprintln!("100,000 links loaded in {loaded:?}, one added in {added:?}, one removed in {removed:?}");
    assert!(loaded.as_secs() < 20 && added.as_millis() < 500 && removed.as_millis() < 500);
    let repairs = lab.host.inside(|| lab.network.reconcile(&[one, two])).unwrap();
    assert!(repairs.is_empty(), "{repairs:?}");
}

#[test]
fn a_container_on_two_networks_uses_each_for_its_own() {
    let Some(lab) = Lab::new() else { return };
    lab.network.declare_network("front", identity(1000));
    lab.network.declare_network("back", identity(1001));
    let subnet = |text: &str| haven_spec::Ipv4Net::parse(text).unwrap();
    lab.host.inside(|| lab.network.add_subnet(subnet("10.220.0.0/22"))).unwrap();
    let back = |n: u8, gateway: bool| Endpoint {
        ipv4: std::net::Ipv4Addr::new(10, 220, 0, n),
        subnet: Some(subnet("10.220.0.0/22")),
        gateway,
        internal: true,
        ..on("back", n)
    };
    let (web, db) = (on("front", 1), back(2, true));
    let second = Endpoint { interface: "eth1".into(), ..back(1, false) };
    let (a, b) = (lab.attach(&web), lab.attach(&db));
    lab.host.inside(|| lab.network.attach(a.fd(), &second)).unwrap();
    let (front, backs) = (Party::Network(identity(1000)), Party::Network(identity(1001)));
    lab.declare(&[
        link(1, backs, backs, Traffic::All),
        link(2, front, Party::Outside, Traffic::All),
        link(3, app(2), Party::Outside, Traffic::All),
    ]);
    assert!(reaches(&a, &b, &db, 80) && reaches(&b, &a, &second, 80));
    assert!(!reaches(&b, &a, &web, 80), "its other address is another network's");
    let out = |place: &Place| place.reaches(OUTSIDE, 443, &lab.outside.listen("203.0.113.2:443"));
    assert!(out(&a));
    assert!(!out(&b), "nothing leads out of an internal network, whatever links say");
    // Repairing knows all of it.
    lab.host.run("nft flush ruleset && ip route del unreachable 10.220.0.0/22");
    lab.host.inside(|| lab.network.repair()).unwrap();
    assert!(reaches(&a, &b, &db, 80) && out(&a) && !out(&b));
    assert!(lab.host.run("ip route").contains("unreachable 10.220.0.0/22"));
    // Taken off the first, the second leads everywhere it may.
    assert!(lab.host.inside(|| lab.network.disconnect(&web.container, "eth0")).is_empty());
    lab.host.inside(|| lab.network.lead_out(a.fd(), &web.container, "eth1")).unwrap();
    assert!(!out(&a) && reaches(&a, &b, &db, 80));
    assert!(!a.run("ip -o link").contains("eth0"));
    let other = on("front", 7);
    let c = lab.attach(&other);
    lab.declare(&[link(4, app(1), app(7), tcp(5432, 5432))]);
    assert!(reaches(&a, &c, &other, 5432), "links lead from one network to another");
    lab.host.inside(|| lab.network.remove_subnet(subnet("10.220.0.0/22"))).unwrap();
    assert!(!lab.host.run("ip route").contains("unreachable 10.220.0.0/22"));
}

#[test]
fn who_is_observed_is_let_through_and_recorded() {
    let Some(lab) = Lab::new() else { return };
    let (two, three) = (closed(2), Endpoint { internal: true, ..closed(3) });
    let (a, b, c) = (lab.attach(&closed(1)), lab.attach(&two), lab.attach(&three));
    let out = |place: &Place| place.reaches(OUTSIDE, 443, &lab.outside.listen("203.0.113.2:443"));
    let observe = |numbers: &[u32]| {
        let numbers = numbers.iter().map(|n| identity(*n)).collect();
        lab.host.inside(|| lab.network.observe(&numbers)).unwrap();
    };
    assert!(!reaches(&a, &b, &two, 80) && !out(&a));
    observe(&[1, 3]);
    assert!(reaches(&a, &b, &two, 81) && out(&a) && !reaches(&b, &a, &closed(1), 80));
    assert!(reaches(&c, &b, &two, 82) && !out(&c), "nothing leads out of an internal network");
    let denied = lab.host.inside(|| lab.network.denied()).unwrap();
    let tried = |port| denied.iter().any(|a| a.source == Peer::Known(identity(1)) && a.port == port);
    assert!(tried(81) && tried(443));
    let before = lab.elements("observe");
    lab.host.run("nft flush set inet haven observe");
    lab.host.inside(|| lab.network.repair()).unwrap();
    assert_eq!(lab.elements("observe"), before);
    let listener = b.listen("0.0.0.0:83");
    let (mut client, mut server) = a.connection(SocketAddr::new(two.ipv4.into(), 83), &listener);
    observe(&[]);
    assert!(exchange(&mut client, &mut server).is_err(), "what stood because of it ends");
    assert!(!reaches(&a, &b, &two, 81) && !out(&a));
}
