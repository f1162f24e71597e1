//! A range of addresses of either family, and which of them are the internet's.

use haven_spec::{Failure, Ipv4Net, Outcome};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that share a beginning; host bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressRange {
    address: IpAddr,
    prefix: u8,
}

impl AddressRange {
    pub const EVERYWHERE: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 0 },
        Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), prefix: 0 },
    ];

    /// `10.0.0.0/8`, `2001:db8::/32`, or a single address.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || {
            Failure::invalid(format!("`{}` is not a range of addresses", text.escape_debug()))
                .hint("an address or a range like 203.0.113.0/24 or 2001:db8::/32")
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let digits = prefix.is_none_or(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
        let prefix = prefix.map_or(Ok(all), str::parse::<u8>).map_err(|_| refuse())?;
        if prefix > all || !digits {
            return Err(refuse());
        }
        Ok(Self::new(address, prefix))
    }

    fn new(address: IpAddr, prefix: u8) -> Self {
        let address = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
            }
        };
        Self { address, prefix }
    }

    /// Whether every address of `other` is one of this.
    pub fn covers(self, other: Self) -> bool {
        self.prefix <= other.prefix
            && self.address.is_ipv4() == other.address.is_ipv4()
            && Self::new(other.address, self.prefix) == self
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// What is left of it without others, as few ranges as can be.
    pub fn without(self, others: &[Self]) -> Vec<Self> {
        let within: Vec<Self> = others.iter().copied().filter(|other| other.overlaps(self)).collect();
        if within.is_empty() {
            return vec![self];
        }
        if within.iter().any(|other| other.covers(self)) {
            return Vec::new();
        }
        // A range that another is within can be halved: its prefix is shorter than that one's.
        let prefix = self.prefix + 1;
        let upper = match self.address {
            IpAddr::V4(address) => {
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() | (1 << (32 - u32::from(prefix)))))
            }
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() | (1 << (128 - u32::from(prefix)))))
            }
        };
        let halves = [self.address, upper].map(|address| Self { address, prefix });
        halves.into_iter().flat_map(|half| half.without(&within)).collect()
    }

    /// No address of it is routed on the internet.
    pub fn is_private(self) -> bool {
        let private: &[(IpAddr, u8)] = &[
            (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
            (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
            (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
            (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
            (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
            (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
            (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
            (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
        ];
        private.iter().any(|(address, prefix)| Self { address: *address, prefix: *prefix }.covers(self))
    }

    pub(crate) fn is_everywhere(self) -> bool {
        self.prefix == 0
    }
}

impl From<Ipv4Net> for AddressRange {
    fn from(net: Ipv4Net) -> Self {
        Self { address: net.address().into(), prefix: net.prefix() }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text).unwrap()
    }

    #[test]
    fn ranges_know_what_they_cover() {
        assert!(range("10.0.0.0/8").covers(range("10.1.2.3")));
        assert!(!range("10.1.0.0/16").covers(range("10.0.0.0/8")));
        assert!(range("0.0.0.0/0").covers(range("255.255.255.255")));
        assert!(!range("0.0.0.0/0").covers(range("::1")));
        assert!(range("2001:db8::/32").covers(range("2001:db8:5::/48")));
        let left = range("10.0.0.0/8").without(&[range("10.1.0.0/16"), range("10.128.0.0/9")]);
        assert_eq!(left.len(), 7, "{left:?}");
        assert!(
            !left.iter().any(|left| left.overlaps(range("10.1.2.3")) || left.overlaps(range("10.200.0.1")))
        );
        assert!(left.iter().any(|left| left.covers(range("10.0.255.255"))));
        assert_eq!(range("::/0").without(&[range("::/0")]), []);
        assert_eq!(range("10.9.9.9/8").to_string(), "10.0.0.0/8");
        assert!(range("192.168.7.0/24").is_private() && !range("192.0.0.0/8").is_private());
        for bad in ["", "10", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "a/8"] {
            assert!(AddressRange::parse(bad).is_err(), "{bad}");
        }
    }
}
