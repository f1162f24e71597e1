//! Which namespaces are new, which are joined, which stay the caller's.

use crate::oci::{Namespace, NamespaceType};
use haven_spec::{Failure, Outcome};
use haven_sys::process::NewNamespaces;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NamespacePlan {
    new: Vec<NamespaceType>,
    /// Files of nsfs, as in `/proc/PID/ns`.
    joined: Vec<(NamespaceType, PathBuf)>,
}

impl NamespacePlan {
    pub(crate) fn of(wanted: &[Namespace]) -> Outcome<Self> {
        let mut plan = Self::default();
        for namespace in wanted {
            if plan.is_apart(namespace.kind) {
                return Err(Failure::invalid(format!("the {} namespace is given twice", namespace.kind)));
            }
            if namespace.path.is_empty() {
                plan.new.push(namespace.kind);
            } else {
                plan.joined.push((namespace.kind, PathBuf::from(&namespace.path)));
            }
        }
        if plan.is_apart(NamespaceType::User) && !plan.is_new(NamespaceType::User) {
            return Err(Failure::unsupported("joining another container's user namespace is not supported")
                .hint("give the container a user namespace of its own"));
        }
        if !plan.is_new(NamespaceType::Mount) {
            return Err(Failure::unsupported("a container needs a mount namespace of its own")
                .hint("add a `mount` namespace without a path"));
        }
        Ok(plan)
    }

    pub(crate) fn is_new(&self, kind: NamespaceType) -> bool {
        self.new.contains(&kind)
    }

    pub(crate) fn joined(&self) -> &[(NamespaceType, PathBuf)] {
        &self.joined
    }

    /// Whether it is another one than the caller's.
    pub(crate) fn is_apart(&self, kind: NamespaceType) -> bool {
        self.is_new(kind) || self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// The flags for the clone. The cgroup namespace isn't among them: its root is where its maker is at that moment,
    /// so it is made once the process is in its control group.
    pub(crate) fn new_at_clone(&self) -> NewNamespaces {
        self.new
            .iter()
            .filter(|kind| **kind != NamespaceType::Cgroup && **kind != NamespaceType::Time)
            .fold(NewNamespaces::none(), |all, kind| all.with(flag(*kind)))
    }
}

/// The kernel's flag for a kind of namespace.
pub(crate) fn flag(kind: NamespaceType) -> NewNamespaces {
    match kind {
        NamespaceType::Pid => NewNamespaces::PID,
        NamespaceType::Network => NewNamespaces::NETWORK,
        NamespaceType::Mount => NewNamespaces::MOUNT,
        NamespaceType::Ipc => NewNamespaces::IPC,
        NamespaceType::Uts => NewNamespaces::UTS,
        NamespaceType::User => NewNamespaces::USER,
        NamespaceType::Cgroup => NewNamespaces::CGROUP,
        NamespaceType::Time => NewNamespaces::TIME,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(kind: NamespaceType, path: &str) -> Namespace {
        Namespace { kind, path: path.into() }
    }

    #[test]
    fn new_and_joined_namespaces_are_told_apart() {
        let plan = NamespacePlan::of(&[
            namespace(NamespaceType::Mount, ""),
            namespace(NamespaceType::Pid, ""),
            namespace(NamespaceType::Network, "/proc/1/ns/net"),
        ])
        .unwrap();
        assert!(plan.is_new(NamespaceType::Pid) && !plan.is_new(NamespaceType::Network));
        assert!(plan.is_apart(NamespaceType::Network) && !plan.is_apart(NamespaceType::Ipc));
        assert_eq!(plan.new_at_clone(), NewNamespaces::PID.with(NewNamespaces::MOUNT));
    }

    #[test]
    fn the_same_namespace_twice_or_no_mount_namespace_is_refused() {
        let mount = namespace(NamespaceType::Mount, "");
        assert!(NamespacePlan::of(&[mount.clone(), mount]).is_err());
        assert!(NamespacePlan::of(&[namespace(NamespaceType::Pid, "")]).is_err());
    }
}
