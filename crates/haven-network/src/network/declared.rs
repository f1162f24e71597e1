//! Declared links and networks: what containers may do to each other, told to the kernel link by link.
//!
//! One change of one link is a transaction of two or three elements, with three links as with 100,000.

use super::{Network, lock, refused};
use crate::links::Links;
use crate::nft::{self, Element, Transaction};
use crate::observation::{Attempt, LinkTraffic};
use crate::{Identity, Link, LinkId, table};
use haven_spec::Outcome;
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
