//! One container on one network: what is to be true in the kernel while it runs.

use crate::Identity;
use haven_spec::{ContainerId, Failure, Ipv4Net, Outcome, PortKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A container's place on a network. The engine keeps it in its records; [`crate::Network`] makes it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub container: ContainerId,
    /// The network's name; `default` for the default network.
    pub network: String,
    pub ipv4: Ipv4Addr,
    pub ipv6: Option<Ipv6Addr>,
    pub identity: Identity,
    /// `None`: made from the IPv4 address.
    pub mac: Option<MacAddress>,
    /// The interface's name in the container: `eth0`.
    pub interface: String,
    /// What else is on its network: reached over this interface, also when the way out is another one.
    #[serde(default)]
    pub subnet: Option<Ipv4Net>,
    /// Everything that no other interface leads to goes this way.
    #[serde(default = "yes")]
    pub gateway: bool,
    /// Nothing leads from its network to the outside, whatever links say.
    #[serde(default)]
    pub internal: bool,
    /// May open connections to the outside.
    pub egress: bool,
    pub published: Vec<Published>,
    /// Who may use published ports of the container from outside; everybody where it says nothing.
    #[serde(default)]
    pub sources: BTreeMap<PortKey, Vec<Ipv4Net>>,
}

fn yes() -> bool {
    true
}

impl Endpoint {
    /// The MAC address its interface has.
    pub fn effective_mac(&self) -> MacAddress {
        self.mac.unwrap_or_else(|| MacAddress::of(self.ipv4))
    }
}

/// A host port that leads to a container's port; the choices are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Published {
    pub container: PortKey,
    /// `0.0.0.0` and `::` stand for all addresses of the host of that family.
    pub host_address: IpAddr,
    pub host_port: u16,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = std::net::SocketAddr::new(self.host_address, self.host_port);
        write!(f, "{address}->{}", self.container)
    }
}

/// A unicast Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// `02:42:0a:d2:00:07`, with colons or dashes. Multicast addresses and zero are refused.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || {
            Failure::invalid(format!("invalid MAC address: {text}"))
                .hint("like 02:42:0a:d2:00:07; the first byte even")
        };
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(refuse)?, 16).map_err(|_| refuse())?;
        }
        if parts.next().is_some() || bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(refuse());
        }
        Ok(Self(bytes))
    }

    /// Locally administered, from an address that is unique on the host.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    pub fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl TryFrom<String> for MacAddress {
    type Error = Failure;
    fn try_from(text: String) -> Outcome<Self> {
        Self::parse(&text)
    }
}

impl From<MacAddress> for String {
    fn from(mac: MacAddress) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_are_read_and_shown_alike() {
        assert_eq!(MacAddress::parse("02:42:0A:d2:00:07").unwrap().to_string(), "02:42:0a:d2:00:07");
        assert_eq!(MacAddress::of(Ipv4Addr::new(10, 210, 0, 7)).to_string(), "02:42:0a:d2:00:07");
        for bad in [
            "",
            "02",
            "02:42:0a:d2:00",
            "02:42:0a:d2:00:07:08",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+2:42:0a:d2:00:07",
        ] {
            assert!(MacAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
