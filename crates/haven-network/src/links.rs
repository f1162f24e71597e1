//! Declared permissions to connect: the model, and what of it the kernel is told.
//!
//! Pure. A link is source → destination and what may be spoken; it becomes one or two elements of a map and its number
//! in `live`, whatever the number of containers behind it. The model refuses what the kernel could not hold or what would
//! make counters ambiguous: two links that permit the same.

use crate::elements::{self, PortSpan};
use crate::nft::Element;
use crate::{Identity, identity};
use haven_spec::{Failure, Ipv4Net, Outcome, PortProtocol};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// The number of a declared link, stable for its life: 1 to 0x3fffffff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct LinkId(u32);

impl LinkId {
    const LAST: u32 = 0x3fff_ffff;

    pub fn new(number: u32) -> Outcome<Self> {
        if (1..=Self::LAST).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Failure::invalid(format!("`{number}` is not a link's number (1 to {})", Self::LAST)))
        }
    }

    pub fn number(self) -> u32 {
        self.0
    }

    /// What stands in a connection's mark.
    pub(crate) fn mark(self) -> u32 {
        identity::DECLARED_LINK | self.0
    }
}

impl TryFrom<u32> for LinkId {
    type Error = Failure;
    fn try_from(number: u32) -> Outcome<Self> {
        Self::new(number)
    }
}

impl From<LinkId> for u32 {
    fn from(id: LinkId) -> u32 {
        id.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Party {
    /// An application: every container with this identity.
    Application(Identity),
    /// Every container of a network with this identity.
    Network(Identity),
    /// Everything that is not a container; as a destination only.
    Outside,
    /// A range of outside addresses; as a destination only.
    Range(Ipv4Net),
}

/// What may be spoken over a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    All,
    /// ICMP and ICMPv6.
    Icmp,
    Protocol(PortProtocol),
    /// From `first` to `last`, both included.
    Ports {
        protocol: PortProtocol,
        first: u16,
        last: u16,
    },
}

/// Source may connect to destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Link {
    pub id: LinkId,
    pub from: Party,
    pub to: Party,
    pub traffic: Traffic,
}

impl Link {
    /// The number of its source; 0 for those that cannot be one.
    fn source(&self) -> u32 {
        match self.from {
            Party::Application(identity) | Party::Network(identity) => identity.number(),
            Party::Outside | Party::Range(_) => 0,
        }
    }

    /// What no other link may have, unless it is a range. Applications and networks share their numbers.
    fn exact_key(&self) -> Option<(u32, Party, Traffic)> {
        let range_of_ports = matches!(self.traffic, Traffic::Ports { first, last, .. } if first != last);
        match self.to {
            Party::Application(to) | Party::Network(to) if !range_of_ports => {
                Some((self.source(), Party::Application(to), self.traffic))
            }
            Party::Outside if self.traffic == Traffic::All => {
                Some((self.source(), Party::Outside, Traffic::All))
            }
            _ => None,
        }
    }

    /// Every element of it, its number in `live` included.
    fn elements(&self) -> Outcome<Vec<Element>> {
        let (Party::Application(from) | Party::Network(from)) = self.from else {
            return Err(Failure::invalid(format!("link `{}` begins outside", self.id))
                .hint("publish a port of the container instead"));
        };
        if let Traffic::Ports { first, last, .. } = self.traffic
            && (first == 0 || first > last)
        {
            return Err(Failure::invalid(format!(
                "link `{}`: `{first}-{last}` is no range of ports",
                self.id
            ))
            .hint("ports are numbers from 1 to 65535, the lower one first"));
        }
        let (from, mark) = (from.number(), self.id.mark());
        let mut all = match self.to {
            Party::Application(to) | Party::Network(to) => between(from, to.number(), self.traffic, mark),
            Party::Outside if self.traffic == Traffic::All => vec![elements::egress_any(from, mark)],
            Party::Outside => {
                let everywhere = Ipv4Net::parse("0.0.0.0/0")?;
                let mut both = spans(self.traffic, ICMP)
                    .map(|span| elements::egress4(from, everywhere, span, mark))
                    .collect::<Vec<_>>();
                both.extend(spans(self.traffic, ICMPV6).map(|span| elements::egress6(from, span, mark)));
                both
            }
            Party::Range(net) => {
                spans(self.traffic, ICMP).map(|span| elements::egress4(from, net, span, mark)).collect()
            }
        };
        all.push(elements::live(mark));
        Ok(all)
    }
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

fn between(from: u32, to: u32, traffic: Traffic, mark: u32) -> Vec<Element> {
    match traffic {
        Traffic::All => vec![elements::link_all(from, to, mark)],
        Traffic::Icmp => [ICMP, ICMPV6].map(|p| elements::link_protocol(from, to, p, mark)).into(),
        Traffic::Protocol(protocol) => {
            vec![elements::link_protocol(from, to, elements::number_of(protocol), mark)]
        }
        Traffic::Ports { protocol, first, last } if first == last => {
            vec![elements::link(from, to, protocol, first, mark)]
        }
        Traffic::Ports { protocol, first, last } => {
            let protocol = elements::number_of(protocol);
            vec![elements::link_range(
                from,
                to,
                PortSpan { protocols: (protocol, protocol), ports: (first, last) },
                mark,
            )]
        }
    }
}

/// The protocols and ports of traffic to outside, as one span; `icmp` is the family's.
fn spans(traffic: Traffic, icmp: u8) -> impl Iterator<Item = PortSpan> {
    let every_port = (0, u16::MAX);
    let span = match traffic {
        Traffic::All => PortSpan { protocols: (0, u8::MAX), ports: every_port },
        Traffic::Icmp => PortSpan { protocols: (icmp, icmp), ports: every_port },
        Traffic::Protocol(protocol) => {
            let protocol = elements::number_of(protocol);
            PortSpan { protocols: (protocol, protocol), ports: every_port }
        }
        Traffic::Ports { protocol, first, last } => {
            let protocol = elements::number_of(protocol);
            PortSpan { protocols: (protocol, protocol), ports: (first, last) }
        }
    };
    std::iter::once(span)
}

/// All declared links. Their elements are worked out when they are needed: 100,000 links are kept in a few megabytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    by_id: BTreeMap<LinkId, Link>,
    /// Which link has a key of a map.
    exact: HashMap<(u32, Party, Traffic), LinkId>,
    /// The links of each source that are ranges.
    ranges: HashMap<u32, Vec<LinkId>>,
}

impl Links {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.by_id.values()
    }

    /// Those with these numbers that there are.
    pub(crate) fn iter_some(&self, ids: &[LinkId]) -> impl Iterator<Item = Link> {
        ids.iter().filter_map(|id| self.by_id.get(id).copied())
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = Element> {
        // Only links whose elements could be made are here.
        self.iter().flat_map(|link| link.elements().unwrap_or_default())
    }

    /// Takes the link up; what the kernel is to be told. A link that is there already is nothing new.
    pub(crate) fn insert(&mut self, link: Link) -> Outcome<Vec<Element>> {
        if let Some(present) = self.by_id.get(&link.id) {
            return if *present == link {
                Ok(Vec::new())
            } else {
                Err(Failure::conflict(format!("link `{}` is another one", link.id)))
            };
        }
        let elements = link.elements()?;
        if let Some(other) = self.permitting(&link, &elements) {
            return Err(Failure::conflict(format!("link `{other}` permits some of the same"))
                .hint("change that link, or remove it first"));
        }
        match link.exact_key() {
            Some(key) => {
                self.exact.insert(key, link.id);
            }
            None => self.ranges.entry(link.source()).or_default().push(link.id),
        }
        self.by_id.insert(link.id, link);
        Ok(elements)
    }

    /// Gives the link up; what the kernel is to forget. Empty when there was none.
    pub(crate) fn remove(&mut self, id: LinkId) -> Vec<Element> {
        let Some(link) = self.by_id.remove(&id) else { return Vec::new() };
        match link.exact_key() {
            Some(key) => {
                self.exact.remove(&key);
            }
            None => {
                if let Some(of_source) = self.ranges.get_mut(&link.source()) {
                    of_source.retain(|other| *other != id);
                }
            }
        }
        link.elements().unwrap_or_default()
    }

    /// A link that has the same key, or a range that overlaps.
    fn permitting(&self, link: &Link, elements: &[Element]) -> Option<LinkId> {
        if let Some(key) = link.exact_key() {
            return self.exact.get(&key).copied();
        }
        let of_source = self.ranges.get(&link.source())?;
        of_source.iter().copied().find(|other| {
            let theirs = self.by_id.get(other).and_then(|l| l.elements().ok()).unwrap_or_default();
            theirs.iter().any(|their| elements.iter().any(|our| overlapping(our, their)))
        })
    }
}

fn overlapping(one: &Element, other: &Element) -> bool {
    match (&one.end, &other.end) {
        (Some(end), Some(other_end)) if one.set == other.set => {
            elements::overlap((&one.key, end), (&other.key, other_end))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(n: u32) -> Party {
        Party::Application(Identity::new(n).unwrap())
    }

    fn link(id: u32, from: Party, to: Party, traffic: Traffic) -> Link {
        Link { id: LinkId::new(id).unwrap(), from, to, traffic }
    }

    fn ports(first: u16, last: u16) -> Traffic {
        Traffic::Ports { protocol: PortProtocol::Tcp, first, last }
    }

    fn sets(link: Link) -> Vec<&'static str> {
        link.elements().unwrap().iter().map(|e| e.set).collect()
    }

    #[test]
    fn a_link_is_few_elements_whatever_it_permits() {
        let range = Party::Range(Ipv4Net::parse("203.0.113.0/24").unwrap());
        for (to, traffic, expected) in [
            (app(2), ports(80, 80), &["links", "live"][..]),
            (app(2), ports(80, 90), &["links_range", "live"]),
            (app(2), Traffic::Protocol(PortProtocol::Udp), &["links_any", "live"]),
            (app(2), Traffic::Icmp, &["links_any", "links_any", "live"]),
            (app(2), Traffic::All, &["links_all", "live"]),
            (Party::Outside, Traffic::All, &["egress_any", "live"]),
            (Party::Outside, ports(443, 443), &["egress4", "egress6", "live"]),
            (range, ports(443, 443), &["egress4", "live"]),
        ] {
            assert_eq!(sets(link(1, app(1), to, traffic)), expected);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(link(1, Party::Outside, app(1), Traffic::All).elements().is_err());
        for (first, last) in [(0, 0), (0, 5), (9, 8)] {
            assert!(link(1, app(1), app(2), ports(first, last)).elements().is_err());
        }
        for number in [0, 0x4000_0000, u32::MAX] {
            assert!(LinkId::new(number).is_err());
        }
    }

    #[test]
    fn two_links_never_permit_the_same() {
        let mut links = Links::default();
        let net = |text| Party::Range(Ipv4Net::parse(text).unwrap());
        links.insert(link(1, app(1), app(2), ports(80, 80))).unwrap();
        links.insert(link(2, app(1), app(2), ports(100, 200))).unwrap();
        links.insert(link(3, app(1), net("10.0.0.0/8"), ports(443, 443))).unwrap();
        let refused = |link| {
            let mut trial = links.clone();
            trial.insert(link).unwrap_err().to_string()
        };
        assert_eq!(refused(link(9, app(1), app(2), ports(80, 80))), "link `1` permits some of the same");
        assert_eq!(refused(link(9, app(1), app(2), ports(50, 100))), "link `2` permits some of the same");
        assert_eq!(refused(link(9, app(1), app(2), ports(90, 300))), "link `2` permits some of the same");
        assert_eq!(
            refused(link(9, app(1), net("10.1.0.0/16"), ports(1, 500))),
            "link `3` permits some of the same"
        );
        assert_eq!(
            refused(link(9, app(1), Party::Outside, ports(443, 443))),
            "link `3` permits some of the same"
        );
        // Another direction, protocol, source, port or range is another thing.
        for other in [
            link(4, app(2), app(1), ports(80, 80)),
            link(5, app(3), app(2), ports(100, 200)),
            link(6, app(1), app(2), ports(201, 300)),
            link(
                7,
                app(1),
                net("10.0.0.0/8"),
                Traffic::Ports { protocol: PortProtocol::Udp, first: 443, last: 443 },
            ),
            link(8, app(1), net("11.0.0.0/8"), ports(443, 443)),
        ] {
            assert!(!links.insert(other).unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_removed_can_be_declared_again() {
        let mut links = Links::default();
        let declared = [
            link(1, app(1), app(2), ports(80, 80)),
            link(2, app(1), app(2), ports(100, 200)),
            link(3, app(1), Party::Outside, Traffic::Protocol(PortProtocol::Tcp)),
        ];
        let mut told = Vec::new();
        for link in declared {
            told.extend(links.insert(link).unwrap());
            assert!(links.insert(link).unwrap().is_empty(), "again is nothing new");
        }
        let mut forgotten = Vec::new();
        for link in declared {
            forgotten.extend(links.remove(link.id));
            assert!(links.remove(link.id).is_empty());
        }
        assert_eq!(told, forgotten);
        assert_eq!(links.elements().count(), 0);
        for link in declared {
            links.insert(Link { id: LinkId::new(link.id.number() + 10).unwrap(), ..link }).unwrap();
        }
    }
}
