//! What the host's routes say: where a pool fits, how large packets may be, and the pool's own route.

use crate::device::{self, Changes, ROUTE_ORIGIN, Route};
use crate::network::refused;
use haven_spec::{Failure, Ipv4Net, Outcome};
use haven_sys::netlink::NetlinkSocket;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// MTU when there is no default route to take it from.
const ETHERNET_MTU: u32 = 1500;
/// Networks get some thousand addresses, and there is room for some thousand networks.
const SUBNET_PREFIX: u8 = 22;

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

/// Puts the route of one pool there.
pub(crate) fn ensure_route(socket: &mut NetlinkSocket, pool: Ipv4Net, routes: &[Route]) -> Outcome<()> {
    if pool_routes(routes).any(|net| net == pool) {
        return Ok(());
    }
    let mut changes = Changes::new();
    changes.add_unreachable(pool.address(), pool.prefix());
    changes.apply(socket).map_err(|e| refused(format!("cannot set the route of the pool `{pool}`"), e))
}

pub(crate) fn remove_route(socket: &mut NetlinkSocket, pool: Ipv4Net) -> Outcome<()> {
    let mut changes = Changes::new();
    changes.delete_unreachable(pool.address(), pool.prefix());
    match changes.apply(socket) {
        Err(error) if error.errno() != rustix::io::Errno::SRCH => {
            Err(refused(format!("cannot remove the route of the pool `{pool}`"), error))
        }
        _ => Ok(()),
    }
}

/// Puts the routes of `pools` there, and takes away those of pools used before.
pub(crate) fn ensure_pool_routes(
    socket: &mut NetlinkSocket,
    pools: &BTreeSet<Ipv4Net>,
    routes: &[Route],
) -> Outcome<()> {
    for pool in pools {
        ensure_route(socket, *pool, routes)?;
    }
    for other in pool_routes(routes).filter(|net| !pools.contains(net)) {
        remove_route(socket, other)?;
    }
    Ok(())
}

/// A range of [`SUBNET_PREFIX`] for a network, from the same ranges the pool is chosen from.
pub(crate) fn choose_subnet(taken: &[Ipv4Net], pool: Ipv4Net, routes: &[Route]) -> Outcome<Ipv4Net> {
    let foreign = routes.iter().filter(|r| r.prefix != 0 && r.origin != ROUTE_ORIGIN).filter_map(net);
    let taken = foreign.chain(taken.iter().copied()).chain([pool]).collect::<Vec<_>>();
    let free = |net: &Ipv4Net| !taken.iter().any(|other| other.overlaps(*net));
    candidates().flat_map(parts).find(free).ok_or_else(|| {
        Failure::conflict("no address range is left for another network")
            .because("every range overlaps a route of the host or a network")
            .hint("remove networks nobody uses (haven network prune), or give one with --subnet")
    })
}

/// The ranges of [`SUBNET_PREFIX`] in a wider one; a narrower one is itself.
fn parts(net: Ipv4Net) -> impl Iterator<Item = Ipv4Net> {
    let prefix = net.prefix().max(SUBNET_PREFIX);
    let count = 1_u32 << (prefix - net.prefix());
    let step = 1_u32 << (32 - prefix);
    (0..count).filter_map(move |n| {
        Ipv4Net::new(Ipv4Addr::from_bits(net.address().to_bits() + n * step), prefix).ok()
    })
}

/// Refuses a range in which the host reaches something else.
pub(crate) fn check_subnet(subnet: Ipv4Net, routes: &[Route]) -> Outcome<()> {
    let foreign = routes.iter().filter(|r| r.prefix != 0 && r.origin != ROUTE_ORIGIN).filter_map(net);
    match foreign.into_iter().find(|other| other.overlaps(subnet)) {
        None => Ok(()),
        Some(other) => {
            Err(Failure::conflict(format!("the subnet `{subnet}` overlaps the host's route to `{other}`"))
                .hint("choose another one, or leave --subnet out"))
        }
    }
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
    fn a_subnet_overlaps_no_pool_no_network_and_no_route() {
        let pool = Ipv4Net::parse("10.210.0.0/16").unwrap();
        let mut taken = Vec::new();
        let routes = [route("10.211.4.0/24", 2), route("0.0.0.0/0", 2)];
        for expected in ["10.211.0.0/22", "10.211.8.0/22", "10.211.12.0/22"] {
            let chosen = choose_subnet(&taken, pool, &routes).unwrap();
            assert_eq!(chosen.to_string(), expected);
            taken.push(chosen);
        }
        assert!(check_subnet(Ipv4Net::parse("10.211.0.0/16").unwrap(), &routes).is_err());
        assert!(check_subnet(Ipv4Net::parse("10.212.0.0/16").unwrap(), &routes).is_ok());
        let everything = [route("10.0.0.0/8", 2), route("172.16.0.0/12", 2), route("192.168.0.0/16", 2)];
        assert!(choose_subnet(&[], pool, &everything).is_err());
    }

    #[test]
    fn a_pool_in_use_stays_and_a_configured_one_wins() {
        let routes = [route("10.230.0.0/16", ROUTE_ORIGIN)];
        assert_eq!(choose_pool(None, &routes).unwrap().to_string(), "10.230.0.0/16");
        let wanted = Ipv4Net::parse("10.9.0.0/24").unwrap();
        assert_eq!(choose_pool(Some(wanted), &routes).unwrap(), wanted);
    }
}
