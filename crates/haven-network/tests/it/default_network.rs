//! What may talk to what on the default network, and that nothing else does.

use crate::lab::{HOST, Lab, OUTSIDE, endpoint, exchange, publish};
use haven_network::{Foreign, GATEWAY, Identity};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// For what is dropped rather than refused.
const SHORT: Duration = Duration::from_millis(400);

#[test]
fn containers_of_the_default_network_do_not_reach_each_other() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (endpoint(1), endpoint(2));
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    let listener = b.listen("0.0.0.0:80");
    assert!(!a.reaches(two.ipv4, 80, &listener));
    // Each reaches itself, by loopback and by its own address.
    assert!(b.reaches(two.ipv4, 80, &listener));
    assert!(b.reaches(std::net::Ipv4Addr::LOCALHOST, 80, &listener));
    let (pinged, _) = a.try_run(&format!("busybox ping -c1 -W1 {}", two.ipv4));
    assert!(!pinged);
    let mailbox = b.inside(|| UdpSocket::bind("0.0.0.0:53").unwrap());
    assert!(!a.datagram(SocketAddr::new(two.ipv4.into(), 53), &mailbox));
    // The kernel has counted who tried what.
    let denied = lab.elements("denied");
    assert!(denied.contains("0x00000001 . 0x00000002 . tcp . 80 counter packets"), "{denied}");
    assert!(denied.contains("0x00000001 . 0x00000002 . udp . 53 counter packets"), "{denied}");
    assert!(lab.host.inside(|| lab.network.status()).unwrap().denied_packets >= 3);
}

#[test]
fn containers_reach_the_outside_under_the_hosts_address() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&endpoint(1));
    let listener = lab.outside.listen("203.0.113.2:443");
    let seen = a.talk(SocketAddr::new(OUTSIDE.into(), 443), &listener).unwrap();
    assert_eq!(seen.ip(), HOST);
    let mailbox = lab.outside.inside(|| UdpSocket::bind("203.0.113.2:53").unwrap());
    assert!(a.datagram(SocketAddr::new(OUTSIDE.into(), 53), &mailbox));
    a.run(&format!("busybox ping -c1 -W2 {OUTSIDE}"));
}

#[test]
fn containers_without_egress_do_not_reach_the_outside() {
    let Some(lab) = Lab::new() else { return };
    let mut closed = endpoint(1);
    closed.egress = false;
    let a = lab.attach(&closed);
    let listener = lab.outside.listen("203.0.113.2:443");
    assert!(!a.reaches(OUTSIDE, 443, &listener));
}

#[test]
fn containers_do_not_reach_services_of_the_host() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&endpoint(1));
    let listener = lab.host.listen("0.0.0.0:22");
    assert!(!a.reaches(HOST, 22, &listener));
    assert!(!a.reaches(GATEWAY, 22, &listener));
    // Denied, not because it did not work at all.
    assert!(lab.outside.reaches(HOST, 22, &listener));
    let denied = lab.elements("denied");
    assert!(denied.contains("0x00000001 . 0x00fffff1 . tcp . 22 counter packets"), "{denied}");
    // A service that listens on loopback alone stays there, although route_localnet is on.
    let local = lab.host.listen("127.0.0.1:8000");
    a.run(
        "ip route add 127.0.0.2/32 via 169.254.1.1 dev eth0; ip addr del 127.0.0.1/8 dev lo; \
           sysctl -qw net.ipv4.conf.eth0.route_localnet=1; ip route add 127.0.0.1 via 169.254.1.1 dev eth0",
    );
    let before = lab.spoofed();
    a.inside(|| {
        let socket = UdpSocket::bind("10.210.0.2:0").unwrap();
        socket.send_to(b"x", "127.0.0.1:8000").unwrap();
    });
    lab.expect_spoofed_beyond(before, "sent to 127.0.0.1");
    drop(local);
}

#[test]
fn services_the_host_opens_are_reached_by_the_gateways_address_alone() {
    let Some(lab) = Lab::new() else { return };
    let mut six = endpoint(1);
    six.ipv6 = Some("fd00:210::2".parse().unwrap());
    let (a, b) = (lab.attach(&six), lab.attach(&endpoint(2)));
    lab.host.run("nft add element inet haven host_open { tcp . 53 }");
    // A container that publishes the same port does not get what is for the host.
    lab.host.run("nft add element inet haven publish4_any { tcp . 53 : 10.210.0.3 . 53 }");
    lab.host.run("nft add element inet haven publish6_any { tcp . 53 : fd00:210::3 . 53 }");
    let stolen = b.listen("0.0.0.0:53");
    stolen.set_nonblocking(true).unwrap();
    let (four, other) = (lab.host.listen("169.254.1.1:53"), lab.host.listen("169.254.1.1:54"));
    assert!(a.reaches(GATEWAY, 53, &four));
    assert!(stolen.accept().is_err());
    assert!(!a.reaches(GATEWAY, 54, &other));
    drop(four);
    let listener = lab.host.listen("[::]:53");
    let gateway = |scope| SocketAddr::V6(std::net::SocketAddrV6::new(haven_network::GATEWAY6, 53, 0, scope));
    let scope = a.run("ip -o link show eth0 | cut -d: -f1");
    assert!(a.talk(gateway(scope.trim().parse().unwrap()), &listener).is_some());
    assert!(!a.reaches("2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap(), 53, &listener));
}

#[test]
fn the_host_reaches_its_containers() {
    let Some(lab) = Lab::new() else { return };
    let one = endpoint(1);
    let a = lab.attach(&one);
    let listener = a.listen("0.0.0.0:80");
    let seen = lab.host.talk(SocketAddr::new(one.ipv4.into(), 80), &listener).unwrap();
    assert_eq!(seen.ip(), GATEWAY);
}

#[test]
fn the_outside_reaches_no_container_by_its_address() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let listener = a.listen("0.0.0.0:80");
    // It knows the way; the port is published, but not by this address.
    assert!(!lab.outside.reaches(web.ipv4, 80, &listener));
    assert!(!lab.elements("denied").contains("0x00000001"), "who scans from outside does not fill the list");
    assert!(lab.outside.reaches(HOST, 8080, &listener));
}

#[test]
fn unassigned_addresses_of_the_pool_lead_nowhere() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&endpoint(1));
    // The outside would answer for it: a reset, instead of unreachable.
    let error = a
        .inside(|| {
            std::net::TcpStream::connect_timeout(&"10.210.99.99:80".parse().unwrap(), crate::lab::PATIENCE)
        })
        .unwrap_err();
    assert_ne!(error.kind(), std::io::ErrorKind::TimedOut);
    assert!(lab.host.run("ip route show table main").contains("unreachable 10.210.0.0/16 proto 118"));
}

#[test]
fn forged_source_addresses_are_dropped() {
    let Some(lab) = Lab::new() else { return };
    let victim = endpoint(2);
    let (a, _b) = (lab.attach(&endpoint(1)), lab.attach(&victim));
    let listener = lab.outside.listen("203.0.113.2:443");
    for forged in [victim.ipv4.to_string(), "10.210.77.77".into(), "192.0.2.99".into(), HOST.to_string()] {
        a.run(&format!("ip addr add {forged}/32 dev eth0"));
        let before = lab.spoofed();
        a.inside(|| {
            let socket = UdpSocket::bind(format!("{forged}:0")).unwrap();
            socket.send_to(b"x", "203.0.113.2:443").unwrap();
        });
        lab.expect_spoofed_beyond(before, &forged);
        a.run(&format!("ip addr del {forged}/32 dev eth0"));
    }
    assert!(a.reaches(OUTSIDE, 443, &listener), "its own address still passes");
}

#[test]
fn forged_arp_changes_nobodys_mind() {
    let Some(lab) = Lab::new() else { return };
    let victim = endpoint(2);
    let (a, b) = (lab.attach(&endpoint(1)), lab.attach(&victim));
    let listener = b.listen("0.0.0.0:80");
    assert!(lab.host.reaches(victim.ipv4, 80, &listener));
    // The kernel announces every address of an interface whose MAC changes: the victim's, the gateway's, the host's.
    for forged in [victim.ipv4, GATEWAY, HOST] {
        a.run(&format!("ip addr add {forged}/32 dev eth0"));
    }
    a.run("sysctl -qw net.ipv4.conf.eth0.arp_notify=1; ip link set eth0 address 02:66:66:66:66:66");
    assert!(lab.host.reaches(victim.ipv4, 80, &listener));
    assert!(lab.outside.reaches(HOST, 22, &lab.host.listen("0.0.0.0:22")));
    let neighbours = lab.host.run("ip neigh show");
    let poisoned = neighbours.lines().any(|l| l.contains("02:66:66:66:66:66") && !l.contains("10.210.0.2 "));
    // An entry on the forger's own interface misleads nobody: routes to the victim go by the victim's.
    let elsewhere = neighbours.lines().any(|l| l.contains("66:66") && !l.contains("dev hv0101010101010"));
    assert!(!elsewhere, "{neighbours}");
    assert!(!poisoned || !neighbours.contains("10.210.0.3 dev hv0202020202020 lladdr 02:66"), "{neighbours}");
}

#[test]
fn the_host_gives_away_no_address_of_its_other_interfaces_by_arp() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&endpoint(1));
    a.run(&format!("ip route add {HOST}/32 dev eth0"));
    a.try_run(&format!("busybox ping -c1 -W1 {HOST}"));
    let neighbours = a.run("ip neigh show");
    let answered = neighbours.lines().any(|l| l.starts_with("203.0.113.1 ") && l.contains("lladdr"));
    assert!(!answered, "{neighbours}");
}

#[test]
fn an_interface_that_nobody_registered_is_denied() {
    let Some(lab) = Lab::new() else { return };
    let two = endpoint(2);
    let b = lab.attach(&two);
    let stranger = lab.attach(&endpoint(1));
    let listener = b.listen("0.0.0.0:80");
    let outside = lab.outside.listen("203.0.113.2:443");
    assert!(stranger.reaches(OUTSIDE, 443, &outside));
    lab.host.run("nft delete element inet haven bind4 { hv0101010101010 . 10.210.0.2 }");
    let gone =
        stranger.inside(|| std::net::TcpStream::connect_timeout(&"203.0.113.2:443".parse().unwrap(), SHORT));
    assert!(gone.is_err());
    // Bound, but without an identity.
    lab.host.run("nft add element inet haven bind4 { hv0101010101010 . 10.210.0.2 }");
    lab.host.run("nft delete element inet haven src_id { hv0101010101010 : 1 }");
    assert!(!stranger.reaches(OUTSIDE, 443, &outside));
    assert!(!stranger.reaches(two.ipv4, 80, &listener));
}

#[test]
fn marks_of_others_are_no_identities() {
    let Some(lab) = Lab::new() else { return };
    let mut closed = endpoint(1);
    closed.egress = false;
    let a = lab.attach(&closed);
    let _rich = lab.attach(&endpoint(2));
    // Somebody marks connections and packets with what happens to be the number of one who may go out.
    lab.host.run(
        "nft 'table ip other { chain c { type filter hook prerouting priority -150; ct state new ct mark set 2 meta mark set 2; }; }'",
    );
    let listener = lab.outside.listen("203.0.113.2:443");
    assert!(!a.reaches(OUTSIDE, 443, &listener));
    // Nor is somebody outside taken for the one whose number his connections are marked with.
    lab.host.run("nft add element inet haven live { 0x80000002 }");
    lab.host.run("nft add element inet haven links { 2 . 1 . tcp . 80 : 0x80000002 }");
    assert!(!lab.outside.reaches(closed.ipv4, 80, &a.listen("0.0.0.0:80")));
    // Nor does a link to one who happens to have a packet's mark lead elsewhere.
    lab.host.run("nft add element inet haven live { 0x80000001 }");
    lab.host.run("nft add element inet haven links { 1 . 2 . tcp . 443 : 0x80000001 }");
    assert!(!a.reaches(OUTSIDE, 443, &listener));
}

#[test]
fn a_link_for_a_whole_protocol_lets_that_protocol_through() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (endpoint(1), endpoint(2));
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    lab.host.run("nft add element inet haven live { 0x80000001 }");
    lab.host.run("nft add element inet haven links_any { 1 . 2 . icmp : 0x80000001 }");
    a.run(&format!("busybox ping -c1 -W2 {}", two.ipv4));
    assert!(!b.try_run(&format!("busybox ping -c1 -W1 {}", one.ipv4)).0, "not the other way");
    assert!(!a.reaches(two.ipv4, 80, &b.listen("0.0.0.0:80")));
}

#[test]
fn taking_a_link_away_ends_established_connections() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&endpoint(1));
    let listener = lab.outside.listen("203.0.113.2:443");
    let (mut client, mut server) = a.connection(SocketAddr::new(OUTSIDE.into(), 443), &listener);
    exchange(&mut client, &mut server).unwrap();
    lab.host.run("nft delete element inet haven live { 0xc0000001 }");
    assert!(exchange(&mut client, &mut server).is_err());
    assert!(lab.host.inside(|| lab.network.status()).unwrap().revoked_packets >= 1);
}

#[test]
fn a_link_lets_exactly_one_direction_protocol_and_port_through() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (endpoint(1), endpoint(2));
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    lab.host.run("nft add element inet haven live { 0x80000001 }");
    lab.host.run("nft add element inet haven links { 1 . 2 . tcp . 5432 : 0x80000001 }");
    let (open, other) = (b.listen("0.0.0.0:5432"), b.listen("0.0.0.0:5433"));
    let back = a.listen("0.0.0.0:5432");
    assert!(a.reaches(two.ipv4, 5432, &open));
    assert!(!a.reaches(two.ipv4, 5433, &other));
    assert!(!b.reaches(one.ipv4, 5432, &back));
    let mailbox = b.inside(|| UdpSocket::bind("0.0.0.0:5432").unwrap());
    assert!(!a.datagram(SocketAddr::new(two.ipv4.into(), 5432), &mailbox));
    // A third with the same wish.
    let c = lab.attach(&endpoint(3));
    assert!(!c.reaches(two.ipv4, 5432, &open));
}

#[test]
fn ranges_of_ports_and_addresses_match_as_nft_writes_them() {
    let Some(lab) = Lab::new() else { return };
    let (mut one, two) = (endpoint(1), endpoint(2));
    one.egress = false;
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    lab.host.run("nft add element inet haven live { 0x80000001, 0x80000002 }");
    lab.host.run("nft add element inet haven links_range { 1 . 2 . tcp . 8000-8010 : 0x80000001 }");
    lab.host.run("nft add element inet haven egress4 { 1 . 203.0.113.0/24 . tcp . 400-500 : 0x80000002 }");
    let (inside, beyond) = (b.listen("0.0.0.0:8010"), b.listen("0.0.0.0:8011"));
    assert!(a.reaches(two.ipv4, 8010, &inside));
    assert!(!a.reaches(two.ipv4, 8011, &beyond));
    let (inside, beyond) = (lab.outside.listen("203.0.113.2:443"), lab.outside.listen("203.0.113.2:501"));
    assert!(a.reaches(OUTSIDE, 443, &inside));
    assert!(!a.reaches(OUTSIDE, 501, &beyond));
}

#[test]
fn an_observed_application_is_let_through_and_recorded() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (endpoint(1), endpoint(2));
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    lab.host.run("nft add element inet haven observe { 1 }; nft add element inet haven live { 0xfffffffe }");
    let listener = b.listen("0.0.0.0:80");
    assert!(a.reaches(two.ipv4, 80, &listener));
    assert!(lab.elements("denied").contains("0x00000001 . 0x00000002 . tcp . 80"));
}

#[test]
fn ipv6_follows_the_same_rules() {
    let Some(lab) = Lab::new() else { return };
    // Forwarding of IPv6 is the operator's decision: it changes how the host takes its own addresses.
    lab.host.run("sysctl -qw net.ipv6.conf.all.forwarding=1");
    let (mut one, mut two) = (endpoint(1), endpoint(2));
    one.ipv6 = Some("fd00:210::2".parse().unwrap());
    two.ipv6 = Some("fd00:210::3".parse().unwrap());
    two.published = vec![publish("::", 8080, "80")];
    let (a, b) = (lab.attach(&one), lab.attach(&two));
    let outside = lab.outside.listen("[2001:db8::2]:443");
    let seen = a.talk("[2001:db8::2]:443".parse().unwrap(), &outside).unwrap();
    assert_eq!(seen.ip().to_string(), "2001:db8::1");
    let listener = b.listen("[::]:80");
    assert!(!a.reaches(two.ipv6.unwrap(), 80, &listener));
    assert!(lab.outside.talk("[2001:db8::1]:8080".parse().unwrap(), &listener).is_some());
    assert!(!lab.outside.reaches(two.ipv6.unwrap(), 80, &listener));
    assert!(!a.reaches("2001:db8::1".parse::<std::net::IpAddr>().unwrap(), 22, &lab.host.listen("[::]:22")));
    // A container may have a link-local address and resolve the gateway's.
    a.run("ip -6 addr add fe80::99/64 dev eth0 nodad; ip -6 neigh flush dev eth0");
    let resolved = (0..10).any(|_| {
        a.try_run("busybox ping -c1 -W1 fe80::1%eth0");
        a.run("ip -6 neigh show fe80::1 dev eth0").contains("lladdr")
    });
    assert!(resolved, "{}", a.run("ip -6 neigh show; ip -6 addr"));
    // A forged source.
    a.run("ip -6 addr add fd00:210::3/128 dev eth0 nodad");
    let before = lab.spoofed();
    a.inside(|| {
        let socket = UdpSocket::bind("[fd00:210::3]:0").unwrap();
        socket.send_to(b"x", "[2001:db8::2]:443").unwrap();
    });
    lab.expect_spoofed_beyond(before, "fd00:210::3");
}

#[test]
fn replicas_of_one_identity_share_links_and_leave_alone() {
    let Some(lab) = Lab::new() else { return };
    let mut twin = endpoint(2);
    twin.identity = Identity::new(1).unwrap();
    let (a, b) = (lab.attach(&endpoint(1)), lab.attach(&twin));
    let listener = lab.outside.listen("203.0.113.2:443");
    assert!(a.reaches(OUTSIDE, 443, &listener) && b.reaches(OUTSIDE, 443, &listener));
    assert!(lab.host.inside(|| lab.network.detach(&twin.container)).is_empty());
    assert!(a.reaches(OUTSIDE, 443, &listener), "the other replica's link is still live");
}

#[test]
fn the_drop_of_another_table_stays_final() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let (inner, outer) = (a.listen("0.0.0.0:80"), lab.outside.listen("203.0.113.2:443"));
    assert!(lab.outside.reaches(HOST, 8080, &inner) && a.reaches(OUTSIDE, 443, &outer));
    lab.host.run(
        "nft 'table ip strict { chain FORWARD { type filter hook forward priority 0; policy drop; }; }'",
    );
    let refused = |place: &crate::lab::Place, to: &str| {
        let to = to.parse().unwrap();
        place.inside(|| std::net::TcpStream::connect_timeout(&to, SHORT)).is_err()
    };
    assert!(refused(&lab.outside, "203.0.113.1:8080"));
    assert!(refused(&a, "203.0.113.2:443"));
    let status = lab.host.inside(|| lab.network.status()).unwrap();
    let expected =
        Foreign::ForwardDrop { family: "ip".into(), table: "strict".into(), chain: "FORWARD".into() };
    assert_eq!(status.foreign, [expected]);
    // What the operator is told to do does it.
    for command in status.foreign[0].remedy() {
        lab.host.run(&command);
    }
    assert!(lab.outside.reaches(HOST, 8080, &inner) && a.reaches(OUTSIDE, 443, &outer));
}

#[test]
fn beside_docker_the_remedy_lets_traffic_through() {
    let Some(lab) = Lab::new() else { return };
    let a = lab.attach(&endpoint(1));
    let outer = lab.outside.listen("203.0.113.2:443");
    // What dockerd sets up.
    let (made, output) = lab
        .host
        .try_run("iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER && iptables -P FORWARD DROP");
    if !made {
        eprintln!("skipped: iptables is not usable here: {output}");
        return;
    }
    let refused = || {
        a.inside(|| std::net::TcpStream::connect_timeout(&"203.0.113.2:443".parse().unwrap(), SHORT)).is_err()
    };
    assert!(refused());
    let status = lab.host.inside(|| lab.network.status()).unwrap();
    assert_eq!(status.foreign[0], Foreign::Docker);
    for command in status.foreign[0].remedy() {
        lab.host.run(&command);
    }
    assert!(a.reaches(OUTSIDE, 443, &outer));
}

#[test]
fn strict_reverse_path_filtering_is_no_obstacle() {
    let Some(lab) = Lab::new() else { return };
    lab.host.run("for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 > $f; done");
    let mut web = endpoint(1);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let a = lab.attach(&web);
    let (inner, outer) = (a.listen("0.0.0.0:80"), lab.outside.listen("203.0.113.2:443"));
    assert!(a.reaches(OUTSIDE, 443, &outer));
    assert!(lab.outside.reaches(HOST, 8080, &inner));
    assert!(lab.host.reaches(std::net::Ipv4Addr::LOCALHOST, 8080, &inner));
    assert!(lab.host.reaches(HOST, 8080, &inner));
}
