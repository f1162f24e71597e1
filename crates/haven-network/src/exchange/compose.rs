//! What a Compose file implies about who may connect to whom, and what could be declared instead.
//!
//! In Compose, services on a network in common may all speak to each other, on every port, both ways. How many pairs that
//! is comes first; then one of three ways on: links for what the file says is needed (`depends_on`, `links`, `expose`,
//! `x-links`), or the networks left open, or nothing declared and everything observed.

mod port;
mod proposal;
mod service;
#[cfg(test)]
mod tests;

pub use proposal::{Pair, Proposal, ProposedLink, ProposedNetwork, ProposedPublish, Reading};
pub use service::Compose;
