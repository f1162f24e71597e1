//! What connecting and leaving costs, in a namespace of its own: `cargo run --release --example attach_cost`.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use haven_network::{Endpoint, Identity, Network, NetworkConfig, Published};
use haven_spec::{ContainerId, Outcome, PortKey};
use haven_sys::network_namespace;
use rustix::fd::AsFd;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const CONTAINERS: u16 = 200;

fn endpoint(n: u16) -> Outcome<Endpoint> {
    let [high, low] = n.to_be_bytes();
    let mut id = [0; 32];
    id[..2].copy_from_slice(&n.to_be_bytes());
    Ok(Endpoint {
        container: ContainerId::from_bytes(&id),
        network: "default".into(),
        ipv4: Ipv4Addr::new(10, 210, high, low.max(2)),
        ipv6: None,
        identity: Identity::new(u32::from(n) + 1)?,
        mac: None,
        interface: "eth0".into(),
        subnet: None,
        gateway: true,
        internal: false,
        egress: true,
        published: vec![Published {
            container: PortKey::parse("80")?,
            host_address: Ipv4Addr::UNSPECIFIED.into(),
            host_port: 10_000 + n,
        }],
        sources: std::collections::BTreeMap::new(),
    })
}

fn shown(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at =
        |share: usize| times.get((times.len() - 1) * share / 100).copied().unwrap_or_default().as_micros();
    println!("{what:<34} median {:>6} µs   p10 {:>6}   p90 {:>6}", at(50), at(10), at(90));
}

fn measure() -> Outcome<()> {
    let timed = |times: &mut Vec<Duration>, work: &mut dyn FnMut() -> Outcome<()>| {
        let started = Instant::now();
        let result = work();
        times.push(started.elapsed());
        result
    };
    let (mut opened, mut made, mut attached, mut detached) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut reconciled = Vec::new();
    let mut network = Network::open(NetworkConfig::default())?;
    for _ in 0..10 {
        timed(&mut opened, &mut || Network::open(NetworkConfig::default()).map(|n| network = n))?;
    }
    let mut endpoints = Vec::new();
    let mut places = Vec::new();
    for n in 0..CONTAINERS {
        let started = Instant::now();
        let place = network_namespace::create().map_err(|e| {
            haven_spec::Failure::host("cannot make a network namespace").because(std::io::Error::from(e))
        })?;
        made.push(started.elapsed());
        let endpoint = endpoint(n)?;
        timed(&mut attached, &mut || network.attach(place.as_fd(), &endpoint))?;
        places.push(place);
        endpoints.push(endpoint);
    }
    for _ in 0..10 {
        timed(&mut reconciled, &mut || network.reconcile(&endpoints).map(drop))?;
    }
    for endpoint in &endpoints {
        timed(&mut detached, &mut || network.detach(&endpoint.container).pop().map_or(Ok(()), Err))?;
    }
    shown("open, everything in place", opened);
    shown("a network namespace, for comparison", made);
    shown("attach, with one published port", attached);
    shown("reconcile 200, nothing amiss", reconciled);
    shown("detach", detached);
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
