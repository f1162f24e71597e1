//! Keeps the table in the kernel as it should be: creates and repairs it, adds and removes elements.

use crate::network::refused;
use crate::nft::{self, Element, Listing, TableSpec, Transaction};
use crate::status;
use haven_spec::Outcome;
use haven_sys::netlink::NetlinkSocket;
use rustix::io::Errno;

/// What [`ensure_table`] found and did.
pub(crate) struct Ensured {
    pub(crate) changed: bool,
    pub(crate) forwarding_by_us: bool,
}

/// Creates the table, or puts back what is missing or altered. Elements stay, except when the shape of a set or of a
/// base chain has changed; even then those that still fit are carried over.
pub(crate) fn ensure_table(
    nft: &mut NetlinkSocket,
    table: &TableSpec,
    forwarding_by_us: bool,
) -> Outcome<Ensured> {
    let failed = |e| refused("cannot make the table `inet haven`", e);
    let listing = Listing::of(nft, table).map_err(|e| refused("cannot list the table `inet haven`", e))?;
    let forwarding_by_us = forwarding_by_us || status::forwarding_by_us(&listing);
    let comment = status::comment(forwarding_by_us);
    if listing.is_intact() && listing.comment.as_deref() == Some(comment.as_str()) {
        return Ok(Ensured { changed: false, forwarding_by_us });
    }
    let done = Ensured { changed: true, forwarding_by_us };
    let mut transaction = Transaction::new(table.name);
    if listing.misshapen || (listing.exists && listing.comment.as_deref() != Some(comment.as_str())) {
        let mut kept = Vec::new();
        for set in &table.sets {
            let fitting = set.dynamic.is_none();
            kept.extend(nft::elements(nft, table.name, set).unwrap_or_default().into_iter().filter(|e| {
                fitting
                    && e.key.len() == usize::try_from(set.key_bytes()).unwrap_or(0)
                    && e.data.as_ref().map_or(0, Vec::len) == usize::try_from(set.data_bytes()).unwrap_or(0)
                    && e.end.is_some() == set.interval
            }));
        }
        transaction.delete_table();
        transaction.add_table(&comment);
        transaction.add_shape(table);
        transaction.add_rules(&table.rules);
        transaction.add_elements(&kept);
        return transaction.commit(nft).map(|()| done).map_err(failed);
    }
    transaction.add_table(&comment);
    transaction.add_shape(table);
    if listing.exists {
        transaction.delete_all_rules();
        for chain in &listing.strange_chains {
            transaction.delete_chain(chain);
        }
    }
    transaction.add_rules(&table.rules);
    transaction.commit(nft).map(|()| done).map_err(failed)
}

/// Adds elements. When one is there with other data (left by a crash), it is replaced in the same transaction.
pub(crate) fn add_elements(nft: &mut NetlinkSocket, table: &TableSpec, elements: &[Element]) -> Outcome<()> {
    let failed = |e| refused("cannot add to the table `inet haven`", e);
    let mut transaction = Transaction::new(table.name);
    transaction.add_elements(elements);
    match transaction.commit(nft) {
        Err(error) if error.errno() == Errno::EXIST => {}
        result => return result.map_err(failed),
    }
    let mut stale = Vec::new();
    for set in table.sets.iter().filter(|set| elements.iter().any(|e| e.set == set.name)) {
        let present = nft::elements(nft, table.name, set).map_err(failed)?;
        stale.extend(
            present
                .into_iter()
                .filter(|p| elements.iter().any(|e| e.set == p.set && e.key == p.key && e.data != p.data)),
        );
    }
    let mut transaction = Transaction::new(table.name);
    transaction.remove_elements(&stale);
    transaction.add_elements(elements);
    transaction.commit(nft).map_err(failed)
}

/// Removes elements; those that are gone already, with the whole table perhaps, are no failure.
pub(crate) fn remove_elements(
    nft: &mut NetlinkSocket,
    table: &TableSpec,
    elements: &[Element],
) -> Outcome<()> {
    let failed = |e| refused("cannot remove from the table `inet haven`", e);
    let mut transaction = Transaction::new(table.name);
    transaction.remove_elements(elements);
    match transaction.commit(nft) {
        Err(error) if error.errno() == Errno::NOENT => {}
        result => return result.map_err(failed),
    }
    let mut left = Vec::new();
    for set in table.sets.iter().filter(|set| elements.iter().any(|e| e.set == set.name)) {
        match nft::elements(nft, table.name, set) {
            Ok(present) => left.extend(present.into_iter().filter(|p| elements.contains(p))),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut transaction = Transaction::new(table.name);
    transaction.remove_elements(&left);
    transaction.commit(nft).map_err(failed)
}
