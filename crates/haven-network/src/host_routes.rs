//! What the host's routes say: where a pool fits, how large packets may be, and the pool's own route.

use crate::device::{self, Changes, ROUTE_ORIGIN, Route};
use crate::network::refused;
use haven_spec::{Failure, Ipv4Net, Outcome};
use haven_sys::netlink::NetlinkSocket;
use std::net::Ipv4Addr;

/// MTU when there is no default route to take it from.
const ETHERNET_MTU: u32 = 1500;

/// The pool to use: the one asked for, the one in use since the host started, or the first that fits.
pub(crate) fn choose_pool(wanted: Option<Ipv4Net>, routes: &[Route]) -> Outcome<Ipv4Net> {
    if let Some(wanted) = wanted {
        return Ok(wanted);
    }
    if let Some(present) = pool_routes(routes).next() {
        return Ok(present);
    }
    let taken = routes.iter().filter(|r| r.prefix != 0).filter_map(net).collect::<Vec<_>>();
    candidates().find(|candidate| !taken.iter().any(|net| net.overlaps(*candidate))).ok_or_else(|| {
        Failure::conflict("every address range for containers overlaps a route of the host")
            .hint("set the network's pool to a range that nothing else uses")
    })
}

/// Private ranges, from those seldom used to those often used; nothing that Docker or Podman takes first.
fn candidates() -> impl Iterator<Item = Ipv4Net> {
    let wide = (210..255).map(|b| (Ipv4Addr::new(10, b, 0, 0), 16));
    let middle = (24..32).rev().map(|b| (Ipv4Addr::new(172, b, 0, 0), 16));
    let narrow = (0..254).rev().map(|c| (Ipv4Addr::new(192, 168, c, 0), 24));
    wide.chain(middle).chain(narrow).filter_map(|(address, prefix)| Ipv4Net::new(address, prefix).ok())
}

/// The pools whose routes are there.
pub(crate) fn pool_routes(routes: &[Route]) -> impl Iterator<Item = Ipv4Net> {
    routes.iter().filter(|r| r.origin == ROUTE_ORIGIN && r.unreachable).filter_map(net)
}

fn net(route: &Route) -> Option<Ipv4Net> {
    Ipv4Net::new(route.destination, route.prefix).ok()
}

/// Puts the route of `pool` there, and takes away those of pools used before.
pub(crate) fn ensure_pool_route(
    socket: &mut NetlinkSocket,
    pool: Ipv4Net,
    routes: &[Route],
) -> Outcome<bool> {
    let others = pool_routes(routes).filter(|net| *net != pool).collect::<Vec<_>>();
    let present = pool_routes(routes).any(|net| net == pool);
    if present && others.is_empty() {
        return Ok(false);
    }
    let mut changes = Changes::new();
    if !present {
        changes.add_unreachable(pool.address(), pool.prefix());
    }
    for other in others {
        changes.delete_unreachable(other.address(), other.prefix());
    }
    changes.apply(socket).map_err(|e| refused(format!("cannot set the route of the pool `{pool}`"), e))?;
    Ok(true)
}

pub(crate) fn remove_pool_routes(socket: &mut NetlinkSocket) -> Option<Failure> {
    let routes = match device::ipv4_routes(socket) {
        Ok(routes) => routes,
        Err(error) => return Some(refused("cannot list the host's routes", error)),
    };
    let mut changes = Changes::new();
    for net in pool_routes(&routes) {
        changes.delete_unreachable(net.address(), net.prefix());
    }
    changes.apply(socket).err().map(|e| refused("cannot remove the pool's route", e))
}

/// The MTU of the interface with the default route.
pub(crate) fn uplink_mtu(socket: &mut NetlinkSocket, routes: &[Route]) -> Outcome<u32> {
    let Some(index) = routes.iter().find(|r| r.prefix == 0).and_then(|r| r.interface) else {
        return Ok(ETHERNET_MTU);
    };
    let uplink = device::at(socket, index).map_err(|e| refused("cannot look up the uplink interface", e))?;
    // Loopback-like uplinks have MTUs that only cost memory.
    Ok(uplink.map_or(ETHERNET_MTU, |device| device.mtu.clamp(68, 9000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(net: &str, origin: u8) -> Route {
        let net = Ipv4Net::parse(net).unwrap();
        Route {
            destination: net.address(),
            prefix: net.prefix(),
            origin,
            unreachable: origin == ROUTE_ORIGIN,
            interface: None,
        }
    }

    #[test]
    fn a_pool_overlaps_no_route_but_the_default_one() {
        let choose = |routes: &[Route]| choose_pool(None, routes).unwrap().to_string();
        assert_eq!(choose(&[route("0.0.0.0/0", 2)]), "10.210.0.0/16");
        assert_eq!(choose(&[route("10.210.3.0/24", 2)]), "10.211.0.0/16");
        assert_eq!(choose(&[route("10.0.0.0/8", 2)]), "172.31.0.0/16");
        assert_eq!(choose(&[route("10.0.0.0/8", 2), route("172.16.0.0/12", 2)]), "192.168.253.0/24");
        let everything = [route("10.0.0.0/8", 2), route("172.16.0.0/12", 2), route("192.168.0.0/16", 2)];
        assert!(choose_pool(None, &everything).is_err());
    }

    #[test]
    fn a_pool_in_use_stays_and_a_configured_one_wins() {
        let routes = [route("10.230.0.0/16", ROUTE_ORIGIN)];
        assert_eq!(choose_pool(None, &routes).unwrap().to_string(), "10.230.0.0/16");
        let wanted = Ipv4Net::parse("10.9.0.0/24").unwrap();
        assert_eq!(choose_pool(Some(wanted), &routes).unwrap(), wanted);
    }
}
