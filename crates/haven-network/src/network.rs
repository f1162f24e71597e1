//! Makes endpoints true in the kernel, and takes them away again.
//!
//! The order of a connection: the veth is made, down on the host's side; its elements are added in one transaction;
//! only then it comes up. The order of leaving: the elements go first, in one transaction, and with them every packet;
//! the interface follows when it may.

use crate::attachment::{self, Attachment};
use crate::device::{self, Changes, Device, VethSpec};
use crate::ends::{container_side, host_side};
use crate::links::Links;
use crate::nft::{Element, Listing, TableSpec, Transaction};
use crate::ports::Ports;
use crate::sweeper::Sweeper;
use crate::upkeep::{add_elements, ensure_table, remove_elements};
use crate::{
    Endpoint, Identity, InterfaceCounters, NetworkConfig, Published, Repairs, Status, Watch, host_routes,
    reconciliation, status, sysctl, table,
};
use haven_spec::{ContainerId, Failure, Ipv4Net, Outcome, PortKey, PortMapping, PortProtocol};
use haven_sys::netlink::{Family, NetlinkError, NetlinkSocket};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

mod declared;

/// The host's end of every veth, and every container's default gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The same for IPv6.
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Last character of an interface's name on the host: tried in turn, since the interface of a container's earlier life
/// may not be gone yet.
const SLOTS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Longest name of a network device.
const INTERFACE_NAME_LIMIT_BYTES: usize = 15;

/// The network of a host. See the crate's page for where and how it may be called.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    pool: Ipv4Net,
    mtu: u32,
    table: TableSpec,
    /// Forwarding was off before Haven. The table's comment says it too, and may be flushed.
    forwarding_by_us: bool,
    nft: Mutex<NetlinkSocket>,
    route: Mutex<NetlinkSocket>,
    attached: Mutex<BTreeMap<ContainerId, Vec<Attachment>>>,
    links: Mutex<Links>,
    /// The networks that links can begin and end at, by name.
    networks: Mutex<BTreeMap<String, Identity>>,
    /// Who is let through and recorded.
    observed: Mutex<BTreeSet<Identity>>,
    /// What the host offers containers at the gateway's address.
    offered: Mutex<BTreeSet<Element>>,
    /// The address ranges of networks beside the pool.
    subnets: Mutex<BTreeSet<Ipv4Net>>,
    ports: Mutex<Ports>,
    sweeper: Sweeper,
    /// Reconciling excludes changes, which exclude only it: what is being connected would look like nobody's.
    changing: RwLock<()>,
}

impl Network {
    /// Makes sure that the table, the pool's route and the forwarding setting are there. What is right stays as it
    /// is, with all elements: connections notice nothing.
    pub fn open(config: NetworkConfig) -> Outcome<Self> {
        let mut route = open_socket(Family::Route)?;
        let mut nft = open_socket(Family::Netfilter)?;
        let table = table::table();
        let routes =
            device::ipv4_routes(&mut route).map_err(|e| refused("cannot list the host's routes", e))?;
        let pool = host_routes::choose_pool(config.pool, &routes)?;
        let mtu = match config.mtu_bytes {
            Some(mtu) => checked_mtu(mtu)?,
            None => host_routes::uplink_mtu(&mut route, &routes)?,
        };
        let forwarding_by_us = enable_forwarding()?;
        let made = ensure_table(&mut nft, &table, forwarding_by_us)?;
        // Only when the table stands may packets be sent anywhere by it.
        host_routes::ensure_route(&mut route, pool, &routes)?;
        let sweeper = Sweeper::start(open_socket(Family::Route)?, open_socket(Family::Netfilter)?)
            .map_err(|e| Failure::host("cannot start a thread").because(e))?;
        Ok(Self {
            config,
            pool,
            mtu,
            table,
            forwarding_by_us: made.forwarding_by_us,
            nft: Mutex::new(nft),
            route: Mutex::new(route),
            attached: Mutex::default(),
            links: Mutex::default(),
            networks: Mutex::default(),
            observed: Mutex::default(),
            offered: Mutex::default(),
            subnets: Mutex::default(),
            ports: Mutex::default(),
            sweeper,
            changing: RwLock::default(),
        })
    }

    /// The pool and the networks' own ranges.
    fn pools(&self) -> BTreeSet<Ipv4Net> {
        lock(&self.subnets).iter().copied().chain([self.pool]).collect()
    }

    /// Where the addresses of the default network come from.
    pub fn pool(&self) -> Ipv4Net {
        self.pool
    }

    /// As [`Network::reconcile`] with what is attached already: when somebody else has changed the firewall.
    pub fn repair(&self) -> Outcome<Repairs> {
        let _alone = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        let desired = lock(&self.attached).values().flatten().map(|a| a.endpoint.clone()).collect::<Vec<_>>();
        self.agree(&desired)
    }

    /// Makes the kernel agree with `desired`, the endpoints of all running containers: lists our objects, compares,
    /// adds and repairs, removes what is nobody's. For the daemon's start, and whenever somebody else has
    /// changed the firewall.
    pub fn reconcile(&self, desired: &[Endpoint]) -> Outcome<Repairs> {
        let _alone = self.changing.write().unwrap_or_else(PoisonError::into_inner);
        self.agree(desired)
    }

    fn agree(&self, desired: &[Endpoint]) -> Outcome<Repairs> {
        let mut attached = lock(&self.attached);
        let (found, repairs) = reconciliation::Reconciliation {
            route: &mut lock(&self.route),
            nft: &mut lock(&self.nft),
            ports: &mut lock(&self.ports),
            table: &self.table,
            observed: &lock(&self.observed),
            offered: &lock(&self.offered),
            pools: &self.pools(),
            forwarding_by_us: self.forwarding_by_us,
            links: &lock(&self.links),
            networks: &lock(&self.networks),
        }
        .run(desired)?;
        *attached = found;
        Ok(repairs)
    }

    /// Connects the namespace `netns`: loopback up, veth, address, routes, identity, published ports. Again with the
    /// same endpoint it changes nothing. When it fails it leaves nothing, and the ports are given back.
    pub fn attach(&self, netns: BorrowedFd<'_>, endpoint: &Endpoint) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let connected = check(endpoint).and_then(|()| self.connect(netns, endpoint));
        connected.map_err(|failure| {
            lock(&self.ports).release(&endpoint.container);
            failure.context(format!(
                "cannot connect container `{}` to network `{}`",
                endpoint.container.short(),
                endpoint.network
            ))
        })
    }

    fn connect(&self, netns: BorrowedFd<'_>, endpoint: &Endpoint) -> Outcome<()> {
        if let Some((attachment, far)) = self.standing(netns, endpoint)? {
            return self.make_true(netns, &attachment, far);
        }
        let device = self.create_veth(netns, endpoint)?;
        for address in [Some(endpoint.ipv4.into()), endpoint.ipv6.map(Into::into)].into_iter().flatten() {
            self.sweeper.reclaim(address);
        }
        let far = device.peer.unwrap_or(0);
        let attachment = Attachment {
            endpoint: endpoint.clone(),
            network: lock(&self.networks).get(&endpoint.network).copied(),
            interface: device.index,
            name: device.name,
        };
        let made = self.hold_ports(endpoint).and_then(|()| self.make_true(netns, &attachment, far));
        match made {
            Ok(()) => {
                // Whoever sent there before Haven or its last daemon knew of it has to find the container now.
                for published in &endpoint.published {
                    if published.container.protocol == PortProtocol::Udp {
                        self.sweeper.forget_host_port(PortProtocol::Udp, published.host_port);
                    }
                }
                let mut attached = lock(&self.attached);
                attached.entry(endpoint.container.clone()).or_default().push(attachment);
                Ok(())
            }
            Err(failure) => {
                self.undo(&attachment);
                Err(failure)
            }
        }
    }

    /// The attachment that already is what is asked for, in this namespace, and the index of its far end.
    fn standing(&self, netns: BorrowedFd<'_>, endpoint: &Endpoint) -> Outcome<Option<(Attachment, u32)>> {
        let known = lock(&self.attached)
            .get(&endpoint.container)
            .and_then(|of| of.iter().find(|a| a.endpoint.interface == endpoint.interface).cloned());
        let Some(known) = known else { return Ok(None) };
        let outer = device::at(&mut lock(&self.route), known.interface)
            .map_err(|e| refused("cannot look up an interface", e))?
            .filter(|device| device.name == known.name);
        let inner = NetlinkSocket::open_in(netns, Family::Route)
            .and_then(|mut socket| device::named(&mut socket, &endpoint.interface))
            .map_err(|e| refused("cannot look into the container's network namespace", e))?;
        let far = inner.filter(|inner| {
            outer.is_some_and(|outer| outer.peer == Some(inner.index) && inner.peer == Some(outer.index))
        });
        if let Some(far) = far {
            if known.endpoint == *endpoint {
                return Ok(Some((known, far.index)));
            }
            return Err(Failure::conflict(format!(
                "interface `{}` is connected with other settings",
                endpoint.interface
            ))
            .hint("disconnect it first"));
        }
        // Of an earlier life.
        let failures = self.forget(&endpoint.container, Some(&endpoint.interface));
        failures.into_iter().next().map_or(Ok(None), Err)
    }

    fn create_veth(&self, netns: BorrowedFd<'_>, endpoint: &Endpoint) -> Outcome<Device> {
        let mut route = lock(&self.route);
        for slot in SLOTS {
            let name =
                format!("{}{}{}", table::INTERFACE_PREFIX, endpoint.container.short(), char::from(*slot));
            let mut changes = Changes::new();
            changes.create_veth(&VethSpec {
                name: &name,
                mtu: self.mtu,
                far_name: &endpoint.interface,
                far_mac: endpoint.effective_mac(),
                far_netns: netns,
            });
            changes.ask_for(&name);
            match changes.apply_and_read(&mut route) {
                Ok(made) => {
                    return made.ok_or_else(|| Failure::host(format!("interface `{name}` vanished at once")));
                }
                // Ours of an earlier life has the name, or the container's namespace has one like it.
                Err(error) if error.errno() == Errno::EXIST => {
                    let taken = device::named(&mut route, &name)
                        .map_err(|e| refused("cannot look up an interface", e))?;
                    if taken.is_none() {
                        return Err(Failure::conflict(format!(
                            "the container's network namespace has an interface `{}` already",
                            endpoint.interface
                        )));
                    }
                }
                Err(error) => return Err(refused("cannot make a veth", error)),
            }
        }
        Err(Failure::host(format!("all {} interface names of the container are taken", SLOTS.len()))
            .hint("restart the daemon, which removes what nobody uses"))
    }

    /// Ports that were chosen by somebody who has not asked [`Network::choose_host_ports`] are held from here on.
    fn hold_ports(&self, endpoint: &Endpoint) -> Outcome<()> {
        let mut ports = lock(&self.ports);
        let missing = endpoint
            .published
            .iter()
            .filter(|p| !ports.is_held(&endpoint.container, p))
            .copied()
            .collect::<Vec<_>>();
        let mappings = missing
            .iter()
            .map(|p| PortMapping {
                container: p.container,
                host_address: Some(p.host_address),
                host_port: p.host_port,
                host_port_end: p.host_port,
                from: Vec::new(),
                reason: String::new(),
            })
            .collect::<Vec<_>>();
        ports.choose(&endpoint.container, &mappings, self.config.publish_address).map(drop)
    }

    /// Elements, then the host's side, then the container's. Every step can be repeated.
    fn make_true(&self, netns: BorrowedFd<'_>, attachment: &Attachment, far: u32) -> Outcome<()> {
        add_elements(&mut lock(&self.nft), &self.table, &attachment.elements())?;
        host_side(&mut lock(&self.route), attachment)?;
        container_side(netns, attachment, far)
    }

    /// Takes back what a failed connection has made; what fails here, reconciling finds.
    fn undo(&self, attachment: &Attachment) {
        let elements = self.not_shared(std::slice::from_ref(attachment));
        remove_elements(&mut lock(&self.nft), &self.table, &elements).ok();
        let mut changes = Changes::new();
        changes.delete_device(attachment.interface);
        changes.apply(&mut lock(&self.route)).ok();
    }

    /// The elements of these attachments that no other one needs too.
    fn not_shared(&self, leaving: &[Attachment]) -> Vec<Element> {
        let staying = lock(&self.attached);
        let staying = staying.values().flatten().filter(|a| {
            let identity = a.endpoint.identity;
            !leaving.contains(a) && leaving.iter().any(|l| l.endpoint.identity == identity)
        });
        let kept = attachment::union(staying);
        attachment::union(leaving).into_iter().filter(|e| !kept.contains(e)).collect()
    }

    /// Takes the container off all networks and gives its ports back. From the moment it returns no packet passes;
    /// the interface itself goes with the namespace, or in the background.
    pub fn detach(&self, container: &ContainerId) -> Vec<Failure> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let failures = self.forget(container, None);
        lock(&self.ports).release(container);
        failures
    }

    /// Takes a running container off one of its networks: what it published there, the packets, and the interface.
    pub fn disconnect(&self, container: &ContainerId, interface: &str) -> Vec<Failure> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let leaving = lock(&self.attached)
            .get(container)
            .and_then(|of| of.iter().find(|a| a.endpoint.interface == interface).cloned());
        let Some(leaving) = leaving else { return Vec::new() };
        let mut failures = self.forget(container, Some(interface));
        lock(&self.ports).release_some(container, &leaving.endpoint.published);
        let mut changes = Changes::new();
        changes.delete_device(leaving.interface);
        match changes.apply(&mut lock(&self.route)) {
            Err(error) if error.errno() != Errno::NODEV => {
                failures.push(refused(format!("cannot delete the interface `{}`", leaving.name), error));
            }
            _ => {}
        }
        failures
    }

    /// Publishes these ports of a running container, for these sources, and no others; it keeps the rest of its place.
    /// What is connected over a port that is not published any more, or not for everybody any more, ends.
    pub fn republish(
        &self,
        container: &ContainerId,
        interface: &str,
        published: Vec<Published>,
        sources: BTreeMap<PortKey, Vec<Ipv4Net>>,
    ) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let before = lock(&self.attached)
            .get(container)
            .and_then(|of| of.iter().find(|a| a.endpoint.interface == interface).cloned());
        let Some(before) = before else {
            return Err(Failure::not_found(format!(
                "container `{}` has no interface `{interface}`",
                container.short()
            )));
        };
        let mut after = before.clone();
        after.endpoint.published = published;
        after.endpoint.sources = sources;
        check(&after.endpoint)?;
        let only = |of: &Attachment, not: &Attachment| {
            let theirs = &not.endpoint.published;
            of.endpoint.published.iter().filter(|p| !theirs.contains(p)).copied().collect::<Vec<_>>()
        };
        let (coming, going) = (only(&after, &before), only(&before, &after));
        self.hold_ports(&after.endpoint)?;
        let wanted = attachment::union([&after]);
        let surplus = self.not_shared(std::slice::from_ref(&before));
        let surplus = surplus.into_iter().filter(|e| !wanted.contains(e)).collect::<Vec<_>>();
        let present = attachment::union([&before]);
        let missing = wanted.into_iter().filter(|e| !present.contains(e)).collect::<Vec<_>>();
        let changed = {
            let mut nft = lock(&self.nft);
            remove_elements(&mut nft, &self.table, &surplus)
                .and_then(|()| add_elements(&mut nft, &self.table, &missing))
        };
        if let Err(failure) = changed {
            lock(&self.ports).release_some(container, &coming);
            return Err(failure);
        }
        lock(&self.ports).release_some(container, &going);
        let narrowed = before.endpoint.sources != after.endpoint.sources;
        let kept = after.endpoint.published.iter().filter(|_| narrowed).copied();
        for published in coming.into_iter().chain(going).chain(kept) {
            self.sweeper.forget_host_port(published.container.protocol, published.host_port);
        }
        let mut attached = lock(&self.attached);
        if let Some(of) = attached.get_mut(container).and_then(|of| of.iter_mut().find(|a| **a == before)) {
            *of = after;
        }
        Ok(())
    }

    /// Makes the interface the one by which everything else is reached: for a container that has lost that one.
    pub fn lead_out(&self, netns: BorrowedFd<'_>, container: &ContainerId, interface: &str) -> Outcome<()> {
        let _shared = self.changing.read().unwrap_or_else(PoisonError::into_inner);
        let mut attached = lock(&self.attached);
        let of = attached
            .get_mut(container)
            .and_then(|of| of.iter_mut().find(|a| a.endpoint.interface == interface));
        let Some(attachment) = of else {
            return Err(Failure::not_found(format!(
                "container `{}` has no interface `{interface}`",
                container.short()
            )));
        };
        attachment.endpoint.gateway = true;
        let far = NetlinkSocket::open_in(netns, Family::Route)
            .and_then(|mut socket| device::named(&mut socket, interface))
            .map_err(|e| refused("cannot look into the container's network namespace", e))?;
        container_side(netns, attachment, far.map_or(0, |far| far.index))
    }

    /// Removes the elements of a container's attachments, or of one of them, and dooms the interfaces.
    fn forget(&self, container: &ContainerId, interface: Option<&str>) -> Vec<Failure> {
        let leaving = lock(&self.attached)
            .get(container)
            .into_iter()
            .flatten()
            .filter(|a| interface.is_none_or(|name| a.endpoint.interface == name))
            .cloned()
            .collect::<Vec<_>>();
        let elements = self.not_shared(&leaving);
        let mut failures = Vec::new();
        if let Err(failure) = remove_elements(&mut lock(&self.nft), &self.table, &elements) {
            failures.push(failure.context(format!("cannot close the network of `{}`", container.short())));
        }
        let mut attached = lock(&self.attached);
        if let Some(of) = attached.get_mut(container) {
            of.retain(|a| !leaving.contains(a));
            if of.is_empty() {
                attached.remove(container);
            }
        }
        for attachment in &leaving {
            let addresses = [Some(attachment.endpoint.ipv4.into()), attachment.endpoint.ipv6.map(Into::into)];
            for address in addresses.into_iter().flatten() {
                self.sweeper.give_up(address);
            }
            self.sweeper.doom(attachment.interface);
        }
        failures
    }

    /// Decides the host port of every mapping, and holds it for the container: no host process gets it while the
    /// daemon lives. [`Network::detach`] and [`Network::release_host_ports`] let go.
    pub fn choose_host_ports(
        &self,
        container: &ContainerId,
        mappings: &[PortMapping],
    ) -> Outcome<Vec<Published>> {
        lock(&self.ports).choose(container, mappings, self.config.publish_address)
    }

    /// Lets go of all ports held for the container.
    pub fn release_host_ports(&self, container: &ContainerId) {
        lock(&self.ports).release(container);
    }

    /// What each of the container's interfaces has carried; empty for one that is not connected.
    pub fn counters(&self, container: &ContainerId) -> Outcome<Vec<InterfaceCounters>> {
        let attachments = lock(&self.attached).get(container).cloned().unwrap_or_default();
        let mut counters = Vec::new();
        for attachment in attachments {
            let device = device::at(&mut lock(&self.route), attachment.interface)
                .map_err(|e| refused(format!("cannot read the counters of `{}`", attachment.name), e))?;
            let statistics = device.filter(|d| d.name == attachment.name).and_then(|d| d.statistics);
            counters.extend(statistics.map(|s| InterfaceCounters::of(attachment.endpoint.interface, s)));
        }
        Ok(counters)
    }

    /// Notices from now on when others change our table, so that it can be reconciled within milliseconds.
    pub fn watch(&self) -> Outcome<Watch> {
        let own = lock(&self.nft).port().map_err(|e| refused("cannot watch the firewall", e))?;
        Watch::new(open_socket(Family::Netfilter)?, own)
    }

    /// Facts for `haven doctor`.
    pub fn status(&self) -> Outcome<Status> {
        status::status(&mut lock(&self.route), &mut lock(&self.nft), &self.table, self.pool)
    }

    /// Removes every object of ours from this thread's network namespace, needing no memory of what was made:
    /// interfaces, the table, the pool's route. Forwarding stays on: others may count on it by now.
    pub fn cleanup_all() -> Vec<Failure> {
        let mut failures = Vec::new();
        let (mut route, mut nft) = match (open_socket(Family::Route), open_socket(Family::Netfilter)) {
            (Ok(route), Ok(nft)) => (route, nft),
            (Err(failure), _) | (_, Err(failure)) => return vec![failure],
        };
        // Interfaces first: without the table nothing would stand between them.
        for group in [device::OURS, device::DOOMED] {
            let mut changes = Changes::new();
            changes.delete_group(group);
            match changes.apply(&mut route) {
                Err(error) if error.errno() != Errno::NODEV => {
                    failures.push(refused("cannot delete our interfaces", error));
                }
                _ => {}
            }
        }
        match Listing::of(&mut nft, &table::table()) {
            Ok(listing) if listing.exists => {
                let mut transaction = Transaction::new(table::TABLE);
                transaction.delete_table();
                if let Err(error) = transaction.commit(&mut nft) {
                    failures.push(refused("cannot delete the table `inet haven`", error));
                }
            }
            Ok(_) => {}
            Err(error) => failures.push(refused("cannot list the table `inet haven`", error)),
        }
        failures.extend(host_routes::remove_pool_routes(&mut route));
        failures
    }
}

/// Brings the loopback interface of `netns` up: all the network of a container that has none.
pub fn bring_loopback_up(netns: BorrowedFd<'_>) -> Outcome<()> {
    let mut changes = Changes::new();
    changes.set_up(device::LOOPBACK);
    NetlinkSocket::open_in(netns, Family::Route)
        .and_then(|mut socket| changes.apply(&mut socket))
        .map_err(|e| refused("cannot bring the container's loopback interface up", e))
}

/// A lock whose holder panicked protects nothing worse than before: every change is checked against the kernel.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open_socket(family: Family) -> Outcome<NetlinkSocket> {
    NetlinkSocket::open(family).map_err(|e| refused("cannot open a netlink socket", e))
}

/// What the kernel refused, with what to do about the usual reasons.
pub(crate) fn refused(what: impl Into<String>, error: NetlinkError) -> Failure {
    let hint = match error.errno() {
        Errno::PERM | Errno::ACCESS => Some("run the daemon as root, in the host's network namespace"),
        Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => {
            Some("the kernel lacks nf_tables, veth or NAT; load or enable them, see `haven doctor`")
        }
        _ => None,
    };
    let failure = Failure::host(what).because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What the kernel would refuse later, or do something else with.
fn check(endpoint: &Endpoint) -> Outcome<()> {
    let name = &endpoint.interface;
    let fits = !name.is_empty() && name.len() <= INTERFACE_NAME_LIMIT_BYTES;
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%'));
    if !fits || !plain || matches!(name.as_str(), "." | ".." | "lo" | "all" | "default") {
        return Err(Failure::invalid(format!("`{name}` is not a name for an interface"))
            .hint(format!("up to {INTERFACE_NAME_LIMIT_BYTES} letters and digits, like eth0")));
    }
    let address = endpoint.ipv4;
    if address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast()
        || address == GATEWAY
    {
        return Err(Failure::invalid(format!("`{address}` cannot be a container's address")));
    }
    if endpoint.ipv6.is_none()
        && let Some(published) = endpoint.published.iter().find(|p| p.host_address.is_ipv6())
    {
        return Err(Failure::unsupported(format!(
            "cannot publish `{published}`: the container has no IPv6 address, and packets are not translated from \
             one family to the other"
        ))
        .hint("publish on an IPv4 address, like 0.0.0.0 or 127.0.0.1"));
    }
    if let Some(published) =
        endpoint.published.iter().find(|p| p.host_address == IpAddr::V6(Ipv6Addr::LOCALHOST))
    {
        return Err(Failure::unsupported(format!(
            "cannot publish `{published}`: the kernel routes nothing from ::1 to another interface"
        ))
        .hint("publish on 127.0.0.1 as well; clients that try ::1 first go on to it"));
    }
    Ok(())
}

fn checked_mtu(mtu: u32) -> Outcome<u32> {
    const SMALLEST: u32 = 68; // RFC 791
    const LARGEST: u32 = 65_535;
    if (SMALLEST..=LARGEST).contains(&mtu) {
        Ok(mtu)
    } else {
        Err(Failure::invalid(format!("`{mtu}` is not an MTU ({SMALLEST} to {LARGEST} bytes)")))
    }
}

/// Whether it was we who turned forwarding on just now.
fn enable_forwarding() -> Outcome<bool> {
    if sysctl::is_on("ipv4/ip_forward") {
        return Ok(false);
    }
    sysctl::write("ipv4/ip_forward", "1")?;
    Ok(true)
}
