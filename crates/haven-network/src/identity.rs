//! Who a packet is from or to: a number in a connection's mark.
//!
//! Identities, links and the fixed peers share the 32-bit connection mark, so their ranges are disjoint: were they
//! not, a denied source's number could equal a live link's, and its packets would pass.

use crate::{LinkId, Permission};
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Everything that is not a container and came by a published port.
pub(crate) const OUTSIDE: u32 = 0x00ff_fff0;
/// The host itself, as a destination.
pub(crate) const HOST: u32 = 0x00ff_fff1;
/// Last number for an application; the fixed peers follow.
const LAST: u32 = 0x00ff_ff00;
/// The mark of a declared link is this plus its number.
pub(crate) const DECLARED_LINK: u32 = 0x8000_0000;
/// The link "may reach the outside" of an identity is this plus the identity.
const EGRESS_LINK: u32 = 0xc000_0000;
/// The link "its published ports may be reached" of an identity is this plus the identity.
const PUBLISH_LINK: u32 = 0xd000_0000;

/// The identity of an application: 1 to 0x00ffff00. Containers that share one are replicas of one application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Identity(u32);

impl Identity {
    pub fn new(number: u32) -> Outcome<Self> {
        if (1..=LAST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Failure::invalid(format!("`{number}` is not an identity (1 to {LAST})")))
        }
    }

    pub fn number(self) -> u32 {
        self.0
    }

    pub(crate) fn egress_link(self) -> u32 {
        EGRESS_LINK | self.0
    }

    pub(crate) fn publish_link(self) -> u32 {
        PUBLISH_LINK | self.0
    }
}

impl TryFrom<u32> for Identity {
    type Error = Failure;
    fn try_from(number: u32) -> Outcome<Self> {
        Self::new(number)
    }
}

impl From<Identity> for u32 {
    fn from(identity: Identity) -> u32 {
        identity.0
    }
}

/// What a link's mark stands for; `None` for what is no link's.
pub(crate) fn permission(mark: u32) -> Option<Permission> {
    match mark & 0xf000_0000 {
        EGRESS_LINK => Identity::new(mark & !EGRESS_LINK).ok().map(Permission::Egress),
        PUBLISH_LINK => Identity::new(mark & !PUBLISH_LINK).ok().map(Permission::Published),
        0x8000_0000..=0xb000_0000 => LinkId::new(mark & !DECLARED_LINK).ok().map(Permission::Declared),
        _ => None,
    }
}

/// Which identities are taken. Pure; the engine restores it from its records.
#[derive(Debug, Clone, Default)]
pub struct IdentityPool {
    taken: BTreeSet<u32>,
    last: u32,
}

impl IdentityPool {
    pub fn new() -> Self {
        Self::default()
    }

    /// The next free number after the last one given, so that a number is not soon somebody else's.
    pub fn allocate(&mut self) -> Outcome<Identity> {
        let start = self.last;
        let free = (start + 1..=LAST).chain(1..=start).find(|number| !self.taken.contains(number));
        let number = free.ok_or_else(|| {
            Failure::conflict(format!("all {LAST} network identities are in use")).hint("remove containers")
        })?;
        self.taken.insert(number);
        self.last = number;
        Ok(Identity(number))
    }

    /// Takes a number that a record has. `false`: it was taken.
    pub fn claim(&mut self, identity: Identity) -> bool {
        self.last = self.last.max(identity.0);
        self.taken.insert(identity.0)
    }

    pub fn release(&mut self, identity: Identity) {
        self.taken.remove(&identity.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_identities_and_fixed_peers_never_share_a_number() {
        let last = Identity::new(LAST).unwrap();
        const { assert!(LAST < OUTSIDE && OUTSIDE < HOST) };
        assert!(last.egress_link() > HOST && last.publish_link() > last.egress_link());
        assert!(Identity::new(1).unwrap().publish_link() > last.egress_link());
        for bad in [0, LAST + 1, OUTSIDE, HOST, EGRESS_LINK, u32::MAX] {
            assert!(Identity::new(bad).is_err(), "{bad:#x}");
        }
    }

    #[test]
    fn a_mark_is_read_as_what_it_was_made_of() {
        let identity = Identity::new(LAST).unwrap();
        assert_eq!(permission(identity.egress_link()), Some(Permission::Egress(identity)));
        assert_eq!(permission(identity.publish_link()), Some(Permission::Published(identity)));
        for number in [1, 0x1000_0000, 0x3fff_ffff] {
            let link = LinkId::new(number).unwrap();
            assert_eq!(permission(link.mark()), Some(Permission::Declared(link)));
        }
        for other in [0, 1, OUTSIDE, HOST, 0x8000_0000, EGRESS_LINK, 0xe000_0001, u32::MAX] {
            assert_eq!(permission(other), None, "{other:#x}");
        }
    }

    #[test]
    fn a_released_identity_is_not_the_next_one_given() {
        let mut pool = IdentityPool::new();
        let first = pool.allocate().unwrap();
        pool.release(first);
        assert_ne!(pool.allocate().unwrap(), first);
        assert!(pool.claim(Identity::new(9).unwrap()));
        assert!(!pool.claim(Identity::new(9).unwrap()));
        assert_eq!(pool.allocate().unwrap().number(), 10);
    }
}
