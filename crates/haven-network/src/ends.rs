//! The two ends of a container's veth: addresses, routes and settings, on the host's side and in the container.
//!
//! Every step can be repeated; what is there already stays.

use crate::attachment::{Alias, Attachment};
use crate::device::{self, Changes};
use crate::network::{GATEWAY, GATEWAY6, refused};
use crate::sysctl;
use haven_spec::Outcome;
use haven_sys::netlink::{Family, NetlinkSocket};
use rustix::fd::BorrowedFd;

// IPV4_DEVCONF_…, linux/ip.h.
const FORWARDING: u16 = 1;
const ACCEPT_REDIRECTS: u16 = 4;
const SEND_REDIRECTS: u16 = 6;
const ARP_IGNORE: u16 = 19;
const ROUTE_LOCALNET: u16 = 26;

/// What every interface of ours is set to on the host's side.
const HOST_SIDE: [(u16, u32); 5] = [
    (FORWARDING, 1),
    (ACCEPT_REDIRECTS, 0),
    (SEND_REDIRECTS, 0),
    // Answer only for the gateway's address; else the host gives away the addresses of its other interfaces.
    (ARP_IGNORE, 1),
    // Replies to a port published on 127.0.0.1 come back by here. The table drops what else is sent there.
    (ROUTE_LOCALNET, 1),
];

/// The host's end: settings, the gateway's address, the route to the container.
pub(crate) fn host_side(route: &mut NetlinkSocket, attachment: &Attachment) -> Outcome<()> {
    let Attachment { endpoint, interface, name, .. } = attachment;
    let index = *interface;
    // Router advertisements of a container would give the host addresses and routes.
    let setting = if endpoint.ipv6.is_some() { ("accept_ra", "0") } else { ("disable_ipv6", "1") };
    if kernel_has_ipv6() {
        sysctl::write(&format!("ipv6/conf/{name}/{}", setting.0), setting.1)?;
    }
    let mut changes = Changes::new();
    changes.set_alias(index, &Alias::of(endpoint).text());
    changes.set_ipv4_settings(index, &HOST_SIDE);
    if endpoint.ipv6.is_some() {
        changes.set_no_automatic_ipv6(index);
    }
    changes.add_address(index, GATEWAY.into());
    changes.set_up(index);
    changes.add_host_route(index, endpoint.ipv4.into());
    if let Some(ipv6) = endpoint.ipv6 {
        changes.add_address(index, GATEWAY6.into());
        changes.add_host_route(index, ipv6.into());
    }
    changes.apply(route).map_err(|e| refused(format!("cannot set up the host's interface `{name}`"), e))
}

/// The container's end, which has the index `far` there: loopback, address, routes.
pub(crate) fn container_side(netns: BorrowedFd<'_>, attachment: &Attachment, far: u32) -> Outcome<()> {
    let endpoint = &attachment.endpoint;
    let mut changes = Changes::new();
    changes.set_up(device::LOOPBACK);
    if kernel_has_ipv6() {
        changes.set_no_automatic_ipv6(far);
    }
    changes.add_address(far, endpoint.ipv4.into());
    if let Some(ipv6) = endpoint.ipv6 {
        changes.add_address(far, ipv6.into());
    }
    changes.set_up(far);
    if endpoint.gateway {
        changes.add_host_route(far, GATEWAY.into());
        changes.add_default_route(far, GATEWAY.into());
    } else if let Some(subnet) = endpoint.subnet {
        changes.add_gateway_route(far, subnet.address(), subnet.prefix(), GATEWAY);
    }
    if endpoint.gateway && endpoint.ipv6.is_some() {
        changes.add_default_route(far, GATEWAY6.into());
    }
    NetlinkSocket::open_in(netns, Family::Route)
        .and_then(|mut socket| changes.apply(&mut socket))
        .map_err(|e| refused(format!("cannot set up the container's interface `{}`", endpoint.interface), e))
}

/// IPv6 was not left out or turned off when the kernel started.
fn kernel_has_ipv6() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| sysctl::read("ipv6/conf/all/disable_ipv6").is_some())
}
