//! Who is called what, and who may know it.

use crate::clock;
use crate::network::end::LinkEnd;
use crate::network::networks::NetworkRecord;
use crate::network::subject::Subject;
use crate::shared::Shared;
use crate::view::{ContainerView, WantedView};
use haven_network::dns::{Question, Told};
use haven_network::{Identity, Traffic};
use haven_spec::{ContainerId, PortKey};
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Look-ups in vain that are remembered; the oldest goes first.
const WANTED_LIMIT: usize = 1024;

/// A container's place on a network.
#[derive(Debug)]
struct Place {
    network: String,
    address: Ipv4Addr,
    /// What it is called there alone, in small letters.
    aliases: Vec<String>,
    /// Its packets to everywhere else leave here, and so do its answers.
    leads_out: bool,
}

#[derive(Debug)]
struct Person {
    id: ContainerId,
    /// As its user wrote it.
    name: String,
    subject: Subject,
    places: Vec<Place>,
    /// Servers its user wants asked for names of the outside.
    servers: Vec<IpAddr>,
    port: Option<PortKey>,
}

/// Everybody who runs and has an address, as of one moment.
#[derive(Debug, Default)]
struct Index {
    people: Vec<Person>,
    by_name: HashMap<String, Vec<usize>>,
    by_address: HashMap<Ipv4Addr, usize>,
}

#[derive(Debug)]
struct Wanted {
    traffic: Option<PortKey>,
    count: u64,
    last_ns: i64,
}

/// From whom, to whom, by which name.
type WantedKey = (Subject, LinkEnd, String);

#[derive(Debug, Default)]
pub(crate) struct Directory {
    index: Mutex<(u64, Arc<Index>)>,
    wanted: Mutex<HashMap<WantedKey, Wanted>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is to be done with a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Tell(Told),
    /// Ask these servers; none: those of the host.
    PassOn(Vec<IpAddr>),
    /// Nobody of ours asks.
    Ignore,
}

impl Index {
    fn of(views: &[Arc<ContainerView>], networks: &BTreeMap<String, Arc<NetworkRecord>>) -> Self {
        let mut index = Self::default();
        for view in views.iter().filter(|view| view.state.is_alive() && !view.endpoints.is_empty()) {
            let at = index.people.len();
            let person = Person::of(view, networks);
            for name in person.names(view) {
                let called = index.by_name.entry(name).or_default();
                if called.last() != Some(&at) {
                    called.push(at);
                }
            }
            index.by_address.extend(person.places.iter().map(|place| (place.address, at)));
            index.people.push(person);
        }
        index
    }
}

impl Person {
    fn of(view: &ContainerView, networks: &BTreeMap<String, Arc<NetworkRecord>>) -> Self {
        let leads = |network: &str| networks.get(network).is_some_and(|network| !network.internal);
        let out = view.endpoints.iter().position(|endpoint| leads(&endpoint.network)).unwrap_or(0);
        let places = view.endpoints.iter().enumerate().map(|(at, endpoint)| Place {
            network: endpoint.network.clone(),
            address: endpoint.ipv4,
            aliases: endpoint.aliases.iter().map(|alias| alias.to_ascii_lowercase()).collect(),
            leads_out: at == out,
        });
        Self {
            id: view.id.clone(),
            name: view.name.to_string(),
            subject: Subject::of_container(&view.name, &view.spec),
            places: places.collect(),
            servers: view.spec.dns.clone(),
            port: view.spec.exposed_ports.iter().next().copied(),
        }
    }

    /// Everything it is called, in small letters.
    fn names(&self, view: &ContainerView) -> Vec<String> {
        let mut names = vec![view.name.as_str().to_ascii_lowercase(), view.id.short().to_owned()];
        names.extend(view.spec.hostname.as_ref().map(|name| name.to_ascii_lowercase()));
        if let Subject::Application(application) = &self.subject {
            names.push(application.service().to_ascii_lowercase());
        }
        names.extend(self.places.iter().flat_map(|place| place.aliases.iter().cloned()));
        names
    }
}

/// Somebody who asks, with everything that decides what may be known.
struct Caller<'a> {
    person: &'a Person,
    numbers: Vec<Identity>,
}

impl Directory {
    fn index(&self, shared: &Shared) -> Arc<Index> {
        // Read before the people are: a change in between makes the index old at once.
        let version = shared.registry.version();
        let mut cached = lock(&self.index);
        if cached.0 != version {
            let networks = networks(shared);
            *cached = (version, Arc::new(Index::of(&shared.registry.views(), &networks)));
        }
        Arc::clone(&cached.1)
    }

    pub(crate) fn decide(&self, shared: &Shared, from: IpAddr, question: &Question) -> Decision {
        let index = self.index(shared);
        let IpAddr::V4(from) = from else { return Decision::Ignore };
        let Some(person) = index.by_address.get(&from).and_then(|at| index.people.get(*at)) else {
            return Decision::Ignore;
        };
        let networks = networks(shared);
        let caller = Caller { person, numbers: numbers(shared, &networks, person) };
        if let Some(address) = question.asks_name_of() {
            if let Some(told) = name_of(shared, &networks, &index, &caller, address) {
                return Decision::Tell(told);
            }
        } else if let Some(told) = self.addresses_of(shared, &networks, &index, &caller, question) {
            return Decision::Tell(told);
        }
        if leads_out(shared, &networks, &caller) {
            return Decision::PassOn(person.servers.clone());
        }
        self.note(&caller, LinkEnd::Outside, &question.name, None);
        Decision::Tell(Told::Refused(format!("nothing leads outside from `{}`", person.subject)))
    }

    /// `None`: nobody of ours is called that.
    fn addresses_of(
        &self,
        shared: &Shared,
        networks: &BTreeMap<String, Arc<NetworkRecord>>,
        index: &Index,
        caller: &Caller<'_>,
        question: &Question,
    ) -> Option<Told> {
        let (called, on) = index.called(&question.name)?;
        let known = called.iter().filter_map(|at| index.people.get(*at)).collect::<Vec<_>>();
        let mut shared_place = Vec::new();
        let mut elsewhere = Vec::new();
        for person in known.iter().filter(|person| may_reach(shared, networks, caller, person)) {
            let here = |place: &&Place| {
                on.is_none_or(|network| place.network == network)
                    && caller.person.places.iter().any(|own| own.network == place.network)
            };
            match person.places.iter().find(here) {
                Some(place) => shared_place.push(IpAddr::V4(place.address)),
                None => elsewhere
                    .extend(person.places.iter().find(|p| p.leads_out).map(|p| IpAddr::V4(p.address))),
            }
        }
        // Who is on a network with the caller is meant before others of the same name.
        let mut addresses = if shared_place.is_empty() { elsewhere } else { shared_place };
        if addresses.is_empty() {
            let refused = known.first()?;
            let end = LinkEnd::Subject(refused.subject.clone());
            self.note(caller, end, &question.name, refused.port);
            let why = format!("no link leads from `{}` to `{}`", caller.person.subject, refused.subject);
            return Some(Told::Refused(why));
        }
        // Replicas take turns.
        let turn = usize::try_from(clock::now_ns().unsigned_abs() / 1000).unwrap_or(0) % addresses.len();
        addresses.rotate_left(turn);
        Some(Told::Addresses(addresses))
    }

    fn note(&self, caller: &Caller<'_>, to: LinkEnd, name: &str, traffic: Option<PortKey>) {
        let mut wanted = lock(&self.wanted);
        let key = (caller.person.subject.clone(), to, name.to_owned());
        if wanted.len() >= WANTED_LIMIT
            && !wanted.contains_key(&key)
            && let Some(oldest) = wanted.iter().min_by_key(|(_, w)| w.last_ns).map(|(key, _)| key.clone())
        {
            wanted.remove(&oldest);
        }
        let entry = wanted.entry(key).or_insert(Wanted { traffic, count: 0, last_ns: 0 });
        entry.count += 1;
        entry.last_ns = clock::now_ns();
    }

    /// What was looked up in vain, the most wanted first.
    pub(crate) fn wanted(&self) -> Vec<WantedView> {
        let mut views = lock(&self.wanted)
            .iter()
            .map(|((from, to, name), wanted)| {
                // Which port is wanted nobody has said; what the other one offers is the best guess.
                let traffic =
                    wanted.traffic.map_or(Traffic::Protocol(haven_spec::PortProtocol::Tcp), |port| {
                        Traffic::Ports { protocol: port.protocol, first: port.port, last: port.port }
                    });
                WantedView {
                    from: from.clone(),
                    to: to.clone(),
                    name: name.clone(),
                    count: wanted.count,
                    last_ns: wanted.last_ns,
                    suggestion: format!("{from} {to} {traffic}"),
                }
            })
            .collect::<Vec<_>>();
        views.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        views
    }
}

impl Index {
    /// Those called `name`, or `name` without a network's name at its end, which then says where.
    fn called<'a>(&self, name: &'a str) -> Option<(Vec<usize>, Option<&'a str>)> {
        if let Some(called) = self.by_name.get(name) {
            return Some((called.clone(), None));
        }
        let (rest, network) = name.rsplit_once('.')?;
        let on_it = |at: &&usize| {
            let places = self.people.get(**at).map_or(&[][..], |person| person.places.as_slice());
            places.iter().any(|place| place.network.eq_ignore_ascii_case(network))
        };
        let called = self.by_name.get(rest)?.iter().filter(on_it).copied().collect::<Vec<_>>();
        (!called.is_empty()).then_some((called, Some(network)))
    }
}

fn networks(shared: &Shared) -> BTreeMap<String, Arc<NetworkRecord>> {
    shared.networks.all().into_iter().map(|network| (network.name.to_string(), network)).collect()
}

/// The numbers by which links may name somebody: its own, and those of its networks.
fn numbers(
    shared: &Shared,
    networks: &BTreeMap<String, Arc<NetworkRecord>>,
    person: &Person,
) -> Vec<Identity> {
    let own = shared.numbers().identity(&person.subject);
    let of_networks = person.places.iter().filter_map(|place| Some(networks.get(&place.network)?.identity));
    own.into_iter().chain(of_networks).collect()
}

fn may_reach(
    shared: &Shared,
    networks: &BTreeMap<String, Arc<NetworkRecord>>,
    caller: &Caller<'_>,
    other: &Person,
) -> bool {
    let open = |place: &Place| {
        networks.get(&place.network).is_some_and(|network| network.open_inside)
            && other.places.iter().any(|theirs| theirs.network == place.network)
    };
    caller.person.id == other.id
        || shared.observations.includes(&caller.person.subject)
        || caller.person.places.iter().any(open)
        || shared.links.any_between(&caller.numbers, &numbers(shared, networks, other))
}

fn leads_out(shared: &Shared, networks: &BTreeMap<String, Arc<NetworkRecord>>, caller: &Caller<'_>) -> bool {
    let mut ways =
        caller.person.places.iter().filter_map(|place| networks.get(&place.network)).filter(|n| !n.internal);
    let linked =
        shared.links.any_out(&caller.numbers) || shared.observations.includes(&caller.person.subject);
    ways.any(|network| network.open_outside || linked)
}

/// `None`: the address is nobody's of ours.
fn name_of(
    shared: &Shared,
    networks: &BTreeMap<String, Arc<NetworkRecord>>,
    index: &Index,
    caller: &Caller<'_>,
    address: IpAddr,
) -> Option<Told> {
    let IpAddr::V4(address) = address else { return None };
    let Some(person) = index.by_address.get(&address).and_then(|at| index.people.get(*at)) else {
        // What nobody has of a network's addresses has no name anywhere.
        return networks.values().any(|n| n.subnet.contains(address)).then_some(Told::NoSuchName);
    };
    // Whoever is connected to somebody may know who that is, in both directions.
    let linked = may_reach(shared, networks, caller, person) || {
        let other = Caller { person, numbers: numbers(shared, networks, person) };
        may_reach(shared, networks, &other, caller.person)
    };
    if !linked {
        return Some(Told::Refused(format!("no link joins `{}` and {address}", caller.person.subject)));
    }
    let place = person.places.iter().find(|place| place.address == address)?;
    Some(Told::Names(vec![format!("{}.{}", person.name, place.network)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::task::tests_support;
    use crate::view::EndpointView;

    fn person(id: u8, name: &str, networks: &[(&str, &str)], alias: &str) -> Arc<ContainerView> {
        let mut view = ContainerView::clone(&tests_support::view(true));
        view.id = ContainerId::from_bytes(&[id; 32]);
        view.name = haven_spec::ContainerName::parse(name).unwrap();
        view.endpoints = networks
            .iter()
            .map(|(network, address)| EndpointView {
                network: (*network).to_owned(),
                network_id: String::new(),
                endpoint_id: String::new(),
                ipv4: address.parse().unwrap(),
                ipv4_prefix: 24,
                gateway: Ipv4Addr::UNSPECIFIED,
                mac: String::new(),
                aliases: vec![alias.to_owned()],
                published: Vec::new(),
            })
            .collect();
        Arc::new(view)
    }

    #[test]
    fn people_are_found_by_all_their_names() {
        let views = [
            person(1, "web", &[("shop", "10.0.0.2"), ("back", "10.0.1.2")], "Front"),
            person(2, "db", &[("back", "10.0.1.3")], "store"),
            person(3, "db-2", &[("other", "10.0.2.3")], "store"),
        ];
        let index = Index::of(&views, &BTreeMap::new());
        let called = |name: &str| index.called(name).map(|(called, _)| called);
        assert_eq!(called("web"), Some(vec![0]));
        assert_eq!(called("front"), Some(vec![0]), "aliases in any letters");
        assert_eq!(called("store"), Some(vec![1, 2]));
        assert_eq!(called("store.back"), Some(vec![1]));
        assert_eq!(called("web.shop"), Some(vec![0]));
        for nobody in ["web.other", "web.shop.back", "x", "", ".", "shop"] {
            assert_eq!(called(nobody), None, "{nobody}");
        }
        assert_eq!(index.by_address.len(), 4);
    }
}
