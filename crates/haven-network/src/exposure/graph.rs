//! The picture: points and edges, forwards and backwards, each a run in one array. It never changes once it is drawn.

use super::facts::{ApplicationId, Facts, Place, Power};
use super::range::AddressRange;
use crate::{LinkId, Traffic};
use haven_spec::PortKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// By what one reaches the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Means {
    Link(LinkId, Traffic),
    Published(SocketAddr, PortKey),
    OpenNetwork(Arc<str>),
    /// Whoever is root on the host reaches and controls every container.
    HostRoot,
    /// The container has the host's network.
    HostNetwork,
    /// The two have one network.
    SharedNetwork,
    /// It can take over the host.
    Privileged,
    EngineSocket,
    HostMount(String),
    Volume(Arc<str>),
    /// Membership in a hub or a zone: a part of another edge.
    Within,
}

impl Means {
    /// Whether it is a connection, or a way to take over.
    pub fn connects(&self) -> bool {
        match self {
            Self::Link(..)
            | Self::Published(..)
            | Self::OpenNetwork(_)
            | Self::HostRoot
            | Self::HostNetwork
            | Self::SharedNetwork
            | Self::Within => true,
            Self::Privileged | Self::EngineSocket | Self::HostMount(_) | Self::Volume(_) => false,
        }
    }

    /// What can be spoken by it.
    pub fn traffic(&self) -> Option<Traffic> {
        match self {
            Self::Link(_, traffic) => Some(*traffic),
            Self::Published(_, port) => {
                Some(Traffic::Ports { protocol: port.protocol, first: port.port, last: port.port })
            }
            Self::OpenNetwork(_) | Self::HostRoot | Self::HostNetwork | Self::SharedNetwork => {
                Some(Traffic::All)
            }
            _ => None,
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link(..) => "link",
            Self::Published(..) => "publish",
            Self::OpenNetwork(_) => "open network",
            Self::HostRoot => "host root",
            Self::HostNetwork => "host network",
            Self::SharedNetwork => "shared network",
            Self::Privileged => "privileged",
            Self::EngineSocket => "engine's socket",
            Self::HostMount(_) => "host mount",
            Self::Volume(_) => "shared volume",
            Self::Within => "within",
        }
    }
}

impl std::fmt::Display for Means {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(id, traffic) => write!(f, "link {id} ({traffic})"),
            Self::Published(host, port) => write!(f, "published {host}->{port}"),
            Self::OpenNetwork(name) => write!(f, "open network {name}"),
            Self::HostRoot => f.write_str("root on the host"),
            Self::HostNetwork => f.write_str("host network"),
            Self::SharedNetwork => f.write_str("one network for both"),
            Self::Privileged => f.write_str("privileged"),
            Self::EngineSocket => f.write_str("engine's socket"),
            Self::HostMount(path) => write!(f, "writes host directory {path}"),
            Self::Volume(name) => write!(f, "shared volume {name}"),
            Self::Within => f.write_str("within"),
        }
    }
}

/// What a point stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Point {
    Application(ApplicationId),
    Host,
    /// Addresses outside, as those who connect.
    Source(AddressRange),
    /// Addresses outside, as what is connected to.
    Target(AddressRange),
    /// Nobody: the middle of many edges.
    Hub,
}

#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) means: Means,
}

/// Everything declared at one moment, to be asked.
#[derive(Debug, Clone)]
pub struct Exposure {
    pub(super) facts: Facts,
    pub(super) points: Vec<Point>,
    pub(super) edges: Vec<Edge>,
    /// Where the edges from a point begin in `out_edges`; one more than there are points.
    pub(super) out_starts: Vec<u32>,
    pub(super) out_edges: Vec<u32>,
    pub(super) in_starts: Vec<u32>,
    pub(super) in_edges: Vec<u32>,
    pub(super) zones: BTreeMap<AddressRange, Zone>,
}

/// The two points of a range of outside addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zone {
    pub(super) source: u32,
    pub(super) target: u32,
}

/// Applications are the first points, in the order of their numbers; the host follows them.
impl Exposure {
    pub fn draw(facts: Facts) -> Self {
        let mut drawing = Drawing::new(&facts);
        drawing.shared_networks(&facts);
        drawing.zones(&facts);
        drawing.host(&facts);
        drawing.networks(&facts);
        drawing.links(&facts);
        drawing.publishes(&facts);
        drawing.powers(&facts);
        drawing.volumes(&facts);
        let Drawing { points, edges, zones, .. } = drawing;
        let (out_starts, out_edges) = runs(points.len(), edges.iter().map(|edge| edge.from));
        let (in_starts, in_edges) = runs(points.len(), edges.iter().map(|edge| edge.to));
        Self { facts, points, edges, out_starts, out_edges, in_starts, in_edges, zones }
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How many edges there are; what takes memory and time.
    pub fn size(&self) -> (usize, usize) {
        (self.points.len(), self.edges.len())
    }

    pub(super) fn host(&self) -> u32 {
        index(self.facts.applications.len())
    }

    pub(super) fn out_of(&self, point: u32) -> &[u32] {
        run(&self.out_starts, &self.out_edges, point)
    }

    pub(super) fn into(&self, point: u32) -> &[u32] {
        run(&self.in_starts, &self.in_edges, point)
    }

    pub(super) fn edge(&self, number: u32) -> &Edge {
        &self.edges[number as usize]
    }

    pub(super) fn point(&self, number: u32) -> Point {
        self.points[number as usize]
    }

    pub(super) fn name(&self, point: Point) -> Arc<str> {
        match point {
            Point::Application(id) => Arc::clone(self.facts.applications.name(id.0)),
            Point::Host => "@host".into(),
            Point::Source(range) | Point::Target(range) => zone_name(range),
            Point::Hub => "".into(),
        }
    }
}

fn zone_name(range: AddressRange) -> Arc<str> {
    if range.is_everywhere() { "@outside".into() } else { range.to_string().into() }
}

/// Where each point's edges are, by counting.
fn runs(points: usize, ends: impl Iterator<Item = u32> + Clone) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0_u32; points + 1];
    for end in ends.clone() {
        starts[end as usize + 1] += 1;
    }
    for point in 0..points {
        starts[point + 1] += starts[point];
    }
    let mut next = starts.clone();
    let mut edges = vec![0_u32; starts[points] as usize];
    for (edge, end) in (0..).zip(ends) {
        let place = &mut next[end as usize];
        edges[*place as usize] = edge;
        *place += 1;
    }
    (starts, edges)
}

fn run<'a>(starts: &[u32], edges: &'a [u32], point: u32) -> &'a [u32] {
    &edges[starts[point as usize] as usize..starts[point as usize + 1] as usize]
}

fn index(count: usize) -> u32 {
    u32::try_from(count).expect("memory holds fewer points than 2^32")
}

#[derive(Debug, Default)]
struct Drawing {
    points: Vec<Point>,
    edges: Vec<Edge>,
    zones: BTreeMap<AddressRange, Zone>,
    host: u32,
    /// Whoever gets here reaches every application.
    everybody: u32,
    /// Networks that links begin at or lead to: the hubs before and behind their members.
    from_network: BTreeMap<u32, u32>,
    to_network: BTreeMap<u32, u32>,
}

impl Drawing {
    fn new(facts: &Facts) -> Self {
        let applications = (0..index(facts.applications.len())).map(|n| Point::Application(ApplicationId(n)));
        let mut drawing = Self {
            points: applications.chain([Point::Host, Point::Hub]).collect(),
            edges: Vec::with_capacity(facts.links.len() + 4 * facts.applications.len()),
            ..Self::default()
        };
        drawing.host = index(facts.applications.len());
        drawing.everybody = drawing.host + 1;
        drawing
    }

    fn add(&mut self, point: Point) -> u32 {
        self.points.push(point);
        index(self.points.len() - 1)
    }

    fn connect(&mut self, from: u32, to: u32, means: Means) {
        self.edges.push(Edge { from, to, means });
    }

    /// Every range that is named, each within the smallest that covers it.
    fn zones(&mut self, facts: &Facts) {
        let linked = facts.links.values().filter_map(|link| match link.to {
            Place::Range(range) => Some(range),
            _ => None,
        });
        let published = facts.publishes.iter().flat_map(|publish| publish.from.iter().copied());
        let mut ranges: Vec<AddressRange> =
            AddressRange::EVERYWHERE.into_iter().chain(linked).chain(published).collect();
        ranges.sort_unstable();
        ranges.dedup();
        // In this order a range follows those that cover it: what is still open when it comes is around it.
        let mut around: Vec<AddressRange> = Vec::new();
        for range in ranges {
            while around.pop_if(|outer| !outer.covers(range)).is_some() {}
            let zone =
                Zone { source: self.add(Point::Source(range)), target: self.add(Point::Target(range)) };
            if let Some(outer) = around.last().and_then(|outer| self.zones.get(outer)).copied() {
                self.connect(zone.source, outer.source, Means::Within);
                self.connect(outer.target, zone.target, Means::Within);
            }
            self.zones.insert(range, zone);
            around.push(range);
        }
    }

    fn host(&mut self, facts: &Facts) {
        self.connect(self.host, self.everybody, Means::HostRoot);
        for application in 0..index(facts.applications.len()) {
            self.connect(self.everybody, application, Means::Within);
        }
        for everywhere in AddressRange::EVERYWHERE {
            let target = self.zones[&everywhere].target;
            self.connect(self.host, target, Means::HostRoot);
        }
    }

    fn networks(&mut self, facts: &Facts) {
        let named = facts.links.values().flat_map(|link| [(link.from, true), (link.to, false)]);
        for (place, begins) in named {
            let Place::Network(network) = place else { continue };
            let known = if begins { &self.from_network } else { &self.to_network };
            if known.contains_key(&network.0) {
                continue;
            }
            let hub = self.add(Point::Hub);
            let hubs = if begins { &mut self.from_network } else { &mut self.to_network };
            hubs.insert(network.0, hub);
            for (_, member) in members(facts, network.0) {
                let (from, to) = if begins { (member.0, hub) } else { (hub, member.0) };
                self.connect(from, to, Means::Within);
            }
        }
        for network in &facts.open {
            let hub = self.add(Point::Hub);
            let means = Means::OpenNetwork(Arc::clone(facts.networks.name(network.0)));
            for (_, member) in members(facts, network.0) {
                self.connect(member.0, hub, means.clone());
                self.connect(hub, member.0, Means::Within);
            }
        }
    }

    fn shared_networks(&mut self, facts: &Facts) {
        for (application, of) in &facts.shared {
            self.connect(application.0, of.0, Means::SharedNetwork);
            self.connect(of.0, application.0, Means::SharedNetwork);
        }
    }

    fn links(&mut self, facts: &Facts) {
        for (id, link) in &facts.links {
            let from = match link.from {
                Place::Application(application) => application.0,
                Place::Network(network) => self.from_network[&network.0],
                // The model of links refuses these: what comes from outside takes a published port.
                Place::Outside | Place::Range(_) => continue,
            };
            let means = Means::Link(*id, link.traffic);
            match link.to {
                Place::Application(application) => self.connect(from, application.0, means),
                Place::Network(network) => self.connect(from, self.to_network[&network.0], means),
                Place::Range(range) => self.connect(from, self.zones[&range].target, means),
                Place::Outside => {
                    for everywhere in AddressRange::EVERYWHERE {
                        self.connect(from, self.zones[&everywhere].target, means.clone());
                    }
                }
            }
        }
    }

    fn publishes(&mut self, facts: &Facts) {
        for publish in &facts.publishes {
            // The host's own addresses of this kind are reached from the host alone, which reaches everybody anyhow.
            if publish.host.ip().is_loopback() {
                continue;
            }
            let [v4, v6] = AddressRange::EVERYWHERE;
            let everybody = [if publish.host.is_ipv4() { v4 } else { v6 }];
            let from = if publish.from.is_empty() { &everybody[..] } else { &publish.from };
            for range in from {
                let means = Means::Published(publish.host, publish.container);
                self.connect(self.zones[range].source, publish.application.0, means);
            }
        }
    }

    fn powers(&mut self, facts: &Facts) {
        for (application, power) in &facts.powers {
            match power {
                Power::HostNetwork => {
                    self.connect(application.0, self.everybody, Means::HostNetwork);
                    for everywhere in AddressRange::EVERYWHERE {
                        let zone = self.zones[&everywhere];
                        self.connect(application.0, zone.target, Means::HostNetwork);
                        self.connect(zone.source, application.0, Means::HostNetwork);
                    }
                }
                Power::Privileged => self.connect(application.0, self.host, Means::Privileged),
                Power::EngineSocket => self.connect(application.0, self.host, Means::EngineSocket),
                Power::HostMount(path) => {
                    self.connect(application.0, self.host, Means::HostMount(path.clone()));
                }
            }
        }
    }

    fn volumes(&mut self, facts: &Facts) {
        for (volume, name) in facts.volumes.all() {
            let hub = self.add(Point::Hub);
            let end = ApplicationId(u32::MAX);
            for (_, application, writable) in
                facts.mounts.range((volume, ApplicationId(0), false)..=(volume, end, true))
            {
                if *writable {
                    self.connect(application.0, hub, Means::Volume(Arc::clone(name)));
                }
                self.connect(hub, application.0, Means::Within);
            }
        }
    }
}

fn members(facts: &Facts, network: u32) -> impl Iterator<Item = &(super::NetworkId, ApplicationId)> {
    let network = super::NetworkId(network);
    facts.members.range((network, ApplicationId(0))..=(network, ApplicationId(u32::MAX)))
}
