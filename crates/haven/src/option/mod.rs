//! What the values of flags mean: one file per notion, each from text to what the API wants, refusing with a reason.
//!
//! Parsers that a flag needs one of return `Result<_, String>`: the reason alone, the parser of the command line adds
//! the flag and the value.

pub(crate) mod address;
pub(crate) mod bytes;
pub(crate) mod container;
pub(crate) mod cpus;
mod csv;
pub(crate) mod detach_keys;
pub(crate) mod device;
pub(crate) mod duration;
pub(crate) mod environment;
pub(crate) mod extra_host;
pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod instant;
pub(crate) mod label;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod rate;
pub(crate) mod restart;
pub(crate) mod security;
pub(crate) mod sysctl;
pub(crate) mod ulimit;
pub(crate) mod volume;
