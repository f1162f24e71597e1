//! How a container is connected, and which of its ports are published.

use crate::{ContainerId, Failure, NetworkName, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 network in CIDR notation, host bits zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ipv4Net {
    address: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Net {
    /// `prefix` up to 32; host bits are cleared.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Outcome<Self> {
        if prefix > 32 {
            return Err(Failure::invalid(format!("`/{prefix}` is not an IPv4 prefix length (0 to 32)")));
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Ok(Self { address: Ipv4Addr::from_bits(address.to_bits() & mask), prefix })
    }

    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || Failure::invalid(format!("`{text}` is not an IPv4 network (like 10.1.0.0/16)"));
        let (address, prefix) = text.split_once('/').ok_or_else(refuse)?;
        Self::new(address.parse().map_err(|_| refuse())?, prefix.parse().map_err(|_| refuse())?)
            .map_err(|_| refuse())
    }

    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        Self::new(address, self.prefix).is_ok_and(|net| net.address == self.address)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Ipv4Net {
    type Error = Failure;
    fn try_from(text: String) -> Outcome<Self> {
        Self::parse(&text)
    }
}

impl From<Ipv4Net> for String {
    fn from(net: Ipv4Net) -> String {
        net.to_string()
    }
}

/// Which network stack a container has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// The default network: outbound access, published ports, nothing from other containers.
    #[default]
    Default,
    /// Loopback only.
    None,
    /// The host's own. Weakens isolation; shown as such.
    Host,
    /// Another container's.
    Container(ContainerId),
    /// A network by name.
    Named(NetworkName),
}

/// What the user asked for on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct NetworkAttachment {
    pub aliases: Vec<String>,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub mac: Option<String>,
    pub driver_opts: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}

impl PortProtocol {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    pub fn parse(text: &str) -> Outcome<Self> {
        match text.to_ascii_lowercase().as_str() {
            "" | "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(Failure::invalid(format!("invalid proto: {text}")).hint("use tcp, udp or sctp")),
        }
    }
}

/// A port inside a container, shown as `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortKey {
    pub port: u16,
    pub protocol: PortProtocol,
}

impl PortKey {
    /// `80`, `80/tcp`, `53/udp`. Port 0 is refused.
    pub fn parse(text: &str) -> Outcome<Self> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let number = port.parse::<u16>().ok().filter(|n| *n != 0);
        let port = number.ok_or_else(|| {
            Failure::invalid(format!("Invalid port: {port}"))
                .hint("ports are numbers from 1 to 65535, like 80/tcp")
        })?;
        Ok(Self { port, protocol: PortProtocol::parse(protocol)? })
    }
}

impl fmt::Display for PortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.protocol.word())
    }
}

impl TryFrom<String> for PortKey {
    type Error = Failure;
    fn try_from(text: String) -> Outcome<Self> {
        Self::parse(&text)
    }
}

impl From<PortKey> for String {
    fn from(key: PortKey) -> String {
        key.to_string()
    }
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    pub container: PortKey,
    /// `None`: the configured default address.
    pub host_address: Option<IpAddr>,
    /// First acceptable host port; 0: any free one.
    pub host_port: u16,
    /// Last acceptable host port of a range; equal to `host_port` for a single one.
    pub host_port_end: u16,
    /// Who may use it from outside; empty: everybody.
    #[serde(default)]
    pub from: Vec<Ipv4Net>,
    /// What it is for, as its user said.
    #[serde(default)]
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_with_their_protocol() {
        assert_eq!(PortKey::parse("53/udp").unwrap().to_string(), "53/udp");
        assert_eq!(PortKey::parse("80").unwrap().to_string(), "80/tcp");
        for bad in ["", "0", "70000", "80/xtp", "-1", "80/tcp/x"] {
            assert!(PortKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_clear_host_bits_and_know_what_they_overlap() {
        let net = Ipv4Net::parse("10.1.2.3/16").unwrap();
        assert_eq!(net.to_string(), "10.1.0.0/16");
        assert!(net.contains(Ipv4Addr::new(10, 1, 255, 1)));
        assert!(net.overlaps(Ipv4Net::parse("10.1.7.0/24").unwrap()));
        assert!(!net.overlaps(Ipv4Net::parse("10.2.0.0/24").unwrap()));
        assert!(Ipv4Net::parse("0.0.0.0/0").unwrap().contains(Ipv4Addr::LOCALHOST));
        assert!(Ipv4Net::parse("10.0.0.0/33").is_err());
    }
}
