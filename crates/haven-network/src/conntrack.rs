//! Connections the kernel remembers, and forgetting those that no longer mean anything.
//!
//! What the table decides about a new connection is remembered with it. For TCP that ends with the connection; a
//! client that goes on sending datagrams from one port keeps its entry alive, and with it the translation to a
//! container that has left, or the absence of one to a container that has come. So entries of an address that was
//! given up, and of a datagram port that is newly published, are deleted.
//!
//! Listing with a filter exists since Linux 5.8; each entry is then deleted by its own key. `nfnetlink_conntrack.h`.

use crate::elements::number_of;
use haven_spec::PortProtocol;
use haven_sys::netlink::{ACK, Batch, DUMP, Message, NetlinkError, NetlinkSocket, Reply, Value};
use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::ControlFlow;

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const GENERIC_HEADER_BYTES: usize = 4;

// enum ctattr_type
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const FILTER: u16 = 25;

// enum ctattr_ip
const SOURCE_V4: u16 = 1;
const SOURCE_V6: u16 = 3;

// What a filter compares: bits of the kernel's own, which its tools use too.
const BY_SOURCE: u32 = 1;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;

/// Entries deleted in one message batch, and at most in one go: a flood must not keep us busy for ever.
const BATCH_LIMIT: usize = 256;
const ENTRY_LIMIT: usize = 100_000;

/// Deletes the entries of these addresses, as source or as the one who answers; how many there were.
pub(crate) fn forget_addresses(
    socket: &mut NetlinkSocket,
    addresses: &HashSet<IpAddr>,
) -> Result<usize, NetlinkError> {
    let mut deleted = 0;
    for family in [2, 10] {
        let mut own = addresses.iter().filter(|address| self::family(**address) == family);
        deleted += match (own.next(), own.next()) {
            (None, _) => 0,
            (Some(one), None) => forget_address(socket, *one)?,
            // The kernel compares with one address only, and each time walks the whole table.
            _ => delete_where(socket, family, |_| (), |key| key.addresses().any(|a| addresses.contains(&a)))?,
        };
    }
    Ok(deleted)
}

fn forget_address(socket: &mut NetlinkSocket, address: IpAddr) -> Result<usize, NetlinkError> {
    let own = |m: &mut Message<'_>, tuple| {
        m.nest(tuple, |m| {
            m.nest(1, |m| match address {
                IpAddr::V4(v4) => m.bytes(SOURCE_V4, &v4.octets()),
                IpAddr::V6(v6) => m.bytes(SOURCE_V6, &v6.octets()),
            });
        });
    };
    let narrow = |m: &mut Message<'_>| {
        own(m, ORIGINAL);
        m.nest(FILTER, |m| filter(m, BY_SOURCE, 0));
    };
    let from = delete_where(socket, family(address), narrow, |_| true)?;
    let narrow = |m: &mut Message<'_>| {
        own(m, REPLY);
        m.nest(FILTER, |m| filter(m, 0, BY_SOURCE));
    };
    Ok(from + delete_where(socket, family(address), narrow, |_| true)?)
}

/// Deletes the entries of what was sent to this port of the host; how many there were.
pub(crate) fn forget_host_port(
    socket: &mut NetlinkSocket,
    protocol: PortProtocol,
    port: u16,
) -> Result<usize, NetlinkError> {
    let mut deleted = 0;
    for family in [2, 10] {
        let narrow = |m: &mut Message<'_>| {
            m.nest(ORIGINAL, |m| {
                m.nest(2, |m| {
                    m.u8(1, number_of(protocol));
                    m.be16(3, port);
                });
            });
            m.nest(FILTER, |m| filter(m, BY_PROTOCOL | BY_DESTINATION_PORT, 0));
        };
        deleted += delete_where(socket, family, narrow, |_| true)?;
    }
    Ok(deleted)
}

fn filter(m: &mut Message<'_>, original: u32, reply: u32) {
    m.u32(1, original);
    m.u32(2, reply);
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}

fn delete_where(
    socket: &mut NetlinkSocket,
    family: u8,
    narrow: impl FnOnce(&mut Message<'_>),
    wanted: impl Fn(&Key) -> bool,
) -> Result<usize, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET, DUMP, |m| {
        m.raw(&[family, 0, 0, 0]);
        narrow(m);
    });
    let keys = socket.dump(&mut question, Vec::new, |keys: &mut Vec<Key>, reply| {
        keys.extend(Key::read(reply).filter(&wanted));
        if keys.len() < ENTRY_LIMIT { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    for some in keys.chunks(BATCH_LIMIT) {
        let mut deletion = Batch::new();
        for key in some {
            deletion.message(DELETE, ACK, |m| {
                m.raw(&[family, 0, 0, 0]);
                m.nest(ORIGINAL, |m| m.raw(&key.tuple));
                for (kind, value) in [(ID, &key.id), (ZONE, &key.zone)] {
                    if let Some(value) = value {
                        m.bytes(kind, value);
                    }
                }
            });
        }
        // One that has ended meanwhile is refused; the others are deleted all the same.
        socket.request(&mut deletion, |_| ()).ok();
    }
    Ok(keys.len())
}

/// What identifies an entry, as the kernel gave it.
struct Key {
    tuple: Vec<u8>,
    /// Who began, and who answers.
    ends: [Option<IpAddr>; 2],
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

impl Key {
    fn read(reply: Reply<'_>) -> Option<Self> {
        let attributes = reply.attributes(GENERIC_HEADER_BYTES);
        let ends = [ORIGINAL, REPLY].map(|tuple| attributes.first(tuple).and_then(source));
        let bytes = |kind| attributes.first(kind).map(|value: Value<'_>| value.bytes.to_vec());
        Some(Self { tuple: bytes(ORIGINAL)?, ends, id: bytes(ID), zone: bytes(ZONE) })
    }
    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ends.iter().flatten().copied()
    }
}

/// Where the packets of this direction come from.
fn source(tuple: Value<'_>) -> Option<IpAddr> {
    let address = tuple.attributes().first(1)?;
    match (address.attributes().first(SOURCE_V4), address.attributes().first(SOURCE_V6)) {
        (Some(v4), _) => v4.bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        (None, Some(v6)) => v6.bytes.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        (None, None) => None,
    }
}
