//! NetworkPolicies in as links.

use super::label;
use super::policy::{self, Peer, Policy, Rule, Selector};
use crate::Traffic;
use crate::exchange::traffic::{common_of, without_covered};
use crate::exchange::{DeclaredLink, Side, WayIn, Workload};
use crate::exposure::AddressRange;
use haven_spec::{Failure, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// The most pairs that are worked out: what comes out of a policy that selects everything grows with the square.
const PAIRS: usize = 200_000;

/// What policies mean for workloads one knows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    pub links: Vec<DeclaredLink>,
    pub ways_in: Vec<WayIn>,
    /// Workloads that no policy isolates in some direction: there everybody reaches them, here nobody does without a link.
    pub not_isolated: Vec<String>,
    pub notes: Vec<String>,
}

/// The workloads that an export of Haven names, for where there is nobody to ask.
pub fn workloads_named_in(text: &str) -> Outcome<Vec<Workload>> {
    let (policies, _) = policy::read(text)?;
    let mut found = BTreeMap::new();
    let mut take = |namespace: &str, selector: &Selector, name: Option<&String>| {
        for (key, value) in &selector.labels {
            if matches!(key.as_str(), label::APPLICATION | "app.kubernetes.io/name" | "app") {
                let workload =
                    found.entry((namespace.to_owned(), value.clone())).or_insert_with(|| Workload {
                        name: value.clone(),
                        namespace: namespace.to_owned(),
                        labels: BTreeMap::from([(key.clone(), value.clone())]),
                        networks: Vec::new(),
                    });
                if let Some(name) = name {
                    workload.name.clone_from(name);
                }
            }
        }
    };
    for policy in &policies {
        take(&policy.namespace, &policy.selector, policy.annotations.get(label::NAME));
        let rules = policy.ingress.iter().chain(&policy.egress).flatten();
        for peer in rules.flat_map(|rule| rule.peers.iter().flatten()) {
            if let Peer::Pods { namespaces: None, pods: Some(pods) } = peer {
                take(&policy.namespace, pods, None);
            }
        }
    }
    Ok(found.into_values().collect())
}

/// What the policies of a text allow between `workloads`, and between them and the outside.
pub fn import_policies(text: &str, workloads: &[Workload]) -> Outcome<Imported> {
    let (policies, notes) = policy::read(text)?;
    let mut import = Import::new(workloads, notes);
    for policy in &policies {
        import.take(policy)?;
    }
    Ok(import.finish())
}

/// What is allowed towards one end, by the policies that isolate it.
#[derive(Default)]
struct Leave {
    isolated: bool,
    /// By the number of the workload at the other end.
    pods: BTreeMap<usize, Vec<Traffic>>,
    ranges: BTreeMap<AddressRange, Vec<Traffic>>,
}

struct Import<'w> {
    workloads: &'w [Workload],
    labels: Vec<BTreeMap<String, String>>,
    namespaces: Vec<BTreeMap<String, String>>,
    incoming: Vec<Leave>,
    outgoing: Vec<Leave>,
    pairs: usize,
    notes: Vec<String>,
}

impl<'w> Import<'w> {
    fn new(workloads: &'w [Workload], notes: Vec<String>) -> Self {
        let namespaces = workloads
            .iter()
            .map(|workload| BTreeMap::from([(label::NAMESPACE.to_owned(), workload.namespace.clone())]));
        let leaves = || workloads.iter().map(|_| Leave::default()).collect();
        Self {
            workloads,
            labels: workloads.iter().map(label::labels_of).collect(),
            namespaces: namespaces.collect(),
            incoming: leaves(),
            outgoing: leaves(),
            pairs: 0,
            notes,
        }
    }

    fn take(&mut self, policy: &Policy) -> Outcome<()> {
        let selected: Vec<usize> = (0..self.workloads.len())
            .filter(|at| {
                self.workloads[*at].namespace == policy.namespace
                    && policy.selector.selects(&self.labels[*at])
            })
            .collect();
        for (rules, is_incoming) in [(&policy.ingress, true), (&policy.egress, false)] {
            let Some(rules) = rules else { continue };
            for at in &selected {
                self.leave(*at, is_incoming).isolated = true;
            }
            for rule in rules {
                let (peers, ranges) = self.peers(rule, &policy.namespace);
                self.pairs += selected.len() * (peers.len() + ranges.len());
                if self.pairs > PAIRS {
                    return Err(Failure::unsupported(format!("policies that allow more than {PAIRS} pairs"))
                        .hint("select fewer pods at a time"));
                }
                for at in &selected {
                    let leave = self.leave(*at, is_incoming);
                    for peer in &peers {
                        leave.pods.entry(*peer).or_default().extend(&rule.traffic);
                    }
                    for range in &ranges {
                        leave.ranges.entry(*range).or_default().extend(&rule.traffic);
                    }
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, at: usize, is_incoming: bool) -> &mut Leave {
        if is_incoming { &mut self.incoming[at] } else { &mut self.outgoing[at] }
    }

    /// The workloads and the outside addresses that a rule is about.
    fn peers(&self, rule: &Rule, namespace: &str) -> (BTreeSet<usize>, Vec<AddressRange>) {
        let Some(peers) = &rule.peers else {
            return ((0..self.workloads.len()).collect(), AddressRange::EVERYWHERE.to_vec());
        };
        let mut pods = BTreeSet::new();
        let mut ranges = Vec::new();
        for peer in peers {
            match peer {
                Peer::Block { range, except } => ranges.extend(range.without(except)),
                Peer::Pods { namespaces, pods: selector } => {
                    pods.extend((0..self.workloads.len()).filter(|at| {
                        let in_namespace = match namespaces {
                            Some(namespaces) => namespaces.selects(&self.namespaces[*at]),
                            None => self.workloads[*at].namespace == namespace,
                        };
                        in_namespace && selector.as_ref().is_none_or(|pods| pods.selects(&self.labels[*at]))
                    }));
                }
            }
        }
        (pods, ranges)
    }

    fn finish(mut self) -> Imported {
        let mut imported = Imported { notes: std::mem::take(&mut self.notes), ..Imported::default() };
        let side = |at: usize| Side::Application(self.workloads[at].name.clone());
        let mut add = |from: Side, to: Side, traffic: Vec<Traffic>| {
            imported.links.extend(without_covered(traffic).into_iter().map(|traffic| DeclaredLink {
                from: from.clone(),
                to: to.clone(),
                traffic,
                id: None,
                reason: None,
            }));
        };
        let everything = [Traffic::All];
        for (from, outgoing) in self.outgoing.iter().enumerate() {
            // Pairs that a policy of either end names; where neither does, nothing was said to be needed.
            let named = outgoing.pods.keys().copied();
            let naming = (0..self.workloads.len()).filter(|to| self.incoming[*to].pods.contains_key(&from));
            for to in named.chain(naming).collect::<BTreeSet<_>>() {
                let incoming = &self.incoming[to];
                let leave = |leave: &Leave, other: usize| {
                    if leave.isolated {
                        leave.pods.get(&other).cloned().unwrap_or_default()
                    } else {
                        everything.to_vec()
                    }
                };
                let traffic = common_of(&leave(outgoing, to), &leave(incoming, from));
                add(side(from), side(to), traffic);
            }
            let everywhere: Vec<_> =
                AddressRange::EVERYWHERE.iter().map(|range| outgoing.ranges.get(range).cloned()).collect();
            for (range, traffic) in &outgoing.ranges {
                let both = everywhere[0].is_some() && everywhere[0] == everywhere[1];
                if both && *range == AddressRange::EVERYWHERE[0] {
                    add(side(from), Side::Outside, traffic.clone());
                } else if !(both && *range == AddressRange::EVERYWHERE[1]) {
                    add(side(from), Side::Range(*range), traffic.clone());
                }
            }
        }
        for (at, incoming) in self.incoming.iter().enumerate() {
            for (range, traffic) in &incoming.ranges {
                imported.ways_in.extend(without_covered(traffic.clone()).into_iter().map(|traffic| WayIn {
                    application: self.workloads[at].name.clone(),
                    from: *range,
                    traffic,
                }));
            }
            if !incoming.isolated || !self.outgoing[at].isolated {
                imported.not_isolated.push(self.workloads[at].name.clone());
            }
        }
        if !imported.not_isolated.is_empty() {
            imported.notes.push(format!(
                "{} workloads are isolated by no policy in some direction: there they are open, here they are not",
                imported.not_isolated.len()
            ));
        }
        imported
    }
}
