//! A file of assertions, held against a picture before a change is made and whenever somebody asks.
//!
//! ```toml
//! assert = [
//!   "deny * -> vault",
//!   { rule = "unreachable internet ~> db", because = "customers' data" },
//! ]
//!
//! [groups]
//! frontends = ["web", "shop/*"]
//! ```

use super::graph::{Exposure, Point};
use super::range::AddressRange;
use super::rule::{Demand, Rule};
use super::search::{Direction, Manner, Step};
use crate::Traffic;
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The longest policy file, and the most assertions in it.
const POLICY_BYTES: usize = 1 << 20;
const RULES: usize = 10_000;

/// How many paths that break an assertion are told.
const TOLD: usize = 10;

/// What must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    assertions: Vec<(Rule, Option<String>)>,
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    assert: Vec<Assertion>,
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an assertion is a text, or { rule = \"…\", because = \"…\" }")]
enum Assertion {
    Rule(String),
    Reasoned(Reasoned),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasoned {
    rule: String,
    because: Option<String>,
}

/// What came of one assertion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub rule: String,
    pub because: Option<String>,
    pub holds: bool,
    /// How it does not hold: connections and paths that should not be, or pairs that should be connected and are not.
    pub broken_by: Vec<String>,
    /// How many more there are.
    pub and_more: usize,
    /// Names in it that are nobody's. It holds of them because there is nothing to hold.
    pub nobody: Vec<String>,
}

impl Policy {
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = || Failure::invalid("cannot read the policy");
        if text.len() > POLICY_BYTES {
            return Err(refuse().because(format!("it is longer than {POLICY_BYTES} bytes")));
        }
        let file: PolicyFile = toml::from_str(text).map_err(|e| {
            refuse().because(e).hint("`assert = [\"deny * -> vault\"]`; groups of names go under [groups]")
        })?;
        if file.assert.len() > RULES {
            return Err(refuse().because(format!("it has more than {RULES} assertions")));
        }
        let assertions = file.assert.into_iter().map(|assertion| {
            let (rule, because) = match assertion {
                Assertion::Rule(rule) => (rule, None),
                Assertion::Reasoned(Reasoned { rule, because }) => (rule, because),
            };
            Ok((Rule::parse(&rule)?, because))
        });
        let policy = Self { assertions: assertions.collect::<Outcome<_>>()?, groups: file.groups };
        for (rule, _) in &policy.assertions {
            for name in rule.from.iter().chain(&rule.to) {
                if let Some(group) = name.strip_prefix("group:")
                    && !policy.groups.contains_key(group)
                {
                    return Err(Failure::invalid(format!(
                        "`{rule}` names the group `{group}`, which there is not"
                    ))
                    .hint("add it under [groups]"));
                }
            }
        }
        Ok(policy)
    }

    pub fn len(&self) -> usize {
        self.assertions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.assertions.is_empty()
    }

    /// A verdict on every assertion, in their order.
    pub fn judge(&self, exposure: &Exposure) -> Vec<Verdict> {
        self.assertions.iter().map(|(rule, because)| self.verdict(rule, because.as_ref(), exposure)).collect()
    }

    fn verdict(&self, rule: &Rule, because: Option<&String>, exposure: &Exposure) -> Verdict {
        let mut nobody = BTreeSet::new();
        let use_of = |is_source: bool| match (rule.demand, is_source) {
            (Demand::Only, true) => Use::Within,
            (Demand::Allow, _) => Use::All,
            _ => Use::Any,
        };
        let from = self.side(&rule.from, exposure, Direction::Forward, use_of(true), &mut nobody);
        let to = self.side(&rule.to, exposure, Direction::Backward, use_of(false), &mut nobody);
        let mut broken = Broken::default();
        match rule.demand {
            Demand::Deny => deny(exposure, &from, &to, rule.traffic, &mut broken),
            Demand::Unreachable => unreachable(exposure, &from, &to, &mut broken),
            Demand::Only => only(exposure, &from, &to, rule.traffic, &mut broken),
            Demand::Allow => {
                for name in &nobody {
                    broken.tell(format!("nobody is called `{name}`"));
                }
                allow(exposure, &from, &to, rule.traffic, &mut broken);
            }
        }
        Verdict {
            rule: rule.to_string(),
            because: because.cloned(),
            holds: broken.count == 0,
            and_more: broken.count - broken.told.len(),
            broken_by: broken.told.into_iter().collect(),
            nobody: nobody.into_iter().collect(),
        }
    }

    /// Those a side names, each with its points.
    fn side(
        &self,
        names: &[String],
        exposure: &Exposure,
        direction: Direction,
        how: Use,
        nobody: &mut BTreeSet<String>,
    ) -> Vec<Named> {
        let mut found = Vec::new();
        for name in names {
            let members = match name.strip_prefix("group:") {
                Some(group) => self.groups.get(group).map_or(&[][..], |names| names),
                None => std::slice::from_ref(name),
            };
            for name in members {
                let named = one(name, exposure, direction, how);
                if named.is_empty() {
                    nobody.insert(name.clone());
                }
                found.extend(named);
            }
        }
        found
    }
}

/// How a range of addresses is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Some address of it.
    Any,
    /// Every address of it.
    All,
    /// Zones that are wholly of it.
    Within,
}

struct Named {
    name: Arc<str>,
    points: Vec<u32>,
}

/// Those whom one name, or one pattern, means.
fn one(name: &str, exposure: &Exposure, direction: Direction, how: Use) -> Vec<Named> {
    if name.contains('*') {
        let facts = exposure.facts();
        let mut found: Vec<Named> = facts
            .applications
            .all()
            .filter(|(_, application)| matches(name, application))
            .map(|(point, application)| Named { name: Arc::clone(application), points: vec![point] })
            .collect();
        if name == "*" {
            found.extend(named("@outside", exposure, direction));
        }
        return found;
    }
    if let Ok(range) = AddressRange::parse(name) {
        let zones = exposure.zones.iter();
        let points: Vec<u32> = match how {
            Use::Any => return named(name, exposure, direction),
            Use::All => {
                zones.rev().find(|(zone, _)| zone.covers(range)).into_iter().map(pick(direction)).collect()
            }
            Use::Within => zones.filter(|(zone, _)| range.covers(**zone)).map(pick(direction)).collect(),
        };
        // That no zone is within the range does not mean that it is nobody's.
        return vec![Named { name: name.into(), points }];
    }
    if let Some(network) = name.strip_prefix("network:") {
        let points = exposure.sources(name).unwrap_or_default();
        let of_network =
            |point: u32| Named { name: exposure.name(exposure.point(point)), points: vec![point] };
        let found: Vec<Named> = points.into_iter().map(of_network).collect();
        return if found.is_empty() && exposure.facts().networks.find(network).is_some() {
            vec![Named { name: name.into(), points: Vec::new() }]
        } else {
            found
        };
    }
    named(name, exposure, direction)
}

fn pick(direction: Direction) -> impl Fn((&AddressRange, &super::graph::Zone)) -> u32 {
    move |(_, zone)| if direction == Direction::Forward { zone.source } else { zone.target }
}

fn named(name: &str, exposure: &Exposure, direction: Direction) -> Vec<Named> {
    let points = match direction {
        Direction::Forward => exposure.sources(name),
        Direction::Backward => exposure.targets(name),
    };
    points.map(|points| vec![Named { name: name.into(), points }]).unwrap_or_default()
}

/// `*` stands for anything, also nothing.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.is_empty()
}

#[derive(Default)]
struct Broken {
    told: BTreeSet<String>,
    count: usize,
}

impl Broken {
    fn tell(&mut self, what: String) {
        if self.told.len() < TOLD {
            // The same said twice is one.
            self.count += usize::from(self.told.insert(what));
        } else if !self.told.contains(&what) {
            self.count += 1;
        }
    }
}

fn points(side: &[Named]) -> BTreeSet<u32> {
    side.iter().flat_map(|named| named.points.iter().copied()).collect()
}

fn in_words(steps: &[Step]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn deny(exposure: &Exposure, from: &[Named], to: &[Named], traffic: Option<Traffic>, broken: &mut Broken) {
    let (from, to) = (points(from), points(to));
    // From the smaller side, so that `deny * -> vault` asks vault alone.
    let (asked, others, direction) = if to.len() <= from.len() {
        (&to, &from, Direction::Backward)
    } else {
        (&from, &to, Direction::Forward)
    };
    for point in asked {
        for connection in exposure.connections(*point, direction) {
            if others.contains(&connection.other)
                && traffic.is_none_or(|traffic| overlap(traffic, connection.traffic))
            {
                broken.tell(in_words(&connection.steps(exposure)));
            }
        }
    }
}

fn only(exposure: &Exposure, from: &[Named], to: &[Named], traffic: Option<Traffic>, broken: &mut Broken) {
    let from = points(from);
    for point in points(to) {
        for connection in exposure.connections(point, Direction::Backward) {
            if !from.contains(&connection.other)
                && exposure.point(connection.other) != Point::Host
                && traffic.is_none_or(|traffic| overlap(traffic, connection.traffic))
            {
                broken.tell(in_words(&connection.steps(exposure)));
            }
        }
    }
}

fn allow(exposure: &Exposure, from: &[Named], to: &[Named], traffic: Option<Traffic>, broken: &mut Broken) {
    for target in to {
        let connections: Vec<_> = target
            .points
            .iter()
            .flat_map(|point| exposure.connections(*point, Direction::Backward))
            .collect();
        for source in from.iter().filter(|source| source.points != target.points) {
            let connected = connections.iter().any(|connection| {
                source.points.contains(&connection.other)
                    && traffic.is_none_or(|traffic| connection.traffic.covers(traffic))
            });
            if !connected {
                let traffic = traffic.map(|traffic| format!(" by {traffic}")).unwrap_or_default();
                broken.tell(format!("{} does not reach {}{traffic}", source.name, target.name));
            }
        }
    }
}

fn unreachable(exposure: &Exposure, from: &[Named], to: &[Named], broken: &mut Broken) {
    let from = points(from);
    let to = points(to);
    // One search for all, unless somebody stands on both sides: a start is not found by its own search.
    let both: BTreeSet<u32> = from.intersection(&to).copied().collect();
    let starts: Vec<u32> = from.iter().copied().collect();
    let reach = exposure.search(&starts, Manner::ByAnyPath, Direction::Forward);
    for target in to.iter().filter(|target| !both.contains(target) && reach.has(**target)) {
        broken.tell(in_words(&reach.path(*target)));
    }
    for target in &both {
        let reach = exposure.search(&[*target], Manner::ByAnyPath, Direction::Backward);
        for source in from.iter().filter(|source| reach.has(**source)) {
            broken.tell(in_words(&reach.path(*source)));
        }
    }
}

/// Whether something is of both.
fn overlap(one: Traffic, other: Traffic) -> bool {
    match (one, other) {
        (
            Traffic::Ports { protocol, first, last },
            Traffic::Ports { protocol: theirs, first: from, last: to },
        ) => protocol == theirs && first <= to && from <= last,
        _ => one.covers(other) || other.covers(one),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("shop/*", "shop/web", true),
            ("shop/*", "workshop/web", false),
            ("*-db", "shop-db", true),
            ("*-db", "shop-db-2", false),
            ("a*b*c", "aXXbYYc", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a*", "a", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
