//! Links in other systems' words: Compose files in, Kubernetes NetworkPolicies out and in.
//!
//! Pure: text in, declarations or text out; nothing is applied here. What another system says and Haven can't, or the other
//! way round, is told in notes and never dropped in silence; where something isn't understood, what comes out allows less,
//! never more.

mod compose;
mod declared;
mod kubernetes;
mod traffic;
mod yaml;

pub use compose::{Compose, Pair, Proposal, ProposedLink, ProposedNetwork, ProposedPublish, Reading};
pub use declared::{Declared, DeclaredLink, DeclaredPublish, Side, WayIn, Workload};
pub use kubernetes::{Imported, export_policies, import_policies, workloads_named_in};
