//! Network devices, addresses and routes: the messages of rtnetlink that connecting a container takes.
//!
//! A veth is made in one message with its far end already in the container's namespace. Our interfaces are in a
//! device group of their own, so that they can be listed and removed without any memory of their names, and their
//! alias says whose they are. rtnetlink(7), `linux/if_link.h`.

use crate::MacAddress;
use haven_sys::netlink::{
    ACK, Attributes, Batch, CREATE, DUMP, EXCLUSIVE, Message, NetlinkError, NetlinkSocket, REPLACE, Reply,
    Value,
};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// The device group of our interfaces on the host: `hv` and zeros.
pub(crate) const OURS: u32 = 0x6876_0000;
/// The group of those that are to be deleted, so that one message deletes many.
pub(crate) const DOOMED: u32 = 0x6876_0001;
/// The origin of our routes, as `ip route` shows it (`proto 118`).
pub(crate) const ROUTE_ORIGIN: u8 = 118;

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;

const LINK_HEADER_BYTES: usize = 16;
const ADDRESS_HEADER_BYTES: usize = 8;
const ROUTE_HEADER_BYTES: usize = 12;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFF_UP: u32 = 1;
/// `RTEXT_FILTER_SKIP_STATS`
const WITHOUT_STATISTICS: u32 = 8;
const MAIN_TABLE: u8 = 254;
const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;
const UNREACHABLE: u8 = 7;

/// The loopback interface's index, in every namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// A device, as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) alias: Option<String>,
    pub(crate) group: u32,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    /// The far end's index in its own namespace.
    pub(crate) peer: Option<u32>,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) statistics: Option<Statistics>,
}

/// `struct rtnl_link_stats64`, its first part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) received_packets: u64,
    pub(crate) sent_packets: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_errors: u64,
    pub(crate) sent_errors: u64,
    pub(crate) received_dropped: u64,
    pub(crate) sent_dropped: u64,
}

/// A veth to be made.
#[derive(Debug)]
pub(crate) struct VethSpec<'a> {
    pub(crate) name: &'a str,
    pub(crate) mtu: u32,
    pub(crate) far_name: &'a str,
    pub(crate) far_mac: MacAddress,
    pub(crate) far_netns: BorrowedFd<'a>,
}

/// A route of the host's main table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) origin: u8,
    pub(crate) unreachable: bool,
    pub(crate) interface: Option<u32>,
}

/// A batch of changes to devices, addresses and routes; each is carried out by itself.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    batch: Batch,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Makes a veth, both ends down.
    pub(crate) fn create_veth(&mut self, veth: &VethSpec<'_>) {
        self.batch.message(NEW_LINK, ACK | CREATE | EXCLUSIVE, |m| {
            m.raw(&device_header(0, 0, 0));
            m.text(3, veth.name);
            m.u32(4, veth.mtu);
            m.u32(27, OURS);
            one_queue(m);
            m.nest(18, |m| {
                m.text(1, "veth");
                m.nest(2, |m| {
                    m.nest(1, |m| {
                        m.raw(&device_header(0, 0, 0));
                        m.text(3, veth.far_name);
                        m.u32(4, veth.mtu);
                        m.bytes(1, &veth.far_mac.bytes());
                        m.u32(28, veth.far_netns.as_raw_fd().cast_unsigned());
                        one_queue(m);
                    });
                });
            });
        });
    }

    pub(crate) fn set_alias(&mut self, index: u32, alias: &str) {
        self.set(index, |m| m.text(20, alias));
    }

    pub(crate) fn set_group(&mut self, index: u32, group: u32) {
        self.set(index, |m| m.u32(27, group));
    }

    /// IPv4 settings of one interface (`IPV4_DEVCONF_…` and values), which `sysctl net.ipv4.conf` shows.
    pub(crate) fn set_ipv4_settings(&mut self, index: u32, settings: &[(u16, u32)]) {
        self.set(index, |m| {
            m.nest(26, |m| {
                m.nest(AF_INET.into(), |m| {
                    m.nest(1, |m| {
                        for (setting, value) in settings {
                            m.u32(*setting, *value);
                        }
                    });
                });
            });
        });
    }

    /// No link-local IPv6 address by itself: `IN6_ADDR_GEN_MODE_NONE`.
    pub(crate) fn set_no_automatic_ipv6(&mut self, index: u32) {
        self.set(index, |m| m.nest(26, |m| m.nest(AF_INET6.into(), |m| m.u8(8, 1))));
    }

    fn set(&mut self, index: u32, build: impl FnOnce(&mut Message<'_>)) {
        self.batch.message(SET_LINK, ACK, |m| {
            m.raw(&device_header(index, 0, 0));
            build(m);
        });
    }

    pub(crate) fn set_up(&mut self, index: u32) {
        self.batch.message(SET_LINK, ACK, |m| m.raw(&device_header(index, IFF_UP, IFF_UP)));
    }

    /// With its whole length as prefix, and without the checks for duplicates that a point-to-point link cannot have.
    pub(crate) fn add_address(&mut self, index: u32, address: IpAddr) {
        const NO_DUPLICATE_DETECTION: u8 = 0x02;
        self.batch.message(NEW_ADDRESS, ACK | CREATE | REPLACE, |m| {
            let (family, prefix, flags) = match address {
                IpAddr::V4(_) => (AF_INET, 32, 0),
                IpAddr::V6(v6) if v6.is_unicast_link_local() => (AF_INET6, 64, NO_DUPLICATE_DETECTION),
                IpAddr::V6(_) => (AF_INET6, 128, NO_DUPLICATE_DETECTION),
            };
            let mut header = vec![family, prefix, flags, 0];
            header.extend_from_slice(&index.to_ne_bytes());
            m.raw(&header);
            put_address(m, 2, address);
            put_address(m, 1, address);
        });
    }

    /// To one address, directly over an interface.
    pub(crate) fn add_host_route(&mut self, index: u32, to: IpAddr) {
        self.route(NEW_ROUTE, ACK | CREATE | REPLACE, to, full_prefix(to), UNICAST, |m| m.u32(4, index));
    }

    pub(crate) fn add_default_route(&mut self, index: u32, gateway: IpAddr) {
        let everywhere = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        self.route(NEW_ROUTE, ACK | CREATE | REPLACE, everywhere, 0, UNICAST, |m| {
            put_address(m, 5, gateway);
            m.u32(4, index);
        });
    }

    /// To a range of addresses by a gateway that has no route of its own on this interface.
    pub(crate) fn add_gateway_route(&mut self, index: u32, network: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) {
        /// `RTNH_F_ONLINK`
        const REACHED_DIRECTLY: u32 = 4;
        self.batch.message(NEW_ROUTE, ACK | CREATE | REPLACE, |m| {
            let [a, b, c, d] = REACHED_DIRECTLY.to_ne_bytes();
            m.raw(&[AF_INET, prefix, 0, 0, MAIN_TABLE, ROUTE_ORIGIN, 0, UNICAST, a, b, c, d]);
            put_address(m, 1, network.into());
            put_address(m, 5, gateway.into());
            m.u32(4, index);
        });
    }

    /// Addresses of the network that no container has lead nowhere, rather than out by the default route.
    pub(crate) fn add_unreachable(&mut self, network: Ipv4Addr, prefix: u8) {
        self.route(NEW_ROUTE, ACK | CREATE | REPLACE, network.into(), prefix, UNREACHABLE, |_| {});
    }

    pub(crate) fn delete_unreachable(&mut self, network: Ipv4Addr, prefix: u8) {
        self.route(DELETE_ROUTE, ACK, network.into(), prefix, UNREACHABLE, |_| {});
    }

    fn route(
        &mut self,
        message: u16,
        flags: u16,
        to: IpAddr,
        prefix: u8,
        kind: u8,
        build: impl FnOnce(&mut Message<'_>),
    ) {
        let family = if to.is_ipv4() { AF_INET } else { AF_INET6 };
        let direct = kind == UNICAST && prefix != 0 && family == AF_INET;
        let scope = if direct { SCOPE_LINK } else { 0 };
        self.batch.message(message, flags, |m| {
            m.raw(&[family, prefix, 0, 0, MAIN_TABLE, ROUTE_ORIGIN, scope, kind, 0, 0, 0, 0]);
            if prefix != 0 {
                put_address(m, 1, to);
            }
            build(m);
        });
    }

    pub(crate) fn delete_device(&mut self, index: u32) {
        self.batch.message(DELETE_LINK, ACK, |m| m.raw(&device_header(index, 0, 0)));
    }

    /// Deletes all interfaces of a group at once: as dear as deleting one.
    pub(crate) fn delete_group(&mut self, group: u32) {
        self.batch.message(DELETE_LINK, ACK, |m| {
            m.raw(&device_header(0, 0, 0));
            m.u32(27, group);
        });
    }

    /// Asks, after the changes so far, for the interface with this name.
    pub(crate) fn ask_for(&mut self, name: &str) {
        self.batch.message(GET_LINK, ACK, |m| {
            m.raw(&device_header(0, 0, 0));
            m.text(3, name);
        });
    }

    /// Carries them out, each by itself; the first refusal is returned when all have been tried.
    pub(crate) fn apply(self, socket: &mut NetlinkSocket) -> Result<(), NetlinkError> {
        self.apply_and_read(socket).map(drop)
    }

    /// As [`Changes::apply`], and returns the interface that was asked for.
    pub(crate) fn apply_and_read(
        mut self,
        socket: &mut NetlinkSocket,
    ) -> Result<Option<Device>, NetlinkError> {
        let mut found = None;
        socket.request(&mut self.batch, |reply| found = read_device(reply))?;
        Ok(found)
    }
}

/// The interface with this name; `None` when there is none.
pub(crate) fn named(socket: &mut NetlinkSocket, name: &str) -> Result<Option<Device>, NetlinkError> {
    one_device(socket, |m| {
        m.raw(&device_header(0, 0, 0));
        m.text(3, name);
    })
}

pub(crate) fn at(socket: &mut NetlinkSocket, index: u32) -> Result<Option<Device>, NetlinkError> {
    one_device(socket, |m| m.raw(&device_header(index, 0, 0)))
}

fn one_device(
    socket: &mut NetlinkSocket,
    build: impl FnOnce(&mut Message<'_>),
) -> Result<Option<Device>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_LINK, ACK, build);
    let mut found = None;
    match socket.request(&mut question, |reply| found = read_device(reply)) {
        Ok(()) => Ok(found),
        Err(error) if error.errno() == Errno::NODEV => Ok(None),
        Err(error) => Err(error),
    }
}

/// All veths that carry our group, whatever their name.
pub(crate) fn ours(socket: &mut NetlinkSocket) -> Result<Vec<Device>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_LINK, DUMP, |m| {
        m.raw(&device_header(0, 0, 0));
        m.u32(29, WITHOUT_STATISTICS);
        m.nest(18, |m| m.text(1, "veth"));
    });
    socket.dump(&mut question, Vec::new, |found, reply| {
        found.extend(read_device(reply).filter(|device| matches!(device.group, OURS | DOOMED)));
        ControlFlow::Continue(())
    })
}

/// The IPv4 routes of the main table.
pub(crate) fn ipv4_routes(socket: &mut NetlinkSocket) -> Result<Vec<Route>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_ROUTE, DUMP, |m| {
        let mut header = [0; ROUTE_HEADER_BYTES];
        header[0] = AF_INET;
        m.raw(&header);
    });
    socket.dump(&mut question, Vec::new, |found, reply| {
        found.extend(read_route(reply));
        ControlFlow::Continue(())
    })
}

/// The IPv4 addresses of all interfaces: index and address.
pub(crate) fn ipv4_addresses(socket: &mut NetlinkSocket) -> Result<Vec<(u32, Ipv4Addr)>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_ADDRESS, DUMP, |m| m.raw(&[AF_INET, 0, 0, 0, 0, 0, 0, 0]));
    socket.dump(&mut question, Vec::new, |found, reply| {
        let index = Value { bytes: reply.payload.get(4..8).unwrap_or(&[]), nested: false }.u32();
        let address = reply.attributes(ADDRESS_HEADER_BYTES).first(2).and_then(read_v4);
        found.extend(index.zip(address));
        ControlFlow::Continue(())
    })
}

fn device_header(index: u32, flags: u32, change: u32) -> [u8; LINK_HEADER_BYTES] {
    let mut header = [0; LINK_HEADER_BYTES];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// Left to itself the kernel makes a queue per processor on both ends, which a veth has no use for.
fn one_queue(m: &mut Message<'_>) {
    m.u32(31, 1); // IFLA_NUM_TX_QUEUES
    m.u32(32, 1); // IFLA_NUM_RX_QUEUES
}

fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn put_address(m: &mut Message<'_>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => m.bytes(kind, &v4.octets()),
        IpAddr::V6(v6) => m.bytes(kind, &v6.octets()),
    }
}

fn read_v4(value: Value<'_>) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value.bytes).ok().map(Ipv4Addr::from)
}

fn read_device(reply: Reply<'_>) -> Option<Device> {
    let header =
        |at: usize| Value { bytes: reply.payload.get(at..at + 4).unwrap_or(&[]), nested: false }.u32();
    let attributes = reply.attributes(LINK_HEADER_BYTES);
    let number = |kind| attributes.first(kind).and_then(Value::u32);
    (reply.kind == NEW_LINK).then_some(())?;
    Some(Device {
        index: header(4)?,
        name: attributes.first(3)?.text()?.to_owned(),
        alias: attributes.first(20).and_then(Value::text).map(str::to_owned),
        group: number(27).unwrap_or(0),
        mtu: number(4).unwrap_or(0),
        up: header(8)? & IFF_UP != 0,
        peer: number(5),
        mac: attributes.first(1).and_then(|v| v.bytes.try_into().ok()),
        statistics: attributes.first(23).and_then(read_statistics),
    })
}

fn read_statistics(value: Value<'_>) -> Option<Statistics> {
    let number = |position: usize| {
        let bytes = value.bytes.get(position * 8..position * 8 + 8)?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    };
    Some(Statistics {
        received_packets: number(0)?,
        sent_packets: number(1)?,
        received_bytes: number(2)?,
        sent_bytes: number(3)?,
        received_errors: number(4)?,
        sent_errors: number(5)?,
        received_dropped: number(6)?,
        sent_dropped: number(7)?,
    })
}

fn read_route(reply: Reply<'_>) -> Option<Route> {
    let [_, prefix, _, _, table, origin, _, kind, ..] = *reply.payload else { return None };
    if reply.kind != NEW_ROUTE || table != MAIN_TABLE {
        return None;
    }
    let attributes: Attributes<'_> = reply.attributes(ROUTE_HEADER_BYTES);
    let destination =
        if prefix == 0 { Ipv4Addr::UNSPECIFIED } else { attributes.first(1).and_then(read_v4)? };
    Some(Route {
        destination,
        prefix,
        origin,
        unreachable: kind == UNREACHABLE,
        interface: attributes.first(4).and_then(Value::u32),
    })
}
