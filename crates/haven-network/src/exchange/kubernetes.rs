//! Links as Kubernetes NetworkPolicies (networking.k8s.io/v1), and such policies as links.
//!
//! Out: everything is denied in both directions, then every link is one ingress rule at its destination and one egress rule
//! at its source. Pods are selected by the label `haven/application`, networks by `network.haven/NAME`: label the pods so.
//! In: policies are worked out over workloads one knows, as the specification says: what is in no policy is not isolated,
//! policies add up, and a connection needs both ends' leave.
//!
//! Not expressible there: ICMP, names of links beyond annotations, who may reach the host's ports.

#[cfg(test)]
mod evaluator;
mod export;
mod import;
mod label;
mod policy;

pub use export::export_policies;
pub use import::{Imported, import_policies, workloads_named_in};
