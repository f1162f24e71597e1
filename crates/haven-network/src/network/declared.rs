//! Declared links and networks: what containers may do to each other, told to the kernel link by link.
//!
//! One change of one link is a transaction of two or three elements, with three links as with 100,000.

use super::{Network, lock, refused};
use crate::links::Links;
use crate::nft::{self, Element, Transaction};
use crate::observation::{Attempt, LinkTraffic};
use crate::upkeep::{add_elements, remove_elements};
use crate::{Identity, Link, LinkId, elements, table};
use crate::{device, host_routes};
use haven_spec::{Ipv4Net, Outcome};
use std::collections::BTreeSet;
use std::sync::PoisonError;

impl Network {
    /// Takes links up without telling the kernel: at the daemon's start, before [`Network::reconcile`] compares.
    pub fn restore_links(&self, links: impl IntoIterator<Item = Link>) -> Outcome<()> {
        let mut all = Links::default();
        for link in links {
            all.insert(link)?;
        }
        *lock(&self.links) = all;
        Ok(())
    }

    /// Declares links, all of them or none. Those that are declared already stay as they are.
    pub fn add_links(&self, links: &[Link]) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = lock(&self.links);
        let mut elements = Vec::new();
        let mut added = Vec::new();
        let told = links
            .iter()
            .try_for_each(|link| {
                let new = all.insert(*link)?;
                if !new.is_empty() {
                    added.push(link.id);
                }
                elements.extend(new);
                Ok(())
            })
            .and_then(|()| self.tell(elements, |transaction, elements| transaction.add_elements(elements)));
        if told.is_err() {
            for id in added {
                all.remove(id);
            }
        }
        told
    }

    /// Takes links away. Connections that stand end with their next packet. How many there were.
    pub fn remove_links(&self, links: &[LinkId]) -> Outcome<usize> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = lock(&self.links);
        let known = all.iter_some(links).collect::<Vec<_>>();
        let elements = known.iter().flat_map(|link| all.remove(link.id)).collect::<Vec<_>>();
        let told = self.tell(elements, |transaction, elements| transaction.remove_elements(elements));
        match told {
            Ok(()) => Ok(known.len()),
            Err(failure) => {
                // Still in force, so still in the list.
                for link in known {
                    all.insert(link)?;
                }
                Err(failure)
            }
        }
    }

    pub fn links(&self) -> Vec<Link> {
        lock(&self.links).iter().copied().collect()
    }

    /// Gives a network an identity, so that links can begin and end at it. Holds for endpoints that are attached, or
    /// reconciled, from now on.
    pub fn declare_network(&self, name: &str, identity: Identity) {
        lock(&self.networks).insert(name.to_owned(), identity);
    }

    /// Forgets what [`Network::declare_network`] was told.
    pub fn forget_network(&self, name: &str) {
        lock(&self.networks).remove(name);
    }

    /// Takes an address range up for a network: what nobody has of it leads nowhere.
    pub fn add_subnet(&self, subnet: Ipv4Net) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let mut route = lock(&self.route);
        let routes =
            device::ipv4_routes(&mut route).map_err(|e| refused("cannot list the host's routes", e))?;
        host_routes::ensure_route(&mut route, subnet, &routes)?;
        lock(&self.subnets).insert(subnet);
        Ok(())
    }

    /// Takes ranges up without telling the kernel: at the daemon's start, before [`Network::reconcile`] compares.
    pub fn restore_subnets(&self, subnets: impl IntoIterator<Item = Ipv4Net>) {
        lock(&self.subnets).extend(subnets);
    }

    pub fn remove_subnet(&self, subnet: Ipv4Net) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        if !lock(&self.subnets).remove(&subnet) {
            return Ok(());
        }
        host_routes::remove_route(&mut lock(&self.route), subnet)
    }

    /// A range for a new network that overlaps nothing in `taken` and no route of the host.
    pub fn choose_subnet(&self, taken: &[Ipv4Net]) -> Outcome<Ipv4Net> {
        let routes = device::ipv4_routes(&mut lock(&self.route))
            .map_err(|e| refused("cannot list the host's routes", e))?;
        host_routes::choose_subnet(taken, self.pool, &routes)
    }

    /// Whether a range that somebody asks for would take addresses away from something the host reaches.
    pub fn check_subnet(&self, subnet: Ipv4Net) -> Outcome<()> {
        let routes = device::ipv4_routes(&mut lock(&self.route))
            .map_err(|e| refused("cannot list the host's routes", e))?;
        host_routes::check_subnet(subnet, &routes)
    }

    /// Lets containers look names up at the gateway's address, where somebody listens.
    pub fn offer_names(&self) -> Outcome<()> {
        const NAMES: u16 = 53;
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let doors = [table::TCP, table::UDP].map(|protocol| elements::host_open(protocol, NAMES));
        add_elements(&mut lock(&self.nft), &self.table, &doors)?;
        lock(&self.offered).extend(doors);
        Ok(())
    }

    /// Lets through what these try without a link, and goes on counting it among what was denied. Whoever is observed
    /// no more is held to its links at once; when nobody is, what stands because of it ends.
    pub fn observe(&self, identities: &BTreeSet<Identity>) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let mut observed = lock(&self.observed);
        let of = |identities: &BTreeSet<Identity>| {
            identities.iter().flat_map(|i| elements::observe(i.number())).collect::<BTreeSet<_>>()
        };
        let (present, wanted) = (of(&observed), of(identities));
        let surplus = present.difference(&wanted).cloned().collect::<Vec<_>>();
        let missing = wanted.difference(&present).cloned().collect::<Vec<_>>();
        let mut nft = lock(&self.nft);
        remove_elements(&mut nft, &self.table, &surplus)?;
        add_elements(&mut nft, &self.table, &missing)?;
        observed.clone_from(identities);
        Ok(())
    }

    /// Takes those who are observed up without telling the kernel, before [`Network::reconcile`] compares.
    pub fn restore_observed(&self, identities: impl IntoIterator<Item = Identity>) {
        lock(&self.observed).extend(identities);
    }

    /// What every live link has carried.
    pub fn link_traffic(&self) -> Outcome<Vec<LinkTraffic>> {
        let counted = nft::counted(&mut lock(&self.nft), table::TABLE, table::LIVE.name)
            .map_err(|e| refused("cannot list the counters of links", e))?;
        Ok(counted.iter().filter_map(LinkTraffic::read).collect())
    }

    /// Who tried to reach whom in vain, in the last day or since the table was made.
    pub fn denied(&self) -> Outcome<Vec<Attempt>> {
        let counted = nft::counted(&mut lock(&self.nft), table::TABLE, table::DENIED.name)
            .map_err(|e| refused("cannot list denied attempts", e))?;
        Ok(counted.iter().filter_map(Attempt::read).collect())
    }

    fn tell(
        &self,
        mut elements: Vec<Element>,
        how: impl FnOnce(&mut Transaction, &[Element]),
    ) -> Outcome<()> {
        // Those of a set together: a message is about one set.
        elements.sort_unstable_by_key(|element| element.set);
        let mut transaction = Transaction::new(table::TABLE);
        how(&mut transaction, &elements);
        transaction.commit(&mut lock(&self.nft)).map_err(|e| refused("cannot change links", e))
    }
}
