//! NetworkPolicy as its specification says it, over single connections; and what goes out held to it, and what comes in.
//!
//! Written from the API reference and the concept page alone, without a look at the import: it reads the text again and
//! takes every connection by itself.

use super::{export_policies, import_policies, workloads_named_in};
use crate::Traffic;
use crate::exchange::yaml::{self, Node};
use crate::exchange::{Declared, DeclaredLink, DeclaredPublish, Side, Workload};
use crate::exposure::AddressRange;
use haven_spec::{PortKey, PortProtocol};
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
enum End<'a> {
    Pod(&'a Workload, &'a BTreeMap<String, String>),
    Address(&'a str),
}

/// Whether a connection is allowed: the source's egress and the destination's ingress must both allow it.
fn allowed(policies: &[Node], from: End<'_>, to: End<'_>, protocol: &str, port: u16) -> bool {
    one_side(policies, from, to, "Egress", "egress", "to", protocol, port)
        && one_side(policies, to, from, "Ingress", "ingress", "from", protocol, port)
}

#[expect(clippy::too_many_arguments, reason = "the words of the specification, for either direction")]
fn one_side(
    policies: &[Node],
    own: End<'_>,
    other: End<'_>,
    kind: &str,
    rules: &str,
    peers: &str,
    protocol: &str,
    port: u16,
) -> bool {
    let End::Pod(pod, labels) = own else { return true };
    let mut isolated = false;
    for policy in policies {
        let namespace = policy.at("metadata").and_then(|m| m.text_at("namespace")).unwrap_or("default");
        let spec = policy.at("spec").unwrap();
        if namespace != pod.namespace || !selects(spec.at("podSelector"), labels) {
            continue;
        }
        let types: Vec<&str> = spec
            .at("policyTypes")
            .map(|t| t.list().iter().filter_map(Node::text).collect())
            .unwrap_or_default();
        let applies = if types.is_empty() {
            kind == "Ingress" || spec.at("egress").is_some()
        } else {
            types.contains(&kind)
        };
        if !applies {
            continue;
        }
        isolated = true;
        for rule in spec.at(rules).map(Node::list).unwrap_or_default() {
            let peers = rule.at(peers).map(Node::list).unwrap_or_default();
            let ports = rule.at("ports").map(Node::list).unwrap_or_default();
            let from_there = peers.is_empty() || peers.iter().any(|peer| is_peer(peer, namespace, other));
            let at_port = ports.is_empty() || ports.iter().any(|own| is_port(own, protocol, port));
            if from_there && at_port {
                return true;
            }
        }
    }
    !isolated
}

fn is_peer(peer: &Node, namespace: &str, other: End<'_>) -> bool {
    let has = |key: &str| peer.map().iter().any(|(own, _)| own == key);
    match other {
        End::Address(address) => peer.at("ipBlock").is_some_and(|block| {
            let address = AddressRange::parse(address).unwrap();
            let within = |text: &str| AddressRange::parse(text).unwrap().covers(address);
            within(block.text_at("cidr").unwrap())
                && !block
                    .at("except")
                    .map(Node::list)
                    .unwrap_or_default()
                    .iter()
                    .any(|e| within(e.text().unwrap()))
        }),
        End::Pod(pod, labels) => {
            if has("ipBlock") {
                return false;
            }
            let of_namespace =
                BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), pod.namespace.clone())]);
            let in_namespace = if has("namespaceSelector") {
                selects(peer.at("namespaceSelector"), &of_namespace)
            } else {
                pod.namespace == namespace
            };
            in_namespace && (!has("podSelector") || selects(peer.at("podSelector"), labels))
        }
    }
}

fn is_port(own: &Node, protocol: &str, port: u16) -> bool {
    let number = |key| own.text_at(key).map(|text| text.parse::<u16>().unwrap());
    own.text_at("protocol").unwrap_or("TCP") == protocol
        && match (number("port"), number("endPort")) {
            (None, _) => true,
            (Some(first), None) => first == port,
            (Some(first), Some(last)) => (first..=last).contains(&port),
        }
}

fn selects(selector: Option<&Node>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    let equal = selector.at("matchLabels").map(Node::map).unwrap_or_default();
    let expressions = selector.at("matchExpressions").map(Node::list).unwrap_or_default();
    equal.iter().all(|(key, value)| labels.get(key).map(String::as_str) == value.text())
        && expressions.iter().all(|expression| {
            let value = labels.get(expression.text_at("key").unwrap());
            let listed = value.is_some_and(|value| {
                expression
                    .at("values")
                    .map(Node::list)
                    .unwrap_or_default()
                    .iter()
                    .any(|v| v.text() == Some(value))
            });
            match expression.text_at("operator").unwrap() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("{other}"),
            }
        })
}

const PORTS: [u16; 6] = [1, 80, 85, 90, 443, 5432];
const ADDRESSES: [&str; 5] = ["10.1.2.3", "203.0.113.9", "198.51.100.1", "2001:db8::1", "10.2.0.1"];
const PROTOCOLS: [PortProtocol; 3] = [PortProtocol::Tcp, PortProtocol::Udp, PortProtocol::Sctp];

struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64)].clone()
    }
}

fn at(protocol: PortProtocol, port: u16) -> Traffic {
    Traffic::Ports { protocol, first: port, last: port }
}

/// What links say about one connection.
fn linked(links: &[DeclaredLink], workloads: &[Workload], from: &str, to: End<'_>, what: Traffic) -> bool {
    let on = |name: &str, network: &str| {
        workloads.iter().any(|w| w.name == name && w.networks.iter().any(|own| own == network))
    };
    let is = |side: &Side, name: &str| match side {
        Side::Application(own) => own == name,
        Side::Network(network) => on(name, network),
        Side::Outside | Side::Range(_) => false,
    };
    links.iter().any(|link| {
        let there = match (to, &link.to) {
            (End::Pod(workload, _), side) => is(side, &workload.name),
            (End::Address(_), Side::Outside) => true,
            (End::Address(address), Side::Range(range)) => {
                range.covers(AddressRange::parse(address).unwrap())
            }
            (End::Address(_), _) => false,
        };
        is(&link.from, from) && there && link.traffic.covers(what)
    })
}

fn random(chance: &mut Chance) -> Declared {
    let names = ["web", "shop/api", "DB_1", "cache", "worker"];
    let networks = ["front", "back_end"];
    let workloads: Vec<Workload> = names
        .iter()
        .map(|name| Workload {
            name: (*name).into(),
            namespace: "shop".into(),
            networks: networks.iter().filter(|_| chance.below(2) == 0).map(|n| (*n).into()).collect(),
            labels: BTreeMap::new(),
        })
        .collect();
    let traffic = ["any", "tcp", "udp", "80/tcp", "80-90/tcp", "443/udp", "5432/sctp", "icmp"];
    let inside = |chance: &mut Chance| match chance.below(4) {
        0 => Side::Network(chance.pick(&networks).into()),
        _ => Side::Application(chance.pick(&names).into()),
    };
    let links = (1..=u32::try_from(chance.below(8)).unwrap())
        .map(|id| DeclaredLink {
            from: inside(chance),
            to: match chance.below(6) {
                0 => Side::Outside,
                1 => Side::Range(AddressRange::parse(chance.pick(&["10.0.0.0/8", "2001:db8::/32"])).unwrap()),
                _ => inside(chance),
            },
            traffic: Traffic::parse(chance.pick(&traffic)).unwrap(),
            id: Some(id),
            reason: Some("because: \"x\"\n# y".into()),
        })
        .collect();
    let publishes = (0..chance.below(3))
        .map(|n| DeclaredPublish {
            application: chance.pick(&names).into(),
            container: PortKey::parse(chance.pick(&["80/tcp", "443/udp"])).unwrap(),
            host: format!("{}:{}", chance.pick(&["0.0.0.0", "127.0.0.1", "[::]"]), 8000 + n).parse().unwrap(),
            from: if chance.below(2) == 0 {
                Vec::new()
            } else {
                vec![AddressRange::parse("10.1.0.0/16").unwrap()]
            },
        })
        .collect();
    let open = networks.iter().filter(|_| chance.below(4) == 0).map(|n| (*n).into()).collect();
    Declared { workloads, links, open_networks: open, publishes }
}

/// Every connection between pods, and to and from the outside, as Haven means it.
fn check_export(declared: &Declared, policies: &[Node], labels: &[BTreeMap<String, String>]) {
    let pods: Vec<End<'_>> = declared.workloads.iter().zip(labels).map(|(w, l)| End::Pod(w, l)).collect();
    for protocol in PROTOCOLS {
        let word = protocol.word().to_ascii_uppercase();
        for port in PORTS {
            let what = at(protocol, port);
            for (from, pod) in declared.workloads.iter().zip(&pods) {
                for (to, other) in declared.workloads.iter().zip(&pods) {
                    let open = declared
                        .open_networks
                        .iter()
                        .any(|network| from.networks.contains(network) && to.networks.contains(network));
                    let expected =
                        open || linked(&declared.links, &declared.workloads, &from.name, *other, what);
                    let found = allowed(policies, *pod, *other, &word, port);
                    assert_eq!(found, expected, "{} to {} {what} of {declared:?}", from.name, to.name);
                }
                for address in ADDRESSES {
                    let there = End::Address(address);
                    let expected = linked(&declared.links, &declared.workloads, &from.name, there, what);
                    assert_eq!(
                        allowed(policies, *pod, there, &word, port),
                        expected,
                        "{} to {address}",
                        from.name
                    );
                    let published = declared.publishes.iter().any(|publish| {
                        let own = AddressRange::parse(address).unwrap();
                        let from_there = if publish.from.is_empty() {
                            publish.host.is_ipv4() == address.contains('.')
                        } else {
                            publish.from.iter().any(|range| range.covers(own))
                        };
                        publish.application == from.name
                            && !publish.host.ip().is_loopback()
                            && from_there
                            && at(publish.container.protocol, publish.container.port) == what
                    });
                    assert_eq!(
                        allowed(policies, there, *pod, &word, port),
                        published,
                        "{address} to {}",
                        from.name
                    );
                }
            }
        }
    }
}

/// Every connection between pods, and to and from the outside, as the policies mean it and as the import says.
fn check_import(text: &str, workloads: &[Workload], everything_isolated: bool) {
    let items = |node: Node| match node.at("items") {
        Some(items) => items.list().to_vec(),
        None => vec![node],
    };
    let policies: Vec<Node> = yaml::read(text).unwrap().into_iter().flat_map(items).collect();
    let labels: Vec<_> = workloads.iter().map(super::label::labels_of).collect();
    let imported = import_policies(text, workloads).unwrap();
    for protocol in PROTOCOLS {
        let word = protocol.word().to_ascii_uppercase();
        for port in PORTS {
            let what = at(protocol, port);
            for (from, own) in workloads.iter().zip(&labels) {
                for (to, theirs) in workloads.iter().zip(&labels) {
                    let found = linked(&imported.links, workloads, &from.name, End::Pod(to, theirs), what);
                    let expected = allowed(&policies, End::Pod(from, own), End::Pod(to, theirs), &word, port);
                    let unsaid = imported.not_isolated.contains(&from.name)
                        && imported.not_isolated.contains(&to.name);
                    // Where no policy says anything about a pair, Haven stays closed.
                    assert!(
                        found == expected || !everything_isolated && unsaid && !found,
                        "{} to {} {what}: {found}",
                        from.name,
                        to.name
                    );
                }
                for address in ADDRESSES {
                    let there = End::Address(address);
                    let found = linked(&imported.links, workloads, &from.name, there, what);
                    let expected = allowed(&policies, End::Pod(from, own), there, &word, port);
                    let unsaid = !everything_isolated && imported.not_isolated.contains(&from.name);
                    assert!(found == expected || unsaid && !found, "{} to {address} {what}", from.name);
                    let own_address = AddressRange::parse(address).unwrap();
                    let way_in = imported.ways_in.iter().any(|way| {
                        way.application == from.name
                            && way.from.covers(own_address)
                            && way.traffic.covers(what)
                    });
                    let expected = allowed(&policies, there, End::Pod(from, own), &word, port);
                    assert!(way_in == expected || unsaid && !way_in, "{address} to {} {what}", from.name);
                }
            }
        }
    }
}

#[test]
fn what_goes_out_means_the_same_and_comes_back_the_same() {
    let mut chance = Chance(1);
    for _ in 0..120 {
        let mut declared = random(&mut chance);
        let (text, notes) = export_policies(&declared, "shop").unwrap();
        let policies = yaml::read(&text).unwrap();
        let labels: Vec<_> = declared.workloads.iter().map(super::label::labels_of).collect();
        assert_eq!(
            notes.iter().any(|note| note.contains("ICMP")),
            declared.links.iter().any(|link| link.traffic == Traffic::Icmp)
        );
        declared.links.retain(|link| link.traffic != Traffic::Icmp);
        check_export(&declared, &policies, &labels);
        check_import(&text, &declared.workloads, true);
    }
}

#[test]
fn names_come_back_from_an_export_without_anybody_to_ask() {
    let link = |from: &str, to: &str| DeclaredLink {
        from: Side::Application(from.into()),
        to: Side::Application(to.into()),
        traffic: Traffic::parse("5432/tcp").unwrap(),
        id: None,
        reason: None,
    };
    let links = vec![link("shop/api", "db"), link("web", "shop/api")];
    let (text, notes) =
        export_policies(&Declared { links: links.clone(), ..Declared::default() }, "x").unwrap();
    assert!(notes.is_empty());
    let workloads = workloads_named_in(&text).unwrap();
    let imported = import_policies(&text, &workloads).unwrap();
    assert_eq!((imported.links, imported.not_isolated.len()), (links, 0), "{text}");
}

/// The example of the concept page, and the usual recipes.
const POLICIES: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: test-network-policy, namespace: default }
spec:
  podSelector: { matchLabels: { role: db } }
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: { cidr: 10.0.0.0/8, except: [10.1.0.0/16] }
    - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: other } }
    - podSelector: { matchLabels: { role: frontend } }
    ports:
    - { protocol: TCP, port: 5432 }
  egress:
  - to:
    - ipBlock: { cidr: 203.0.113.0/24 }
    ports:
    - { protocol: TCP, port: 80, endPort: 90 }
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: allow-all-ingress }
spec:
  podSelector: { matchExpressions: [{ key: role, operator: In, values: [frontend, cache] }] }
  ingress: [{}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: cache-out }
spec:
  podSelector: { matchLabels: { role: cache } }
  policyTypes: [Egress]
  egress:
  - to: [{ namespaceSelector: {}, podSelector: { matchExpressions: [{ key: role, operator: NotIn, values: [db] }] } }]
    ports: [{ protocol: UDP }]
---
apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: { name: closed, namespace: other }
  spec: { podSelector: {}, policyTypes: [Ingress] }
"#;

fn pods() -> Vec<Workload> {
    let pod = |name: &str, namespace: &str, role: &str| Workload {
        name: name.into(),
        namespace: namespace.into(),
        labels: BTreeMap::from([("role".to_owned(), role.to_owned())]),
        networks: Vec::new(),
    };
    vec![
        pod("db", "default", "db"),
        pod("front", "default", "frontend"),
        pod("cache", "default", "cache"),
        pod("free", "default", "none"),
        pod("far", "other", "db"),
    ]
}

#[test]
fn policies_of_others_mean_as_links_what_the_specification_says() {
    check_import(POLICIES, &pods(), false);
}

#[test]
fn what_is_not_understood_allows_nothing_and_is_noted() {
    let odd = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: odd }
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{ podSelector: {} }]
    ports: [{ port: http }, { port: 70000 }, { protocol: ICMP }]
  - from: [{ ipBlock: { cidr: nonsense } }, {}]
  - from: [{ podSelector: { matchLabels: [x] , surprise: 1 } }]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
"#;
    let imported = import_policies(odd, &pods()).unwrap();
    assert_eq!((imported.links.len(), imported.ways_in.len()), (0, 0), "{imported:?}");
    assert_eq!(imported.notes.iter().filter(|note| note.contains("line")).count(), 7, "{:?}", imported.notes);
    for text in ["", "- 1", "kind: NetworkPolicy", "{", "a: &a [*a]"] {
        drop(import_policies(text, &pods()));
    }
}
