//! Addresses and identities that are given out, to whom, and who a number was.
//!
//! A container's grant is kept whole under its id, so that giving it back twice, or giving back what an earlier life
//! of the daemon gave, changes nothing.

use super::subject::Subject;
use haven_network::{AddressPool, Identity, IdentityPool};
use haven_spec::{ContainerId, Failure, Outcome};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::Ipv4Addr;

/// Names of numbers that are nobody's any more, for what the kernel has counted under them.
const REMEMBERED_LIMIT: usize = 4096;

#[derive(Debug)]
struct Held {
    identity: Identity,
    /// Containers, links and networks that hold it.
    users: usize,
}

#[derive(Debug)]
struct Grant {
    subject: Subject,
    addresses: Vec<(String, Ipv4Addr)>,
}

#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pools: BTreeMap<String, AddressPool>,
    identities: IdentityPool,
    subjects: HashMap<Subject, Held>,
    names: HashMap<Identity, Subject>,
    past: VecDeque<(Identity, Subject)>,
    grants: HashMap<ContainerId, Grant>,
}

impl Numbers {
    // --- networks

    pub(crate) fn add_pool(&mut self, network: &str, pool: AddressPool) {
        self.pools.insert(network.to_owned(), pool);
    }

    /// Gives the network's addresses up, unless somebody has one.
    pub(crate) fn remove_pool(&mut self, network: &str) -> Option<AddressPool> {
        if self.pools.get(network)?.is_empty() { self.pools.remove(network) } else { None }
    }

    // --- identities

    /// The subject's number, a new one if it has none. Goes with [`Numbers::release`].
    pub(crate) fn hold(&mut self, subject: &Subject) -> Outcome<Identity> {
        if let Some(held) = self.subjects.get_mut(subject) {
            held.users += 1;
            return Ok(held.identity);
        }
        let identity = self.identities.allocate()?;
        self.enter(subject, identity);
        Ok(identity)
    }

    /// As [`Numbers::hold`] for a number that a record has. `false`: the number is somebody else's, or the subject has
    /// another one.
    pub(crate) fn hold_as(&mut self, subject: &Subject, identity: Identity) -> bool {
        if let Some(held) = self.subjects.get_mut(subject) {
            held.users += 1;
            return held.identity == identity;
        }
        if !self.identities.claim(identity) {
            return false;
        }
        self.enter(subject, identity);
        true
    }

    fn enter(&mut self, subject: &Subject, identity: Identity) {
        self.subjects.insert(subject.clone(), Held { identity, users: 1 });
        self.names.insert(identity, subject.clone());
    }

    pub(crate) fn release(&mut self, subject: &Subject) {
        let Some(held) = self.subjects.get_mut(subject) else { return };
        held.users -= 1;
        if held.users > 0 {
            return;
        }
        let identity = held.identity;
        self.subjects.remove(subject);
        self.names.remove(&identity);
        self.identities.release(identity);
        if self.past.len() == REMEMBERED_LIMIT {
            self.past.pop_front();
        }
        self.past.push_back((identity, subject.clone()));
    }

    /// Numbers up to this one were somebody's before: they are not given out soon.
    pub(crate) fn pass_over(&mut self, identity: Identity) {
        if self.identities.claim(identity) {
            self.identities.release(identity);
        }
    }

    pub(crate) fn identity(&self, subject: &Subject) -> Option<Identity> {
        self.subjects.get(subject).map(|held| held.identity)
    }

    /// Whose number it is, or was last.
    pub(crate) fn subject(&self, identity: Identity) -> Option<&Subject> {
        let past =
            || self.past.iter().rev().find(|(number, _)| *number == identity).map(|(_, subject)| subject);
        self.names.get(&identity).or_else(past)
    }

    /// Whoever is called `old` is called `new` from now on. `false`: somebody is called that already.
    pub(crate) fn rename(&mut self, old: &Subject, new: &Subject) -> bool {
        if self.subjects.contains_key(new) {
            return false;
        }
        if let Some(held) = self.subjects.remove(old) {
            self.names.insert(held.identity, new.clone());
            self.subjects.insert(new.clone(), held);
        }
        for grant in self.grants.values_mut().filter(|grant| grant.subject == *old) {
            grant.subject = new.clone();
        }
        true
    }

    // --- containers

    /// The container's identity; again for the same container it is the same.
    pub(crate) fn identify(&mut self, container: &ContainerId, subject: &Subject) -> Outcome<Identity> {
        if let Some(identity) = self.grants.get(container).and_then(|grant| self.identity(&grant.subject)) {
            return Ok(identity);
        }
        let identity = self.hold(subject)?;
        let grant = Grant { subject: subject.clone(), addresses: Vec::new() };
        self.grants.insert(container.clone(), grant);
        Ok(identity)
    }

    /// An address of the network for a container that has been identified.
    pub(crate) fn address(
        &mut self,
        container: &ContainerId,
        network: &str,
        wanted: Option<Ipv4Addr>,
    ) -> Outcome<Ipv4Addr> {
        let gone = || Failure::not_found(format!("network {network} not found"));
        let pool = self.pools.get_mut(network).ok_or_else(gone)?;
        let address = match wanted {
            Some(wanted) => pool.claim(wanted).map(|()| wanted)?,
            None => pool.allocate()?,
        };
        if let Some(grant) = self.grants.get_mut(container) {
            grant.addresses.push((network.to_owned(), address));
        }
        Ok(address)
    }

    /// What a container that was found running has. `false`: its number is somebody else's.
    pub(crate) fn restore(
        &mut self,
        container: &ContainerId,
        subject: &Subject,
        identity: Identity,
        addresses: Vec<(String, Ipv4Addr)>,
    ) -> bool {
        let fits = self.hold_as(subject, identity);
        for (network, address) in &addresses {
            if let Some(pool) = self.pools.get_mut(network) {
                pool.claim(*address).ok();
            }
        }
        self.grants.insert(container.clone(), Grant { subject: subject.clone(), addresses });
        fits
    }

    pub(crate) fn release_address(&mut self, container: &ContainerId, network: &str) {
        let Some(grant) = self.grants.get_mut(container) else { return };
        for (_, address) in grant.addresses.extract_if(.., |(of, _)| of == network) {
            if let Some(pool) = self.pools.get_mut(network) {
                pool.release(address);
            }
        }
    }

    pub(crate) fn release_container(&mut self, container: &ContainerId) {
        let Some(grant) = self.grants.remove(container) else { return };
        for (network, address) in grant.addresses {
            if let Some(pool) = self.pools.get_mut(&network) {
                pool.release(address);
            }
        }
        self.release(&grant.subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::{ContainerName, Ipv4Net};

    fn subject(name: &str) -> Subject {
        Subject::Container(ContainerName::parse(name).unwrap())
    }

    fn id(n: u8) -> ContainerId {
        ContainerId::from_bytes(&[n; 32])
    }

    #[test]
    fn replicas_share_a_number_that_goes_with_the_last_of_them() {
        let mut numbers = Numbers::default();
        let first = numbers.identify(&id(1), &subject("web")).unwrap();
        assert_eq!(numbers.identify(&id(2), &subject("web")).unwrap(), first);
        assert_ne!(numbers.identify(&id(3), &subject("db")).unwrap(), first);
        numbers.release_container(&id(1));
        numbers.release_container(&id(1));
        assert_eq!(numbers.identity(&subject("web")), Some(first));
        numbers.release_container(&id(2));
        assert_eq!(numbers.identity(&subject("web")), None);
        assert_eq!(numbers.subject(first), Some(&subject("web")), "it is remembered whose it was");
    }

    #[test]
    fn a_network_with_somebody_on_it_keeps_its_addresses() {
        let mut numbers = Numbers::default();
        numbers.add_pool("shop", AddressPool::new(Ipv4Net::parse("10.9.0.0/29").unwrap()));
        numbers.identify(&id(1), &subject("web")).unwrap();
        let address = numbers.address(&id(1), "shop", None).unwrap();
        assert!(numbers.address(&id(1), "shop", Some(address)).is_err());
        assert!(numbers.address(&id(1), "gone", None).is_err());
        assert!(numbers.remove_pool("shop").is_none());
        numbers.release_address(&id(1), "shop");
        assert!(numbers.remove_pool("shop").is_some());
    }

    #[test]
    fn a_new_name_takes_the_number_along_unless_it_is_taken() {
        let mut numbers = Numbers::default();
        let number = numbers.identify(&id(1), &subject("web")).unwrap();
        numbers.identify(&id(2), &subject("db")).unwrap();
        assert!(!numbers.rename(&subject("web"), &subject("db")));
        assert!(numbers.rename(&subject("web"), &subject("front")));
        assert_eq!(numbers.identity(&subject("front")), Some(number));
        numbers.release_container(&id(1));
        assert_eq!(numbers.identity(&subject("front")), None);
    }
}
