//! What a change would open and what it would break: two pictures beside each other.
//!
//! What is declared is compared exactly. Who gains or loses reach by any path is worked out for those the change touches
//! and for the outside; with many touched at once it says that it stopped.

use super::facts::{ApplicationId, Facts, LinkFact, Place, Power};
use super::graph::{Exposure, Means, Point};
use super::search::{Direction, Manner};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Something declared that comes or goes, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub from: Arc<str>,
    pub to: Arc<str>,
    pub by: String,
}

/// Who reaches, or is reached by, more or less than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gain {
    pub who: Arc<str>,
    pub more: Vec<Arc<str>>,
    pub less: Vec<Arc<str>>,
}

/// What differs between two pictures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Difference {
    pub opens: Vec<Change>,
    pub closes: Vec<Change>,
    /// Can now be connected to from outside, and no longer.
    pub directly_exposed: Vec<Arc<str>>,
    pub directly_concealed: Vec<Arc<str>>,
    /// Can now be got at from outside by any path (an upper bound), and no longer.
    pub exposed: Vec<Arc<str>>,
    pub concealed: Vec<Arc<str>>,
    /// What those touched can reach by any path.
    pub reach: Vec<Gain>,
    /// Who can reach those touched by any path.
    pub reached_by: Vec<Gain>,
    /// More were touched than were looked at.
    pub partial: bool,
}

/// For how many of those touched the reach is worked out.
const TOUCHED: usize = 16;

impl Difference {
    pub fn between(before: &Exposure, after: &Exposure) -> Self {
        let mut difference = Self::default();
        let (old, new) = (declared(before, after), declared(after, before));
        difference.opens = new.iter().map(|(change, ..)| change.clone()).collect();
        difference.closes = old.iter().map(|(change, ..)| change.clone()).collect();
        let touched = old.iter().chain(&new);
        let sources: BTreeSet<Arc<str>> = touched.clone().map(|(_, from, _)| Arc::clone(from)).collect();
        let targets: BTreeSet<Arc<str>> = touched.map(|(.., to)| Arc::clone(to)).collect();
        if sources.is_empty() {
            return difference;
        }
        difference.partial = sources.len() > TOUCHED || targets.len() > TOUCHED;
        let pair = Pair { before, after, same_numbers: before.facts.has_numbers_of(&after.facts) };
        let outside = |manner| {
            let (mut more, mut less) = pair.compare("@outside", manner, Direction::Forward);
            more.retain(|name| !is_outside(name));
            less.retain(|name| !is_outside(name));
            (more, less)
        };
        (difference.directly_exposed, difference.directly_concealed) = outside(Manner::Directly);
        (difference.exposed, difference.concealed) = outside(Manner::ByAnyPath);
        let gains = |touched: BTreeSet<Arc<str>>, direction| -> Vec<Gain> {
            let asked = touched.into_iter().filter(|name| !is_outside(name)).take(TOUCHED);
            let gains = asked.map(|who| {
                let (more, less) = pair.compare(&who, Manner::ByAnyPath, direction);
                Gain { who, more, less }
            });
            gains.filter(|gain| !gain.more.is_empty() || !gain.less.is_empty()).collect()
        };
        difference.reach = gains(sources, Direction::Forward);
        difference.reached_by = gains(targets, Direction::Backward);
        difference
    }

    /// Whether anybody can do more than before.
    pub fn opens_anything(&self) -> bool {
        !self.opens.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.opens.is_empty() && self.closes.is_empty()
    }

    /// Everybody for whom something changes: what an audit record lists, so that it is found under each.
    pub fn affected(&self) -> BTreeSet<Arc<str>> {
        let direct = self.opens.iter().chain(&self.closes).flat_map(|change| [&change.from, &change.to]);
        let outside = [&self.exposed, &self.concealed, &self.directly_exposed, &self.directly_concealed];
        let gains = self.reach.iter().chain(&self.reached_by);
        let further = gains.flat_map(|gain| gain.more.iter().chain(&gain.less).chain([&gain.who]));
        direct.chain(outside.into_iter().flatten()).chain(further).cloned().collect()
    }
}

fn is_outside(name: &str) -> bool {
    name == "@outside" || name.contains('/') && super::AddressRange::parse(name).is_ok()
}

/// Two pictures, asked the same.
struct Pair<'e> {
    before: &'e Exposure,
    after: &'e Exposure,
    same_numbers: bool,
}

impl Pair<'_> {
    /// Who is only in the second's answer, and who only in the first's, by name.
    fn compare(&self, of: &str, manner: Manner, direction: Direction) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let search = |exposure: &'_ Exposure| -> Option<Vec<bool>> {
            let start = match direction {
                Direction::Forward => exposure.sources(of),
                Direction::Backward => exposure.targets(of),
            };
            // Who is not there yet reaches nobody.
            let reach = exposure.search(&start.ok()?, manner, direction);
            Some((0..).take(exposure.points.len()).map(|point| reach.has(point)).collect())
        };
        let (before, after) = (search(self.before), search(self.after));
        let only = |one: &Exposure,
                    ours: &Option<Vec<bool>>,
                    other: &Exposure,
                    theirs: &Option<Vec<bool>>| {
            let Some(ours) = ours else { return Vec::new() };
            let names = (0..).zip(ours).filter(|(_, has)| **has).filter(|(point, _)| {
                let as_in_other = match one.point(*point) {
                    Point::Application(_) if self.same_numbers => (*point < other.host()).then_some(*point),
                    Point::Application(id) => {
                        other.facts.applications.find(one.facts.applications.name(id.0))
                    }
                    Point::Host => Some(other.host()),
                    Point::Source(range) => other.zones.get(&range).map(|zone| zone.source),
                    Point::Target(range) => other.zones.get(&range).map(|zone| zone.target),
                    Point::Hub => return false,
                };
                let present =
                    theirs.as_ref().zip(as_in_other).is_some_and(|(has, point)| has[point as usize]);
                !present
            });
            let names: BTreeSet<Arc<str>> = names.map(|(point, _)| one.name(one.point(point))).collect();
            names.into_iter().collect::<Vec<_>>()
        };
        (only(self.after, &after, self.before, &before), only(self.before, &before, self.after, &after))
    }
}

/// What `one` declares and `other` does not, with who is touched as a source and as a target. Numbers of names agree
/// where one came from the other; names are compared where they do not.
fn declared(one: &Exposure, other: &Exposure) -> Vec<(Change, Arc<str>, Arc<str>)> {
    let (ours, theirs) = (&one.facts, &other.facts);
    let mut found = Vec::new();
    let mut tell = |from: Arc<str>, to: Arc<str>, by: String| {
        let change = Change { from: Arc::clone(&from), to: Arc::clone(&to), by };
        found.push((change, from, to));
    };
    let same_numbers = ours.has_numbers_of(theirs);
    let app = |id: ApplicationId| Arc::clone(ours.applications.name(id.0));
    // Both are in the order of their numbers.
    let mut of_them = theirs.links.iter().peekable();
    for (id, link) in &ours.links {
        while of_them.next_if(|(other, _)| *other < id).is_some() {}
        let present = of_them.next_if(|(other, _)| *other == id).map(|(_, link)| link);
        let same = present.is_some_and(|present| {
            if same_numbers { present == link } else { theirs.in_words(present) == ours.in_words(link) }
        });
        if !same {
            let means = Means::Link(*id, link.traffic).to_string();
            tell(ours.place_name(link.from), ours.place_name(link.to), means);
        }
    }
    let of_them = rest(theirs);
    for ((from, to, by), _) in rest(ours).into_iter().filter(|(key, ())| !of_them.contains_key(key)) {
        tell(from, to, by);
    }
    // Who joins an open network reaches and is reached, without anything said about them.
    for (network, member) in &ours.members {
        let name = ours.networks.name(network.0);
        let joined = |facts: &Facts| {
            let (Some(network), Some(member)) =
                (facts.networks.find(name), facts.applications.find(&app(*member)))
            else {
                return false;
            };
            facts.members.contains(&(super::NetworkId(network), ApplicationId(member)))
        };
        if !joined(theirs) {
            tell(app(*member), app(*member), format!("on network {name}"));
        }
    }
    found
}

/// Everything but links, in words.
fn rest(facts: &Facts) -> BTreeMap<(Arc<str>, Arc<str>, String), ()> {
    let app = |id: ApplicationId| Arc::clone(facts.applications.name(id.0));
    let outside: Arc<str> = "@outside".into();
    let host: Arc<str> = "@host".into();
    let mut all = BTreeMap::new();
    let mut add = |from, to, by: String| {
        all.insert((from, to, by), ());
    };
    for publish in &facts.publishes {
        let by = Means::Published(publish.host, publish.container).to_string();
        if publish.host.ip().is_loopback() {
            add(Arc::clone(&host), app(publish.application), by);
        } else if publish.from.is_empty() {
            add(Arc::clone(&outside), app(publish.application), by);
        } else {
            for range in &publish.from {
                add(range.to_string().into(), app(publish.application), by.clone());
            }
        }
    }
    for (application, power) in &facts.powers {
        match power {
            Power::HostNetwork => {
                add(Arc::clone(&outside), app(*application), Means::HostNetwork.to_string());
                add(app(*application), Arc::clone(&host), Means::HostNetwork.to_string());
            }
            Power::Privileged => add(app(*application), Arc::clone(&host), Means::Privileged.to_string()),
            Power::EngineSocket => add(app(*application), Arc::clone(&host), Means::EngineSocket.to_string()),
            Power::HostMount(path) => {
                add(app(*application), Arc::clone(&host), Means::HostMount(path.clone()).to_string());
            }
        }
    }
    for network in &facts.open {
        let name: Arc<str> = format!("network:{}", facts.networks.name(network.0)).into();
        add(
            Arc::clone(&name),
            name,
            Means::OpenNetwork(Arc::clone(facts.networks.name(network.0))).to_string(),
        );
    }
    for (volume, application, writable) in &facts.mounts {
        let name = facts.volumes.name(*volume);
        let way = if *writable { "writes" } else { "reads" };
        add(app(*application), app(*application), format!("{way} volume {name}"));
    }
    for (application, of) in &facts.shared {
        add(app(*application), app(*of), Means::SharedNetwork.to_string());
    }
    all
}

impl Facts {
    /// Whether equal numbers mean equal names: one was copied from the other.
    fn has_numbers_of(&self, other: &Self) -> bool {
        let agree = |one: &super::facts::Names, other: &super::facts::Names| {
            one.all().zip(other.all()).all(|((_, one), (_, other))| Arc::ptr_eq(one, other) || one == other)
        };
        agree(&self.applications, &other.applications) && agree(&self.networks, &other.networks)
    }

    fn place_name(&self, place: Place) -> Arc<str> {
        match place {
            Place::Application(id) => Arc::clone(self.applications.name(id.0)),
            Place::Network(id) => format!("network:{}", self.networks.name(id.0)).into(),
            Place::Outside => "@outside".into(),
            Place::Range(range) => range.to_string().into(),
        }
    }

    fn in_words(&self, link: &LinkFact) -> String {
        format!("{} {} {}", self.place_name(link.from), self.place_name(link.to), link.traffic)
    }
}
