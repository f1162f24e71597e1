//! NetworkPolicies as they are read, with what could not be understood noted: such a rule allows nothing.

use crate::Traffic;
use crate::exchange::yaml::{self, Node};
use crate::exposure::AddressRange;
use haven_spec::{Outcome, PortProtocol};
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) namespace: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) selector: Selector,
    /// Which pods it isolates in a direction, and what it allows them there.
    pub(super) ingress: Option<Vec<Rule>>,
    pub(super) egress: Option<Vec<Rule>>,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    /// `None`: everybody.
    pub(super) peers: Option<Vec<Peer>>,
    pub(super) traffic: Vec<Traffic>,
}

#[derive(Debug, Clone)]
pub(super) enum Peer {
    Block { range: AddressRange, except: Vec<AddressRange> },
    Pods { namespaces: Option<Selector>, pods: Option<Selector> },
}

/// Labels that must be there, and expressions over labels. An empty one selects everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    pub(super) labels: Vec<(String, String)>,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone)]
struct Expression {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let labelled = self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        labelled
            && self.expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                match expression.operator {
                    Operator::In => value.is_some_and(|value| expression.values.contains(value)),
                    Operator::NotIn => value.is_none_or(|value| !expression.values.contains(value)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// All policies of a text, lists of them included, and what is not understood.
pub(super) fn read(text: &str) -> Outcome<(Vec<Policy>, Vec<String>)> {
    let mut reading = Reading::default();
    for document in yaml::read(text)? {
        reading.object(&document);
    }
    Ok((reading.policies, reading.notes))
}

#[derive(Default)]
struct Reading {
    policies: Vec<Policy>,
    notes: Vec<String>,
}

impl Reading {
    fn object(&mut self, node: &Node) {
        match node.text_at("kind") {
            Some("NetworkPolicy") if node.text_at("apiVersion") == Some("networking.k8s.io/v1") => {
                self.policy(node)
            }
            Some("List" | "NetworkPolicyList") => {
                node.at("items")
                    .map(Node::list)
                    .unwrap_or_default()
                    .iter()
                    .for_each(|item| self.object(item));
            }
            _ if node.is_null() => {}
            kind => {
                let kind = kind.unwrap_or("something without a kind");
                self.note(node, &format!("{kind} is no NetworkPolicy of networking.k8s.io/v1: passed over"));
            }
        }
    }

    fn note(&mut self, node: &Node, what: &str) {
        self.notes.push(format!("line {}: {what}", node.line));
    }

    fn policy(&mut self, node: &Node) {
        let metadata = node.at("metadata");
        let text = |key| metadata.and_then(|metadata| metadata.text_at(key));
        let annotations =
            metadata.and_then(|metadata| metadata.at("annotations")).map(Node::map).unwrap_or_default();
        let Some(spec) = node.at("spec").filter(|spec| spec.is_map()) else {
            return self.note(node, "a NetworkPolicy without a spec selects nobody");
        };
        let Some(selector) = self.selector(spec.at("podSelector")) else {
            return self.note(spec, "a podSelector that is not understood: the policy is passed over, and those it selects may be isolated by it");
        };
        let types: Vec<&str> = spec
            .at("policyTypes")
            .map(Node::list)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::text)
            .collect();
        let is_about =
            |word: &str, default: bool| if types.is_empty() { default } else { types.contains(&word) };
        let ingress = is_about("Ingress", true).then(|| self.rules(spec.at("ingress"), "from"));
        let egress =
            is_about("Egress", spec.at("egress").is_some()).then(|| self.rules(spec.at("egress"), "to"));
        self.policies.push(Policy {
            namespace: text("namespace").unwrap_or("default").to_owned(),
            annotations: annotations
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), value.text()?.to_owned())))
                .collect(),
            selector,
            ingress,
            egress,
        });
    }

    fn rules(&mut self, node: Option<&Node>, peers: &str) -> Vec<Rule> {
        let rules = node.map(Node::list).unwrap_or_default();
        rules.iter().map(|rule| self.rule(rule, peers)).collect()
    }

    fn rule(&mut self, node: &Node, peers: &str) -> Rule {
        // A list that is empty says as much as one that is not there.
        let listed = |key| node.at(key).filter(|node| !(node.is_list() && node.list().is_empty()));
        let peers = listed(peers).map(|node| node.list().iter().filter_map(|peer| self.peer(peer)).collect());
        let traffic = match listed("ports") {
            None => vec![Traffic::All],
            Some(ports) => ports.list().iter().filter_map(|port| self.port(port)).collect(),
        };
        Rule { peers, traffic }
    }

    fn peer(&mut self, node: &Node) -> Option<Peer> {
        if let Some(block) = node.at("ipBlock") {
            let range = block.text_at("cidr").and_then(|cidr| AddressRange::parse(cidr).ok());
            let listed = block.at("except").map(Node::list).unwrap_or_default();
            let except: Option<Vec<_>> =
                listed.iter().map(|node| AddressRange::parse(node.text()?).ok()).collect();
            let others = node.at("podSelector").is_some() || node.at("namespaceSelector").is_some();
            let Some(((range, except), false)) = range.zip(except).zip(Some(others)) else {
                self.note(block, "an ipBlock that is not understood: it allows nobody");
                return None;
            };
            return Some(Peer::Block { range, except });
        }
        // An empty selector is not null: it selects everything.
        let present = |key: &str| node.map().iter().any(|(own, _)| own == key);
        let mut selector =
            |key: &str| if present(key) { self.selector(node.at(key)).map(Some) } else { Some(None) };
        let (namespaces, pods) = (selector("namespaceSelector"), selector("podSelector"));
        match (namespaces, pods) {
            (Some(None), Some(None)) | (None, _) | (_, None) => {
                self.note(node, "a peer that is not understood: it allows nobody");
                None
            }
            (Some(namespaces), Some(pods)) => Some(Peer::Pods { namespaces, pods }),
        }
    }

    fn port(&mut self, node: &Node) -> Option<Traffic> {
        let protocol = match node.text_at("protocol").unwrap_or("TCP") {
            "TCP" => PortProtocol::Tcp,
            "UDP" => PortProtocol::Udp,
            "SCTP" => PortProtocol::Sctp,
            other => {
                self.note(
                    node,
                    &format!("the protocol `{}` is not known: it allows nothing", other.escape_debug()),
                );
                return None;
            }
        };
        let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        let Some(first) = node.text_at("port") else { return Some(Traffic::Protocol(protocol)) };
        let last = node.text_at("endPort").unwrap_or(first);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(Traffic::Ports { protocol, first, last }),
            _ => {
                self.note(
                    node,
                    &format!("the port `{}` is not a number, and what a name means is the pod's: it allows nothing", first.escape_debug()),
                );
                None
            }
        }
    }

    /// `None`: not understood.
    fn selector(&mut self, node: Option<&Node>) -> Option<Selector> {
        let Some(node) = node else { return Some(Selector::default()) };
        if !node.is_map()
            || node.map().iter().any(|(key, _)| key != "matchLabels" && key != "matchExpressions")
        {
            return None;
        }
        let labels = node.at("matchLabels").map(Node::map).unwrap_or_default();
        let labels: Option<Vec<_>> =
            labels.iter().map(|(key, value)| Some((key.clone(), value.text()?.to_owned()))).collect();
        let expressions = node.at("matchExpressions").map(Node::list).unwrap_or_default();
        let expressions: Option<Vec<_>> = expressions.iter().map(expression).collect();
        Some(Selector { labels: labels?, expressions: expressions? })
    }
}

fn expression(node: &Node) -> Option<Expression> {
    let operator = match node.text_at("operator")? {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        _ => return None,
    };
    let values = node.at("values").map(Node::list).unwrap_or_default();
    let values: Option<Vec<_>> = values.iter().map(|value| value.text().map(str::to_owned)).collect();
    Some(Expression { key: node.text_at("key")?.to_owned(), operator, values: values? })
}
