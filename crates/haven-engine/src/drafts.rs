//! What the audit record says of each kind of change: its action, what it is about, what was and what is to be.

use crate::caller::Caller;
use crate::network::exposure::powers;
use crate::network::links::{AddLink, LinkRecord};
use crate::network::networks::CreateNetwork;
use crate::network::subject::Subject;
use crate::record::ContainerRecord;
use crate::recording::Draft;
use crate::shared::Shared;
use crate::view::ContainerView;
use haven_audit::Object;
use haven_network::LinkId;
use haven_network::exposure::Power;
use haven_spec::{ContainerName, ContainerSpec, Failure, NetworkMode, Outcome, PortMapping};
use serde_json::{Value, json};

/// Objects that one record of many links names.
const LINKS_NAMED: usize = 20;

fn end(text: &str) -> Object {
    match text.split_once(':') {
        Some((kind @ ("network" | "app" | "container"), name)) => Object::new(kind, name),
        _ if text.starts_with('@') => Object::new("outside", text),
        _ => Object::new("application", text),
    }
}

fn of_container(view: &ContainerView) -> Object {
    Object::new("container", view.name.as_str()).with_id(view.id.as_str())
}

pub(crate) fn links_added(shared: &Shared, caller: &Caller, wishes: &[AddLink]) -> Draft<'static> {
    let mut draft = Draft::new(caller, "link.add");
    let mut told = Vec::new();
    for wish in wishes.iter().take(LINKS_NAMED) {
        for side in [&wish.from, &wish.to] {
            let shown = crate::network::end::LinkEnd::resolve(shared, side).map(|end| end.to_string());
            draft = draft.about(end(&shown.unwrap_or_else(|_| side.clone())));
        }
        told.push(json!({
            "from": wish.from, "to": wish.to, "traffic": wish.traffic, "owner": wish.owner, "reason": wish.reason,
            "expires_at_ns": wish.expires_at_ns,
        }));
    }
    let reason = wishes.iter().map(|wish| wish.reason.as_str()).find(|reason| !reason.is_empty());
    draft.because(reason.unwrap_or_default()).after(json!({ "links": told, "count": wishes.len() }))
}

pub(crate) fn link_removed(
    shared: &Shared,
    caller: &Caller,
    id: LinkId,
    action: &str,
) -> Outcome<Draft<'static>> {
    // Not as it is shown: that counts what all links have carried.
    let link = shared
        .links
        .get(id)
        .ok_or_else(|| Failure::not_found(format!("there is no link {id}")).hint("haven link ls"))?;
    let object = Object::new("link", id.to_string());
    let draft = Draft::new(caller, action).about(object).about(end(&link.from.to_string()));
    Ok(draft.about(end(&link.to.to_string())).before(link_state(&link)).planned(move |facts| {
        facts.remove_link(id);
    }))
}

/// Links whose time has come, as the engine's own change.
pub(crate) fn links_expired(shared: &Shared, due: &[LinkId]) -> (Caller, Draft<'static>) {
    let caller = Caller::own("expiry");
    let mut draft = Draft::new(&caller, "link.expire").because("its time has come");
    for id in due.iter().take(LINKS_NAMED) {
        draft = draft.about(Object::new("link", id.to_string()));
        if let Some(record) = shared.links.get(*id) {
            draft = draft.about(end(&record.from.to_string())).about(end(&record.to.to_string()));
        }
    }
    let ids: Vec<u32> = due.iter().map(|id| id.number()).collect();
    let draft = draft.before(json!({ "links": ids })).planned(move |facts| {
        for id in ids.into_iter().filter_map(|id| LinkId::new(id).ok()) {
            facts.remove_link(id);
        }
    });
    (caller, draft)
}

/// Somebody else changed the firewall, and it was put right.
pub(crate) fn firewall_repaired(by: &str, repairs: Value) -> Draft<'static> {
    Draft::new(&Caller::own("reconcile"), "firewall.repair")
        .about(Object::new("firewall", "inet haven"))
        .before(json!({ "changed_by": by }))
        .after(repairs)
}

pub(crate) fn image(caller: &Caller, action: &str, id: &str, name: &str) -> Draft<'static> {
    Draft::new(caller, action).about(Object::new("image", name).with_id(id))
}

fn link_state(link: &LinkRecord) -> Value {
    json!({
        "from": link.from.to_string(), "to": link.to.to_string(), "traffic": link.traffic.to_string(),
        "owner": link.owner, "reason": link.reason, "expires_at_ns": link.expires_at_ns,
    })
}

pub(crate) fn network_created(caller: &Caller, wish: &CreateNetwork) -> Draft<'static> {
    let name = wish.name.clone();
    let (open, outside) = (wish.open_inside, wish.open_outside && !wish.internal);
    Draft::new(caller, "network.create")
        .about(Object::new("network", name.as_str()))
        .after(json!({
            "subnet": wish.subnet.map(|net| net.to_string()),
            "internal": wish.internal, "open_inside": wish.open_inside, "open_outside": outside,
        }))
        .planned(move |facts| {
            let network = facts.network(&name);
            if open {
                facts.open(network);
            }
        })
}

pub(crate) fn network_removed(shared: &Shared, caller: &Caller, wanted: &str) -> Draft<'static> {
    let name =
        shared.networks.find(wanted).map_or_else(|_| wanted.to_owned(), |found| found.name.to_string());
    Draft::new(caller, "network.remove").about(Object::new("network", name.as_str())).planned(move |facts| {
        let network = facts.network(&name);
        facts.close(network);
    })
}

pub(crate) fn membership(
    caller: &Caller,
    view: &ContainerView,
    network: &str,
    joins: bool,
) -> Draft<'static> {
    let subject = Subject::of_container(&view.name, &view.spec).to_string();
    let action = if joins { "network.connect" } else { "network.disconnect" };
    let object = Object::new("network", network);
    let network = network.to_owned();
    Draft::new(caller, action).about(object).about(of_container(view)).planned(move |facts| {
        let (application, network) = (facts.application(&subject), facts.network(&network));
        if joins {
            facts.join(application, network);
        } else {
            facts.leave(application, network);
        }
    })
}

/// Ports of a container that are published, or taken back.
pub(crate) fn published(
    caller: &Caller,
    view: &ContainerView,
    ports: &[PortMapping],
    action: &str,
) -> Draft<'static> {
    let told = ports.iter().map(|port| {
        let from = port.from.iter().map(ToString::to_string).collect::<Vec<_>>();
        let address = port.host_address.map(|address| format!("{address}:")).unwrap_or_default();
        json!({ "port": format!("{address}{}->{}", port.host_port, port.container), "from": from })
    });
    let state = json!({ "ports": told.collect::<Vec<_>>() });
    let reason = ports.iter().map(|port| port.reason.as_str()).find(|reason| !reason.is_empty());
    let draft = Draft::new(caller, action).about(of_container(view)).because(reason.unwrap_or_default());
    if action == "port.publish" { draft.after(state) } else { draft.before(state) }
}

/// Somebody who may do for a while what no link permits, or may no longer.
pub(crate) fn observed(caller: &Caller, who: &str, action: &str, span_ns: i64) -> Draft<'static> {
    let draft = Draft::new(caller, action).about(end(who));
    if span_ns == 0 { draft } else { draft.after(json!({ "seconds": span_ns / 1_000_000_000 })) }
}

pub(crate) fn renamed(caller: &Caller, view: &ContainerView, new: &ContainerName) -> Draft<'static> {
    Draft::new(caller, "container.rename")
        .about(of_container(view))
        .about(Object::new("container", new.as_str()).with_id(view.id.as_str()))
        .before(json!({ "name": view.name.as_str() }))
        .after(json!({ "name": new.as_str() }))
}

pub(crate) fn container_created(caller: &Caller, record: &ContainerRecord) -> Draft<'static> {
    Draft::new(caller, "container.create")
        .about(Object::new("container", record.name.as_str()).with_id(record.id.as_str()))
        .about(Object::new("image", record.spec.image.as_str()).with_id(record.image_id.as_str()))
        .after(container_state(&record.spec))
}

pub(crate) fn container_removed(caller: &Caller, view: &ContainerView) -> Draft<'static> {
    Draft::new(caller, "container.remove").about(of_container(view)).before(container_state(&view.spec))
}

/// Whether it publishes a port or may do more than a container does.
pub(crate) fn opens_something(spec: &ContainerSpec) -> bool {
    !spec.ports.is_empty()
        || spec.publish_all_ports
        || !powers(spec).is_empty()
        || !spec.security.cap_add.is_empty()
        || !spec.security.devices.is_empty()
        || matches!(spec.network, NetworkMode::Container(_) | NetworkMode::Host)
        || spec.security != weakened_by_nothing(spec)
}

/// The same, confined as every container is.
fn weakened_by_nothing(spec: &ContainerSpec) -> haven_spec::Security {
    let default = haven_spec::Security::default();
    haven_spec::Security {
        privileged: default.privileged,
        no_new_privileges: true,
        seccomp: default.seccomp,
        user_namespace: default.user_namespace,
        pid: default.pid,
        masked_paths: default.masked_paths,
        readonly_paths: default.readonly_paths,
        ..spec.security.clone()
    }
}

/// What of a container an auditor asks about.
fn container_state(spec: &ContainerSpec) -> Value {
    let security = &spec.security;
    let ports: Vec<String> = spec
        .ports
        .iter()
        .map(|port| {
            let address = port.host_address.map(|address| format!("{address}:")).unwrap_or_default();
            format!("{address}{}->{}", port.host_port, port.container)
        })
        .collect();
    let powers: Vec<String> = powers(spec)
        .iter()
        .map(|power| match power {
            Power::HostNetwork => "host network".to_owned(),
            Power::Privileged => "can take over the host".to_owned(),
            Power::EngineSocket => "engine's socket".to_owned(),
            Power::HostMount(path) => format!("writes host directory {path}"),
        })
        .collect();
    let mut state = json!({ "image": spec.image, "networks": crate::network::networks::wanted(spec) });
    for (name, value) in [
        ("publishes", json!(ports)),
        ("powers", json!(powers)),
        ("privileged", json!(security.privileged.then_some(true))),
        ("capabilities_added", json!(security.cap_add)),
        ("devices", json!(security.devices.iter().map(|device| &device.host_path).collect::<Vec<_>>())),
        ("binds", json!(spec.binds)),
        ("no_new_privileges", json!((!security.no_new_privileges).then_some(false))),
        (
            "seccomp",
            json!((security.seccomp == haven_spec::SeccompChoice::Unconfined).then_some("unconfined")),
        ),
        (
            "user_namespace",
            json!((security.user_namespace == haven_spec::UserNamespaceMode::Host).then_some("host")),
        ),
        ("pid", json!((security.pid == haven_spec::PidMode::Host).then_some("host"))),
        ("auto_remove", json!(spec.auto_remove.then_some(true))),
        ("publish_all", json!(spec.publish_all_ports.then_some(true))),
    ] {
        let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            state[name] = value;
        }
    }
    state
}
