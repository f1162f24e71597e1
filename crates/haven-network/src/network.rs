//! Makes endpoints true in the kernel, and takes them away again.

use crate::{Endpoint, InterfaceCounters, NetworkConfig, Published, Repairs, Status};
use haven_spec::{ContainerId, Failure, Ipv4Net, Outcome, PortMapping};
use rustix::fd::BorrowedFd;
use std::net::Ipv4Addr;

/// The host's end of every veth, and every container's default gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The network of a host. See the crate's page for where and how it may be called.
#[derive(Debug)]
pub struct Network {
    pool: Ipv4Net,
}

impl Network {
    /// Makes sure that the table, the pool's route and the sysctls are there. Changes nothing when they are.
    pub fn open(config: NetworkConfig) -> Outcome<Self> {
        let pool = config.pool;
        Ok(Self { pool: pool.ok_or_else(|| Failure::unsupported("not yet"))? })
    }

    /// Where containers' addresses come from.
    pub fn pool(&self) -> Ipv4Net {
        self.pool
    }

    /// Makes the kernel agree with `desired`, the endpoints of all running containers: lists our objects, compares,
    /// adds and repairs, removes what is nobody's. For the daemon's start, and whenever somebody else has
    /// changed the firewall.
    pub fn reconcile(&self, _desired: &[Endpoint]) -> Outcome<Repairs> {
        Err(Failure::unsupported("not yet"))
    }

    /// Connects the namespace `netns`: loopback up, veth, address, routes, identity, published ports. Again with the
    /// same endpoint it changes nothing. When it fails it leaves nothing, and the ports are given back.
    pub fn attach(&self, _netns: BorrowedFd<'_>, _endpoint: &Endpoint) -> Outcome<()> {
        Err(Failure::unsupported("not yet"))
    }

    /// Takes the container off all networks and gives its ports back. From the moment it returns no packet passes;
    /// the interface itself goes with the namespace, or in the background.
    pub fn detach(&self, _container: &ContainerId) -> Vec<Failure> {
        Vec::new()
    }

    /// Decides the host port of every mapping, and holds it for the container: no host process gets it while the
    /// daemon lives. [`Network::detach`] and [`Network::release_host_ports`] let go.
    pub fn choose_host_ports(
        &self,
        _container: &ContainerId,
        _mappings: &[PortMapping],
    ) -> Outcome<Vec<Published>> {
        Err(Failure::unsupported("not yet"))
    }

    /// Lets go of all ports held for the container.
    pub fn release_host_ports(&self, _container: &ContainerId) {}

    /// What each of the container's interfaces has carried.
    pub fn counters(&self, _container: &ContainerId) -> Outcome<Vec<InterfaceCounters>> {
        Err(Failure::unsupported("not yet"))
    }

    /// Facts for `haven doctor`.
    pub fn status(&self) -> Outcome<Status> {
        Err(Failure::unsupported("not yet"))
    }

    /// Removes every object of ours from this thread's network namespace, needing no memory of what was made.
    pub fn cleanup_all() -> Vec<Failure> {
        Vec::new()
    }
}

/// Brings the loopback interface of `netns` up: all the network of a container that has none.
pub fn bring_loopback_up(_netns: BorrowedFd<'_>) -> Outcome<()> {
    Err(Failure::unsupported("not yet"))
}
