//! Choke points: what would have to be cut so that something can no longer be reached from the outside.
//!
//! A point dominates another when every path from the outside to that one leads through it. The tree of dominators is
//! worked out as Cooper, Harvey and Kennedy describe it ("A Simple, Fast Dominance Algorithm", 2001). An edge is a choke
//! point when its end is dominated by its beginning and nothing else leads there first.

use super::graph::{Exposure, Means, Point};
use super::search::Direction;
use serde::Serialize;
use std::sync::Arc;

/// What can be cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choke {
    /// An application or the host.
    Somebody(Arc<str>),
    /// A link, a published port, a mount…, in words.
    Way(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChokePoint {
    #[serde(flatten)]
    pub what: Choke,
    /// How many applications could not be reached any more from outside, by any path.
    pub conceals: usize,
}

const NONE: u32 = u32::MAX;

impl Exposure {
    /// What stands between the outside and the most applications, at most `limit` of them.
    pub fn choke_points(&self, limit: usize) -> Vec<ChokePoint> {
        let tree = Dominators::of(self);
        let mut found = Vec::new();
        for place in 1..tree.order.len() {
            let point = tree.order[place];
            let below = tree.applications[place] - usize::from(self.is_application(point));
            if below > 0 && self.is_somebody(point) {
                found.push(ChokePoint {
                    what: Choke::Somebody(self.name(self.point(point))),
                    conceals: below,
                });
            }
            if let Some(edge) = tree.only_way(self, place)
                && tree.applications[place] > 0
            {
                found.push(ChokePoint {
                    what: Choke::Way(self.in_words(edge)),
                    conceals: tree.applications[place],
                });
            }
        }
        found.sort_by_key(|point| std::cmp::Reverse(point.conceals));
        found.truncate(limit);
        found
    }

    fn is_application(&self, point: u32) -> bool {
        matches!(self.point(point), Point::Application(_))
    }

    fn in_words(&self, number: u32) -> String {
        let edge = self.edge(number);
        let name = |point: u32| {
            let name = self.name(self.point(point));
            match edge.means {
                _ if !name.is_empty() => name,
                Means::HostRoot | Means::HostNetwork => "everybody".into(),
                Means::Volume(_) => "its readers".into(),
                _ => "its network".into(),
            }
        };
        format!("{} → {} by {}", name(edge.from), name(edge.to), edge.means)
    }
}

/// The tree, by places in an order in which every point follows its dominator. Place 0 is the outside as a whole.
struct Dominators {
    /// The point of each place; of place 0 there is none.
    order: Vec<u32>,
    places: Vec<u32>,
    dominator: Vec<u32>,
    /// How many applications each dominates, itself included.
    applications: Vec<usize>,
    /// When a walk over the tree enters and leaves each: for asking who dominates whom.
    entered: Vec<u32>,
    left: Vec<u32>,
    starts: Vec<bool>,
}

impl Dominators {
    fn of(exposure: &Exposure) -> Self {
        let count = exposure.points.len();
        let outside = exposure.sources("@outside").unwrap_or_default();
        let mut starts = vec![false; count];
        for start in &outside {
            starts[*start as usize] = true;
        }
        let order = reverse_postorder(exposure, &outside);
        let mut places = vec![NONE; count];
        for (place, point) in (0..).zip(&order) {
            if *point != NONE {
                places[*point as usize] = place;
            }
        }
        let mut dominator = vec![NONE; order.len()];
        dominator[0] = 0;
        loop {
            let mut changed = false;
            for place in 1..order.len() {
                let point = order[place];
                let mut best = if starts[point as usize] { 0 } else { NONE };
                for edge in exposure.into(point) {
                    let from = places[exposure.edge(*edge).from as usize];
                    if from != NONE && dominator[from as usize] != NONE {
                        best = if best == NONE { from } else { common(&dominator, best, from) };
                    }
                }
                if dominator[place] != best {
                    dominator[place] = best;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let mut tree = Self {
            applications: vec![0; order.len()],
            entered: vec![0; order.len()],
            left: vec![0; order.len()],
            order,
            places,
            dominator,
            starts,
        };
        tree.number(exposure);
        tree
    }

    fn number(&mut self, exposure: &Exposure) {
        let mut children = vec![Vec::new(); self.order.len()];
        for place in (1..self.order.len()).rev() {
            let above = self.dominator[place] as usize;
            self.applications[place] += usize::from(exposure.is_application(self.order[place]));
            self.applications[above] += self.applications[place];
            children[above].push(place);
        }
        let mut clock = 0;
        let mut walk = vec![(0, false)];
        while let Some((place, done)) = walk.pop() {
            clock += 1;
            if done {
                self.left[place] = clock;
                continue;
            }
            self.entered[place] = clock;
            walk.push((place, true));
            walk.extend(children[place].iter().map(|child| (*child, false)));
        }
    }

    fn dominates(&self, above: usize, below: usize) -> bool {
        self.entered[above] <= self.entered[below] && self.left[below] <= self.left[above]
    }

    /// The one edge without which the point at `place` is not reached.
    fn only_way(&self, exposure: &Exposure, place: usize) -> Option<u32> {
        let point = self.order[place];
        if self.starts[point as usize] {
            return None;
        }
        let mut only = None;
        for number in exposure.into(point) {
            let from = self.places[exposure.edge(*number).from as usize];
            // What is not reached leads nowhere, and what only leads back does not count.
            if from == NONE || self.dominates(place, from as usize) {
                continue;
            }
            if only.replace(*number).is_some() {
                return None;
            }
        }
        only.filter(|number| exposure.edge(*number).means != Means::Within)
    }
}

/// The nearest that dominates both.
fn common(dominator: &[u32], one: u32, other: u32) -> u32 {
    let (mut one, mut other) = (one, other);
    while one != other {
        // In this order a dominator comes first.
        if one > other {
            one = dominator[one as usize];
        } else {
            other = dominator[other as usize];
        }
    }
    one
}

/// Every point that can be reached, in reverse postorder, after the outside as a whole.
fn reverse_postorder(exposure: &Exposure, starts: &[u32]) -> Vec<u32> {
    let mut seen = vec![false; exposure.points.len()];
    let mut post = Vec::new();
    for start in starts {
        if std::mem::replace(&mut seen[*start as usize], true) {
            continue;
        }
        let mut walk = vec![(*start, exposure.edges_of(*start, Direction::Forward).iter())];
        while let Some((point, edges)) = walk.last_mut() {
            match edges.next() {
                Some(edge) => {
                    let next = exposure.edge(*edge).to;
                    if !std::mem::replace(&mut seen[next as usize], true) {
                        walk.push((next, exposure.edges_of(next, Direction::Forward).iter()));
                    }
                }
                None => {
                    post.push(*point);
                    walk.pop();
                }
            }
        }
    }
    post.push(NONE);
    post.reverse();
    post
}
