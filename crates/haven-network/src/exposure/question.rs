//! Questions in names: who reaches this, what does that reach.
//!
//! A name is an application's or a container's, `@host`, `@outside` (everything beyond the host), `internet` (of that,
//! what is not private), a range of addresses, or `network:NAME` for everybody on it.

use super::graph::Exposure;
use super::search::{Direction, Manner, Reach, Step};
use super::{AddressRange, NetworkId};
use haven_spec::{Failure, Outcome};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who was found, and the shortest path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    pub name: Arc<str>,
    pub path: Vec<Step>,
}

/// Everybody who is reached or who reaches, the nearest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    pub direct: Vec<Found>,
    /// Those beyond: reached only by way of others, or by taking something over. An upper bound.
    pub beyond: Vec<Found>,
}

impl Exposure {
    /// What can be reached from there.
    pub fn reached_from(&self, name: &str) -> Outcome<Answer> {
        Ok(self.answer(&self.sources(&self.meant(name)?)?, Direction::Forward))
    }

    /// Who can reach it.
    pub fn who_reaches(&self, name: &str) -> Outcome<Answer> {
        Ok(self.answer(&self.targets(&self.meant(name)?)?, Direction::Backward))
    }

    /// A shortest path from one to the other, if there is one.
    pub fn path(&self, from: &str, to: &str, manner: Manner) -> Outcome<Option<Vec<Step>>> {
        let (from, to) = (self.meant(from)?, self.meant(to)?);
        let reach = self.search(&self.sources(&from)?, manner, Direction::Forward);
        let reached = self.targets(&to)?.into_iter().find(|target| reach.has(*target));
        Ok(reached.map(|target| reach.path(target)))
    }

    /// The name that is meant: `db` also stands for `app:db` or `shop/db`, if it is only one of them. A policy says
    /// names in full, because another of the same would change what it means.
    fn meant(&self, name: &str) -> Outcome<Arc<str>> {
        let plain = ["container:", "app:", "application:"].iter().find_map(|kind| name.strip_prefix(kind));
        let plain = plain.unwrap_or(name);
        if self.facts.is_application(name) || plain.is_empty() {
            return Ok(name.into());
        }
        let fits = |own: &str| {
            own == plain
                || own.strip_prefix("app:") == Some(plain)
                || own.strip_suffix(plain).is_some_and(|project| project.ends_with('/'))
        };
        let mut found = self.facts.application_names().filter(|own| fits(own));
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(Arc::clone(only)),
            (Some(one), Some(other)) => {
                Err(Failure::invalid(format!("`{}` may be `{one}` or `{other}`", name.escape_debug()))
                    .hint("say which"))
            }
            (None, _) => Ok(name.into()),
        }
    }

    fn answer(&self, from: &[u32], direction: Direction) -> Answer {
        let direct = self.search(from, Manner::Directly, direction);
        let all = self.search(from, Manner::ByAnyPath, direction);
        Answer { direct: self.found(&direct, |_| true), beyond: self.found(&all, |point| !direct.has(point)) }
    }

    fn found(&self, reach: &Reach<'_>, wanted: impl Fn(u32) -> bool) -> Vec<Found> {
        let mut seen = BTreeSet::new();
        let everybody = reach.everybody().filter(|point| wanted(*point));
        let found = everybody.filter_map(|point| {
            let path = reach.path(point);
            let name = self.name(self.point(point));
            // Two zones are called the outside, and one stands for both.
            (!path.is_empty() && seen.insert(Arc::clone(&name))).then_some(Found { name, path })
        });
        found.collect()
    }

    /// The points that stand for a name as one who connects.
    pub(super) fn sources(&self, name: &str) -> Outcome<Vec<u32>> {
        self.named(name, Direction::Forward)
    }

    /// Likewise as one who is connected to.
    pub(super) fn targets(&self, name: &str) -> Outcome<Vec<u32>> {
        self.named(name, Direction::Backward)
    }

    fn named(&self, name: &str, direction: Direction) -> Outcome<Vec<u32>> {
        if let Some(application) = self.facts.applications.find(name) {
            return Ok(vec![application]);
        }
        match name {
            "@host" | "host" => return Ok(vec![self.host()]),
            "@outside" | "outside" => return Ok(self.zones_of(|_| true, direction)),
            "@internet" | "internet" => return Ok(self.zones_of(|range| !range.is_private(), direction)),
            _ => {}
        }
        if let Some(network) = name.strip_prefix("network:") {
            let network = self.facts.networks.find(network).ok_or_else(|| unknown(name))?;
            let members = self.facts.members.iter().filter(|(of, _)| *of == NetworkId(network));
            return Ok(members.map(|(_, member)| member.0).collect());
        }
        if let Ok(range) = AddressRange::parse(name) {
            return Ok(self.zones_around(range, direction));
        }
        Err(unknown(name))
    }

    fn zones_of(&self, wanted: impl Fn(AddressRange) -> bool, direction: Direction) -> Vec<u32> {
        let zones = self.zones.iter().filter(|(range, _)| wanted(**range));
        zones
            .map(|(_, zone)| if direction == Direction::Forward { zone.source } else { zone.target })
            .collect()
    }

    /// The zones some address of `range` is in: those within it, and the smallest around it.
    fn zones_around(&self, range: AddressRange, direction: Direction) -> Vec<u32> {
        // A zone that covers the range comes later than one that covers that zone.
        let around = self.zones.keys().rfind(|zone| zone.covers(range)).copied();
        self.zones_of(|zone| range.covers(zone) || Some(zone) == around, direction)
    }
}

fn unknown(name: &str) -> Failure {
    Failure::not_found(format!("nobody is called `{}`", name.escape_debug()))
        .hint("a container, an application, network:NAME, @host, @outside, internet, or a range of addresses")
}
