//! Host ports that lead to containers: which are whose, and held so that no host process takes one unnoticed.
//!
//! The translation happens before any socket sees the packet, so a socket is not needed for the traffic. It is bound
//! all the same, for as long as the daemon lives: then a host process that wants the port is told that it is in use,
//! and a container that wants a process's port is told whose it is.
//!
//! What it does not do: survive the daemon. After a restart the ports are bound again; one that a process has taken
//! meanwhile goes on leading to its container, and that is reported.

use crate::{Published, port_holder};
use haven_spec::{ContainerId, Failure, Outcome, PortMapping, PortProtocol};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// When the kernel does not say what its ephemeral range is.
const EPHEMERAL: (u16, u16) = (32768, 60999);
/// What a datagram socket that nobody reads may hold.
const UNREAD_BYTES: usize = 0;

/// Address, port and protocol of the host.
type Place = (IpAddr, u16, PortProtocol);

#[derive(Debug)]
struct Held {
    container: ContainerId,
    /// `None`: the kernel has no such sockets (SCTP), or a process has the port.
    _socket: Option<OwnedFd>,
}

/// All published ports.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: BTreeMap<Place, Held>,
    /// Where the search for a free port goes on.
    next: u16,
}

impl Ports {
    /// Decides and holds a host port for every mapping, or none at all.
    pub(crate) fn choose(
        &mut self,
        container: &ContainerId,
        mappings: &[PortMapping],
        default_address: IpAddr,
    ) -> Outcome<Vec<Published>> {
        let mut chosen = Vec::new();
        for mapping in mappings {
            match self.choose_one(container, mapping, default_address) {
                Ok(published) => chosen.push(published),
                Err(failure) => {
                    for published in &chosen {
                        self.held.remove(&place(published));
                    }
                    return Err(failure);
                }
            }
        }
        Ok(chosen)
    }

    fn choose_one(
        &mut self,
        container: &ContainerId,
        mapping: &PortMapping,
        default_address: IpAddr,
    ) -> Outcome<Published> {
        let address = mapping.host_address.unwrap_or(default_address);
        let key = mapping.container;
        let at = |port| Published { container: key, host_address: address, host_port: port };
        if mapping.host_port == 0 {
            return self.choose_free(container, key.protocol, address).map(at);
        }
        let last = mapping.host_port_end.max(mapping.host_port);
        let mut refused = None;
        for port in mapping.host_port..=last {
            match self.hold(container, (address, port, key.protocol)) {
                Ok(()) => return Ok(at(port)),
                Err(failure) => refused.get_or_insert(failure),
            };
        }
        let refused = refused.unwrap_or_else(|| Failure::internal("an empty range of host ports"));
        Err(if last == mapping.host_port {
            refused
        } else {
            Failure::conflict(format!(
                "Bind for {address} failed: all ports from {} to {last} are allocated",
                mapping.host_port
            ))
            .because(refused)
        })
    }

    /// Any port of the ephemeral range, in turn, so that a port given up is not soon somebody else's.
    fn choose_free(
        &mut self,
        container: &ContainerId,
        protocol: PortProtocol,
        address: IpAddr,
    ) -> Outcome<u16> {
        let (first, last) = ephemeral_range();
        let start = self.next.clamp(first, last);
        for port in (start..=last).chain(first..start) {
            match self.hold(container, (address, port, protocol)) {
                Ok(()) => {
                    self.next = port.checked_add(1).unwrap_or(first);
                    return Ok(port);
                }
                Err(failure) if failure.kind() == haven_spec::Kind::Conflict => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::conflict(format!("no port from {first} to {last} is free on `{address}`")))
    }

    fn hold(&mut self, container: &ContainerId, place: Place) -> Outcome<()> {
        if let Some(holder) = self.taken_by(&place) {
            return Err(allocated(place).because(format!("container `{}` has it", holder.short())));
        }
        let socket = bind(place)?;
        self.held.insert(place, Held { container: container.clone(), _socket: socket });
        Ok(())
    }

    /// The container whose published port this would clash with.
    fn taken_by(&self, (address, port, protocol): &Place) -> Option<&ContainerId> {
        let clashes = |held: &IpAddr| {
            held == address
                || (held.is_ipv4() == address.is_ipv4()
                    && (held.is_unspecified() || address.is_unspecified()))
        };
        self.held
            .iter()
            .find(|((a, p, t), _)| p == port && t == protocol && clashes(a))
            .map(|(_, held)| &held.container)
    }

    /// Takes ports that were decided earlier: at the daemon's start. The container keeps its port whatever happens;
    /// what could not be bound is returned.
    pub(crate) fn restore(&mut self, container: &ContainerId, published: &[Published]) -> Vec<Failure> {
        let mut failures = Vec::new();
        for place in published.iter().map(place) {
            if self.held.get(&place).is_some_and(|held| held.container == *container) {
                continue;
            }
            let socket = match bind(place) {
                Ok(socket) => socket,
                Err(failure) => {
                    failures.push(failure.context(format!(
                        "port {}/{} leads to container `{}` and not to who is bound to it",
                        place.1,
                        place.2.word(),
                        container.short()
                    )));
                    None
                }
            };
            self.held.insert(place, Held { container: container.clone(), _socket: socket });
        }
        failures
    }

    /// The container does not hold this port by an earlier choice.
    pub(crate) fn is_held(&self, container: &ContainerId, published: &Published) -> bool {
        self.held.get(&place(published)).is_some_and(|held| held.container == *container)
    }

    pub(crate) fn release(&mut self, container: &ContainerId) {
        self.held.retain(|_, held| held.container != *container);
    }

    /// Lets go of some ports of the container.
    pub(crate) fn release_some(&mut self, container: &ContainerId, published: &[Published]) {
        for place in published.iter().map(place) {
            if self.held.get(&place).is_some_and(|held| held.container == *container) {
                self.held.remove(&place);
            }
        }
    }

    /// Lets go of the ports of every container that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&ContainerId) -> bool) {
        self.held.retain(|_, held| keep(&held.container));
    }
}

fn place(published: &Published) -> Place {
    (published.host_address, published.host_port, published.container.protocol)
}

/// Docker's own words; clients and people look for them.
fn allocated((address, port, _): Place) -> Failure {
    Failure::conflict(format!(
        "Bind for {} failed: port is already allocated",
        SocketAddr::new(address, port)
    ))
    .hint("publish another port, or stop who has this one")
}

/// A bound socket. `Ok(None)`: the kernel has no sockets of this protocol, so no process can want the port.
fn bind(place: Place) -> Outcome<Option<OwnedFd>> {
    let (address, port, protocol) = place;
    match try_bind(place, false) {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT | Errno::AFNOSUPPORT)
            if protocol == PortProtocol::Sctp =>
        {
            Ok(None)
        }
        Err(Errno::ADDRINUSE) => match port_holder::find(address, port, protocol) {
            Some(holder) => Err(allocated(place).because(holder)),
            // Only remains of finished connections are on it.
            None => match try_bind(place, true) {
                Ok(socket) => Ok(Some(socket)),
                Err(errno) => Err(allocated(place).because(std::io::Error::from(errno))),
            },
        },
        Err(Errno::ADDRNOTAVAIL) => Err(Failure::invalid(format!(
            "cannot publish on `{address}`: no interface of this host has that address"
        ))
        .hint("use an address of this host, or 0.0.0.0 for all")),
        Err(errno) => Err(Failure::host(format!(
            "cannot bind `{}/{}`",
            SocketAddr::new(address, port),
            protocol.word()
        ))
        .because(std::io::Error::from(errno))),
    }
}

fn try_bind((address, port, protocol): Place, over_remains: bool) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let (kind, protocol) = match protocol {
        PortProtocol::Tcp => (SocketType::STREAM, None),
        PortProtocol::Udp => (SocketType::DGRAM, None),
        PortProtocol::Sctp => (SocketType::STREAM, Some(rustix::net::ipproto::SCTP)),
    };
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    if address.is_ipv6() {
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if over_remains {
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if kind == SocketType::DGRAM {
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, UNREAD_BYTES)?;
    }
    rustix::net::bind(&socket, &SocketAddr::new(address, port))?;
    Ok(socket)
}

/// The range the kernel takes ports for outgoing connections from.
fn ephemeral_range() -> (u16, u16) {
    let text = crate::sysctl::read("ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u16>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if 0 < first && first <= last => (first, last),
        _ => EPHEMERAL,
    }
}
