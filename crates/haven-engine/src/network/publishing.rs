//! Which of a container's ports are published, for whom: on record, and while it runs.

use crate::record::ContainerRecord;
use crate::shared::Shared;
use haven_network::{Endpoint, Published};
use haven_spec::{ContainerSpec, Failure, Ipv4Net, NetworkMode, Outcome, PortKey, PortMapping};
use std::collections::BTreeMap;

/// Ranges of one published port.
const SOURCE_LIMIT: usize = 256;

/// The specification with these ports published too.
pub(crate) fn with(spec: &ContainerSpec, more: Vec<PortMapping>) -> Outcome<ContainerSpec> {
    check_mode(spec)?;
    let mut spec = spec.clone();
    for mapping in more {
        let same =
            |other: &PortMapping| other.container == mapping.container && place(other) == place(&mapping);
        if mapping.host_port != 0 && spec.ports.iter().any(same) {
            return Err(Failure::conflict(format!("port {} is published there already", shown(&mapping)))
                .hint("haven unpublish it first, to publish it for others"));
        }
        spec.exposed_ports.insert(mapping.container);
        spec.ports.push(mapping);
    }
    sources(&spec.ports)?;
    Ok(spec)
}

/// The specification without these: a mapping without a host port means every one of that container's port.
pub(crate) fn without(spec: &ContainerSpec, fewer: &[PortMapping]) -> Outcome<ContainerSpec> {
    check_mode(spec)?;
    let mut spec = spec.clone();
    for mapping in fewer {
        let meant = |other: &PortMapping| {
            other.container == mapping.container
                && (mapping.host_port == 0 || other.host_port == mapping.host_port)
                && mapping.host_address.is_none_or(|address| other.host_address == Some(address))
        };
        let before = spec.ports.len();
        spec.ports.retain(|other| !meant(other));
        if spec.ports.len() == before {
            return Err(Failure::not_found(format!("port {} is not published", shown(mapping)))
                .hint("haven port CONTAINER"));
        }
    }
    Ok(spec)
}

fn check_mode(spec: &ContainerSpec) -> Outcome<()> {
    match &spec.network {
        NetworkMode::Default | NetworkMode::Named(_) => Ok(()),
        NetworkMode::None => {
            Err(Failure::conflict("the container has no network, so nothing of it can be published")
                .hint("haven network connect NETWORK CONTAINER"))
        }
        NetworkMode::Host => {
            Err(Failure::conflict("the container uses the host's network: its ports are the host's"))
        }
        NetworkMode::Container(other) => {
            Err(Failure::conflict(format!("the container uses the network of container {}", other.short()))
                .hint("publish the port of that container"))
        }
    }
}

fn place(mapping: &PortMapping) -> (Option<std::net::IpAddr>, u16) {
    (mapping.host_address, mapping.host_port)
}

fn shown(mapping: &PortMapping) -> String {
    match mapping.host_port {
        0 => mapping.container.to_string(),
        port => format!("{port}:{}", mapping.container),
    }
}

/// Who may use which of the container's published ports. What leads to one port of the container is let in there
/// together, so all that publish it have to say the same.
pub(crate) fn sources(ports: &[PortMapping]) -> Outcome<BTreeMap<PortKey, Vec<Ipv4Net>>> {
    let mut found: BTreeMap<PortKey, &Vec<Ipv4Net>> = BTreeMap::new();
    for mapping in ports.iter().filter(|m| !m.host_address.is_some_and(|address| address.is_loopback())) {
        if mapping.from.len() > SOURCE_LIMIT {
            return Err(Failure::invalid(format!(
                "more than {SOURCE_LIMIT} ranges may use port {}",
                mapping.container
            )));
        }
        for (at, net) in mapping.from.iter().enumerate() {
            if let Some(other) = mapping.from.iter().skip(at + 1).find(|other| other.overlaps(*net)) {
                return Err(Failure::invalid(format!("the ranges `{net}` and `{other}` overlap"))
                    .hint("leave the narrower one out"));
            }
        }
        if !mapping.from.is_empty() && mapping.host_address.is_some_and(|address| address.is_ipv6()) {
            return Err(Failure::unsupported("ports published on an IPv6 address are for everybody")
                .hint("publish on an IPv4 address"));
        }
        let known = found.entry(mapping.container).or_insert(&mapping.from);
        if **known != mapping.from {
            return Err(Failure::conflict(format!(
                "port {} is published for others already",
                mapping.container
            ))
            .because("what leads to one port of a container is let in there together")
            .hint("publish it for the same ranges, or take the other one back first"));
        }
    }
    Ok(found
        .into_iter()
        .filter(|(_, from)| !from.is_empty())
        .map(|(key, from)| (key, from.clone()))
        .collect())
}

/// Makes what the record says true for a container that runs: ports that stay keep their host port. Blocking.
pub(crate) fn apply(
    shared: &Shared,
    record: &ContainerRecord,
    before: &[PortMapping],
    endpoints: &mut [Endpoint],
) -> Outcome<()> {
    let Some(endpoint) = endpoints.iter_mut().find(|endpoint| endpoint.gateway) else {
        return Err(Failure::conflict("the container is on no network"));
    };
    if endpoint.internal {
        return Err(Failure::conflict(format!(
            "network `{}` is internal: nothing of it is published",
            endpoint.network
        )));
    }
    let wanted = &record.spec.ports;
    let coming = wanted.iter().filter(|m| !before.contains(m)).cloned().collect::<Vec<_>>();
    let going = before.iter().filter(|m| !wanted.contains(m)).collect::<Vec<_>>();
    let leaves = |published: &Published| {
        going.iter().any(|m| {
            m.container == published.container
                && (m.host_port == 0
                    || (m.host_port..=m.host_port_end.max(m.host_port)).contains(&published.host_port))
                && m.host_address.is_none_or(|address| address == published.host_address)
        })
    };
    let mut published = endpoint.published.iter().filter(|p| !leaves(p)).copied().collect::<Vec<_>>();
    published.extend(shared.network.choose_host_ports(&record.id, &coming)?);
    let sources = sources(wanted)?;
    shared.network.republish(&record.id, &endpoint.interface, published.clone(), sources.clone())?;
    endpoint.published = published;
    endpoint.sources = sources;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host: u16, container: &str, from: &[&str]) -> PortMapping {
        PortMapping {
            container: PortKey::parse(container).unwrap(),
            host_address: None,
            host_port: host,
            host_port_end: host,
            from: from.iter().map(|net| Ipv4Net::parse(net).unwrap()).collect(),
            reason: String::new(),
        }
    }

    #[test]
    fn ports_are_published_once_and_taken_back_by_name() {
        let spec = with(&ContainerSpec::default(), vec![mapping(8080, "80", &[]), mapping(8081, "80", &[])])
            .unwrap();
        assert!(with(&spec, vec![mapping(8080, "80", &[])]).is_err());
        assert_eq!(without(&spec, &[mapping(8080, "80", &[])]).unwrap().ports.len(), 1);
        assert!(without(&spec, &[mapping(0, "80", &[])]).unwrap().ports.is_empty());
        assert!(without(&spec, &[mapping(0, "81", &[])]).is_err());
        let host = ContainerSpec { network: NetworkMode::Host, ..ContainerSpec::default() };
        assert!(with(&host, vec![mapping(1, "1", &[])]).is_err());
    }

    #[test]
    fn one_port_of_a_container_is_for_the_same_people_wherever_it_is_published() {
        let narrow = mapping(8080, "80", &["10.0.0.0/8"]);
        assert_eq!(sources(&[narrow.clone(), mapping(8081, "80", &["10.0.0.0/8"])]).unwrap().len(), 1);
        assert!(sources(&[narrow.clone(), mapping(8081, "80", &[])]).is_err());
        assert!(sources(&[mapping(1, "80", &["10.0.0.0/8", "10.1.0.0/16"])]).is_err());
        let local = PortMapping { host_address: "127.0.0.1".parse().ok(), ..mapping(1, "80", &[]) };
        assert_eq!(sources(&[narrow, local]).unwrap().len(), 1, "loopback is for the host alone anyway");
    }
}
