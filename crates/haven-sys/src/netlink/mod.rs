//! Netlink: the kernel's message socket, for network devices, addresses and routes (rtnetlink) and for
//! nftables (nfnetlink).
//!
//! Two ways to talk. [`NetlinkSocket::request`] sends a [`Batch`] of messages and waits until every one that asked
//! for an acknowledgement has it; [`NetlinkSocket::dump`] asks one question and hands every part of the answer on.
//! Whatever the kernel sends is read through [`Attributes`], which never looks past a length it has checked.
//! Errors carry the kernel's own sentence (extended acknowledgement) when it gives one.
//!
//! A socket belongs to the network namespace it was opened in, for ever, whatever its thread does later. So another
//! namespace is configured through [`NetlinkSocket::open_in`], which opens the socket on a thread that exists for that
//! call alone (see [`crate::network_namespace`]).
//!
//! Not here: what the messages mean. See netlink(7), rtnetlink(7), `linux/netlink.h`.

mod attribute;
mod batch;
mod datagram;
mod error;
mod socket;

pub use attribute::{Attributes, Value};
pub use batch::{Batch, Message};
pub use datagram::Reply;
pub use error::NetlinkError;
pub use socket::{Family, NetlinkSocket};

/// Length of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;
/// Marks an attribute that holds attributes.
const NESTED: u16 = 0x8000;

/// The kernel is to acknowledge the message even when it succeeds.
pub const ACK: u16 = 0x04;
/// Send what was asked for back, as it became.
pub const ECHO: u16 = 0x08;
/// All objects rather than one.
pub const DUMP: u16 = 0x300;
/// Replace what exists.
pub const REPLACE: u16 = 0x100;
/// Fail when it exists.
pub const EXCLUSIVE: u16 = 0x200;
/// Create when it does not exist.
pub const CREATE: u16 = 0x400;
/// Add at the end of the list.
pub const APPEND: u16 = 0x800;

/// Rounded up to the four bytes netlink aligns to.
fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_ne_bytes)
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)
}
