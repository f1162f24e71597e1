//! Questions and answers of name look-ups on the wire: what a container asks, and what it is told. Pure.
//!
//! Only what a resolver for containers needs: one question in, a few addresses or names out. What is passed on to
//! other servers, and what comes back from there, is left as it is but for its number. RFC 1035, 6891 (EDNS),
//! 8914 (why something was refused).

mod question;
mod reply;

pub use question::{Heard, Question};
pub use reply::{Reply, Told};

/// What we take and send in one datagram: what passes everywhere in one piece (RFC 9715).
pub const DATAGRAM_BYTES: usize = 1232;
/// What somebody takes who says nothing about it.
const PLAIN_DATAGRAM_BYTES: usize = 512;

const HEADER_BYTES: usize = 12;
// Record types and the one class.
const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;
const OPT: u16 = 41;
const ANY: u16 = 255;
const INTERNET: u16 = 1;
