//! Which addresses of a network are taken.

use haven_spec::{Failure, Ipv4Net, Outcome};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// Hands out the addresses of one network. Pure; the engine restores it from its records.
///
/// Addresses are routed one by one, so none is special to the kernel; the first two and the last of the network are
/// left out all the same, because people and programs expect network, gateway and broadcast addresses there.
#[derive(Debug, Clone)]
pub struct AddressPool {
    net: Ipv4Net,
    taken: BTreeSet<u32>,
    last: u32,
    /// First and last address that is given when nobody asks for one; `None`: all.
    part: Option<(u32, u32)>,
    /// Taken by nobody who could give them back.
    reserved: BTreeSet<u32>,
}

impl AddressPool {
    pub fn new(net: Ipv4Net) -> Self {
        Self { net, taken: BTreeSet::new(), last: 0, part: None, reserved: BTreeSet::new() }
    }

    pub fn net(&self) -> Ipv4Net {
        self.net
    }

    /// Gives only addresses of `part` to those who ask for none in particular.
    #[must_use]
    pub fn giving(mut self, part: Ipv4Net) -> Self {
        let (first, last) = self.range();
        let base = part.address().to_bits();
        let end = base | u32::MAX.checked_shr(part.prefix().into()).unwrap_or(0);
        self.part = Some((base.max(first), end.min(last)));
        self
    }

    /// Never gives this address.
    #[must_use]
    pub fn without(mut self, address: Ipv4Addr) -> Self {
        self.reserved.insert(address.to_bits());
        self
    }

    /// How many addresses are taken.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// First and last address that can be given; empty for networks smaller than /30.
    fn range(&self) -> (u32, u32) {
        let base = self.net.address().to_bits();
        let size = 1_u64 << (32 - u32::from(self.net.prefix()));
        let last = u64::from(base) + size - 1;
        (base.saturating_add(2), u32::try_from(last.saturating_sub(1)).unwrap_or(0))
    }

    /// The next free address after the last one given, so that an address is not soon somebody else's.
    pub fn allocate(&mut self) -> Outcome<Ipv4Addr> {
        let (first, last) = self.part.unwrap_or_else(|| self.range());
        let start = self.last.clamp(first.saturating_sub(1), last.max(first));
        let free = (start + 1..=last)
            .chain(first..=start.min(last))
            .find(|a| !self.taken.contains(a) && !self.reserved.contains(a));
        let address = free.ok_or_else(|| {
            Failure::conflict(format!("all addresses of `{}` are in use", self.net))
                .hint("remove containers, or configure a larger pool")
        })?;
        self.taken.insert(address);
        self.last = address;
        Ok(Ipv4Addr::from_bits(address))
    }

    /// Takes one address: one the user asked for, or one that a record has.
    pub fn claim(&mut self, address: Ipv4Addr) -> Outcome<()> {
        let (first, last) = self.range();
        if !(first..=last).contains(&address.to_bits()) {
            return Err(Failure::invalid(format!("address `{address}` cannot be given from `{}`", self.net))
                .hint(format!(
                    "use one from {} to {}",
                    Ipv4Addr::from_bits(first),
                    Ipv4Addr::from_bits(last)
                )));
        }
        if self.reserved.contains(&address.to_bits()) || !self.taken.insert(address.to_bits()) {
            return Err(Failure::conflict(format!("address `{address}` is already in use")));
        }
        self.last = self.last.max(address.to_bits());
        Ok(())
    }

    pub fn release(&mut self, address: Ipv4Addr) {
        self.taken.remove(&address.to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(net: &str) -> AddressPool {
        AddressPool::new(Ipv4Net::parse(net).unwrap())
    }

    #[test]
    fn every_address_is_given_once_and_none_beyond_the_network() {
        let mut pool = pool("10.1.2.0/28");
        let mut given = BTreeSet::new();
        while let Ok(address) = pool.allocate() {
            assert!(pool.net().contains(address));
            assert!(given.insert(address), "{address} twice");
        }
        assert_eq!(given.len(), 13); // 16 without .0, .1 and .15
        assert_eq!(pool.len(), 13);
    }

    #[test]
    fn a_released_address_is_given_again_only_after_the_others() {
        let mut pool = pool("10.1.2.0/29");
        let first = pool.allocate().unwrap();
        pool.release(first);
        let next = pool.allocate().unwrap();
        assert_ne!(next, first);
        for _ in 0..4 {
            pool.allocate().unwrap();
        }
        assert!(pool.allocate().is_err());
        pool.release(next);
        assert_eq!(pool.allocate().unwrap(), next);
    }

    #[test]
    fn a_claim_is_refused_outside_the_network_or_twice() {
        let mut pool = pool("10.1.2.0/24");
        pool.claim(Ipv4Addr::new(10, 1, 2, 9)).unwrap();
        assert!(pool.claim(Ipv4Addr::new(10, 1, 2, 9)).is_err());
        assert!(pool.claim(Ipv4Addr::new(10, 1, 3, 9)).is_err());
        assert!(pool.claim(Ipv4Addr::new(10, 1, 2, 0)).is_err());
        assert!(pool.claim(Ipv4Addr::new(10, 1, 2, 255)).is_err());
        assert_eq!(pool.allocate().unwrap(), Ipv4Addr::new(10, 1, 2, 10));
    }

    #[test]
    fn a_part_is_given_from_and_reserved_addresses_never_are() {
        let part = Ipv4Net::parse("10.1.2.8/30").unwrap();
        let mut pool = pool("10.1.2.0/24").giving(part).without(Ipv4Addr::new(10, 1, 2, 9));
        for expected in [8, 10, 11] {
            assert_eq!(pool.allocate().unwrap(), Ipv4Addr::new(10, 1, 2, expected));
        }
        assert!(pool.allocate().is_err());
        assert!(pool.claim(Ipv4Addr::new(10, 1, 2, 9)).is_err());
        pool.claim(Ipv4Addr::new(10, 1, 2, 77)).unwrap();
    }

    #[test]
    fn networks_without_room_give_nothing() {
        for net in ["10.0.0.0/31", "10.0.0.0/32", "255.255.255.255/32"] {
            assert!(pool(net).allocate().is_err(), "{net}");
        }
        assert!(pool("0.0.0.0/0").allocate().is_ok());
        assert!(pool("10.0.0.0/30").allocate().is_ok());
    }
}
