//! What a container's place on its networks is: when it starts, and while it runs.

use super::networks::{self, NetworkRecord};
use super::subject::Subject;
use crate::container::command::Live;
use crate::record::ContainerRecord;
use crate::shared::Shared;
use crate::view::{EndpointView, PublishedPort};
use haven_network::{Endpoint, GATEWAY, MacAddress};
use haven_spec::{ContainerId, Failure, NetworkAttachment, Outcome, PortMapping};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::Arc;

/// Networks of one container; each is an interface.
const NETWORK_LIMIT: usize = 32;

/// Refuses wishes that the network can't fulfil, before a container is made with them.
pub(crate) fn check(network: &NetworkRecord, wish: &NetworkAttachment) -> Outcome<()> {
    if let Some(address) = wish.ipv4
        && !network.subnet.contains(address)
    {
        return Err(Failure::invalid(format!(
            "no configured subnet contains IP address {address}: network `{}` has `{}`",
            network.name, network.subnet
        )));
    }
    if wish.ipv6.is_some() {
        return Err(Failure::unsupported(format!(
            "network `{}` has no IPv6 addresses to give",
            network.name
        )));
    }
    if let Some(mac) = wish.mac.as_deref() {
        MacAddress::parse(mac)?;
    }
    Ok(())
}

/// Addresses, identity and host ports for all networks of a container that starts. When it fails everything is given
/// back by [`release`].
pub(crate) fn plan(shared: &Shared, record: &ContainerRecord) -> Outcome<Vec<Endpoint>> {
    let names = networks::wanted(&record.spec);
    if names.len() > NETWORK_LIMIT {
        return Err(Failure::invalid(format!("a container is on at most {NETWORK_LIMIT} networks")));
    }
    let networks = names.iter().map(|name| shared.networks.find(name)).collect::<Outcome<Vec<_>>>()?;
    // Everything else is reached by the first network that leads anywhere.
    let gateway = networks.iter().position(|network| !network.internal).unwrap_or(0);
    let mut endpoints = Vec::new();
    for (at, network) in networks.iter().enumerate() {
        let default = NetworkAttachment::default();
        let wish = record.spec.attachments.get(network.name.as_str()).unwrap_or(&default);
        endpoints.push(place(shared, record, network, wish, &format!("eth{at}"), at == gateway)?);
    }
    if let Some(way_in) = endpoints.get_mut(gateway).filter(|endpoint| !endpoint.internal) {
        let mappings = mappings(record);
        way_in.sources = super::publishing::sources(&mappings)?;
        way_in.published = shared.network.choose_host_ports(&record.id, &mappings)?;
    }
    Ok(endpoints)
}

/// One place, with an address of its own.
fn place(
    shared: &Shared,
    record: &ContainerRecord,
    network: &NetworkRecord,
    wish: &NetworkAttachment,
    interface: &str,
    gateway: bool,
) -> Outcome<Endpoint> {
    check(network, wish)?;
    let subject = Subject::of_container(&record.name, &record.spec);
    let mut numbers = shared.numbers();
    let identity = numbers.identify(&record.id, &subject)?;
    let ipv4 = numbers.address(&record.id, network.name.as_str(), wish.ipv4)?;
    Ok(Endpoint {
        container: record.id.clone(),
        network: network.name.to_string(),
        ipv4,
        ipv6: None,
        identity,
        mac: wish.mac.as_deref().map(MacAddress::parse).transpose()?,
        interface: interface.to_owned(),
        subnet: Some(network.subnet),
        gateway,
        internal: network.internal,
        // The network's own link says it for everybody on it.
        egress: false,
        published: Vec::new(),
        sources: BTreeMap::new(),
    })
}

/// The ports its user wants published, with those of `--publish-all`.
fn mappings(record: &ContainerRecord) -> Vec<PortMapping> {
    let mut mappings = record.spec.ports.clone();
    if record.spec.publish_all_ports {
        for port in &record.spec.exposed_ports {
            if !mappings.iter().any(|mapping| mapping.container == *port) {
                mappings.push(PortMapping {
                    container: *port,
                    host_address: None,
                    host_port: 0,
                    host_port_end: 0,
                    from: Vec::new(),
                    reason: String::new(),
                });
            }
        }
    }
    mappings
}

/// Everything [`plan`] and [`connect`] gave; again is nothing.
pub(crate) fn release(shared: &Shared, container: &ContainerId) {
    shared.network.release_host_ports(container);
    shared.numbers().release_container(container);
}

/// What a container that was found running has is its own again.
pub(crate) fn restore(shared: &Shared, record: &ContainerRecord, endpoints: &[Endpoint]) {
    let Some(first) = endpoints.first() else { return };
    let subject = Subject::of_container(&record.name, &record.spec);
    let addresses = endpoints.iter().map(|e| (e.network.clone(), e.ipv4)).collect();
    if !shared.numbers().restore(&record.id, &subject, first.identity, addresses) {
        tracing::error!(container = %record.id, "its number on networks is another's; restart it to give it one of its own");
    }
}

/// Puts a container that runs on one more network.
pub(crate) fn connect(
    shared: &Shared,
    record: &ContainerRecord,
    live: &Live,
    present: &[Endpoint],
    network: &NetworkRecord,
    wish: &NetworkAttachment,
) -> Outcome<Endpoint> {
    if present.len() >= NETWORK_LIMIT {
        return Err(Failure::conflict(format!("a container is on at most {NETWORK_LIMIT} networks")));
    }
    let taken = present.iter().map(|e| e.interface.as_str()).collect::<BTreeSet<_>>();
    let interface =
        (0..).map(|n| format!("eth{n}")).find(|name| !taken.contains(name.as_str())).unwrap_or_default();
    let namespace = namespace(live)?;
    let made =
        place(shared, record, network, wish, &interface, present.is_empty()).and_then(|mut endpoint| {
            if endpoint.gateway && !endpoint.internal {
                let mappings = mappings(record);
                endpoint.sources = super::publishing::sources(&mappings)?;
                endpoint.published = shared.network.choose_host_ports(&record.id, &mappings)?;
            }
            let attached = shared.network.attach(std::os::fd::AsFd::as_fd(&namespace), &endpoint);
            attached.map(|()| endpoint)
        });
    if made.is_err() {
        let mut numbers = shared.numbers();
        numbers.release_address(&record.id, network.name.as_str());
        if present.is_empty() {
            numbers.release_container(&record.id);
        }
    }
    made
}

/// Takes a container that runs off a network; what is left, of which one leads everywhere else.
pub(crate) fn disconnect(
    shared: &Shared,
    record: &ContainerRecord,
    live: &Live,
    present: &[Endpoint],
    network: &str,
) -> Outcome<Vec<Endpoint>> {
    let (leaving, mut staying): (Vec<_>, Vec<_>) =
        present.iter().cloned().partition(|e| e.network == network);
    for endpoint in &leaving {
        for failure in shared.network.disconnect(&record.id, &endpoint.interface) {
            tracing::warn!(container = %record.id, error = %failure.one_line(), "cannot take all of the connection back");
        }
    }
    if staying.is_empty() {
        release(shared, &record.id);
    } else {
        shared.numbers().release_address(&record.id, network);
    }
    if !staying.iter().any(|e| e.gateway) {
        let heir =
            staying.iter().position(|e| !e.internal).or(if staying.is_empty() { None } else { Some(0) });
        if let Some(heir) = heir.and_then(|at| staying.get_mut(at)) {
            let namespace = namespace(live)?;
            shared.network.lead_out(std::os::fd::AsFd::as_fd(&namespace), &record.id, &heir.interface)?;
            heir.gateway = true;
            let published = leaving.iter().flat_map(|e| e.published.iter().copied()).collect::<Vec<_>>();
            if !heir.internal && !published.is_empty() {
                let sources = super::publishing::sources(&mappings(record))?;
                shared.network.republish(&record.id, &heir.interface, published.clone(), sources.clone())?;
                (heir.published, heir.sources) = (published, sources);
            }
        }
    }
    Ok(staying)
}

/// The network namespace of a container that runs: opened by number, then checked that the number is still its.
fn namespace(live: &Live) -> Outcome<File> {
    let path = format!("/proc/{}/ns/net", live.pid);
    let file = File::open(&path).map_err(|e| Failure::host(format!("cannot open `{path}`")).because(e))?;
    let mut ended = [rustix::event::PollFd::new(&live.pidfd, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::event::poll(&mut ended, Some(&now)) {
        Ok(0) => Ok(file),
        _ => Err(Failure::conflict("the container has just ended")),
    }
}

pub(crate) fn view(shared: &Shared, record: &ContainerRecord, endpoint: &Endpoint) -> EndpointView {
    let network = shared.networks.find(&endpoint.network).ok();
    let wish = record.spec.attachments.get(&endpoint.network);
    EndpointView {
        network: endpoint.network.clone(),
        network_id: network.as_ref().map(|n| n.id.clone()).unwrap_or_default(),
        endpoint_id: endpoint_id(&endpoint.container, network.as_ref()),
        ipv4: endpoint.ipv4,
        ipv4_prefix: endpoint.subnet.map_or(32, haven_spec::Ipv4Net::prefix),
        gateway: network.as_ref().and_then(|n| n.gateway).unwrap_or(GATEWAY),
        mac: endpoint.effective_mac().to_string(),
        aliases: wish.map(|wish| wish.aliases.clone()).unwrap_or_default(),
        published: endpoint
            .published
            .iter()
            .map(|p| PublishedPort {
                container: p.container,
                host_address: p.host_address,
                host_port: p.host_port,
            })
            .collect(),
    }
}

/// Of a container on a network: the digits of both ids added up, so that it is the same whenever it is asked for.
fn endpoint_id(container: &ContainerId, network: Option<&Arc<NetworkRecord>>) -> String {
    let other = network.map_or("", |n| n.id.as_str());
    let digits = container.as_str().chars().zip(other.chars().chain(std::iter::repeat('0')));
    digits.filter_map(|(a, b)| char::from_digit((a.to_digit(16)? + b.to_digit(16)?) % 16, 16)).collect()
}
