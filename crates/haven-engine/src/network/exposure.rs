//! What is declared, as the exposure picture takes it: containers that are and that wait, networks, links, ports.
//!
//! A container that does not run is in it: what it may do is declared, and starting it is no change of that. Names are
//! those of link ends: `db`, `shop/db`, `app:db`.

use super::end::LinkEnd;
use super::networks;
use super::subject::Subject;
use crate::shared::Shared;
use crate::view::ContainerView;
use haven_network::exposure::{ApplicationId, Facts, LinkFact, Place, Power, PublishFact};
use haven_network::{LinkId, Party, Traffic};
use haven_spec::{
    ContainerName, ContainerSpec, MountSource, NetworkMode, PidMode, PortKey, PortMapping, UserNamespaceMode,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Capabilities that, in the host's user namespace, are as good as being root there.
const TAKES_HOST: [&str; 7] =
    ["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF"];

/// Everything that is declared now.
pub(crate) fn facts(shared: &Shared) -> Facts {
    let mut facts = Facts::new();
    for network in shared.networks.all() {
        let id = facts.network(network.name.as_str());
        if network.open_inside {
            facts.open(id);
        }
        for link in network.links().unwrap_or_default() {
            if link.to == Party::Outside {
                let outside =
                    LinkFact { from: Place::Network(id), to: Place::Outside, traffic: link.traffic };
                facts.link(link.id, outside);
            }
        }
    }
    let mut ways_out = BTreeMap::new();
    for view in shared.registry.views() {
        let name = Subject::of_container(&view.name, &view.spec).to_string();
        let out = leads_out(shared, &view.spec);
        *ways_out.entry(name).or_insert(false) |= out;
        container(shared, &mut facts, &view.name, &view.spec, Some(&view));
    }
    for (at, observation) in super::observing::list(shared).into_iter().enumerate() {
        let name = observation.subject.to_string();
        observed(shared, &mut facts, &name, at, ways_out.get(&name) != Some(&false));
    }
    for record in shared.links.all() {
        // Somebody whose networks are all internal has no way out, whatever links say.
        let shut = record.to.subject().is_none() && ways_out.get(&record.from.to_string()) == Some(&false);
        if !shut {
            link(&mut facts, record.id, &record.from, &record.to, record.traffic);
        }
    }
    facts
}

/// Numbers of what somebody who is observed may do, above those of open networks.
const OBSERVED_LINK: u32 = 0x3800_0000;
const OBSERVED_EACH: u32 = 4096;

/// Whoever is observed reaches everybody, and the outside unless its networks are all internal.
pub(crate) fn observed(shared: &Shared, facts: &mut Facts, name: &str, at: usize, out: bool) {
    let from = Place::Application(facts.application(name));
    let networks = shared.networks.all();
    let places = networks.iter().map(|network| Place::Network(facts.network(network.name.as_str())));
    let places = places.collect::<Vec<_>>().into_iter().chain(out.then_some(Place::Outside));
    let first = OBSERVED_LINK + u32::try_from(at).unwrap_or(0) * OBSERVED_EACH;
    for (id, to) in (first..first + OBSERVED_EACH).zip(places) {
        if let Ok(id) = LinkId::new(id) {
            facts.link(id, LinkFact { from, to, traffic: Traffic::All });
        }
    }
}

fn leads_out(shared: &Shared, spec: &ContainerSpec) -> bool {
    let wanted = networks::wanted(spec);
    wanted.iter().any(|name| shared.networks.find(name).is_ok_and(|network| !network.internal))
}

pub(crate) fn link(facts: &mut Facts, id: LinkId, from: &LinkEnd, to: &LinkEnd, traffic: Traffic) {
    let (from, to) = (place(facts, from), place(facts, to));
    facts.link(id, LinkFact { from, to, traffic });
}

fn place(facts: &mut Facts, end: &LinkEnd) -> Place {
    match end {
        LinkEnd::Subject(Subject::Network(name)) => Place::Network(facts.network(name.as_str())),
        LinkEnd::Subject(subject) => Place::Application(facts.application(&subject.to_string())),
        LinkEnd::Outside => Place::Outside,
        LinkEnd::Range(range) => Place::Range((*range).into()),
    }
}

/// Where ports that are to be published would be, and for whom.
pub(crate) fn published(shared: &Shared, facts: &mut Facts, view: &ContainerView, ports: &[PortMapping]) {
    let application = facts.application(&Subject::of_container(&view.name, &view.spec).to_string());
    for mapping in ports {
        facts.publish(PublishFact {
            application,
            host: SocketAddr::new(
                mapping.host_address.unwrap_or(shared.config.publish_address),
                mapping.host_port,
            ),
            container: mapping.container,
            from: mapping.from.iter().map(|net| (*net).into()).collect(),
        });
    }
}

/// Ports that are to be taken back; one without a host port stands for all of that container's port.
pub(crate) fn unpublished(shared: &Shared, facts: &mut Facts, view: &ContainerView, ports: &[PortMapping]) {
    let application = facts.application(&Subject::of_container(&view.name, &view.spec).to_string());
    for mapping in ports {
        if mapping.host_port == 0 {
            facts.remove_publishes(application, mapping.container);
        } else {
            let address = mapping.host_address.unwrap_or(shared.config.publish_address);
            facts.remove_publish(application, SocketAddr::new(address, mapping.host_port));
        }
    }
}

/// A container, as it is or as it would be.
pub(crate) fn container(
    shared: &Shared,
    facts: &mut Facts,
    name: &ContainerName,
    spec: &ContainerSpec,
    view: Option<&ContainerView>,
) {
    let own = facts.application(&Subject::of_container(name, spec).to_string());
    for network in networks::wanted(spec) {
        let network = facts.network(&network);
        facts.join(own, network);
    }
    match &spec.network {
        NetworkMode::Host => facts.empower(own, Power::HostNetwork),
        NetworkMode::Container(id) => {
            if let Ok(handle) = shared.registry.get(id) {
                let other = handle.view();
                let other = Subject::of_container(&other.name, &other.spec).to_string();
                let other = facts.application(&other);
                if other != own {
                    facts.share_network(own, other);
                }
            }
        }
        NetworkMode::Default | NetworkMode::None | NetworkMode::Named(_) => {}
    }
    for power in powers(spec) {
        facts.empower(own, power);
    }
    for mount in &spec.mounts {
        if let MountSource::Volume { name, .. } = &mount.source {
            facts.mount_volume(own, name.as_str(), !mount.readonly);
        }
    }
    publishes(shared, facts, own, spec, view);
}

/// What makes a container more than its network does.
pub(crate) fn powers(spec: &ContainerSpec) -> Vec<Power> {
    let security = &spec.security;
    let mut powers = Vec::new();
    if spec.network == NetworkMode::Host {
        powers.push(Power::HostNetwork);
    }
    let host_user = security.user_namespace == UserNamespaceMode::Host || security.pid == PidMode::Host;
    if security.privileged
        || host_user && security.cap_add.iter().any(|capability| TAKES_HOST.contains(&capability.as_str()))
    {
        powers.push(Power::Privileged);
    }
    for mount in &spec.mounts {
        if let MountSource::Bind { path, .. } = &mount.source {
            powers.extend(Power::of_mount(&path.display().to_string(), !mount.readonly));
        }
    }
    powers
}

fn publishes(
    shared: &Shared,
    facts: &mut Facts,
    application: ApplicationId,
    spec: &ContainerSpec,
    view: Option<&ContainerView>,
) {
    // Who may use a port is a matter of the container's port, wherever it is published.
    let from = |container: &PortKey| {
        let mappings = spec.ports.iter().filter(|mapping| mapping.container == *container);
        mappings.flat_map(|mapping| &mapping.from).map(|net| (*net).into()).collect::<BTreeSet<_>>()
    };
    let bound: Vec<_> =
        view.iter().flat_map(|view| &view.endpoints).flat_map(|place| &place.published).collect();
    for port in &bound {
        facts.publish(PublishFact {
            application,
            host: SocketAddr::new(port.host_address, port.host_port),
            container: port.container,
            from: from(&port.container).into_iter().collect(),
        });
    }
    if !bound.is_empty() {
        return;
    }
    for mapping in &spec.ports {
        let address = mapping.host_address.unwrap_or(shared.config.publish_address);
        facts.publish(PublishFact {
            application,
            host: SocketAddr::new(address, mapping.host_port),
            container: mapping.container,
            from: from(&mapping.container).into_iter().collect(),
        });
    }
}
