//! What the kernel has counted: per link, and per attempt without one.

use crate::nft::Counted;
use crate::{Identity, LinkId, identity};
use haven_spec::PortProtocol;

/// Who a packet was from or to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// An application or a network.
    Known(Identity),
    /// Not a container, by a published port; or, as a destination, anything outside.
    Outside,
    /// The host itself.
    Host,
}

impl Peer {
    fn read(mark: u32) -> Option<Self> {
        match mark {
            // A destination that is no container's interface has no mark.
            0 | identity::OUTSIDE => Some(Self::Outside),
            identity::HOST => Some(Self::Host),
            number => Identity::new(number).ok().map(Self::Known),
        }
    }
}

/// Which permission a connection's mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    Declared(LinkId),
    /// May go out, by the default of its network.
    Egress(Identity),
    /// Its published ports.
    Published(Identity),
}

/// What a link has carried since the table was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTraffic {
    pub permission: Permission,
    pub packets: u64,
    pub bytes: u64,
}

impl LinkTraffic {
    pub(crate) fn read(counted: &Counted) -> Option<Self> {
        let mark = number(&counted.key, 0)?;
        Some(Self { permission: identity::permission(mark)?, packets: counted.packets, bytes: counted.bytes })
    }
}

/// Something that was tried and that no link permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub source: Peer,
    pub destination: Peer,
    pub protocol: PortProtocol,
    pub port: u16,
    pub packets: u64,
}

impl Attempt {
    pub(crate) fn read(counted: &Counted) -> Option<Self> {
        let key = &counted.key;
        let protocol = match *key.get(8)? {
            6 => PortProtocol::Tcp,
            17 => PortProtocol::Udp,
            132 => PortProtocol::Sctp,
            _ => return None,
        };
        Some(Self {
            source: Peer::read(number(key, 0)?)?,
            destination: Peer::read(number(key, 4)?)?,
            protocol,
            port: u16::from_be_bytes(key.get(12..14)?.try_into().ok()?),
            packets: counted.packets,
        })
    }
}

fn number(key: &[u8], at: usize) -> Option<u32> {
    key.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}
