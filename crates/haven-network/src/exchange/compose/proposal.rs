//! What to declare for a Compose file, in one of three ways.

use super::port::of_image;
use super::service::{Compose, Service};
use crate::Traffic;
use crate::exchange::traffic::without_covered;
use haven_spec::{Failure, Outcome, PortKey};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How the networks of the file are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Closed, with links for what the file says is needed.
    Links,
    /// As Compose means them: everybody on a network speaks to everybody on it.
    Open,
    /// Closed and observed: what is spoken is let through, and recorded as links that would be needed.
    Observe,
}

impl Reading {
    pub fn parse(text: &str) -> Outcome<Self> {
        match text {
            "links" | "strict" => Ok(Self::Links),
            "open" => Ok(Self::Open),
            "observe" => Ok(Self::Observe),
            _ => Err(Failure::invalid(format!("`{}` is no way to import", text.escape_debug()))
                .hint("links, open or observe")),
        }
    }
}

/// Two services that Compose lets speak to each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub one: String,
    pub other: String,
    pub networks: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedLink {
    pub from: String,
    /// A service, or an end of a link as `x-links` names it.
    pub to: String,
    pub traffic: Traffic,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedNetwork {
    pub name: String,
    pub open: bool,
    pub internal: bool,
    /// It is not the file's: it has to be there.
    pub external: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedPublish {
    pub service: String,
    pub address: Option<IpAddr>,
    pub host_port: Option<u16>,
    pub container: PortKey,
}

/// What to declare.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proposal {
    pub project: Option<String>,
    pub services: Vec<String>,
    /// What Compose implies: all ports, both ways.
    pub implied: Vec<Pair>,
    pub networks: Vec<ProposedNetwork>,
    pub links: Vec<ProposedLink>,
    pub publishes: Vec<ProposedPublish>,
    /// Services that are on a network with a way out.
    pub reach_outside: Vec<String>,
    /// Services to observe.
    pub observe: Vec<String>,
    /// What is not understood, or weakens isolation.
    pub notes: Vec<String>,
}

impl Proposal {
    /// How many directed pairs Compose implies, and how many of them links are proposed for.
    pub fn counts(&self) -> (usize, usize) {
        let linked: BTreeSet<_> = self.links.iter().map(|link| (&link.from, &link.to)).collect();
        (self.implied.len() * 2, linked.len())
    }
}

impl Compose {
    pub fn proposal(&self, reading: Reading) -> Proposal {
        let mut proposal = Proposal {
            project: self.project.clone(),
            services: self.services.keys().cloned().collect(),
            implied: self.implied(),
            networks: self.networks(reading),
            publishes: self.publishes(),
            notes: self.notes.clone(),
            ..Proposal::default()
        };
        let leads_out = |network: &String| self.networks.get(network).is_none_or(|network| !network.internal);
        for (name, service) in &self.services {
            if service.networks.iter().any(leads_out) {
                proposal.reach_outside.push(name.clone());
            }
            match service.mode.as_deref() {
                Some("none") | None => {}
                Some("host") => {
                    proposal.notes.push(format!("`{name}` has the host's network: no link holds it"));
                }
                Some(other) => proposal.notes.push(format!("`{name}` has the network of `{other}`")),
            }
            if service.privileged {
                proposal.notes.push(format!("`{name}` is privileged: it can take over the host"));
            }
        }
        match reading {
            Reading::Links => self.propose_links(&mut proposal),
            Reading::Open => {}
            Reading::Observe => {
                proposal.observe = self.services.keys().cloned().collect();
                self.propose_declared(&mut proposal);
            }
        }
        proposal
    }

    fn in_common(&self, one: &Service, other: &Service) -> Vec<String> {
        one.networks.intersection(&other.networks).cloned().collect()
    }

    fn implied(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (at, (one, service)) in self.services.iter().enumerate() {
            for (other, theirs) in self.services.iter().skip(at + 1) {
                let networks = self.in_common(service, theirs);
                if !networks.is_empty() {
                    pairs.push(Pair { one: one.clone(), other: other.clone(), networks });
                }
            }
        }
        pairs
    }

    fn networks(&self, reading: Reading) -> Vec<ProposedNetwork> {
        let used: BTreeSet<&String> = self.services.values().flat_map(|service| &service.networks).collect();
        let known = self.networks.iter().filter(|(name, _)| used.contains(name));
        let proposed = known.map(|(name, network)| ProposedNetwork {
            name: network.name.clone().unwrap_or_else(|| match &self.project {
                Some(project) if !network.external => format!("{project}_{name}"),
                _ => name.clone(),
            }),
            open: reading == Reading::Open,
            internal: network.internal,
            external: network.external,
        });
        proposed.collect()
    }

    fn publishes(&self) -> Vec<ProposedPublish> {
        let mut publishes = Vec::new();
        for (name, service) in &self.services {
            for mapping in &service.ports {
                publishes.extend(mapping.ports().map(|(container, host_port)| ProposedPublish {
                    service: name.clone(),
                    address: mapping.address,
                    host_port,
                    container,
                }));
            }
        }
        publishes
    }

    fn propose_declared(&self, proposal: &mut Proposal) {
        for (name, service) in &self.services {
            proposal.links.extend(service.declared.iter().map(|(to, traffic, reason)| ProposedLink {
                from: name.clone(),
                to: to.clone(),
                traffic: *traffic,
                reason: reason.clone().unwrap_or_else(|| "x-links".into()),
            }));
        }
    }

    fn propose_links(&self, proposal: &mut Proposal) {
        self.propose_declared(proposal);
        for (name, service) in &self.services {
            let needed: BTreeSet<&String> = service.depends_on.iter().chain(&service.links).collect();
            for other in needed {
                let Some(theirs) = self.services.get(other) else { continue };
                // Who says exactly what it needs means no more.
                if other == name || service.declared.iter().any(|(to, ..)| to == other) {
                    continue;
                }
                if self.in_common(service, theirs).is_empty() {
                    let note = format!(
                        "`{name}` depends on `{other}` and has no network in common with it: no link"
                    );
                    proposal.notes.push(note);
                    continue;
                }
                let why = if service.links.contains(other) { "links" } else { "depends_on" };
                let (traffic, source) = theirs.listens_on();
                if traffic == [Traffic::All] {
                    proposal.notes.push(format!(
                        "`{other}` does not say what it listens on: the link from `{name}` is for every port until you narrow it"
                    ));
                }
                proposal.links.extend(traffic.into_iter().map(|traffic| ProposedLink {
                    from: name.clone(),
                    to: other.clone(),
                    traffic,
                    reason: format!("{why}, {source}"),
                }));
            }
        }
    }
}

impl Service {
    /// What it listens on as far as the file says, and where it says so.
    fn listens_on(&self) -> (Vec<Traffic>, &'static str) {
        let published = self.ports.iter().map(|mapping| {
            let (first, last) = mapping.container;
            Traffic::Ports { protocol: mapping.protocol, first, last }
        });
        let known = without_covered(self.expose.iter().copied().chain(published).collect());
        if !known.is_empty() {
            return (known, "expose");
        }
        match self.image.as_deref().and_then(of_image) {
            Some(traffic) => (vec![traffic], "the image's usual port"),
            None => (vec![Traffic::All], "every port"),
        }
    }
}
