//! nftables, spoken in its own netlink messages: expressions, sets, transactions, listings.
//!
//! Starting the `nft` program for a change costs up to 20 ms and reading its JSON back costs seconds; the messages
//! themselves cost microseconds. Only what Haven's table uses is here. The programs of rules are those `nft` makes of
//! the same text, so that `nft list ruleset` shows what an operator can read; a test compares the two.
//!
//! Numbers are those of `linux/netfilter/nf_tables.h`. Nothing here knows what the rules mean.

mod expression;
mod listing;
mod set;
mod transaction;

pub(crate) use expression::{Expression, Field, Key, Relation, Verdict};
pub(crate) use listing::{Counted, Listing, base_chains, counted, counters, elements};
pub(crate) use set::{Element, FieldType, SetSpec};
pub(crate) use transaction::{ChainSpec, Hook, RuleSpec, TableSpec, Transaction};

/// `NFPROTO_INET`: one table for IPv4 and IPv6.
const FAMILY_INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`, as the upper byte of a message type.
const SUBSYSTEM: u16 = 10 << 8;
/// `struct nfgenmsg`.
const GENERIC_HEADER_BYTES: usize = 4;

// enum nf_tables_msg_types
const NEW_TABLE: u16 = SUBSYSTEM;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const DELETE_TABLE: u16 = SUBSYSTEM | 2;
const NEW_CHAIN: u16 = SUBSYSTEM | 3;
const GET_CHAIN: u16 = SUBSYSTEM | 4;
const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
const NEW_RULE: u16 = SUBSYSTEM | 6;
const GET_RULE: u16 = SUBSYSTEM | 7;
const DELETE_RULE: u16 = SUBSYSTEM | 8;
const NEW_SET: u16 = SUBSYSTEM | 9;
const GET_SET: u16 = SUBSYSTEM | 10;
const NEW_ELEMENT: u16 = SUBSYSTEM | 12;
const GET_ELEMENT: u16 = SUBSYSTEM | 13;
const DELETE_ELEMENT: u16 = SUBSYSTEM | 14;
const NEW_OBJECT: u16 = SUBSYSTEM | 18;
const GET_OBJECT: u16 = SUBSYSTEM | 19;

/// `NFT_OBJECT_COUNTER`
const OBJECT_COUNTER: u32 = 1;
/// `NFTA_LIST_ELEM`
const LIST_ELEMENT: u16 = 1;

/// `struct nfgenmsg` for a family.
fn generic_header(family: u8) -> [u8; GENERIC_HEADER_BYTES] {
    [family, 0, 0, 0]
}
