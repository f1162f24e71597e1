//! The networks there are: the default one, none, the host's own, and those that users make.
//!
//! A network is a range of addresses and a number that links can name. Being open is two links that the engine keeps
//! for it: everybody on it with everybody on it, and everybody on it to the outside; each is one element in the kernel.

use super::subject::Subject;
use crate::clock;
use crate::event::EventObject;
use crate::shared::Shared;
use crate::view::{ContainerView, NetworkView};
use haven_network::{AddressPool, Identity, Link, LinkId, Party, Traffic};
use haven_spec::{ContainerId, ContainerSpec, Failure, Ipv4Net, Kind, NetworkMode, NetworkName, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Fixed ids, in Docker's form of 64 digits, so that they are the same on every host.
const DEFAULT_ID: &str = "6861766564656661756c740000000000000000000000000000000000000000d1";
const HOST_ID: &str = "686176656e686f737400000000000000000000000000000000000000000000d2";
const NONE_ID: &str = "686176656e6e6f6e6500000000000000000000000000000000000000000000d3";

/// The default network's name.
pub(crate) const DEFAULT: &str = "default";
/// The default network's number is the last one there is, which no other comes to.
const DEFAULT_IDENTITY: u32 = 0x00ff_ff00;
/// The most networks; each is a route of the host.
const NETWORK_LIMIT: usize = 4096;
/// Numbers of the links that make a network open are these plus its identity; those of declared links are lower.
pub(crate) const INSIDE_LINK: u32 = 0x3000_0000;
pub(crate) const OUTSIDE_LINK: u32 = 0x3100_0000;

/// A network that is to be made.
#[derive(Debug, Clone, Default)]
pub struct CreateNetwork {
    pub name: String,
    /// `None`: a free range is looked for.
    pub subnet: Option<Ipv4Net>,
    /// Containers that ask for no address get one of this part.
    pub address_range: Option<Ipv4Net>,
    /// Shown as the gateway, and given to no container.
    pub gateway: Option<Ipv4Addr>,
    /// Given to no container.
    pub reserved: Vec<Ipv4Addr>,
    /// Nothing leads from it to the outside, whatever links say.
    pub internal: bool,
    /// Its containers reach each other without links.
    pub open_inside: bool,
    /// Its containers reach the outside without links.
    pub open_outside: bool,
    pub labels: BTreeMap<String, String>,
    /// As given, for display.
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    pub(crate) id: String,
    pub(crate) name: NetworkName,
    pub(crate) created_at_ns: i64,
    pub(crate) identity: Identity,
    pub(crate) subnet: Ipv4Net,
    pub(crate) address_range: Option<Ipv4Net>,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) reserved: Vec<Ipv4Addr>,
    pub(crate) internal: bool,
    pub(crate) open_inside: bool,
    pub(crate) open_outside: bool,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
}

impl NetworkRecord {
    fn default_network(pool: Ipv4Net, created_at_ns: i64) -> Outcome<Self> {
        Ok(Self {
            id: DEFAULT_ID.to_owned(),
            name: NetworkName::parse(DEFAULT)?,
            created_at_ns,
            identity: Identity::new(DEFAULT_IDENTITY)?,
            subnet: pool,
            address_range: None,
            gateway: None,
            reserved: Vec::new(),
            internal: false,
            open_inside: false,
            open_outside: true,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        })
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::Network(self.name.clone())
    }

    /// The links that make it open.
    pub(crate) fn links(&self) -> Outcome<Vec<Link>> {
        let own = Party::Network(self.identity);
        let number = self.identity.number();
        let link =
            |base, to| Ok(Link { id: LinkId::new(base | number)?, from: own, to, traffic: Traffic::All });
        let inside = self.open_inside.then(|| link(INSIDE_LINK, own));
        let outside = (self.open_outside && !self.internal).then(|| link(OUTSIDE_LINK, Party::Outside));
        inside.into_iter().chain(outside).collect()
    }

    fn pool(&self) -> AddressPool {
        let mut pool = AddressPool::new(self.subnet);
        if let Some(range) = self.address_range {
            pool = pool.giving(range);
        }
        self.reserved.iter().chain(&self.gateway).fold(pool, |pool, address| pool.without(*address))
    }
}

/// All networks with addresses.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    all: RwLock<BTreeMap<String, Arc<NetworkRecord>>>,
    /// Making and removing exclude each other; they wait for the disk and the kernel.
    changing: Mutex<()>,
}

impl Networks {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<NetworkRecord>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<NetworkRecord>>> {
        self.all.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// By name, id or unique beginning of an id. Docker's name of its default network, `bridge`, means ours.
    pub(crate) fn find(&self, wanted: &str) -> Outcome<Arc<NetworkRecord>> {
        let all = self.read();
        let name = if wanted == "bridge" { DEFAULT } else { wanted };
        if let Some(found) = all.get(name).or_else(|| all.values().find(|network| network.id == wanted)) {
            return Ok(Arc::clone(found));
        }
        let mut matching =
            all.values().filter(|network| !wanted.is_empty() && network.id.starts_with(wanted));
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(Arc::clone(found)),
            (Some(_), Some(_)) => {
                Err(Failure::invalid(format!("network {wanted} is ambiguous: several ids begin with it")))
            }
            _ => Err(not_found(wanted)),
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<NetworkRecord>> {
        self.read().values().cloned().collect()
    }
}

fn not_found(wanted: &str) -> Failure {
    Failure::not_found(format!("network {wanted} not found"))
}

/// At the daemon's start: what is on record becomes what there is. The kernel is told when it is reconciled.
pub(crate) fn restore(shared: &Shared, created_at_ns: i64) -> Outcome<Vec<Link>> {
    let mut records = vec![NetworkRecord::default_network(shared.network.pool(), created_at_ns)?];
    records.extend(shared.records.networks()?);
    let mut links = Vec::new();
    let mut numbers = shared.numbers();
    let mut all = shared.networks.write();
    for record in records {
        if !numbers.hold_as(&record.subject(), record.identity) {
            tracing::error!(network = %record.name, "its number is somebody else's; the network is left out");
            continue;
        }
        numbers.add_pool(record.name.as_str(), record.pool());
        shared.network.declare_network(record.name.as_str(), record.identity);
        if record.name.as_str() != DEFAULT {
            shared.network.restore_subnets([record.subnet]);
        }
        links.extend(record.links()?);
        all.insert(record.name.to_string(), Arc::new(record));
    }
    Ok(links)
}

// --- making and removing

/// Blocking.
pub(crate) fn create(shared: &Shared, wish: CreateNetwork) -> Outcome<Arc<NetworkRecord>> {
    let name = NetworkName::parse(&wish.name)?;
    let _alone = shared.networks.changing.lock().unwrap_or_else(PoisonError::into_inner);
    let present = shared.networks.all();
    if matches!(name.as_str(), "bridge" | "host" | "none") || present.iter().any(|n| n.name == name) {
        return Err(Failure::conflict(format!("network with name {name} already exists")));
    }
    if present.len() >= NETWORK_LIMIT {
        return Err(Failure::conflict(format!("there are {NETWORK_LIMIT} networks, which is the most"))
            .hint("haven network prune"));
    }
    let subnet = match wish.subnet {
        Some(subnet) => {
            check_subnet(subnet, &present)?;
            shared.network.check_subnet(subnet)?;
            subnet
        }
        None => shared.network.choose_subnet(&present.iter().map(|n| n.subnet).collect::<Vec<_>>())?,
    };
    check_addresses(&wish, subnet)?;
    let subject = Subject::Network(name.clone());
    let identity = shared.numbers().hold(&subject)?;
    let record = NetworkRecord {
        id: ContainerId::from_bytes(&crate::engine::random()).to_string(),
        name,
        created_at_ns: clock::now_ns(),
        identity,
        subnet,
        address_range: wish.address_range,
        gateway: wish.gateway,
        reserved: wish.reserved,
        internal: wish.internal,
        open_inside: wish.open_inside,
        open_outside: wish.open_outside,
        labels: wish.labels,
        options: wish.options,
    };
    let made = shared.network.add_subnet(subnet).and_then(|()| {
        shared.network.declare_network(record.name.as_str(), identity);
        shared.network.add_links(&record.links()?)?;
        shared.records.put_network(&record)
    });
    if let Err(failure) = made {
        withdraw(shared, &record);
        shared.numbers().release(&subject);
        return Err(failure.context(format!("cannot make network `{}`", record.name)));
    }
    let record = Arc::new(record);
    shared.numbers().add_pool(record.name.as_str(), record.pool());
    shared.networks.write().insert(record.name.to_string(), Arc::clone(&record));
    tell(shared, "create", &record, BTreeMap::new());
    Ok(record)
}

/// What the kernel and the network room know of it.
fn withdraw(shared: &Shared, record: &NetworkRecord) {
    let links = record.links().unwrap_or_default().iter().map(|link| link.id).collect::<Vec<_>>();
    let taken = shared
        .network
        .remove_links(&links)
        .map(drop)
        .and_then(|()| shared.network.remove_subnet(record.subnet));
    if let Err(failure) = taken {
        tracing::warn!(network = %record.name, error = %failure.one_line(), "cannot take all of the network back");
    }
    shared.network.forget_network(record.name.as_str());
}

fn check_subnet(subnet: Ipv4Net, present: &[Arc<NetworkRecord>]) -> Outcome<()> {
    let refuse = |why: &str| {
        Err(Failure::invalid(format!("`{subnet}` cannot be a network's subnet")).because(why.to_owned()))
    };
    let address = subnet.address();
    if !(8..=30).contains(&subnet.prefix()) {
        return refuse("its prefix is not between /8 and /30");
    }
    if address.is_loopback() || address.is_multicast() || address.is_link_local() || address.octets()[0] == 0
    {
        return refuse("its addresses have another meaning");
    }
    if let Some(other) = present.iter().find(|other| other.subnet.overlaps(subnet)) {
        return Err(Failure::new(Kind::Forbidden, "Pool overlaps with other one on this address space")
            .because(format!("network `{}` has `{}`", other.name, other.subnet))
            .hint("choose another subnet, or leave it out"));
    }
    Ok(())
}

fn check_addresses(wish: &CreateNetwork, subnet: Ipv4Net) -> Outcome<()> {
    if let Some(range) = wish.address_range
        && (!subnet.contains(range.address()) || range.prefix() < subnet.prefix())
    {
        return Err(Failure::invalid(format!("the range `{range}` is not part of the subnet `{subnet}`")));
    }
    match wish.reserved.iter().chain(&wish.gateway).find(|address| !subnet.contains(**address)) {
        None => Ok(()),
        Some(address) => Err(Failure::invalid(format!("`{address}` is not part of the subnet `{subnet}`"))),
    }
}

/// Blocking. Refused while a container that runs is on it.
pub(crate) fn remove(shared: &Shared, wanted: &str) -> Outcome<()> {
    if matches!(wanted, "host" | "none") {
        return Err(predefined(wanted));
    }
    let _alone = shared.networks.changing.lock().unwrap_or_else(PoisonError::into_inner);
    let record = shared.networks.find(wanted)?;
    if record.name.as_str() == DEFAULT {
        return Err(predefined("bridge"));
    }
    // From here on nobody gets an address of it.
    if shared.numbers().remove_pool(record.name.as_str()).is_none() {
        let on_it = members(shared, record.name.as_str());
        let names = on_it.iter().map(|(_, name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Failure::new(
            Kind::Forbidden,
            format!(
                "error while removing network: network {} id {} has active endpoints",
                record.name, record.id
            ),
        )
        .because(format!("on it: {names}"))
        .hint("disconnect or stop these containers first"));
    }
    if let Err(failure) = shared.records.delete_network(&record.name) {
        shared.numbers().add_pool(record.name.as_str(), record.pool());
        return Err(failure);
    }
    shared.networks.write().remove(record.name.as_str());
    withdraw(shared, &record);
    shared.numbers().release(&record.subject());
    tell(shared, "destroy", &record, BTreeMap::new());
    Ok(())
}

fn predefined(name: &str) -> Failure {
    Failure::new(Kind::Forbidden, format!("{name} is a pre-defined network and cannot be removed"))
}

/// Removes every network that no container mentions and that `keep` doesn't want kept; their names.
pub(crate) fn prune(shared: &Shared, keep: impl Fn(&NetworkView) -> bool) -> Vec<String> {
    let views = shared.registry.views();
    let mut removed = Vec::new();
    for view in list(shared) {
        let mentioned = views.iter().any(|container| wanted(&container.spec).contains(&view.name));
        if is_predefined(&view.name) || mentioned || keep(&view) {
            continue;
        }
        // One that got a container meanwhile stays out of the list.
        if remove(shared, &view.name).is_ok() {
            removed.push(view.name);
        }
    }
    removed
}

pub(crate) fn is_predefined(name: &str) -> bool {
    matches!(name, DEFAULT | "host" | "none")
}

pub(crate) fn tell(shared: &Shared, action: &str, record: &NetworkRecord, extra: BTreeMap<String, String>) {
    let mut attributes = extra;
    attributes.insert("name".into(), record.name.to_string());
    // Docker's word; clients filter by it.
    attributes.insert("type".into(), "bridge".into());
    shared.tell(EventObject::Network, action, &record.id, attributes);
}

// --- reading

fn members(
    shared: &Shared,
    network: &str,
) -> Vec<(ContainerId, haven_spec::ContainerName, crate::view::EndpointView)> {
    let on = |view: Arc<ContainerView>| {
        let endpoint = view.endpoints.iter().find(|endpoint| endpoint.network == network)?;
        Some((view.id.clone(), view.name.clone(), endpoint.clone()))
    };
    shared.registry.views().into_iter().filter_map(on).collect()
}

fn view(shared: &Shared, record: &NetworkRecord) -> NetworkView {
    NetworkView {
        name: record.name.to_string(),
        id: record.id.clone(),
        created_at_ns: record.created_at_ns,
        driver: "haven",
        subnet: Some(record.subnet),
        address_range: record.address_range,
        gateway: Some(record.gateway.unwrap_or(haven_network::GATEWAY)),
        reserved: record.reserved.clone(),
        internal: record.internal,
        open_inside: record.open_inside,
        open_outside: record.open_outside && !record.internal,
        labels: record.labels.clone(),
        options: record.options.clone(),
        members: members(shared, record.name.as_str()),
    }
}

fn without_addresses(shared: &Shared, name: &str, id: &str, driver: &'static str) -> NetworkView {
    let created_at_ns = shared.networks.find(DEFAULT).map_or(0, |network| network.created_at_ns);
    NetworkView {
        name: name.to_owned(),
        id: id.to_owned(),
        created_at_ns,
        driver,
        subnet: None,
        address_range: None,
        gateway: None,
        reserved: Vec::new(),
        internal: false,
        open_inside: false,
        open_outside: false,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        members: Vec::new(),
    }
}

/// In the order of their names.
pub(crate) fn list(shared: &Shared) -> Vec<NetworkView> {
    let mut all = shared.networks.all().iter().map(|record| view(shared, record)).collect::<Vec<_>>();
    all.push(without_addresses(shared, "host", HOST_ID, "host"));
    all.push(without_addresses(shared, "none", NONE_ID, "null"));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// As [`Networks::find`], with those that have no addresses.
pub(crate) fn find(shared: &Shared, wanted: &str) -> Outcome<NetworkView> {
    for (name, id, driver) in [("host", HOST_ID, "host"), ("none", NONE_ID, "null")] {
        if wanted == name || (wanted.len() > 12 && id.starts_with(wanted)) {
            return Ok(without_addresses(shared, name, id, driver));
        }
    }
    shared.networks.find(wanted).map(|record| view(shared, &record))
}

/// The networks a container is to be on, the one of its mode first.
pub(crate) fn wanted(spec: &ContainerSpec) -> Vec<String> {
    let main = match &spec.network {
        NetworkMode::Default => DEFAULT,
        NetworkMode::Named(name) => name.as_str(),
        NetworkMode::None | NetworkMode::Host | NetworkMode::Container(_) => return Vec::new(),
    };
    let others = spec.attachments.keys().filter(|name| name.as_str() != main).cloned();
    std::iter::once(main.to_owned()).chain(others).collect()
}

/// Checks the networks a container is created with against what there is, and gives every one its own name: clients
/// may have given an id.
pub(crate) fn settle(shared: &Shared, spec: &mut ContainerSpec) -> Outcome<()> {
    let named = match &spec.network {
        NetworkMode::None | NetworkMode::Host => return Ok(()),
        NetworkMode::Container(id) => return shared.registry.get(id).map(drop),
        NetworkMode::Default => None,
        NetworkMode::Named(name) => Some(shared.networks.find(name.as_str())?.name.clone()),
    };
    if let Some(name) = named {
        spec.network = if name.as_str() == DEFAULT { NetworkMode::Default } else { NetworkMode::Named(name) };
    }
    let mut attachments = BTreeMap::new();
    for (name, wish) in std::mem::take(&mut spec.attachments) {
        let network = shared.networks.find(&name)?;
        super::attaching::check(&network, &wish)?;
        attachments.insert(network.name.to_string(), wish);
    }
    spec.attachments = attachments;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::NetworkAttachment;

    fn record() -> NetworkRecord {
        NetworkRecord::default_network(Ipv4Net::parse("10.9.0.0/24").unwrap(), 0).unwrap()
    }

    #[test]
    fn an_open_network_is_one_link_and_an_internal_one_leads_nowhere() {
        let count = |open_inside, open_outside, internal| {
            let network = NetworkRecord { open_inside, open_outside, internal, ..record() };
            network.links().unwrap().len()
        };
        assert_eq!(count(false, false, false), 0);
        assert_eq!(count(true, false, false), 1);
        assert_eq!(count(true, true, false), 2);
        assert_eq!(count(true, true, true), 1);
    }

    #[test]
    fn subnets_that_cannot_be_are_refused() {
        let present = [Arc::new(record())];
        let check = |text: &str| check_subnet(Ipv4Net::parse(text).unwrap(), &present);
        for bad in
            ["10.8.0.0/31", "0.0.0.0/8", "127.0.0.0/24", "224.0.0.0/24", "169.254.0.0/16", "10.0.0.0/7"]
        {
            assert_eq!(check(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
        assert_eq!(check("10.9.0.128/25").unwrap_err().kind(), Kind::Forbidden);
        assert!(check("10.8.0.0/16").is_ok());
    }

    #[test]
    fn addresses_outside_the_subnet_are_refused() {
        let subnet = Ipv4Net::parse("10.8.0.0/24").unwrap();
        let refused = |wish: CreateNetwork| check_addresses(&wish, subnet).is_err();
        let net = |text: &str| Some(Ipv4Net::parse(text).unwrap());
        assert!(refused(CreateNetwork { address_range: net("10.8.1.0/25"), ..CreateNetwork::default() }));
        assert!(refused(CreateNetwork { address_range: net("10.8.0.0/23"), ..CreateNetwork::default() }));
        assert!(refused(CreateNetwork { gateway: "10.8.1.1".parse().ok(), ..CreateNetwork::default() }));
        assert!(!refused(CreateNetwork { gateway: "10.8.0.1".parse().ok(), ..CreateNetwork::default() }));
    }

    #[test]
    fn the_network_of_the_mode_comes_first() {
        let attachments = ["a", "shop"].map(|name| (name.to_owned(), NetworkAttachment::default())).into();
        let network = NetworkMode::Named(NetworkName::parse("shop").unwrap());
        assert_eq!(
            wanted(&ContainerSpec { network, attachments, ..ContainerSpec::default() }),
            ["shop", "a"]
        );
        assert_eq!(wanted(&ContainerSpec::default()), [DEFAULT]);
        assert!(wanted(&ContainerSpec { network: NetworkMode::None, ..ContainerSpec::default() }).is_empty());
    }
}
