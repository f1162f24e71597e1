//! `/haven/v1/…`: what Docker's API has no words for: links, what was denied, how open networks are.
//!
//! The same conventions as the rest: members in Docker's spelling, the same errors, the same version prefix before it.
//! What is here stays as it is under `v1`; members may be added.

pub(crate) mod audit;
pub(crate) mod denied;
pub(crate) mod exchange;
pub(crate) mod exposure;
pub(crate) mod link;
pub(crate) mod network;
pub(crate) mod observation;
pub(crate) mod policy;
pub(crate) mod publish;
mod spelling;
