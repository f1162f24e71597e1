//! Elements of the table's sets: what an endpoint or a link is, in the bytes the kernel looks up.

use crate::nft::{Element, SetSpec};
use crate::table::{
    BIND4, BIND6, DST_ID, DST_NET, EGRESS_ANY, EGRESS4, EGRESS6, HOST_OPEN, INGRESS4, INTERNAL, LINKS,
    LINKS_ALL, LINKS_ANY, LINKS_RANGE, LIVE, OBSERVE, OBSERVED, PORTED, PUBLISH4, PUBLISH4_ANY, PUBLISH6,
    PUBLISH6_ANY, SCTP, SRC_ID, SRC_NET, TCP, UDP,
};
use haven_spec::{Ipv4Net, PortProtocol};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The bytes of a key or of data, field by field.
struct KeyBytes(Vec<u8>);

impl KeyBytes {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn number(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }

    /// A mark as interval maps have it: they compare bytes, so the most significant is first.
    fn ordered(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn v4(mut self, address: Ipv4Addr) -> Self {
        self.0.extend_from_slice(&address.octets());
        self
    }

    fn v6(mut self, address: Ipv6Addr) -> Self {
        self.0.extend_from_slice(&address.octets());
        self
    }

    fn protocol(mut self, protocol: u8) -> Self {
        self.0.extend_from_slice(&[protocol, 0, 0, 0]);
        self
    }

    /// The only field of its key.
    fn protocol_alone(mut self, protocol: u8) -> Self {
        self.0.push(protocol);
        self
    }

    fn port(mut self, port: u16) -> Self {
        let [high, low] = port.to_be_bytes();
        self.0.extend_from_slice(&[high, low, 0, 0]);
        self
    }
}

fn element(set: SetSpec, key: KeyBytes, data: Option<KeyBytes>) -> Element {
    Element { set: set.name, key: key.0, end: None, data: data.map(|d| d.0) }
}

pub(crate) fn number_of(protocol: PortProtocol) -> u8 {
    match protocol {
        PortProtocol::Tcp => TCP,
        PortProtocol::Udp => UDP,
        PortProtocol::Sctp => SCTP,
    }
}

/// The interface may send from this address.
pub(crate) fn bind4(interface: u32, address: Ipv4Addr) -> Element {
    element(BIND4, KeyBytes::new().number(interface).v4(address), None)
}

pub(crate) fn bind6(interface: u32, address: Ipv6Addr) -> Element {
    element(BIND6, KeyBytes::new().number(interface).v6(address), None)
}

/// The interface is this identity's, as source and as destination.
pub(crate) fn identified(interface: u32, identity: u32) -> [Element; 2] {
    [SRC_ID, DST_ID]
        .map(|map| element(map, KeyBytes::new().number(interface), Some(KeyBytes::new().number(identity))))
}

/// The link may carry packets.
pub(crate) fn live(link: u32) -> Element {
    element(LIVE, KeyBytes::new().number(link), None)
}

/// Source to destination at a port.
pub(crate) fn link(source: u32, destination: u32, protocol: PortProtocol, port: u16, link: u32) -> Element {
    let key = KeyBytes::new().number(source).number(destination).protocol(number_of(protocol)).port(port);
    element(LINKS, key, Some(KeyBytes::new().number(link)))
}

/// Source to destination, whatever is spoken.
pub(crate) fn link_all(source: u32, destination: u32, link: u32) -> Element {
    let key = KeyBytes::new().number(source).number(destination);
    element(LINKS_ALL, key, Some(KeyBytes::new().number(link)))
}

/// Source to destination over one protocol, whatever its ports.
pub(crate) fn link_protocol(source: u32, destination: u32, protocol: u8, link: u32) -> Element {
    let key = KeyBytes::new().number(source).number(destination).protocol(protocol);
    element(LINKS_ANY, key, Some(KeyBytes::new().number(link)))
}

/// Protocols and ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortSpan {
    pub(crate) protocols: (u8, u8),
    pub(crate) ports: (u16, u16),
}

pub(crate) fn link_range(source: u32, destination: u32, span: PortSpan, link: u32) -> Element {
    let pair = || KeyBytes::new().ordered(source).ordered(destination);
    range(LINKS_RANGE, pair(), pair(), span, link)
}

/// Source to a range of outside addresses.
pub(crate) fn egress4(source: u32, net: Ipv4Net, span: PortSpan, link: u32) -> Element {
    let last = Ipv4Addr::from_bits(net.address().to_bits() | hosts(net));
    let from = |address| KeyBytes::new().ordered(source).v4(address);
    range(EGRESS4, from(net.address()), from(last), span, link)
}

/// A range of outside addresses to a published port.
pub(crate) fn ingress4(
    destination: u32,
    net: Ipv4Net,
    protocol: PortProtocol,
    port: u16,
    link: u32,
) -> Element {
    let protocol = number_of(protocol);
    let span = PortSpan { protocols: (protocol, protocol), ports: (port, port) };
    let last = Ipv4Addr::from_bits(net.address().to_bits() | hosts(net));
    let from = |address| KeyBytes::new().ordered(destination).v4(address);
    range(INGRESS4, from(net.address()), from(last), span, link)
}

/// The bits of an address that tell the hosts of a network apart.
fn hosts(net: Ipv4Net) -> u32 {
    u32::MAX.checked_shr(net.prefix().into()).unwrap_or(0)
}

/// Source to every outside IPv6 address.
pub(crate) fn egress6(source: u32, span: PortSpan, link: u32) -> Element {
    let from = |address| KeyBytes::new().ordered(source).v6(address);
    range(EGRESS6, from(Ipv6Addr::UNSPECIFIED), from(Ipv6Addr::from_bits(u128::MAX)), span, link)
}

fn range(set: SetSpec, first: KeyBytes, last: KeyBytes, span: PortSpan, link: u32) -> Element {
    let end = last.protocol(span.protocols.1).port(span.ports.1);
    let key = first.protocol(span.protocols.0).port(span.ports.0);
    Element { end: Some(end.0), ..element(set, key, Some(KeyBytes::new().number(link))) }
}

/// Whether two ranges of the same interval map have a key in common: every field of 4 bytes does. An IPv6 range is either
/// all addresses or one, so that its fields can be looked at one by one too.
pub(crate) fn overlap(one: (&[u8], &[u8]), other: (&[u8], &[u8])) -> bool {
    let fields = one.0.chunks(4).zip(one.1.chunks(4)).zip(other.0.chunks(4).zip(other.1.chunks(4)));
    fields
        .into_iter()
        .all(|((first, last), (other_first, other_last))| first <= other_last && other_first <= last)
}

/// The interface is on this network, as source and as destination.
pub(crate) fn on_network(interface: u32, network: u32) -> [Element; 2] {
    [SRC_NET, DST_NET]
        .map(|map| element(map, KeyBytes::new().number(interface), Some(KeyBytes::new().number(network))))
}

/// Nothing leads from this interface to the outside.
pub(crate) fn internal(interface: u32) -> Element {
    element(INTERNAL, KeyBytes::new().number(interface), None)
}

/// Source to everything outside.
pub(crate) fn egress_any(source: u32, link: u32) -> Element {
    element(EGRESS_ANY, KeyBytes::new().number(source), Some(KeyBytes::new().number(link)))
}

/// A port of all the host's IPv4 addresses, or of one, leads to a container's port.
pub(crate) fn publish4(
    host: Ipv4Addr,
    protocol: PortProtocol,
    port: u16,
    container: Ipv4Addr,
    container_port: u16,
) -> Element {
    let data = Some(KeyBytes::new().v4(container).port(container_port));
    let rest = |key: KeyBytes| key.protocol(number_of(protocol)).port(port);
    if host.is_unspecified() {
        element(PUBLISH4_ANY, rest(KeyBytes::new()), data)
    } else {
        element(PUBLISH4, rest(KeyBytes::new().v4(host)), data)
    }
}

/// As [`publish4`], for IPv6.
pub(crate) fn publish6(
    host: Ipv6Addr,
    protocol: PortProtocol,
    port: u16,
    container: Ipv6Addr,
    container_port: u16,
) -> Element {
    let data = Some(KeyBytes::new().v6(container).port(container_port));
    let rest = |key: KeyBytes| key.protocol(number_of(protocol)).port(port);
    if host.is_unspecified() {
        element(PUBLISH6_ANY, rest(KeyBytes::new()), data)
    } else {
        element(PUBLISH6, rest(KeyBytes::new().v6(host)), data)
    }
}

/// A service of the host, at the gateway's address, that containers may use.
pub(crate) fn host_open(protocol: u8, port: u16) -> Element {
    element(HOST_OPEN, KeyBytes::new().protocol(protocol).port(port), None)
}

/// What this source tries without a link is let through, and recorded.
pub(crate) fn observe(source: u32) -> [Element; 2] {
    [element(OBSERVE, KeyBytes::new().number(source), None), live(OBSERVED)]
}

/// Elements that belong to the table rather than to an endpoint.
pub(crate) fn constants() -> Vec<Element> {
    [TCP, UDP, SCTP].map(|protocol| element(PORTED, KeyBytes::new().protocol_alone(protocol), None)).into()
}
