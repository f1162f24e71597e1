//! The networks there are: the default one, none, and the host's own.

use crate::shared::Shared;
use crate::view::{ContainerView, NetworkView};
use haven_spec::{Failure, NetworkMode, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fixed ids, in Docker's form of 64 digits, so that they are the same on every host.
pub(crate) const DEFAULT_ID: &str = "6861766564656661756c740000000000000000000000000000000000000000d1";
const HOST_ID: &str = "686176656e686f737400000000000000000000000000000000000000000000d2";
const NONE_ID: &str = "686176656e6e6f6e6500000000000000000000000000000000000000000000d3";

/// In the order of their names.
pub(crate) fn list(shared: &Shared, created_at_ns: i64) -> Vec<NetworkView> {
    let views = shared.registry.views();
    let members = |network: &str| {
        let on = |view: &Arc<ContainerView>| {
            let endpoint = view.endpoints.iter().find(|endpoint| endpoint.network == network)?;
            Some((view.id.clone(), view.name.clone(), endpoint.clone()))
        };
        views.iter().filter_map(on).collect::<Vec<_>>()
    };
    let network = |name: &str, id: &str, driver: &'static str| NetworkView {
        name: name.to_owned(),
        id: id.to_owned(),
        created_at_ns,
        driver,
        subnet: None,
        gateway: None,
        internal: false,
        labels: BTreeMap::new(),
        options: BTreeMap::new(),
        members: members(name),
    };
    let mut default = network("default", DEFAULT_ID, "haven");
    default.subnet = Some(shared.network.pool());
    default.gateway = Some(haven_network::GATEWAY);
    vec![default, network("host", HOST_ID, "host"), network("none", NONE_ID, "null")]
}

/// By name, id or unique beginning of an id. Docker's name of its default network, `bridge`, means ours.
pub(crate) fn find(shared: &Shared, wanted: &str, created_at_ns: i64) -> Outcome<NetworkView> {
    let wanted_name = if wanted == "bridge" { "default" } else { wanted };
    let list = list(shared, created_at_ns);
    if let Some(found) = list.iter().find(|network| network.name == wanted_name || network.id == wanted) {
        return Ok(found.clone());
    }
    let mut matching =
        list.into_iter().filter(|network| !wanted.is_empty() && network.id.starts_with(wanted));
    match (matching.next(), matching.next()) {
        (Some(found), None) => Ok(found),
        _ => Err(Failure::not_found(format!("network {wanted} not found"))),
    }
}

/// The mode a container is created with, checked against what there is.
pub(crate) fn check_mode(shared: &Shared, mode: &NetworkMode) -> Outcome<()> {
    match mode {
        NetworkMode::Default | NetworkMode::None | NetworkMode::Host => Ok(()),
        NetworkMode::Container(id) => shared.registry.get(id).map(drop),
        NetworkMode::Named(name) => find(shared, name.as_str(), 0).map(drop),
    }
}
