//! What links cost, in namespaces of their own: `cargo run --release --example link_cost`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use haven_network::{
    Endpoint, Identity, Link, LinkId, Network, NetworkConfig, Party, Published, Traffic, bring_loopback_up,
};
use haven_spec::{ContainerId, Failure, Outcome, PortKey, PortProtocol};
use haven_sys::network_namespace;
use rustix::fd::{AsFd, OwnedFd};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const LINKS: u32 = 100_000;
const CONNECTIONS: usize = 3_000;

fn failed(error: impl Into<std::io::Error>) -> Failure {
    Failure::host("cannot measure").because(error.into())
}

fn application(n: u32) -> Outcome<Party> {
    Ok(Party::Application(Identity::new(n)?))
}

fn link(id: u32, from: u32, to: u32) -> Outcome<Link> {
    let traffic = Traffic::Ports { protocol: PortProtocol::Tcp, first: 80, last: 80 };
    Ok(Link { id: LinkId::new(id)?, from: application(from)?, to: application(to)?, traffic })
}

fn attach(network: &Network, n: u8) -> Outcome<(OwnedFd, Ipv4Addr)> {
    let place = network_namespace::create().map_err(failed)?;
    let ipv4 = Ipv4Addr::new(10, 210, 0, n + 1);
    network.attach(
        place.as_fd(),
        &Endpoint {
            container: ContainerId::from_bytes(&[n; 32]),
            network: "default".into(),
            ipv4,
            ipv6: None,
            identity: Identity::new(n.into())?,
            mac: None,
            interface: "eth0".into(),
            subnet: None,
            gateway: true,
            internal: false,
            egress: true,
            published: vec![Published {
                container: PortKey::parse("80")?,
                host_address: Ipv4Addr::UNSPECIFIED.into(),
                host_port: 8000 + u16::from(n),
            }],
            sources: std::collections::BTreeMap::new(),
        },
    )?;
    Ok((place, ipv4))
}

/// The median time of a connect from `from`.
fn connect(from: &OwnedFd, to: SocketAddr, listener: &TcpListener) -> Outcome<Duration> {
    let work = || {
        let mut times = Vec::new();
        for _ in 0..CONNECTIONS {
            let started = Instant::now();
            let client = TcpStream::connect(to)?;
            times.push(started.elapsed());
            drop(listener.accept()?);
            drop(client);
        }
        times.sort();
        Ok::<_, std::io::Error>(times.get(times.len() / 2).copied().unwrap_or_default())
    };
    network_namespace::within(from.as_fd(), work).map_err(failed)?.map_err(failed)
}

fn measure() -> Outcome<()> {
    let own = network_namespace::open_own().map_err(failed)?;
    bring_loopback_up(own.as_fd())?;
    let network = Network::open(NetworkConfig::default())?;
    let (a, _) = attach(&network, 1)?;
    let (b, address) = attach(&network, 2)?;
    let listen = || TcpListener::bind("0.0.0.0:80");
    let listener = network_namespace::within(b.as_fd(), listen).map_err(failed)?.map_err(failed)?;
    let to = SocketAddr::new(address.into(), 80);

    network.add_links(&[link(1, 1, 2)?, link(2, 2, 1)?, link(3, 1, 3)?])?;
    let few = connect(&a, to, &listener)?;
    let started = Instant::now();
    let many =
        (0..LINKS).map(|n| link(n + 10, 100 + n / 300, 1000 + n % 300)).collect::<Outcome<Vec<_>>>()?;
    network.add_links(&many)?;
    println!("{LINKS} links declared in one transaction      {:>8} ms", started.elapsed().as_millis());
    let crowd = connect(&a, to, &listener)?;
    let again = connect(&a, to, &listener)?;
    println!("connect with 3 links, median               {:>8} ns", few.as_nanos());
    println!("connect with {LINKS} links, median          {:>8} ns", crowd.min(again).as_nanos());

    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for n in 0..200 {
        let one = [link(500_000 + n, 5000, n + 1)?];
        let started = Instant::now();
        network.add_links(&one)?;
        added.push(started.elapsed());
        let started = Instant::now();
        network.remove_links(&[one[0].id])?;
        removed.push(started.elapsed());
    }
    for (what, times) in [("added", &mut added), ("removed", &mut removed)] {
        times.sort();
        println!("one link {what} at {LINKS}, median      {:>8} µs", times[times.len() / 2].as_micros());
    }
    let published =
        connect(&own, "127.0.0.1:8002".parse().map_err(|_| Failure::internal("address"))?, &listener)?;
    println!("connect to a port published on 127.0.0.1   {:>8} ns", published.as_nanos());
    let direct = connect(&own, to, &listener)?;
    println!("connect from the host to the container     {:>8} ns", direct.as_nanos());
    Ok(())
}

fn main() {
    let own = network_namespace::create().and_then(|own| network_namespace::within(own.as_fd(), measure));
    match own {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => println!("failed: {}", failure.one_line()),
        Err(errno) => println!("a network namespace takes root: {errno}"),
    }
}
