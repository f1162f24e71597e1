//! Published ports: where they lead, for whom, and who holds them.

use crate::lab::{HOST, Lab, OUTSIDE, endpoint, exchange, is_free, publish};
use haven_network::{Endpoint, Published};
use haven_spec::{ContainerId, Ipv4Net, Kind, PortKey, PortMapping};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

fn mapping(host: Option<&str>, from: u16, to: u16, container: &str) -> PortMapping {
    PortMapping {
        container: PortKey::parse(container).unwrap(),
        host_address: host.map(|h| h.parse().unwrap()),
        host_port: from,
        host_port_end: to,
        from: Vec::new(),
        reason: String::new(),
    }
}

fn container(n: u8) -> ContainerId {
    ContainerId::from_bytes(&[n; 32])
}

#[test]
fn a_published_port_is_reached_from_everywhere_it_should_be() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80"), publish("0.0.0.0", 5353, "53/udp")];
    let a = lab.attach(&web);
    let listener = a.listen("0.0.0.0:80");
    let seen = lab.outside.talk(SocketAddr::new(HOST.into(), 8080), &listener).unwrap();
    assert_eq!(seen.ip(), OUTSIDE, "the client's address is kept");
    assert!(lab.host.reaches(Ipv4Addr::LOCALHOST, 8080, &listener), "from the host by loopback");
    assert!(lab.host.reaches(Ipv4Addr::new(127, 9, 9, 9), 8080, &listener));
    assert!(lab.host.reaches(HOST, 8080, &listener), "from the host by its own address");
    let mailbox = a.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    assert!(lab.outside.datagram(SocketAddr::new(HOST.into(), 5353), &mailbox));
    assert!(lab.host.datagram("127.0.0.1:5353".parse().unwrap(), &mailbox));
    // Only this port.
    assert!(!lab.outside.reaches(HOST, 80, &listener));
    assert!(!lab.outside.reaches(HOST, 8081, &listener));
}

#[test]
fn publishing_is_no_link_between_containers() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let (a, b) = (lab.attach(&web), lab.attach(&endpoint(2)));
    let listener = a.listen("0.0.0.0:80");
    assert!(!b.reaches(HOST, 8080, &listener));
    assert!(!a.reaches(HOST, 8080, &listener), "not even to itself by the host's address");
    assert!(!b.reaches(haven_network::GATEWAY, 8080, &listener));
    assert!(lab.elements("denied").contains("0x00000002 . 0x00000001 . tcp . 80"), "as what it leads to");
    // With a link it is one more way to the same place.
    lab.host.run("nft add element inet haven live { 0x80000001 }");
    lab.host.run("nft add element inet haven links { 2 . 1 . tcp . 80 : 0x80000001 }");
    assert!(b.reaches(HOST, 8080, &listener));
}

#[test]
fn a_port_on_one_address_is_on_no_other() {
    let Some(lab) = Lab::new() else { return };
    lab.host.run("ip addr add 203.0.113.9/32 dev uplink");
    let (mut local, mut single) = (endpoint(1), endpoint(2));
    local.published = vec![publish("127.0.0.1", 8080, "80")];
    single.published = vec![publish("203.0.113.9", 8080, "80")];
    let (a, b) = (lab.attach(&local), lab.attach(&single));
    let (on_loopback, on_single) = (a.listen("0.0.0.0:80"), b.listen("0.0.0.0:80"));
    assert!(lab.host.reaches(Ipv4Addr::LOCALHOST, 8080, &on_loopback));
    assert!(lab.outside.reaches(Ipv4Addr::new(203, 0, 113, 9), 8080, &on_single));
    assert!(!lab.outside.reaches(HOST, 8080, &on_loopback));
    assert!(!lab.outside.reaches(local.ipv4, 80, &on_loopback));
}

#[test]
fn a_neighbour_on_the_wire_does_not_reach_a_port_on_loopback() {
    let Some(lab) = Lab::new() else { return };
    let mut local = endpoint(1);
    local.published = vec![publish("127.0.0.1", 8080, "80/udp"), publish("0.0.0.0", 8081, "81/udp")];
    let a = lab.attach(&local);
    let mailbox = a.inside(|| UdpSocket::bind("0.0.0.0:80").unwrap());
    let second = a.inside(|| UdpSocket::bind("0.0.0.0:81").unwrap());
    // The neighbour routes 127.0.0.1 over the wire to the host.
    lab.outside.run(
        "ip addr del 127.0.0.1/8 dev lo; sysctl -qw net.ipv4.conf.eth0.route_localnet=1; \
         ip route add 127.0.0.1/32 via 203.0.113.1 dev eth0 src 203.0.113.2",
    );
    assert!(!lab.outside.datagram("127.0.0.1:8080".parse().unwrap(), &mailbox));
    assert!(!lab.outside.datagram("127.0.0.1:8081".parse().unwrap(), &second));
    assert!(lab.outside.datagram(SocketAddr::new(HOST.into(), 8081), &second));
}

#[test]
fn established_connections_end_when_the_container_leaves() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let listener = a.listen("0.0.0.0:80");
    let (mut client, mut server) = lab.outside.connection(SocketAddr::new(HOST.into(), 8080), &listener);
    exchange(&mut client, &mut server).unwrap();
    assert!(lab.host.inside(|| lab.network.detach(&web.container)).is_empty());
    assert!(exchange(&mut client, &mut server).is_err());
    assert!(!lab.outside.reaches(HOST, 8080, &listener));
}

/// Sends from one socket until the mailbox has something.
fn arrives(client: &UdpSocket, to: SocketAddr, mailbox: &UdpSocket) -> bool {
    mailbox.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    (0..60).any(|_| {
        // A refusal of the one before is reported here.
        client.send_to(b"ping", to).ok();
        mailbox.recv_from(&mut [0; 4]).is_ok()
    })
}

#[test]
fn a_client_that_goes_on_sending_datagrams_finds_the_containers_next_life() {
    let Some(lab) = Lab::new() else { return };
    let clients = [
        (
            lab.outside.inside(|| UdpSocket::bind("203.0.113.2:40000").unwrap()),
            SocketAddr::new(HOST.into(), 5353),
        ),
        (lab.host.inside(|| UdpSocket::bind("0.0.0.0:0").unwrap()), "127.0.0.1:5353".parse().unwrap()),
    ];
    // Before there is anybody, so that the kernel remembers connections to the host itself.
    for (client, to) in &clients {
        client.send_to(b"early", to).unwrap();
    }
    for n in 1..4 {
        let mut life = endpoint(n);
        life.published = vec![publish("0.0.0.0", 5353, "53/udp")];
        assert!(is_free(&lab.host, "0.0.0.0:5353"));
        let place = lab.attach(&life);
        let mailbox = place.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
        for (client, to) in &clients {
            assert!(arrives(client, *to, &mailbox), "life {n} from {to}");
        }
        assert!(lab.host.inside(|| lab.network.detach(&life.container)).is_empty());
        for (client, to) in &clients {
            client.send_to(b"between", to).ok();
        }
    }
}

#[test]
fn published_ports_and_the_way_out_outlive_the_daemon() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let Lab { host, outside, network } = lab;
    drop(network);
    let (inner, outer) = (a.listen("0.0.0.0:80"), outside.listen("203.0.113.2:443"));
    assert!(outside.reaches(HOST, 8080, &inner));
    assert!(host.reaches(Ipv4Addr::LOCALHOST, 8080, &inner));
    assert!(a.reaches(OUTSIDE, 443, &outer));
}

#[test]
fn a_port_is_held_while_it_is_published() {
    let Some(lab) = Lab::new() else { return };
    lab.host.inside(|| {
        let network = &lab.network;
        let chosen = network.choose_host_ports(&container(1), &[mapping(None, 8080, 8080, "80")]).unwrap();
        assert_eq!(chosen, [publish("0.0.0.0", 8080, "80")]);
        assert!(std::net::TcpListener::bind("0.0.0.0:8080").is_err(), "no process gets it unnoticed");
        let refused =
            network.choose_host_ports(&container(2), &[mapping(None, 8080, 8080, "80")]).unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict);
        assert_eq!(
            refused.one_line(),
            "Bind for 0.0.0.0:8080 failed: port is already allocated: container `010101010101` has it"
        );
        // A single address of a port that somebody has on all.
        assert!(
            network
                .choose_host_ports(&container(2), &[mapping(Some("127.0.0.1"), 8080, 8080, "80")])
                .is_err()
        );
        assert!(network.choose_host_ports(&container(2), &[mapping(None, 8080, 8080, "80/udp")]).is_ok());
        network.release_host_ports(&container(1));
        network.release_host_ports(&container(2));
    });
    assert!(is_free(&lab.host, "0.0.0.0:8080"));
}

#[test]
fn a_process_that_has_the_port_is_named() {
    let Some(lab) = Lab::new() else { return };
    let _process = lab.host.listen("0.0.0.0:8080");
    let refused = lab
        .host
        .inside(|| lab.network.choose_host_ports(&container(1), &[mapping(None, 8080, 8080, "80")]))
        .unwrap_err();
    let line = refused.one_line();
    assert!(line.starts_with("Bind for 0.0.0.0:8080 failed: port is already allocated: process `"), "{line}");
    assert!(line.contains(&format!("({}) has it", std::process::id())), "{line}");
}

#[test]
fn remains_of_finished_connections_do_not_take_a_port() {
    let Some(lab) = Lab::new() else { return };
    // The side that closes first keeps the port for a minute.
    let listener = lab.host.listen("203.0.113.1:8080");
    let (client, server) = lab.outside.connection(SocketAddr::new(HOST.into(), 8080), &listener);
    drop(server);
    drop(client);
    drop(listener);
    let choose =
        || lab.network.choose_host_ports(&container(1), &[mapping(None, 8080, 8080, "80")]).map(drop);
    // The listener itself may be held a moment longer, see `is_free`; the remains stay for a minute.
    let deadline = Instant::now() + Duration::from_secs(5);
    while lab.host.inside(choose).is_err() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ranges_give_the_first_free_port_and_zero_any() {
    let Some(lab) = Lab::new() else { return };
    let _taken = lab.host.listen("0.0.0.0:8000");
    lab.host.inside(|| {
        let network = &lab.network;
        let range = mapping(None, 8000, 8002, "80");
        let port = |n: u8| {
            network.choose_host_ports(&container(n), std::slice::from_ref(&range)).map(|c| c[0].host_port)
        };
        assert_eq!(port(1).unwrap(), 8001);
        assert_eq!(port(2).unwrap(), 8002);
        let full = port(3).unwrap_err();
        assert_eq!(full.to_string(), "Bind for 0.0.0.0 failed: all ports from 8000 to 8002 are allocated");
        let any = network
            .choose_host_ports(&container(4), &[mapping(None, 0, 0, "80"), mapping(None, 0, 0, "81")])
            .unwrap();
        assert!(any[0].host_port >= 32768 && any[1].host_port > any[0].host_port);
    });
}

#[test]
fn all_ports_of_a_container_are_chosen_or_none() {
    let Some(lab) = Lab::new() else { return };
    let _taken = lab.host.listen("0.0.0.0:8001");
    lab.host.inside(|| {
        let wanted = [mapping(None, 8000, 8000, "80"), mapping(None, 8001, 8001, "81")];
        assert!(lab.network.choose_host_ports(&container(1), &wanted).is_err());
    });
    assert!(is_free(&lab.host, "0.0.0.0:8000"), "the first was given back");
}

#[test]
fn addresses_the_host_does_not_have_are_refused() {
    let Some(lab) = Lab::new() else { return };
    let refused = lab
        .host
        .inside(|| {
            lab.network.choose_host_ports(&container(1), &[mapping(Some("198.51.100.7"), 80, 80, "80")])
        })
        .unwrap_err();
    assert_eq!(refused.kind(), Kind::Invalid);
    assert!(refused.to_string().contains("198.51.100.7"));
}

#[test]
fn ipv6_publishing_that_cannot_work_is_refused() {
    let Some(lab) = Lab::new() else { return };
    for host in ["::", "::1"] {
        let mut web = endpoint(1);
        web.published = vec![publish(host, 8080, "80")];
        let place = lab.place();
        let refused = lab.host.inside(|| lab.network.attach(place.fd(), &web)).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported, "{}", refused.one_line());
    }
    assert!(is_free(&lab.host, "[::]:8080"), "nothing is held");
}

#[test]
fn a_port_is_published_for_some_while_the_container_runs_and_taken_back() {
    let Some(lab) = Lab::new() else { return };
    let web = Endpoint { egress: false, ..endpoint(1) };
    let place = lab.attach(&web);
    let listener = place.listen("0.0.0.0:80");
    let outside = || lab.outside.reaches(HOST, 8080, &listener);
    let published = vec![publish("0.0.0.0", 8080, "80")];
    let republish = |published: &[Published], nets: &[&str]| {
        let nets = nets.iter().map(|net| Ipv4Net::parse(net).unwrap()).collect::<Vec<_>>();
        let sources =
            if nets.is_empty() { BTreeMap::new() } else { [(PortKey::parse("80").unwrap(), nets)].into() };
        lab.host
            .inside(|| lab.network.republish(&web.container, "eth0", published.to_vec(), sources))
            .unwrap();
    };
    assert!(!outside());
    republish(&published, &[]);
    assert!(outside());
    republish(&published, &["10.0.0.0/8", "203.0.113.0/30"]);
    assert!(outside() && lab.elements("ingress4").contains("203.0.113.0/30"));
    republish(&published, &["10.0.0.0/8", "203.0.113.3/32"]);
    assert!(!outside(), "a neighbour of who may");
    assert!(lab.host.reaches(Ipv4Addr::LOCALHOST, 8080, &listener), "the host itself always may");
    // Repairing knows of it, and taking back leaves nothing.
    let before = lab.elements("ingress4");
    lab.host.run("nft flush map inet haven ingress4");
    lab.host.inside(|| lab.network.repair()).unwrap();
    assert_eq!(lab.elements("ingress4"), before);
    republish(&published, &[]);
    let (mut client, mut server) = lab.outside.connection((HOST, 8080).into(), &listener);
    exchange(&mut client, &mut server).unwrap();
    republish(&[], &[]);
    assert!(!outside() && exchange(&mut client, &mut server).is_err());
    assert!(!lab.elements("live").contains("0xd0000001") && is_free(&lab.host, "0.0.0.0:8080"));
}
