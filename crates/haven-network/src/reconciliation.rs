//! Compares the kernel's lists with what should be, and makes them agree.
//!
//! Interfaces are found by their group and told apart by their alias; elements of all declared sets are compared as
//! whole sets and changed in one transaction. So it does not matter at which moment an earlier life ended.

use crate::attachment::{self, Alias, Attachment};
use crate::ends::host_side;
use crate::link::{self, DOOMED, Link};
use crate::network::{GATEWAY, refused};
use crate::nft::{self, Element, TableSpec, Transaction};
use crate::ports::Ports;
use crate::upkeep::ensure_table;
use crate::{Endpoint, Repairs, elements, host_routes, sweeper, table};
use haven_spec::{ContainerId, Ipv4Net, Outcome};
use haven_sys::netlink::NetlinkSocket;
use std::collections::{BTreeMap, BTreeSet};

type Attached = BTreeMap<ContainerId, Vec<Attachment>>;

pub(crate) fn reconcile(
    route: &mut NetlinkSocket,
    nft: &mut NetlinkSocket,
    ports: &mut Ports,
    table: &TableSpec,
    (pool, forwarding_by_us): (Ipv4Net, bool),
    desired: &[Endpoint],
) -> Outcome<(Attached, Repairs)> {
    let ensured = ensure_table(nft, table, forwarding_by_us)?;
    let mut repairs = Repairs { table_rebuilt: ensured.changed, ..Repairs::default() };
    let links = link::our_links(route).map_err(|e| refused("cannot list interfaces", e))?;
    let (attachments, leftovers) = pair(links, desired, &mut repairs);

    change_elements(nft, table, &attachments, &mut repairs)?;
    repair_interfaces(route, pool, &attachments, &mut repairs)?;
    remove_interfaces(route, &leftovers, &mut repairs);

    ports.retain(|container| desired.iter().any(|e| e.container == *container));
    for attachment in &attachments {
        let endpoint = &attachment.endpoint;
        repairs.failures.extend(ports.restore(&endpoint.container, &endpoint.published));
    }
    let mut attached = Attached::new();
    for attachment in attachments {
        attached.entry(attachment.endpoint.container.clone()).or_default().push(attachment);
    }
    Ok((attached, repairs))
}

/// Finds every endpoint's interface; what is left over is nobody's.
fn pair(mut links: Vec<Link>, desired: &[Endpoint], repairs: &mut Repairs) -> (Vec<Attachment>, Vec<Link>) {
    let mut attachments = Vec::new();
    for endpoint in desired {
        let alias = Alias::of(endpoint);
        // The youngest, should an earlier life's interface still be there.
        let own = links
            .iter()
            .enumerate()
            .filter(|(_, l)| l.group != DOOMED)
            .filter(|(_, l)| l.alias.as_deref().and_then(Alias::parse).as_ref() == Some(&alias))
            .max_by_key(|(_, l)| l.index)
            .map(|(at, _)| at);
        match own {
            Some(at) => {
                let link = links.swap_remove(at);
                attachments.push(Attachment {
                    endpoint: endpoint.clone(),
                    interface: link.index,
                    name: link.name,
                });
            }
            None => repairs.detached.push(endpoint.container.clone()),
        }
    }
    (attachments, links)
}

/// Adds what is missing, removes what is not wanted, in one transaction.
fn change_elements(
    nft: &mut NetlinkSocket,
    table: &TableSpec,
    attachments: &[Attachment],
    repairs: &mut Repairs,
) -> Outcome<()> {
    let mut wanted = attachment::union(attachments);
    wanted.extend(elements::constants());
    let mut present = BTreeSet::new();
    for set in &table::DECLARED_SETS {
        let found = nft::elements(nft, table.name, set)
            .map_err(|e| refused(format!("cannot list `{}` of the table `inet haven`", set.name), e))?;
        present.extend(found);
    }
    let surplus = present.difference(&wanted).cloned().collect::<Vec<Element>>();
    let missing = wanted.difference(&present).cloned().collect::<Vec<Element>>();
    let mut transaction = Transaction::new(table.name);
    transaction.remove_elements(&surplus);
    transaction.add_elements(&missing);
    transaction.commit(nft).map_err(|e| refused("cannot bring the table `inet haven` up to date", e))?;
    repairs.elements_removed = surplus.len();
    repairs.elements_added = missing.len();
    Ok(())
}

/// Puts the pool's route, addresses and routes of interfaces back where they are missing.
fn repair_interfaces(
    route: &mut NetlinkSocket,
    pool: Ipv4Net,
    attachments: &[Attachment],
    repairs: &mut Repairs,
) -> Outcome<()> {
    let routes = link::ipv4_routes(route).map_err(|e| refused("cannot list the host's routes", e))?;
    host_routes::ensure_pool_route(route, pool, &routes)?;
    let addresses =
        link::ipv4_addresses(route).map_err(|e| refused("cannot list the host's addresses", e))?;
    let addressed: BTreeSet<u32> =
        addresses.into_iter().filter(|(_, a)| *a == GATEWAY).map(|(index, _)| index).collect();
    let routed: BTreeSet<_> =
        routes.iter().filter(|r| r.prefix == 32).map(|r| (r.destination, r.interface)).collect();
    for attachment in attachments {
        let link = link::link_at(route, attachment.interface)
            .map_err(|e| refused("cannot look up an interface", e))?;
        let whole = link.is_some_and(|l| l.up)
            && addressed.contains(&attachment.interface)
            && routed.contains(&(attachment.endpoint.ipv4, Some(attachment.interface)));
        if whole {
            continue;
        }
        match host_side(route, attachment) {
            Ok(()) => repairs.interfaces_repaired.push(attachment.name.clone()),
            Err(failure) => repairs.failures.push(failure),
        }
    }
    Ok(())
}

fn remove_interfaces(route: &mut NetlinkSocket, leftovers: &[Link], repairs: &mut Repairs) {
    let indices = leftovers.iter().map(|link| link.index).collect::<Vec<_>>();
    match sweeper::delete(route, &indices) {
        Ok(()) => repairs.interfaces_removed = leftovers.iter().map(|link| link.name.clone()).collect(),
        Err(error) => repairs.failures.push(refused("cannot delete interfaces of nobody", error)),
    }
}
