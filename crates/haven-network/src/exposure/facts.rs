//! What is declared: applications, what they may do, and what connects them. The engine writes these down.
//!
//! Names become numbers once, here; copying all facts to ask "what if" then costs little.

use super::range::AddressRange;
use crate::{LinkId, Traffic};
use haven_spec::PortKey;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

/// An application, or a container by itself: whoever has an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicationId(pub(super) u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub(super) u32);

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Application(ApplicationId),
    /// Everybody on it.
    Network(NetworkId),
    /// Everything beyond the host; as a destination only.
    Outside,
    /// As [`Place::Outside`], of these addresses.
    Range(AddressRange),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkFact {
    pub from: Place,
    pub to: Place,
    pub traffic: Traffic,
}

/// A port of the host that leads to a port of an application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishFact {
    pub application: ApplicationId,
    pub host: SocketAddr,
    pub container: PortKey,
    /// Who may use it; empty: everybody who reaches the address.
    pub from: Vec<AddressRange>,
}

/// What lets a container do more than its network does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Power {
    /// It has the host's network: it connects as the host does, and what it listens on is the host's.
    HostNetwork,
    /// It can take over the host.
    Privileged,
    /// It can have the engine start anything.
    EngineSocket,
    /// It writes to this directory of the host.
    HostMount(String),
}

impl Power {
    /// What a bind mount of `path` gives: nothing, unless it is written to and the host's own life is there.
    pub fn of_mount(path: &str, writable: bool) -> Option<Self> {
        const SOCKETS: [&str; 4] = ["docker.sock", "haven.sock", "containerd.sock", "podman.sock"];
        const ENGINES: [&str; 4] = ["docker", "haven", "containerd", "podman"];
        const VITAL: [&str; 11] =
            ["bin", "boot", "etc", "lib", "lib64", "proc", "root", "sbin", "snap", "sys", "usr"];
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        let holds_socket = match parts[..] {
            // Their sockets are directly in /run, or in a directory of their own there.
            [] | ["run"] | ["var"] | ["var", "run"] => true,
            ["run", engine] | ["var", "run", engine] => ENGINES.contains(&engine),
            _ => false,
        };
        if holds_socket && !(parts.is_empty() && writable)
            || parts.last().is_some_and(|last| SOCKETS.contains(last))
        {
            // Connecting needs no right to write the mount.
            return Some(Self::EngineSocket);
        }
        let vital = match parts[..] {
            [] => true,
            // Below these stands what an operator gives to containers on purpose; they themselves are the host's.
            ["home" | "opt" | "dev"] | ["var", "lib" | "spool"] | ["var", "spool", "cron", ..] => true,
            ["home" | "opt" | "dev" | "var" | "run", ..] => false,
            [first, ..] => VITAL.contains(&first),
        };
        (writable && vital).then(|| Self::HostMount(path.to_owned()))
    }
}

/// Everything that is declared at one moment.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub(super) applications: Names,
    pub(super) networks: Names,
    pub(super) volumes: Names,
    pub(super) members: BTreeSet<(NetworkId, ApplicationId)>,
    pub(super) open: BTreeSet<NetworkId>,
    pub(super) links: BTreeMap<LinkId, LinkFact>,
    pub(super) publishes: BTreeSet<PublishFact>,
    pub(super) powers: BTreeSet<(ApplicationId, Power)>,
    /// Volume, application, whether it writes.
    pub(super) mounts: BTreeSet<(u32, ApplicationId, bool)>,
    /// Whose network the first has.
    pub(super) shared: BTreeSet<(ApplicationId, ApplicationId)>,
}

impl Facts {
    pub fn new() -> Self {
        Self::default()
    }

    /// The application of this name, which it becomes known by.
    pub fn application(&mut self, name: &str) -> ApplicationId {
        ApplicationId(self.applications.number(name))
    }

    pub fn network(&mut self, name: &str) -> NetworkId {
        NetworkId(self.networks.number(name))
    }

    pub fn join(&mut self, application: ApplicationId, network: NetworkId) {
        self.members.insert((network, application));
    }

    pub fn leave(&mut self, application: ApplicationId, network: NetworkId) {
        self.members.remove(&(network, application));
    }

    /// Everybody on it reaches everybody on it.
    pub fn open(&mut self, network: NetworkId) {
        self.open.insert(network);
    }

    pub fn close(&mut self, network: NetworkId) {
        self.open.remove(&network);
    }

    pub fn link(&mut self, id: LinkId, link: LinkFact) {
        self.links.insert(id, link);
    }

    /// `false`: there was none.
    pub fn remove_link(&mut self, id: LinkId) -> bool {
        self.links.remove(&id).is_some()
    }

    pub fn publish(&mut self, publish: PublishFact) {
        self.publishes.insert(publish);
    }

    /// `false`: the application has nothing published there.
    pub fn remove_publish(&mut self, application: ApplicationId, host: SocketAddr) -> bool {
        let before = self.publishes.len();
        self.publishes.retain(|publish| (publish.application, publish.host) != (application, host));
        self.publishes.len() < before
    }

    /// Takes back every host port that leads to this port of the application.
    pub fn remove_publishes(&mut self, application: ApplicationId, container: PortKey) {
        self.publishes.retain(|publish| (publish.application, publish.container) != (application, container));
    }

    pub fn empower(&mut self, application: ApplicationId, power: Power) {
        self.powers.insert((application, power));
    }

    pub fn mount_volume(&mut self, application: ApplicationId, volume: &str, writable: bool) {
        let volume = self.volumes.number(volume);
        self.mounts.insert((volume, application, writable));
    }

    /// `application` has the network of `of`: what one reaches, and what reaches it, is the other's as well.
    pub fn share_network(&mut self, application: ApplicationId, of: ApplicationId) {
        self.shared.insert((application, of));
    }

    pub fn application_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.applications.names.iter()
    }

    pub fn is_application(&self, name: &str) -> bool {
        self.applications.find(name).is_some()
    }
}

/// Names by number and numbers by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name: Arc<str> = name.into();
        let number = u32::try_from(self.names.len()).expect("memory holds fewer names than 2^32");
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(super) fn name(&self, number: u32) -> &Arc<str> {
        &self.names[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Arc<str>)> {
        (0..).zip(&self.names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_that_give_the_host_away_are_known() {
        for (path, writable, gives) in [
            ("/", true, true),
            ("/", false, true),
            ("/run/haven", false, true),
            ("/run/user/1000", true, false),
            ("/etc", true, true),
            ("/etc/cron.d", true, true),
            ("/var/lib", true, true),
            ("/var/lib/shop/data", true, false),
            ("/home/alice/site", true, false),
            ("/home", true, true),
            ("/srv/data", true, false),
            ("/usr//local/bin/", true, true),
            ("/var/run/docker.sock", false, true),
            ("/run/haven/haven.sock", true, true),
        ] {
            assert_eq!(Power::of_mount(path, writable).is_some(), gives, "{path}");
        }
        assert_eq!(Power::of_mount("/run/docker.sock", false), Some(Power::EngineSocket));
    }
}
