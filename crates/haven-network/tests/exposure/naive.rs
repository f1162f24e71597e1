//! The definition, word for word, over single addresses and with no graph: what the picture is held to.

use crate::chance::Chance;
use haven_network::exposure::{
    AddressRange, Answer, Choke, Exposure, Facts, LinkFact, Manner, Place, Policy, Power, PublishFact,
};
use haven_network::{LinkId, Traffic};
use haven_spec::PortKey;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Ranges that may be named, and an address in every zone they can make.
const RANGES: [&str; 5] = ["10.0.0.0/8", "10.1.0.0/16", "203.0.113.0/24", "2001:db8::/32", "203.0.113.7/32"];
const ADDRESSES: [&str; 7] =
    ["10.9.9.9", "10.1.9.9", "203.0.113.9", "2001:db8::9", "198.51.100.9", "2001:db9::9", "203.0.113.7"];
const TRAFFIC: [&str; 8] = ["any", "tcp", "udp", "80/tcp", "80-90/tcp", "85-95/tcp", "53/udp", "icmp"];

#[derive(Clone, Debug)]
enum End {
    App(usize),
    Network(usize),
    Outside,
    Range(&'static str),
}

#[derive(Clone, Debug, Default)]
struct World {
    apps: usize,
    members: BTreeSet<(usize, usize)>,
    open: BTreeSet<usize>,
    links: BTreeMap<u32, (End, End, Traffic)>,
    publishes: Vec<(usize, &'static str, u16, Vec<&'static str>)>,
    powers: Vec<(usize, Power)>,
    mounts: Vec<(usize, usize, bool)>,
    shared: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    App(usize),
    Host,
    Address(usize),
}

fn range(text: &str) -> AddressRange {
    AddressRange::parse(text).unwrap()
}

fn contains(outer: &str, address: usize) -> bool {
    range(outer).covers(range(ADDRESSES[address]))
}

impl World {
    fn random(chance: &mut Chance, shares: bool) -> Self {
        let apps = 3 + chance.below(6) as usize;
        let any = |chance: &mut Chance| chance.below(u32::try_from(apps).unwrap()) as usize;
        let mut world = Self { apps, ..Self::default() };
        for _ in 0..chance.below(8) {
            world.members.insert((chance.below(3) as usize, any(chance)));
        }
        if chance.one_in(3) {
            world.open.insert(chance.below(3) as usize);
        }
        for id in 1..=chance.below(10) {
            let end = |chance: &mut Chance, outside: bool| match chance.below(if outside { 8 } else { 5 }) {
                0 => End::Network(chance.below(3) as usize),
                5 => End::Outside,
                6 | 7 => End::Range(chance.pick(&RANGES)),
                _ => End::App(any(chance)),
            };
            let traffic = Traffic::parse(chance.pick(&TRAFFIC)).unwrap();
            world.links.insert(id, (end(chance, false), end(chance, true), traffic));
        }
        for number in 0..chance.below(4) {
            let host = chance.pick(&["0.0.0.0", "192.0.2.1", "::", "127.0.0.1", "::1"]);
            let from = (0..chance.below(3)).map(|_| chance.pick(&RANGES)).collect();
            world.publishes.push((any(chance), host, 8000 + u16::try_from(number).unwrap(), from));
        }
        for _ in 0..chance.below(3) {
            let power = match chance.below(6) {
                0 => Power::Privileged,
                1 => Power::EngineSocket,
                2 => Power::HostMount("/etc".into()),
                3 => Power::HostNetwork,
                _ => continue,
            };
            world.powers.push((any(chance), power));
        }
        for _ in 0..chance.below(4) {
            world.mounts.push((chance.below(2) as usize, any(chance), chance.one_in(2)));
        }
        if shares {
            for _ in 0..chance.below(4) {
                let (one, other) = (any(chance), any(chance));
                if one != other {
                    world.shared.push((one, other));
                }
            }
        }
        world
    }

    fn facts(&self) -> Facts {
        let mut facts = Facts::new();
        let apps: Vec<_> = (0..self.apps).map(|n| facts.application(&format!("app{n}"))).collect();
        let networks: Vec<_> = (0..3).map(|n| facts.network(&format!("net{n}"))).collect();
        for (network, app) in &self.members {
            facts.join(apps[*app], networks[*network]);
        }
        for network in &self.open {
            facts.open(networks[*network]);
        }
        let place = |end: &End| match end {
            End::App(app) => Place::Application(apps[*app]),
            End::Network(network) => Place::Network(networks[*network]),
            End::Outside => Place::Outside,
            End::Range(text) => Place::Range(range(text)),
        };
        for (id, (from, to, traffic)) in &self.links {
            let link = LinkFact { from: place(from), to: place(to), traffic: *traffic };
            facts.link(LinkId::new(*id).unwrap(), link);
        }
        for (app, host, port, from) in &self.publishes {
            facts.publish(PublishFact {
                application: apps[*app],
                host: (host.parse::<IpAddr>().unwrap(), *port).into(),
                container: PortKey::parse("80/tcp").unwrap(),
                from: from.iter().map(|text| range(text)).collect(),
            });
        }
        for (app, power) in &self.powers {
            facts.empower(apps[*app], power.clone());
        }
        for (volume, app, writable) in &self.mounts {
            facts.mount_volume(apps[*app], &format!("vol{volume}"), *writable);
        }
        for (one, other) in &self.shared {
            facts.share_network(apps[*one], apps[*other]);
        }
        facts
    }

    fn everybody(&self) -> Vec<Who> {
        let apps = (0..self.apps).map(Who::App);
        apps.chain([Who::Host]).chain((0..ADDRESSES.len()).map(Who::Address)).collect()
    }

    /// Everybody whose network it is.
    fn one_network(&self, app: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([app]);
        loop {
            let before = all.len();
            for (one, other) in &self.shared {
                if all.contains(one) || all.contains(other) {
                    all.extend([*one, *other]);
                }
            }
            if all.len() == before {
                return all;
            }
        }
    }

    fn is(&self, end: &End, who: Who) -> bool {
        match (end, who) {
            (End::App(app), Who::App(own)) => *app == own,
            (End::Network(network), Who::App(own)) => self.members.contains(&(*network, own)),
            (End::Outside, Who::Address(_)) => true,
            (End::Range(text), Who::Address(address)) => contains(text, address),
            _ => false,
        }
    }

    /// What may be spoken between two, each way of it by itself.
    fn ways(&self, from: Who, to: Who) -> Vec<Traffic> {
        if from == to {
            return Vec::new();
        }
        let alike = |who: Who| match who {
            Who::App(app) => self.one_network(app).into_iter().map(Who::App).collect(),
            other => vec![other],
        };
        let mut ways = Vec::new();
        for one in alike(from) {
            for other in alike(to) {
                self.own_ways(one, other, &mut ways);
            }
        }
        ways
    }

    fn own_ways(&self, from: Who, to: Who, ways: &mut Vec<Traffic>) {
        for (begin, end, traffic) in self.links.values() {
            if self.is(begin, from) && self.is(end, to) {
                ways.push(*traffic);
            }
        }
        let has_host_network = |who: Who| {
            self.powers.iter().any(|(app, power)| *power == Power::HostNetwork && Who::App(*app) == who)
        };
        match (from, to) {
            (Who::App(one), Who::App(other)) => {
                let both =
                    |network: &usize| [one, other].iter().all(|app| self.members.contains(&(*network, *app)));
                ways.extend(self.open.iter().filter(|network| both(network)).map(|_| Traffic::All));
                ways.extend(has_host_network(from).then_some(Traffic::All));
            }
            (Who::Host, Who::App(_) | Who::Address(_)) => ways.push(Traffic::All),
            (Who::App(_), Who::Address(_)) => ways.extend(has_host_network(from).then_some(Traffic::All)),
            (Who::Address(address), Who::App(app)) => {
                ways.extend(has_host_network(to).then_some(Traffic::All));
                for (published, host, _, ranges) in &self.publishes {
                    let host: IpAddr = host.parse().unwrap();
                    let same_family = host.is_ipv4() == ADDRESSES[address].contains('.');
                    let from_there = if ranges.is_empty() {
                        same_family
                    } else {
                        ranges.iter().any(|text| contains(text, address))
                    };
                    if *published == app && !host.is_loopback() && from_there {
                        ways.push(Traffic::parse("80/tcp").unwrap());
                    }
                }
            }
            _ => {}
        }
    }

    fn reaches_directly(&self, from: Who, to: Who) -> bool {
        let share = |one, other| self.one_network(one).contains(&other);
        from != to
            && (!self.ways(from, to).is_empty()
                || matches!((from, to), (Who::App(one), Who::App(other)) if share(one, other)))
    }

    /// Whether whoever is `from` may take `to` over or reach it.
    fn gets_to(&self, from: Who, to: Who) -> bool {
        let takes_host =
            |app| self.powers.iter().any(|(own, power)| *own == app && *power != Power::HostNetwork);
        let writes_to = |one, other| {
            self.mounts.iter().any(|(volume, app, writable)| {
                *app == one && *writable && self.mounts.iter().any(|(v, a, _)| v == volume && *a == other)
            })
        };
        self.reaches_directly(from, to)
            || match (from, to) {
                (Who::App(app), Who::Host) => takes_host(app),
                (Who::App(one), Who::App(other)) => one != other && writes_to(one, other),
                _ => false,
            }
    }

    /// By any path that does not go through `without`; addresses are the ends of paths.
    fn reach(&self, from: &[Who], without: Option<Who>) -> BTreeSet<Who> {
        let mut reached = BTreeSet::new();
        let mut next = from.to_vec();
        while let Some(here) = next.pop() {
            if matches!(here, Who::Address(_)) && !from.contains(&here) {
                continue;
            }
            for to in self.everybody() {
                if Some(to) != without && self.gets_to(here, to) && reached.insert(to) {
                    next.push(to);
                }
            }
        }
        reached
    }

    fn name(who: Who) -> String {
        match who {
            Who::App(app) => format!("app{app}"),
            Who::Host => "@host".into(),
            Who::Address(address) => ADDRESSES[address].into(),
        }
    }
}

/// Which of everybody an answer names.
fn named(world: &World, answer: &Answer, direct: bool) -> BTreeSet<String> {
    let found = if direct { &answer.direct } else { &answer.beyond };
    let names = found.iter().map(|found| found.name.to_string());
    names.filter(|name| name == "@host" || (0..world.apps).any(|app| *name == format!("app{app}"))).collect()
}

#[test]
fn the_picture_says_what_the_definition_says() {
    let mut chance = Chance(1);
    for round in 0..400 {
        let world = World::random(&mut chance, true);
        let exposure = Exposure::draw(world.facts());
        for one in world.everybody() {
            let name = World::name(one);
            let forward = exposure.reached_from(&name).unwrap();
            let backward = exposure.who_reaches(&name).unwrap();
            let inhabitants = || world.everybody().into_iter().filter(|who| !matches!(who, Who::Address(_)));
            let select = |fits: &dyn Fn(Who) -> bool| -> BTreeSet<String> {
                inhabitants().filter(|who| *who != one && fits(*who)).map(World::name).collect()
            };
            let all = world.reach(&[one], None);
            let context = || format!("round {round}, {name} in {world:?}");
            assert_eq!(
                named(&world, &forward, true),
                select(&|to| world.reaches_directly(one, to)),
                "{}",
                context()
            );
            assert_eq!(
                named(&world, &forward, false),
                select(&|to| all.contains(&to) && !world.reaches_directly(one, to)),
                "{}",
                context()
            );
            assert_eq!(
                named(&world, &backward, true),
                select(&|from| world.reaches_directly(from, one)),
                "{}",
                context()
            );
            assert_eq!(
                named(&world, &backward, false),
                select(
                    &|from| world.reach(&[from], None).contains(&one) && !world.reaches_directly(from, one)
                ),
                "{}",
                context()
            );
            for other in world.everybody().into_iter().filter(|other| *other != one) {
                let path = exposure.path(&name, &World::name(other), Manner::Directly).unwrap();
                assert_eq!(path.is_some(), world.reaches_directly(one, other), "{} to {other:?}", context());
                let path = exposure.path(&name, &World::name(other), Manner::ByAnyPath).unwrap();
                assert_eq!(path.is_some(), all.contains(&other), "{} to {other:?}", context());
                for step in path.iter().flatten() {
                    assert!(!step.from.is_empty() && !step.to.is_empty() && step.from != step.to, "{step}");
                }
                for pair in path.iter().flat_map(|path| path.windows(2)) {
                    assert_eq!(pair[0].to, pair[1].from, "{}", context());
                }
            }
        }
    }
}

#[test]
fn choke_points_are_what_cuts_the_most_off() {
    let mut chance = Chance(2);
    let mut found = 0;
    for round in 0..600 {
        let world = World::random(&mut chance, false);
        let exposure = Exposure::draw(world.facts());
        let outside: Vec<Who> = (0..ADDRESSES.len()).map(Who::Address).collect();
        let apps =
            |reached: BTreeSet<Who>| reached.into_iter().filter(|who| matches!(who, Who::App(_))).count();
        let exposed = world.reach(&outside, None);
        let points = exposure.choke_points(usize::MAX);
        for who in world.everybody().into_iter().filter(|who| !matches!(who, Who::Address(_))) {
            let itself = usize::from(matches!(who, Who::App(_)) && exposed.contains(&who));
            let cut = apps(exposed.clone()) - itself - apps(world.reach(&outside, Some(who)));
            let name = World::name(who);
            let told =
                points.iter().find(|point| matches!(&point.what, Choke::Somebody(own) if **own == *name));
            assert_eq!(told.map_or(0, |point| point.conceals), cut, "round {round}: {name} in {world:?}");
            found += cut;
        }
        for id in world.links.keys() {
            let mut without = world.clone();
            without.links.remove(id);
            let cut = apps(exposed.clone()) - apps(without.reach(&outside, None));
            let by = format!("by link {id} (");
            let told: usize = points
                .iter()
                .filter(|point| matches!(&point.what, Choke::Way(way) if way.contains(&by)))
                .map(|point| point.conceals)
                .max()
                .unwrap_or(0);
            // A link to a network is one way to its hub; to the outside it conceals nobody.
            assert_eq!(told, cut, "round {round}: link {id} in {world:?}");
            found += cut;
        }
    }
    assert!(found > 200, "{found}");
}

#[test]
fn assertions_hold_exactly_where_the_definition_does() {
    let mut chance = Chance(3);
    let mut counts = BTreeMap::new();
    for round in 0..400 {
        let world = World::random(&mut chance, true);
        let exposure = Exposure::draw(world.facts());
        let everybody = world.everybody();
        for _ in 0..20 {
            let (one, other) = (chance.pick(&everybody), chance.pick(&everybody));
            if one == other {
                continue;
            }
            let text = chance.pick(&TRAFFIC);
            let traffic = Traffic::parse(text).unwrap();
            let (from, to) = (World::name(one), World::name(other));
            let meet =
                |own: &Traffic| own.covers(traffic) || traffic.covers(*own) || ports_meet(*own, traffic);
            let ways = world.ways(one, other);
            let intruders = everybody.iter().filter(|who| **who != one && **who != Who::Host);
            for (rule, holds) in [
                (format!("deny {from} -> {to} {text}"), !ways.iter().any(meet)),
                (format!("allow {from} -> {to} {text}"), ways.iter().any(|own| own.covers(traffic))),
                (format!("unreachable {from} ~> {to}"), !world.reach(&[one], None).contains(&other)),
                (
                    format!("only {{{from},@outside}} -> {to} {text}"),
                    intruders
                        .filter(|who| !matches!(who, Who::Address(_)))
                        .all(|who| !world.ways(*who, other).iter().any(meet)),
                ),
            ] {
                let policy = Policy::parse(&format!("assert = [\"{rule}\"]")).unwrap();
                let verdict = &policy.judge(&exposure)[0];
                assert_eq!(verdict.holds, holds, "round {round}: {rule} in {world:?}: {verdict:?}");
                assert_eq!(verdict.holds, verdict.broken_by.is_empty());
                *counts.entry((rule.split(' ').next().unwrap().to_owned(), holds)).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(counts.len(), 8, "each kind both held and failed: {counts:?}");
}

fn ports_meet(one: Traffic, other: Traffic) -> bool {
    match (one, other) {
        (
            Traffic::Ports { protocol, first, last },
            Traffic::Ports { protocol: theirs, first: from, last: to },
        ) => protocol == theirs && (first..=last).any(|port| (from..=to).contains(&port)),
        _ => false,
    }
}
