//! Links from other systems' files, and ours in their words: names on both sides, nothing is changed here.

use super::end::{LinkEnd, container_called};
use super::links::AddLink;
use super::subject::Subject;
use crate::shared::Shared;
use haven_network::exchange::{
    Compose, Declared, DeclaredLink, DeclaredPublish, Reading, Side, Workload, export_policies,
    import_policies, workloads_named_in,
};
use haven_network::exposure::AddressRange;
use haven_spec::{Failure, Outcome};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Links that a file would mean.
#[derive(Debug, Clone, Default)]
pub struct ImportView {
    pub links: Vec<AddLink>,
    /// Whom to observe instead.
    pub observe: Vec<String>,
    /// Networks that would have to be open for it.
    pub open_networks: Vec<String>,
    /// What is not understood, or weakens isolation.
    pub notes: Vec<String>,
    /// Directed pairs that the file lets speak to each other on every port; 0 where it says exactly.
    pub implied: usize,
}

/// A Compose file, read as `links`, `open` or `observe`. Its services are applications of `project`, or of the one the
/// file names.
pub(crate) fn from_compose(text: &str, reading: &str, project: &str) -> Outcome<ImportView> {
    let proposal = Compose::parse(text)?.proposal(Reading::parse(reading)?);
    let project = Some(project.to_owned()).filter(|p| !p.is_empty()).or_else(|| proposal.project.clone());
    let Some(project) = project else {
        return Err(Failure::invalid("the file does not say what its project is called")
            .hint("name it with --project: by default Compose takes the directory's name"));
    };
    let end = |name: &str| {
        if proposal.services.iter().any(|service| service == name) {
            format!("app:{project}/{name}")
        } else {
            name.to_owned()
        }
    };
    let links = proposal.links.iter().map(|link| AddLink {
        from: end(&link.from),
        to: end(&link.to),
        traffic: link.traffic.to_string(),
        reason: link.reason.clone(),
        ..AddLink::default()
    });
    Ok(ImportView {
        links: links.collect(),
        observe: proposal.observe.iter().map(|name| end(name)).collect(),
        open_networks: proposal.networks.iter().filter(|n| n.open).map(|n| n.name.clone()).collect(),
        implied: proposal.counts().0,
        notes: proposal.notes,
    })
}

/// Kubernetes NetworkPolicies. Whom they name is taken for a container if there is one of that name, else for an
/// application.
pub(crate) fn from_kubernetes(shared: &Shared, text: &str) -> Outcome<ImportView> {
    let imported = import_policies(text, &workloads_named_in(text)?)?;
    let end = |side: &Side| match side {
        Side::Application(name) if container_called(shared, name).is_some() => format!("container:{name}"),
        Side::Application(name) => format!("app:{name}"),
        other => other.to_string(),
    };
    let links = imported.links.iter().map(|link| AddLink {
        from: end(&link.from),
        to: end(&link.to),
        traffic: link.traffic.to_string(),
        reason: link.reason.clone().unwrap_or_default(),
        ..AddLink::default()
    });
    let mut notes = imported.notes;
    notes.extend(imported.ways_in.iter().map(|way| {
        format!(
            "`{}` may be reached from {} for {}: publish the port for that (haven publish --from)",
            way.application, way.from, way.traffic
        )
    }));
    notes.extend(imported.not_isolated.iter().map(|name| {
        format!("no policy isolates `{name}`: there everybody reaches it, here nobody does without a link")
    }));
    Ok(ImportView { links: links.collect(), notes, ..ImportView::default() })
}

/// Everything declared as NetworkPolicies, and notes on what they don't say.
pub(crate) fn to_kubernetes(shared: &Shared, namespace: &str) -> Outcome<(String, Vec<String>)> {
    let mut declared = Declared::default();
    let mut workloads: BTreeMap<String, Workload> = BTreeMap::new();
    for view in shared.registry.views() {
        let subject = Subject::of_container(&view.name, &view.spec);
        let workload = workloads.entry(subject.name().to_owned()).or_insert_with(|| Workload {
            name: subject.name().to_owned(),
            namespace: namespace.to_owned(),
            ..Workload::default()
        });
        for network in super::networks::wanted(&view.spec) {
            if !workload.networks.contains(&network) {
                workload.networks.push(network);
            }
        }
        for published in view.endpoints.iter().flat_map(|endpoint| &endpoint.published) {
            let from =
                view.spec.ports.iter().filter(|m| m.container == published.container).flat_map(|m| &m.from);
            let publish = DeclaredPublish {
                application: subject.name().to_owned(),
                container: published.container,
                host: SocketAddr::new(published.host_address, published.host_port),
                from: from.map(|net| AddressRange::parse(&net.to_string())).collect::<Outcome<_>>()?,
            };
            declared.publishes.push(publish);
        }
    }
    declared.workloads = workloads.into_values().collect();
    let side = |end: &LinkEnd| -> Outcome<Side> {
        Ok(match end {
            LinkEnd::Outside => Side::Outside,
            LinkEnd::Range(range) => Side::Range(AddressRange::parse(&range.to_string())?),
            LinkEnd::Subject(Subject::Network(name)) => Side::Network(name.to_string()),
            LinkEnd::Subject(subject) => Side::Application(subject.name().to_owned()),
        })
    };
    for link in super::links::list(shared)? {
        let (from, to) = (side(&link.from)?, side(&link.to)?);
        if link.id.is_none() && from == to {
            declared.open_networks.push(link.from.subject().map(|s| s.name().to_owned()).unwrap_or_default());
            continue;
        }
        let reason = Some(link.reason).filter(|reason| !reason.is_empty());
        declared.links.push(DeclaredLink { from, to, traffic: link.traffic, id: link.id, reason });
    }
    export_policies(&declared, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "name: shop\nservices:\n  api:\n    image: api\n    depends_on: [db]\n  db:\n    image: postgres\n";

    #[test]
    fn services_become_applications_of_their_project() {
        let view = from_compose(FILE, "links", "").unwrap();
        let shown: Vec<String> =
            view.links.iter().map(|l| format!("{} {} {}", l.from, l.to, l.traffic)).collect();
        assert_eq!(shown, ["app:shop/api app:shop/db 5432/tcp"]);
        assert_eq!(view.implied, 2);
        assert_eq!(
            from_compose(FILE, "observe", "other").unwrap().observe,
            ["app:other/api", "app:other/db"]
        );
        assert!(from_compose(&FILE.replace("name: shop", ""), "links", "").is_err());
        assert!(from_compose("nonsense", "links", "x").is_err());
        for link in view.links {
            assert!(haven_network::Traffic::parse(&link.traffic).is_ok(), "{}", link.traffic);
        }
    }
}
