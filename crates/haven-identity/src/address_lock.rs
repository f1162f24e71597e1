//! The optional tie of a session to where it was begun: the very address, or its network.
//!
//! It stops a copied cookie used from elsewhere, and costs people on phones a sign-in when they change networks:
//! hence off by default, and the network as the middle way. It is no proof of who somebody is.

use crate::wire::{Malformed, Reader, Writer};
use std::net::{IpAddr, Ipv6Addr};

/// What a new session is tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressLock {
    #[default]
    Off,
    /// The first 24 bits of an IPv4 address, 56 of an IPv6 address: what one site or household has.
    Network,
    /// The whole IPv4 address; of an IPv6 address 64 bits, since hosts change the rest by themselves.
    Address,
}

impl AddressLock {
    pub(crate) fn tie(self, address: IpAddr) -> Option<Network> {
        match (self, plain(address)) {
            (Self::Off, _) => None,
            (Self::Network, IpAddr::V4(_)) => Some(Network::new(address, 24)),
            (Self::Network, IpAddr::V6(_)) => Some(Network::new(address, 56)),
            (Self::Address, IpAddr::V4(_)) => Some(Network::new(address, 32)),
            (Self::Address, IpAddr::V6(_)) => Some(Network::new(address, 64)),
        }
    }
}

/// The first bits of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub(crate) fn new(address: IpAddr, bits: u8) -> Self {
        let address = match plain(address) {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Self { address, bits }
    }

    /// The network that counts as one place when attempts are counted: nobody has fewer addresses at hand.
    pub(crate) fn of_one_place(address: IpAddr) -> Self {
        match plain(address) {
            IpAddr::V4(_) => Self::new(address, 32),
            IpAddr::V6(_) => Self::new(address, 64),
        }
    }

    pub(crate) fn has(self, address: IpAddr) -> bool {
        let address = plain(address);
        address.is_ipv4() == self.address.is_ipv4() && Self::new(address, self.bits) == self
    }

    pub(crate) fn write(self, writer: &mut Writer) {
        write_address(self.address, writer);
        writer.byte(self.bits);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let address = read_address(reader)?;
        let bits = reader.byte()?;
        if bits > if address.is_ipv4() { 32 } else { 128 } {
            return Err(Malformed("a network in it has too many bits"));
        }
        let network = Self::new(address, bits);
        // One network has one form: what is read and written again stays the same.
        if network.address == address {
            Ok(network)
        } else {
            Err(Malformed("a network in it has an address"))
        }
    }
}

pub(crate) fn write_address(address: IpAddr, writer: &mut Writer) {
    match plain(address) {
        IpAddr::V4(v4) => writer.byte(4).raw(&v4.octets()),
        IpAddr::V6(v6) => writer.byte(6).raw(&v6.octets()),
    };
}

pub(crate) fn read_address(reader: &mut Reader<'_>) -> Result<IpAddr, Malformed> {
    match reader.byte()? {
        4 => Ok(IpAddr::from(reader.array::<4>()?)),
        6 => Ok(IpAddr::from(reader.array::<16>()?)),
        _ => Err(Malformed("an address in it is of no known family")),
    }
}

/// `::ffff:192.0.2.1` is 192.0.2.1: which of them is seen depends on the socket, not on the person.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_lock_holds_where_it_should() {
        let cases = [
            (AddressLock::Network, "192.0.2.7", "192.0.2.200", true),
            (AddressLock::Network, "192.0.2.7", "192.0.3.7", false),
            (AddressLock::Address, "192.0.2.7", "192.0.2.8", false),
            (AddressLock::Address, "192.0.2.7", "::ffff:192.0.2.7", true),
            (AddressLock::Network, "2001:db8:0:12::1", "2001:db8:0:34::9", true),
            (AddressLock::Network, "2001:db8:0:12::1", "2001:db8:1:12::1", false),
            (AddressLock::Address, "2001:db8::1", "2001:db8::ffff", true),
            (AddressLock::Address, "2001:db8::1", "192.0.2.7", false),
            (AddressLock::Address, "0.0.0.0", "::", false),
        ];
        for (lock, begun, used, holds) in cases {
            let network = lock.tie(ip(begun)).expect("a lock");
            assert_eq!(network.has(ip(used)), holds, "{lock:?} {begun} {used}");
        }
        assert_eq!(AddressLock::Off.tie(ip("192.0.2.7")), None);
    }

    #[test]
    fn a_network_is_read_as_it_was_written() {
        for network in [Network::new(ip("192.0.2.7"), 24), Network::new(ip("2001:db8::1"), 56)] {
            let mut writer = Writer::default();
            network.write(&mut writer);
            let bytes = writer.into_bytes();
            assert_eq!(Network::read(&mut Reader::new(&bytes)), Ok(network));
        }
        assert!(Network::read(&mut Reader::new(&[4, 1, 2, 3, 4, 33])).is_err());
        assert!(Network::read(&mut Reader::new(&[5, 1, 2, 3, 4, 24])).is_err());
    }
}
