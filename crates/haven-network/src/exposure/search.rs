//! Walking the picture: breadth first, forwards or backwards, over connections alone or over every way.
//!
//! A direct search goes on through hubs and zones and stops at whoever it meets. Each point remembers the edge it was
//! first reached by, so that a shortest path can be told for any of them.

use super::graph::{Exposure, Means, Point};
use crate::Traffic;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use std::collections::VecDeque;
use std::sync::Arc;

/// What counts as reaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Manner {
    /// May open a connection: exact.
    Directly,
    /// If everything on the way were taken over: an upper bound.
    ByAnyPath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// One stage of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub from: Arc<str>,
    pub to: Arc<str>,
    pub means: Means,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {} by {}", self.from, self.to, self.means)
    }
}

/// With its means as a kind and in words.
impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut step = serializer.serialize_struct("Step", 4)?;
        step.serialize_field("from", &self.from)?;
        step.serialize_field("to", &self.to)?;
        step.serialize_field("kind", self.means.kind())?;
        step.serialize_field("by", &self.means.to_string())?;
        step.end()
    }
}

const UNREACHED: u32 = u32::MAX;
const START: u32 = u32::MAX - 1;

/// What a search has reached, in order.
#[derive(Debug)]
pub(super) struct Reach<'e> {
    exposure: &'e Exposure,
    direction: Direction,
    by: Vec<u32>,
    order: Vec<u32>,
}

impl Exposure {
    pub(super) fn search(&self, from: &[u32], manner: Manner, direction: Direction) -> Reach<'_> {
        let mut by = vec![UNREACHED; self.points.len()];
        let mut order = Vec::new();
        let mut queue = VecDeque::new();
        for start in from {
            if by[*start as usize] == UNREACHED {
                by[*start as usize] = START;
                queue.push_back(*start);
            }
        }
        // Who has one network with a start connects as that start does: those first, and then as starts.
        let mut alike = 0;
        while let Some(here) = queue.get(alike).copied() {
            for number in self.edges_of(here, direction) {
                let edge = self.edge(*number);
                let next = if direction == Direction::Forward { edge.to } else { edge.from };
                if edge.means == Means::SharedNetwork && by[next as usize] == UNREACHED {
                    by[next as usize] = *number;
                    order.push(next);
                    queue.push_back(next);
                }
            }
            alike += 1;
        }
        let mut seen = 0;
        while let Some(here) = queue.pop_front() {
            seen += 1;
            let edges = self.edges_of(here, direction);
            let stops = manner == Manner::Directly && seen > alike && self.is_somebody(here);
            for number in edges {
                let edge = self.edge(*number);
                // Who shares the network of somebody reached is reached as well.
                if stops && edge.means != Means::SharedNetwork {
                    continue;
                }
                let next = if direction == Direction::Forward { edge.to } else { edge.from };
                if by[next as usize] != UNREACHED || manner == Manner::Directly && !edge.means.connects() {
                    continue;
                }
                by[next as usize] = *number;
                order.push(next);
                queue.push_back(next);
            }
        }
        Reach { exposure: self, direction, by, order }
    }

    pub(super) fn edges_of(&self, point: u32, direction: Direction) -> &[u32] {
        match direction {
            Direction::Forward => self.out_of(point),
            Direction::Backward => self.into(point),
        }
    }

    /// A direct search goes no further than here; through hubs, and from zone to zone, it does.
    pub(super) fn is_somebody(&self, point: u32) -> bool {
        matches!(self.point(point), Point::Application(_) | Point::Host)
    }
}

impl Reach<'_> {
    /// Everybody reached, hubs and the starts left out, the nearest first.
    pub(super) fn everybody(&self) -> impl Iterator<Item = u32> + '_ {
        self.order.iter().copied().filter(|point| self.exposure.point(*point) != Point::Hub)
    }

    pub(super) fn has(&self, point: u32) -> bool {
        !matches!(self.by[point as usize], UNREACHED | START)
    }

    /// The path from the start to `point`, or from `point` to the start when the search went backwards.
    pub(super) fn path(&self, point: u32) -> Vec<Step> {
        let mut edges = Vec::new();
        let mut here = point;
        loop {
            let number = self.by[here as usize];
            if number == UNREACHED || number == START {
                break;
            }
            edges.push(number);
            let edge = self.exposure.edge(number);
            here = match self.direction {
                Direction::Forward => edge.from,
                Direction::Backward => edge.to,
            };
        }
        if self.direction == Direction::Forward {
            edges.reverse();
        }
        self.exposure.steps(&edges)
    }
}

/// One way in which somebody may connect to somebody.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) other: u32,
    /// In the order they are walked.
    edges: Vec<u32>,
    pub(super) traffic: Traffic,
}

impl Connection {
    pub(super) fn steps(&self, exposure: &Exposure) -> Vec<Step> {
        exposure.steps(&self.edges)
    }
}

impl Exposure {
    /// Every way in which `point` may connect to somebody, or somebody to it: not only the first that is found.
    pub(super) fn connections(&self, point: u32, direction: Direction) -> Vec<Connection> {
        let mut found = Vec::new();
        for start in self.one_network(point) {
            self.connections_of(start, direction, &mut found);
        }
        found.retain(|connection| connection.other != point);
        found
    }

    fn connections_of(&self, start: u32, direction: Direction, found: &mut Vec<Connection>) {
        let mut walk: Vec<(u32, Vec<u32>, Option<Traffic>)> = vec![(start, Vec::new(), None)];
        while let Some((here, edges, traffic)) = walk.pop() {
            for number in self.edges_of(here, direction) {
                let edge = self.edge(*number);
                let (next, own) = match direction {
                    Direction::Forward => (edge.to, edge.means.traffic()),
                    Direction::Backward => (edge.from, edge.means.traffic()),
                };
                // Between a start and somebody there is one edge that says what may be spoken, and no second.
                if !edge.means.connects()
                    || edge.means == Means::SharedNetwork
                    || traffic.is_some() && own.is_some()
                {
                    continue;
                }
                let traffic = traffic.or(own);
                let mut edges = edges.clone();
                edges.push(*number);
                if let Some(traffic) = traffic
                    && self.point(next) != Point::Hub
                {
                    let mut walked = edges.clone();
                    if direction == Direction::Backward {
                        walked.reverse();
                    }
                    for other in self.one_network(next) {
                        found.push(Connection { other, edges: walked.clone(), traffic });
                    }
                }
                if !self.is_somebody(next) {
                    walk.push((next, edges, traffic));
                }
            }
        }
    }

    /// Everybody who has one network with `point`, itself first.
    fn one_network(&self, point: u32) -> Vec<u32> {
        let mut all = vec![point];
        let mut next = 0;
        while let Some(here) = all.get(next).copied() {
            for number in self.out_of(here) {
                let edge = self.edge(*number);
                if edge.means == Means::SharedNetwork && !all.contains(&edge.to) {
                    all.push(edge.to);
                }
            }
            next += 1;
        }
        all
    }

    /// Edges in the order they are walked, as steps between people: what leads through a hub or a zone is one step.
    pub(super) fn steps(&self, edges: &[u32]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut from: Option<u32> = None;
        let mut means: Option<&Means> = None;
        for number in edges {
            let edge = self.edge(*number);
            let start = *from.get_or_insert(edge.from);
            if edge.means != Means::Within {
                means.get_or_insert(&edge.means);
            }
            if self.point(edge.to) == Point::Hub {
                continue;
            }
            let Some(by) = means.take() else { continue };
            steps.push(Step {
                from: self.name(self.point(start)),
                to: self.name(self.point(edge.to)),
                means: by.clone(),
            });
            from = None;
        }
        steps
    }
}
