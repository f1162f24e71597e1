//! `/networks/…`: the networks there are; [`change`] makes others and puts containers on them.

pub(crate) mod change;
pub(crate) mod name;

use crate::Api;
use crate::call::Call;
use crate::filter::Filters;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::time;
use haven_engine::NetworkView;
use hyper::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub(crate) struct Network {
    name: String,
    id: String,
    created: String,
    scope: &'static str,
    driver: String,
    #[serde(rename = "EnableIPv4")]
    enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    containers: BTreeMap<String, Member>,
    options: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    options: Option<()>,
    config: Option<Vec<Pool>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
}

/// A network; lists show nobody on it, as Docker has it since 1.28.
pub(crate) fn describe(view: &NetworkView, with_members: bool) -> Network {
    let pool = view.subnet.map(|subnet| Pool {
        subnet: subnet.to_string(),
        range: view.address_range.map(|range| range.to_string()),
        gateway: view.gateway.map(|gateway| gateway.to_string()),
    });
    let members = view.members.iter().map(|(id, name, endpoint)| {
        let member = Member {
            name: name.to_string(),
            endpoint_id: endpoint.endpoint_id.clone(),
            mac_address: endpoint.mac.clone(),
            ipv4_address: format!("{}/{}", endpoint.ipv4, endpoint.ipv4_prefix),
            ipv6_address: String::new(),
        };
        (id.to_string(), member)
    });
    Network {
        name: name::to_wire(&view.name).to_owned(),
        id: view.id.clone(),
        created: time::rfc3339(view.created_at_ns),
        scope: "local",
        driver: name::driver_to_wire(view.driver).to_owned(),
        enable_ipv4: true,
        enable_ipv6: false,
        ipam: Ipam { driver: "default", options: None, config: pool.map(|pool| vec![pool]) },
        internal: view.internal,
        attachable: false,
        ingress: false,
        config_from: ConfigFrom { network: "" },
        config_only: false,
        containers: if with_members { members.collect() } else { BTreeMap::new() },
        options: view.options.clone(),
        labels: view.labels.clone(),
    }
}

fn is_predefined(view: &NetworkView) -> bool {
    matches!(view.name.as_str(), name::DEFAULT | "host" | "none")
}

pub(crate) fn list(api: &Api, call: &Call) -> Answer<Reply> {
    let known = ["dangling", "driver", "id", "label", "label!", "name", "scope", "type"];
    let filters = Filters::read(&call.query, &known)?;
    let dangling = filters.boolean("dangling")?;
    if let Some(bad) =
        filters.values("type").iter().find(|kind| !matches!(kind.as_str(), "builtin" | "custom"))
    {
        return Err(Refusal::invalid(format!("invalid filter: 'type'='{bad}'")));
    }
    let views = api.engine.networks();
    let passing = views.iter().filter(|view| {
        filters.any("name", |part| name::to_wire(&view.name).contains(part))
            && filters.any("id", |part| view.id.starts_with(part))
            && filters.any("driver", |driver| driver == name::driver_to_wire(view.driver))
            && filters.any("scope", |scope| scope == "local")
            && filters.any("type", |kind| (kind == "builtin") == is_predefined(view))
            && filters.labels(&view.labels)
            && dangling.is_none_or(|wanted| (!is_predefined(view) && view.members.is_empty()) == wanted)
    });
    let listed: Vec<Network> = passing.map(|view| describe(view, false)).collect();
    Ok(Reply::json(&listed))
}

pub(crate) fn inspect(api: &Api, wanted: &str) -> Answer<Reply> {
    Ok(Reply::json(&describe(&find(api, wanted)?, true)))
}

fn find(api: &Api, wanted: &str) -> Answer<NetworkView> {
    let not_found = |failure: haven_spec::Failure| match failure.kind() {
        haven_spec::Kind::NotFound => {
            Refusal::new(StatusCode::NOT_FOUND, format!("network {wanted} not found"))
        }
        _ => failure.into(),
    };
    api.engine.network(name::from_wire(wanted)).map_err(not_found)
}
