//! Links out as NetworkPolicies.

use super::label;
use crate::Traffic;
use crate::exchange::yaml::{self, Value};
use crate::exchange::{Declared, DeclaredLink, Side};
use crate::exposure::AddressRange;
use haven_spec::{Failure, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// Policies for everything declared, and notes on what they do not say.
pub fn export_policies(declared: &Declared, namespace: &str) -> Outcome<(String, Vec<String>)> {
    let mut export = Export { namespace, notes: Vec::new(), subjects: BTreeMap::new() };
    export.check_labels(declared)?;
    for link in &declared.links {
        export.link(link);
    }
    for network in &declared.open_networks {
        let everybody = || map([("podSelector", selector(&Side::Network(network.clone())))]);
        let subject = export.subject(&Side::Network(network.clone()));
        subject.ingress.push(rule("from", vec![everybody()], Vec::new()));
        subject.egress.push(rule("to", vec![everybody()], Vec::new()));
    }
    for publish in &declared.publishes {
        if publish.host.ip().is_loopback() {
            let host = publish.host;
            export.notes.push(format!(
                "`{}`: {host} is for the host alone, which no policy says",
                publish.application
            ));
            continue;
        }
        let [v4, v6] = AddressRange::EVERYWHERE;
        let everybody = [if publish.host.is_ipv4() { v4 } else { v6 }];
        let from = if publish.from.is_empty() { &everybody[..] } else { &publish.from };
        let port = Traffic::Ports {
            protocol: publish.container.protocol,
            first: publish.container.port,
            last: publish.container.port,
        };
        let blocks = from.iter().copied().map(block).collect();
        let subject = export.subject(&Side::Application(publish.application.clone()));
        subject
            .annotations
            .insert(format!("haven/published.{}", publish.host.port()), publish.host.to_string());
        subject.ingress.push(rule("from", blocks, ports(port).unwrap_or_default()));
    }
    if declared.links.iter().any(|link| link.to == Side::Outside) {
        export.notes.push("`@outside` is every address as an ipBlock; in Haven it never means a container, and there it may mean a pod: add the cluster's own ranges under `except`".into());
    }
    Ok((export.text(), export.notes))
}

/// What is allowed to and from one application or network.
#[derive(Default)]
struct Subject {
    ingress: Vec<Value>,
    egress: Vec<Value>,
    annotations: BTreeMap<String, String>,
}

struct Export<'n> {
    namespace: &'n str,
    notes: Vec<String>,
    subjects: BTreeMap<Side, Subject>,
}

impl Export<'_> {
    fn check_labels(&self, declared: &Declared) -> Outcome<()> {
        let mut seen = BTreeMap::new();
        let named = declared.links.iter().flat_map(|link| [&link.from, &link.to]);
        let names: BTreeSet<&str> = named
            .filter_map(|side| if let Side::Application(name) = side { Some(name.as_str()) } else { None })
            .chain(declared.workloads.iter().map(|workload| workload.name.as_str()))
            .collect();
        for name in names {
            if let Some(other) = seen.insert(label::value(name), name) {
                return Err(Failure::conflict(format!("`{name}` and `{other}` would have one label"))
                    .hint("rename one of them"));
            }
        }
        Ok(())
    }

    fn subject(&mut self, side: &Side) -> &mut Subject {
        self.subjects.entry(side.clone()).or_default()
    }

    fn link(&mut self, link: &DeclaredLink) {
        let words = format!("{} → {} {}", link.from, link.to, link.traffic);
        let Some(ports) = ports(link.traffic) else {
            self.notes.push(format!("{words}: ICMP is in no NetworkPolicy"));
            return;
        };
        if matches!(link.from, Side::Outside | Side::Range(_)) {
            self.notes.push(format!("{words}: it begins outside, where no pod is"));
            return;
        }
        let targets = match &link.to {
            Side::Outside => AddressRange::EVERYWHERE.into_iter().map(block).collect(),
            Side::Range(range) => vec![block(*range)],
            inside => vec![map([("podSelector", selector(inside))])],
        };
        let source = self.subject(&link.from);
        source.egress.push(rule("to", targets, ports.clone()));
        if let Some(id) = link.id {
            let reason = link.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            source.annotations.insert(format!("haven/link.{id}"), format!("{words}{reason}"));
        }
        if matches!(link.to, Side::Application(_) | Side::Network(_)) {
            let from = map([("podSelector", selector(&link.from))]);
            self.subject(&link.to).ingress.push(rule("from", vec![from], ports));
        }
    }

    fn text(&self) -> String {
        let everybody = map([(
            "matchExpressions",
            Value::List(vec![map([("key", label::APPLICATION.into()), ("operator", "Exists".into())])]),
        )]);
        let both = Value::List(vec!["Ingress".into(), "Egress".into()]);
        let deny = map([("podSelector", everybody.clone()), ("policyTypes", both)]);
        let dns_pods = map([
            ("namespaceSelector", map([("matchLabels", map([(label::NAMESPACE, "kube-system".into())]))])),
            ("podSelector", map([("matchLabels", map([("k8s-app", "kube-dns".into())]))])),
        ]);
        let dns_ports =
            ["UDP", "TCP"].map(|protocol| map([("protocol", protocol.into()), ("port", Value::Number(53))]));
        let dns = map([
            ("podSelector", everybody),
            ("policyTypes", Value::List(vec!["Egress".into()])),
            ("egress", Value::List(vec![rule("to", vec![dns_pods], dns_ports.to_vec())])),
        ]);
        let mut documents = vec![
            self.policy("haven-default-deny", BTreeMap::new(), deny),
            self.policy("haven-dns", BTreeMap::new(), dns),
        ];
        for (side, subject) in &self.subjects {
            let (kind, name) = match side {
                Side::Application(name) => ("app", name.as_str()),
                Side::Network(name) => ("network", name.as_str()),
                Side::Outside | Side::Range(_) => continue,
            };
            let mut annotations = subject.annotations.clone();
            if kind == "app" {
                annotations.insert(label::NAME.to_owned(), name.to_owned());
            }
            let mut types = Vec::new();
            let mut spec = vec![("podSelector".to_owned(), selector(side))];
            for (word, key, rules) in
                [("Ingress", "ingress", &subject.ingress), ("Egress", "egress", &subject.egress)]
            {
                if !rules.is_empty() {
                    types.push(word.into());
                    spec.push((key.to_owned(), Value::List(rules.clone())));
                }
            }
            spec.insert(1, ("policyTypes".to_owned(), Value::List(types)));
            documents.push(self.policy(&label::object_name(kind, name), annotations, Value::Map(spec)));
        }
        documents.iter().map(yaml::write).collect::<Vec<_>>().join("---\n")
    }

    fn policy(&self, name: &str, annotations: BTreeMap<String, String>, spec: Value) -> Value {
        let mut metadata = vec![("name", name.into()), ("namespace", self.namespace.into())];
        if !annotations.is_empty() {
            let annotations = annotations.into_iter().map(|(key, value)| (key, Value::Text(value)));
            metadata.push(("annotations", Value::Map(annotations.collect())));
        }
        map([
            ("apiVersion", "networking.k8s.io/v1".into()),
            ("kind", "NetworkPolicy".into()),
            ("metadata", map(metadata)),
            ("spec", spec),
        ])
    }
}

fn map<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn selector(side: &Side) -> Value {
    let (key, value) = match side {
        Side::Network(name) => (format!("{}{}", label::NETWORK, label::value(name)), "true".to_owned()),
        Side::Application(name) => (label::APPLICATION.to_owned(), label::value(name)),
        // Nobody asks for the pods of these.
        Side::Outside | Side::Range(_) => (label::APPLICATION.to_owned(), String::new()),
    };
    map([("matchLabels", Value::Map(vec![(key, Value::Text(value))]))])
}

fn block(range: AddressRange) -> Value {
    map([("ipBlock", map([("cidr", Value::Text(range.to_string()))]))])
}

fn rule(side: &str, peers: Vec<Value>, ports: Vec<Value>) -> Value {
    let mut rule = vec![(side, Value::List(peers))];
    if !ports.is_empty() {
        rule.push(("ports", Value::List(ports)));
    }
    map(rule)
}

/// `None`: no policy can say it. Empty: all.
fn ports(traffic: Traffic) -> Option<Vec<Value>> {
    let protocol =
        |protocol: haven_spec::PortProtocol| ("protocol", Value::Text(protocol.word().to_ascii_uppercase()));
    match traffic {
        Traffic::All => Some(Vec::new()),
        Traffic::Icmp => None,
        Traffic::Protocol(own) => Some(vec![map([protocol(own)])]),
        Traffic::Ports { protocol: own, first, last } => {
            let mut port = vec![protocol(own), ("port", Value::Number(first.into()))];
            if last != first {
                port.push(("endPort", Value::Number(last.into())));
            }
            Some(vec![map(port)])
        }
    }
}
