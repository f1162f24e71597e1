//! Compares the kernel's lists with what should be, and makes them agree.
//!
//! Interfaces are found by their group and told apart by their alias; elements of all declared sets are compared as
//! whole sets and changed in one transaction. So it does not matter at which moment an earlier life ended.

use crate::attachment::{self, Alias, Attachment};
use crate::device::{self, DOOMED, Device};
use crate::ends::host_side;
use crate::links::Links;
use crate::network::{GATEWAY, refused};
use crate::nft::{self, Element, TableSpec, Transaction};
use crate::ports::Ports;
use crate::upkeep::ensure_table;
use crate::{Endpoint, Identity, Repairs, elements, host_routes, sweeper, table};
use haven_spec::{ContainerId, Ipv4Net, Outcome};
use haven_sys::netlink::NetlinkSocket;
use std::collections::{BTreeMap, BTreeSet};

type Attached = BTreeMap<ContainerId, Vec<Attachment>>;

/// Everything that takes part in a comparison.
pub(crate) struct Reconciliation<'a> {
    pub(crate) route: &'a mut NetlinkSocket,
    pub(crate) nft: &'a mut NetlinkSocket,
    pub(crate) ports: &'a mut Ports,
    pub(crate) table: &'a TableSpec,
    pub(crate) observed: &'a BTreeSet<Identity>,
    pub(crate) offered: &'a BTreeSet<Element>,
    pub(crate) pools: &'a BTreeSet<Ipv4Net>,
    pub(crate) forwarding_by_us: bool,
    pub(crate) links: &'a Links,
    pub(crate) networks: &'a BTreeMap<String, Identity>,
}

impl Reconciliation<'_> {
    pub(crate) fn run(self, desired: &[Endpoint]) -> Outcome<(Attached, Repairs)> {
        let ensured = ensure_table(self.nft, self.table, self.forwarding_by_us)?;
        let mut repairs = Repairs { table_rebuilt: ensured.changed, ..Repairs::default() };
        let devices = device::ours(self.route).map_err(|e| refused("cannot list interfaces", e))?;
        let (attachments, leftovers) = pair(devices, desired, self.networks, &mut repairs);

        let mut wanted = attachment::union(&attachments);
        wanted.extend(elements::constants());
        wanted.extend(self.offered.iter().cloned());
        wanted.extend(self.observed.iter().flat_map(|identity| elements::observe(identity.number())));
        wanted.extend(self.links.elements());
        change_elements(self.nft, self.table, &wanted, &mut repairs)?;
        repair_interfaces(self.route, self.pools, &attachments, &mut repairs)?;
        remove_interfaces(self.route, &leftovers, &mut repairs);

        self.ports.retain(|container| desired.iter().any(|e| e.container == *container));
        for attachment in &attachments {
            let endpoint = &attachment.endpoint;
            repairs.failures.extend(self.ports.restore(&endpoint.container, &endpoint.published));
        }
        let mut attached = Attached::new();
        for attachment in attachments {
            attached.entry(attachment.endpoint.container.clone()).or_default().push(attachment);
        }
        Ok((attached, repairs))
    }
}

/// Finds every endpoint's interface; what is left over is nobody's.
fn pair(
    mut devices: Vec<Device>,
    desired: &[Endpoint],
    networks: &BTreeMap<String, Identity>,
    repairs: &mut Repairs,
) -> (Vec<Attachment>, Vec<Device>) {
    let mut attachments = Vec::new();
    for endpoint in desired {
        let alias = Alias::of(endpoint);
        // The youngest, should an earlier life's interface still be there.
        let own = devices
            .iter()
            .enumerate()
            .filter(|(_, d)| d.group != DOOMED)
            .filter(|(_, d)| d.alias.as_deref().and_then(Alias::parse).as_ref() == Some(&alias))
            .max_by_key(|(_, d)| d.index)
            .map(|(at, _)| at);
        match own {
            Some(at) => {
                let device = devices.swap_remove(at);
                attachments.push(Attachment {
                    endpoint: endpoint.clone(),
                    network: networks.get(&endpoint.network).copied(),
                    interface: device.index,
                    name: device.name,
                });
            }
            None => repairs.detached.push(endpoint.container.clone()),
        }
    }
    (attachments, devices)
}

/// Adds what is missing, removes what is not wanted, in one transaction.
fn change_elements(
    nft: &mut NetlinkSocket,
    table: &TableSpec,
    wanted: &BTreeSet<Element>,
    repairs: &mut Repairs,
) -> Outcome<()> {
    let mut present = BTreeSet::new();
    for set in &table::DECLARED_SETS {
        let found = nft::elements(nft, table.name, set)
            .map_err(|e| refused(format!("cannot list `{}` of the table `inet haven`", set.name), e))?;
        present.extend(found);
    }
    let surplus = present.difference(wanted).cloned().collect::<Vec<Element>>();
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
    pools: &BTreeSet<Ipv4Net>,
    attachments: &[Attachment],
    repairs: &mut Repairs,
) -> Outcome<()> {
    let routes = device::ipv4_routes(route).map_err(|e| refused("cannot list the host's routes", e))?;
    host_routes::ensure_pool_routes(route, pools, &routes)?;
    let addresses =
        device::ipv4_addresses(route).map_err(|e| refused("cannot list the host's addresses", e))?;
    let addressed: BTreeSet<u32> =
        addresses.into_iter().filter(|(_, a)| *a == GATEWAY).map(|(index, _)| index).collect();
    let routed: BTreeSet<_> =
        routes.iter().filter(|r| r.prefix == 32).map(|r| (r.destination, r.interface)).collect();
    for attachment in attachments {
        let device =
            device::at(route, attachment.interface).map_err(|e| refused("cannot look up an interface", e))?;
        let whole = device.is_some_and(|l| l.up)
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

fn remove_interfaces(route: &mut NetlinkSocket, leftovers: &[Device], repairs: &mut Repairs) {
    let indices = leftovers.iter().map(|device| device.index).collect::<Vec<_>>();
    match sweeper::delete(route, &indices) {
        Ok(()) => repairs.interfaces_removed = leftovers.iter().map(|device| device.name.clone()).collect(),
        Err(error) => repairs.failures.push(refused("cannot delete interfaces of nobody", error)),
    }
}
