//! Landlock: what a container may not do even where it shares a namespace with others.
//!
//! With namespaces of its own a container can't name what is outside, and Landlock has nothing to add. It has where
//! one is shared:
//!
//! - In the host's or another container's **network** namespace, abstract Unix sockets of programs outside can be
//!   connected to, whatever their file permissions would be (CVE-2020-15257 took a host over that way). The rule set
//!   scopes them: only sockets made inside can be reached.
//! - In a shared **PID** namespace, processes of the same user id can be traced and their memory read. Being in a
//!   Landlock domain at all ends that, whatever its rules.
//!
//! What it does *not* hold, and why: signals (with a PID namespace of its own there is nobody else to signal, and a
//! process added later is outside of the domain, so `kill` inside would fail against it); files (rules can only allow
//! below a directory, not except one below it, and any file rule forbids mounting); ports (links decide those).
//!
//! A container with all capabilities isn't restricted, and tracing in a shared PID namespace is left to one that was
//! given `CAP_SYS_PTRACE`: both were asked for in so many words. Additional processes (`exec`) are not put into a
//! domain: one of their own would keep them from looking at the container's processes.
//!
//! The rule set is made by the parent, where errors can be told; the child only enters it. See landlock(7).

use crate::capability::{CapabilitySet, CapabilitySets};
use crate::oci::{Linux, NamespaceType, Spec};
use haven_spec::{Failure, Outcome};
use landlock::{Ruleset, RulesetAttr, Scope};
use rustix::fd::OwnedFd;

/// Scopes came with the sixth version of the interface, in Linux 6.12.
pub const KERNEL: &str = "6.12";

/// The rule set for a container's first process; `None` when it would add nothing, or the kernel hasn't any.
pub fn ruleset(spec: &Spec) -> Outcome<Option<OwnedFd>> {
    if is_useful(spec) { scoped() } else { Ok(None) }
}

/// Whether this kernel has what is used of Landlock.
pub fn is_available() -> bool {
    scoped().is_ok_and(|ruleset| ruleset.is_some())
}

fn is_useful(spec: &Spec) -> bool {
    let capabilities = spec
        .process
        .as_ref()
        .and_then(|process| process.capabilities.as_ref())
        .map_or(CapabilitySet::EMPTY, |document| CapabilitySets::from_oci(document).0.bounding);
    if capabilities.contains(CapabilitySet::of_kernel()) {
        return false;
    }
    let shares = |kind| spec.linux.as_ref().is_none_or(|linux| shares(linux, kind));
    let traces = CapabilitySet::parse("SYS_PTRACE").is_ok_and(|ptrace| capabilities.contains(ptrace));
    // A domain's price is that its members can't trace outside: who may trace a shared PID namespace must be free.
    if shares(NamespaceType::Pid) { !traces } else { shares(NamespaceType::Network) }
}

/// The container has no namespace of this kind for itself.
fn shares(linux: &Linux, kind: NamespaceType) -> bool {
    linux.namespaces.iter().find(|one| one.kind == kind).is_none_or(|one| !one.path.is_empty())
}

fn scoped() -> Outcome<Option<OwnedFd>> {
    Ruleset::default()
        .scope(Scope::AbstractUnixSocket)
        .and_then(Ruleset::create)
        .map(Into::into)
        .map_err(|error| Failure::host("cannot make a Landlock rule set").because(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Capabilities, Namespace, Process};
    use rustix::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    fn spec(own: &[NamespaceType], capabilities: CapabilitySet) -> Spec {
        let namespace = |kind: &NamespaceType| Namespace { kind: *kind, path: String::new() };
        let bounding = capabilities.names();
        Spec {
            process: Some(Process {
                capabilities: Some(Capabilities { bounding, ..Default::default() }),
                ..Default::default()
            }),
            linux: Some(Linux { namespaces: own.iter().map(namespace).collect(), ..Default::default() }),
            ..Default::default()
        }
    }

    #[test]
    fn it_is_used_where_a_namespace_is_shared() {
        use NamespaceType::{Network, Pid};
        let usual = CapabilitySet::DEFAULT;
        let tracing = usual.with(CapabilitySet::parse("SYS_PTRACE").unwrap());
        for (own, capabilities, useful) in [
            (&[Pid, Network][..], usual, false),
            (&[Pid], usual, true),
            (&[Network], usual, true),
            (&[], usual, true),
            (&[Pid], tracing, true),
            (&[Network], tracing, false),
            (&[], CapabilitySet::of_kernel(), false),
        ] {
            assert_eq!(is_useful(&spec(own, capabilities)), useful, "{own:?}");
        }
        let mut joined = spec(&[Pid, Network], usual);
        joined.linux.as_mut().unwrap().namespaces[1].path = "/proc/1/ns/net".into();
        assert!(is_useful(&joined));
    }

    #[test]
    fn abstract_sockets_of_others_are_out_of_reach() {
        let Some(ruleset) = scoped().unwrap() else {
            // Linux before 6.12.
            assert!(!is_available());
            return;
        };
        let address = |who: &str| {
            SocketAddr::from_abstract_name(format!("haven-test-{who}-{}", std::process::id())).unwrap()
        };
        let outside = UnixListener::bind_addr(&address("outside")).unwrap();
        UnixStream::connect_addr(&address("outside")).unwrap();
        let (theirs, own) = std::thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            haven_sys::process::restrict_by_landlock(ruleset.as_fd()).unwrap();
            let inside = UnixListener::bind_addr(&address("inside")).unwrap();
            let own = UnixStream::connect_addr(&address("inside")).map(drop);
            drop(inside);
            (UnixStream::connect_addr(&address("outside")).map(drop), own)
        })
        .join()
        .unwrap();
        drop(outside);
        assert_eq!(theirs.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        own.unwrap();
    }
}
