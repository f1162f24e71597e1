//! A Compose file, as far as connections go.

use super::port::{self, Mapping};
use crate::Traffic;
use crate::exchange::yaml::{self, Node};
use haven_spec::{Failure, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// The most services of a file.
const SERVICES: usize = 1000;

/// A parsed Compose file.
#[derive(Debug, Clone, Default)]
pub struct Compose {
    pub(super) project: Option<String>,
    pub(super) services: BTreeMap<String, Service>,
    pub(super) networks: BTreeMap<String, Network>,
    pub(super) notes: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Service {
    pub(super) networks: BTreeSet<String>,
    /// `host`, or another's: it is on no network of its own.
    pub(super) mode: Option<String>,
    pub(super) depends_on: BTreeSet<String>,
    pub(super) links: BTreeSet<String>,
    pub(super) expose: Vec<Traffic>,
    pub(super) ports: Vec<Mapping>,
    pub(super) declared: Vec<(String, Traffic, Option<String>)>,
    pub(super) image: Option<String>,
    pub(super) privileged: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Network {
    pub(super) internal: bool,
    pub(super) external: bool,
    pub(super) name: Option<String>,
}

impl Compose {
    pub fn parse(text: &str) -> Outcome<Self> {
        let documents = yaml::read(text)?;
        let [document] = &documents[..] else {
            return Err(Failure::invalid("this is not a Compose file")
                .because(format!("it holds {} documents", documents.len())));
        };
        let services = document.at("services").filter(|node| node.is_map()).ok_or_else(|| {
            Failure::invalid("this is not a Compose file").because("it has no `services`".to_owned())
        })?;
        if services.map().len() > SERVICES {
            return Err(Failure::invalid(format!("a Compose file with more than {SERVICES} services")));
        }
        let mut compose = Self { project: document.text_at("name").map(str::to_owned), ..Self::default() };
        for (name, node) in document.at("networks").map(Node::map).unwrap_or_default() {
            compose.networks.insert(
                name.clone(),
                Network {
                    internal: node.flag_at("internal"),
                    external: node.flag_at("external") || node.at("external").is_some_and(Node::is_map),
                    name: node.text_at("name").map(str::to_owned),
                },
            );
        }
        for (name, node) in services.map() {
            let service = compose.service(name, node);
            compose.services.insert(name.clone(), service);
        }
        if document.at("include").is_some() {
            compose.notes.push("`include` is not followed: import those files as well".into());
        }
        compose.check_names();
        Ok(compose)
    }

    fn service(&mut self, name: &str, node: &Node) -> Service {
        let mut service = Service {
            mode: node.text_at("network_mode").filter(|mode| *mode != "bridge").map(str::to_owned),
            image: node.text_at("image").map(str::to_owned),
            depends_on: names(node.at("depends_on")),
            privileged: node.flag_at("privileged"),
            ..Service::default()
        };
        service.networks = names(node.at("networks"));
        if service.networks.is_empty() && service.mode.is_none() {
            service.networks.insert("default".into());
        }
        for network in &service.networks {
            // The default network need not be named; another one has to be, which `check_names` says.
            if network == "default" {
                self.networks.entry(network.clone()).or_default();
            }
        }
        for link in node.at("links").map(Node::list).unwrap_or_default().iter().filter_map(Node::text) {
            service.links.insert(link.split(':').next().unwrap_or(link).to_owned());
        }
        for exposed in node.at("expose").map(Node::list).unwrap_or_default() {
            match exposed.text().map(substitute).and_then(|text| port::exposed(&text?)) {
                Some(traffic) => service.expose.push(traffic),
                None => self.note(name, exposed, "this is not a port to expose"),
            }
        }
        for published in node.at("ports").map(Node::list).unwrap_or_default() {
            match mapping(published) {
                Some(mapping) => service.ports.push(mapping),
                None => self.note(name, published, "this is not a port to publish"),
            }
        }
        for link in node.at("x-links").map(Node::list).unwrap_or_default() {
            match declared(link) {
                Some(declared) => service.declared.push(declared),
                None => self.note(name, link, "this is not a link, like `db 5432/tcp`"),
            }
        }
        for (key, what) in [
            ("extends", "what it extends is not read"),
            ("external_links", "links to containers outside the file are not read"),
        ] {
            if let Some(node) = node.at(key) {
                self.note(name, node, what);
            }
        }
        service
    }

    fn note(&mut self, service: &str, node: &Node, what: &str) {
        self.notes.push(format!("line {}: `{service}`: {what}", node.line));
    }

    fn check_names(&mut self) {
        let mut notes = Vec::new();
        for (name, service) in &self.services {
            let named = service.depends_on.iter().chain(&service.links);
            let declared =
                service.declared.iter().map(|(to, ..)| to).filter(|to| !to.contains(['@', '/', ':']));
            for other in named.chain(declared).filter(|other| !self.services.contains_key(*other)) {
                notes.push(format!("`{name}` names the service `{other}`, which there is not"));
            }
            for network in service.networks.iter().filter(|network| !self.networks.contains_key(*network)) {
                notes.push(format!("`{name}` is on the network `{network}`, which is not declared"));
            }
        }
        self.notes.extend(notes);
    }
}

/// The names of a list or the keys of a map.
fn names(node: Option<&Node>) -> BTreeSet<String> {
    let Some(node) = node else { return BTreeSet::new() };
    let keys = node.map().iter().map(|(key, _)| key.clone());
    keys.chain(node.list().iter().filter_map(Node::text).map(str::to_owned)).collect()
}

fn mapping(node: &Node) -> Option<Mapping> {
    if let Some(text) = node.text() {
        return Mapping::parse(&substitute(text)?);
    }
    let text = |key: &str| node.text_at(key).map(substitute).map_or(Some(None), |text| text.map(Some));
    let target = text("target")??;
    let published = text("published")?.unwrap_or_default();
    let protocol = text("protocol")?.unwrap_or_else(|| "tcp".into());
    let mut mapping = Mapping::parse(&format!("{published}:{target}/{protocol}"))?;
    mapping.address = match text("host_ip")? {
        Some(address) => Some(address.parse().ok()?),
        None => None,
    };
    Some(mapping)
}

/// `db 5432/tcp`, or a map with `to`, `traffic` and `reason`.
fn declared(node: &Node) -> Option<(String, Traffic, Option<String>)> {
    if let Some(text) = node.text() {
        let mut words = text.split_whitespace();
        let (to, traffic) = (words.next()?.to_owned(), Traffic::parse(words.next()?).ok()?);
        return words.next().is_none().then_some((to, traffic, None));
    }
    let traffic = Traffic::parse(node.text_at("traffic")?).ok()?;
    Some((node.text_at("to")?.to_owned(), traffic, node.text_at("reason").map(str::to_owned)))
}

/// `${NAME:-default}` becomes its default: a file says that much by itself. `None` where it takes the environment.
fn substitute(text: &str) -> Option<String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            done.push('$');
            rest = after;
            continue;
        }
        let (variable, after) = after.strip_prefix('{')?.split_once('}')?;
        let (_, default) = variable.split_once(":-").or_else(|| variable.split_once('-'))?;
        done.push_str(default);
        rest = after;
    }
    done.push_str(rest);
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::substitute;

    #[test]
    fn defaults_stand_for_variables() {
        assert_eq!(substitute("${PORT:-8080}:80").as_deref(), Some("8080:80"));
        assert_eq!(substitute("a$$b").as_deref(), Some("a$b"));
        for unknown in ["${PORT}:80", "$PORT:80", "${PORT", "$"] {
            assert_eq!(substitute(unknown), None, "{unknown}");
        }
    }
}
