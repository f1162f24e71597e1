//! Making, removing and pruning networks, and putting containers on them.
//!
//! A network that a Docker client makes is open inside and leads outside, because such clients expect it. The options
//! `haven.inside` and `haven.outside` say otherwise, and so does Docker's own for the same.

use super::{find, is_predefined, name};
use crate::Api;
use crate::call::Call;
use crate::container::config::Endpoint;
use crate::container::lifecycle::until;
use crate::container::{attachment, labels};
use crate::filter::Filters;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::wire::{Empty, wire};
use haven_engine::CreateNetwork;
use haven_spec::Ipv4Net;
use hyper::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Values `open` and `closed`.
const INSIDE: &str = "haven.inside";
const OUTSIDE: &str = "haven.outside";
/// Docker's way to say that containers of a network don't reach each other.
const ENABLE_ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";

wire! {
    CreateBody {
        name: String = "Name",
        driver: String = "Driver",
        scope: String = "Scope",
        internal: bool = "Internal",
        ingress: bool = "Ingress",
        config_only: bool = "ConfigOnly",
        enable_ipv4: Option<bool> = "EnableIPv4",
        enable_ipv6: bool = "EnableIPv6",
        ipam: IpamBody = "IPAM",
        options: BTreeMap<String, String> = "Options",
        labels: BTreeMap<String, Option<String>> = "Labels",
        config_from: Option<ConfigFromBody> = "ConfigFrom",
    }
}

wire! {
    ConfigFromBody {
        network: String = "Network",
    }
}

wire! {
    IpamBody {
        driver: String = "Driver",
        config: Vec<PoolBody> = "Config",
        options: BTreeMap<String, String> = "Options",
    }
}

wire! {
    PoolBody {
        subnet: String = "Subnet",
        range: String = "IPRange",
        gateway: String = "Gateway",
        reserved: BTreeMap<String, String> = "AuxiliaryAddresses",
        reserved_old: BTreeMap<String, String> = "AuxAddress",
    }
}

wire! {
    ConnectBody {
        container: String = "Container",
        endpoint: Option<Endpoint> = "EndpointConfig",
    }
}

wire! {
    DisconnectBody {
        container: String = "Container",
        _force: Option<bool> = "Force",
        _endpoint: Option<Empty> = "EndpointConfig",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    warning: &'static str,
}

pub(crate) async fn create(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: CreateBody = call.json().await?;
    let view = api.engine.create_network(wish(body, api.engine.config().docker_networks_open)?).await?;
    Ok(Reply::created(&Created { id: view.id, warning: "" }))
}

/// `open`: what a network is that says nothing about it.
fn wish(body: CreateBody, open: bool) -> Answer<CreateNetwork> {
    refuse_unavailable(&body)?;
    let (subnet, address_range, gateway, reserved) = addresses(&body.ipam)?;
    let openness = |key: &str| match body.options.get(key).map(String::as_str) {
        None => Ok(None),
        Some("open") => Ok(Some(true)),
        Some("closed") => Ok(Some(false)),
        Some(other) => {
            Err(Refusal::invalid(format!("invalid value for `{key}`: `{other}` is neither open nor closed")))
        }
    };
    let between = match body.options.get(ENABLE_ICC).map(String::as_str) {
        None => None,
        Some(text) => Some(text.parse::<bool>().map_err(|_| {
            Refusal::invalid(format!("invalid value for `{ENABLE_ICC}`: `{text}` is neither true nor false"))
        })?),
    };
    Ok(CreateNetwork {
        name: body.name,
        subnet,
        address_range,
        gateway,
        reserved,
        internal: body.internal,
        open_inside: openness(INSIDE)?.or(between).unwrap_or(open),
        open_outside: openness(OUTSIDE)?.unwrap_or(true),
        labels: labels(body.labels),
        options: body.options,
    })
}

/// What would change how the network works, and isn't there, is refused by name.
fn refuse_unavailable(body: &CreateBody) -> Answer<()> {
    match body.driver.as_str() {
        "" | "default" | "bridge" | "haven" => {}
        "host" | "null" => {
            let words = format!("only one instance of \"{}\" network is allowed", body.driver);
            return Err(Refusal::new(StatusCode::FORBIDDEN, words));
        }
        other => {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                format!(
                    "could not find plugin {other} in v1 plugin registry: plugin not found (Haven's networks are routed; leave the driver out)"
                ),
            ));
        }
    }
    if !matches!(body.scope.as_str(), "" | "local") {
        return Err(Refusal::unavailable(format!(
            "networks of scope `{}` aren't available: this node is not a swarm manager",
            body.scope
        )));
    }
    if body.ingress
        || body.config_only
        || body.config_from.as_ref().is_some_and(|from| !from.network.is_empty())
    {
        return Err(Refusal::unavailable(
            "`Ingress`, `ConfigOnly` and `ConfigFrom` aren't available: this node is not a swarm manager",
        ));
    }
    if body.enable_ipv4 == Some(false) {
        return Err(Refusal::unavailable(
            "`EnableIPv4: false` isn't available: containers have IPv4 addresses",
        ));
    }
    if body.enable_ipv6 {
        return Err(Refusal::unavailable("`EnableIPv6` isn't available yet: containers have IPv4 addresses"));
    }
    if !matches!(body.ipam.driver.as_str(), "" | "default") {
        return Err(Refusal::unavailable(format!(
            "IPAM driver `{}` isn't available: leave it out",
            body.ipam.driver
        )));
    }
    if let Some(option) = body.ipam.options.keys().next() {
        return Err(Refusal::unavailable(format!("IPAM option `{option}` isn't available")));
    }
    for (option, value) in &body.options {
        match option.as_str() {
            INSIDE | OUTSIDE | ENABLE_ICC => {}
            MASQUERADE if value == "true" => {}
            _ => {
                return Err(Refusal::unavailable(format!(
                    "network option `{option}={value}` isn't available: Haven's networks have no bridge; `{INSIDE}` and `{OUTSIDE}` can be open or closed"
                )));
            }
        }
    }
    Ok(())
}

type Addresses = (Option<Ipv4Net>, Option<Ipv4Net>, Option<Ipv4Addr>, Vec<Ipv4Addr>);

fn addresses(ipam: &IpamBody) -> Answer<Addresses> {
    let pool = match ipam.config.as_slice() {
        [] => return Ok((None, None, None, Vec::new())),
        [pool] => pool,
        _ => {
            return Err(Refusal::unavailable(
                "a network has one subnet here; make another network for the other",
            ));
        }
    };
    let net = |text: &str, member: &str| match text {
        "" => Ok(None),
        text => Ipv4Net::parse(text)
            .map(Some)
            .map_err(|failure| Refusal::from(failure).prefixed(&format!("invalid `{member}`"))),
    };
    let address = |text: &str| {
        text.parse::<Ipv4Addr>()
            .map_err(|_| Refusal::invalid(format!("invalid network config: `{text}` is not an IPv4 address")))
    };
    let subnet = net(&pool.subnet, "Subnet")?;
    let range = net(&pool.range, "IPRange")?;
    let gateway = Some(pool.gateway.as_str()).filter(|text| !text.is_empty()).map(address).transpose()?;
    let reserved = pool.reserved.values().chain(pool.reserved_old.values()).map(|text| address(text));
    let reserved = reserved.collect::<Answer<Vec<_>>>()?;
    if subnet.is_none() && (range.is_some() || gateway.is_some() || !reserved.is_empty()) {
        return Err(Refusal::invalid(
            "invalid network config: a range, a gateway or reserved addresses need a subnet",
        ));
    }
    Ok((subnet, range, gateway, reserved))
}

pub(crate) async fn remove(api: &Api, wanted: &str) -> Answer<Reply> {
    let view = find(api, wanted)?;
    if is_predefined(&view) {
        let words = format!("{} is a pre-defined network and cannot be removed", name::to_wire(&view.name));
        return Err(Refusal::new(StatusCode::FORBIDDEN, words));
    }
    api.engine.remove_network(&view.name).await?;
    Ok(Reply::done())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworksPruned {
    networks_deleted: Option<Vec<String>>,
}

pub(crate) async fn prune(api: &Api, call: Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, &["label", "label!", "until"])?;
    let until = until(&filters)?;
    let keep = move |view: &haven_engine::NetworkView| {
        !filters.labels(&view.labels) || until.is_some_and(|until| view.created_at_ns >= until)
    };
    let removed = api.engine.prune_networks(keep).await?;
    Ok(Reply::json(&NetworksPruned { networks_deleted: Some(removed).filter(|list| !list.is_empty()) }))
}

pub(crate) async fn connect(api: &Api, mut call: Call, wanted: &str) -> Answer<Reply> {
    let body: ConnectBody = call.json().await?;
    let network = find(api, wanted)?;
    let container = api.engine.find(&body.container)?;
    let wish = attachment::attachment(&network.name, &body.endpoint.unwrap_or_default())?;
    api.engine.connect(&network.name, &container.id, wish).await?;
    Ok(Reply::empty(StatusCode::OK))
}

pub(crate) async fn disconnect(api: &Api, mut call: Call, wanted: &str) -> Answer<Reply> {
    let body: DisconnectBody = call.json().await?;
    let network = find(api, wanted)?;
    let container = api.engine.find(&body.container)?;
    api.engine.disconnect(&network.name, &container.id).await?;
    Ok(Reply::empty(StatusCode::OK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Answer<CreateNetwork> {
        wish(serde_json::from_str(json).unwrap(), true)
    }

    #[test]
    fn a_network_of_a_docker_client_is_open_unless_it_says_otherwise() {
        for (json, inside, outside) in [
            (r#"{"Name":"x"}"#, true, true),
            (r#"{"Name":"x","Options":{"haven.inside":"closed"}}"#, false, true),
            (r#"{"Name":"x","Options":{"haven.inside":"closed","haven.outside":"closed"}}"#, false, false),
            (r#"{"Name":"x","Options":{"com.docker.network.bridge.enable_icc":"false"}}"#, false, true),
        ] {
            let network = read(json).unwrap();
            assert_eq!((network.open_inside, network.open_outside), (inside, outside), "{json}");
        }
        assert!(!wish(serde_json::from_str(r#"{"Name":"x"}"#).unwrap(), false).unwrap().open_inside);
    }

    #[test]
    fn addresses_are_read() {
        let network = read(
            r#"{"Name":"x","IPAM":{"Config":[{"Subnet":"10.9.0.0/24","IPRange":"10.9.0.128/25","Gateway":"10.9.0.1",
                "AuxiliaryAddresses":{"printer":"10.9.0.9"}}]}}"#,
        )
        .unwrap();
        assert_eq!(network.subnet.unwrap().to_string(), "10.9.0.0/24");
        assert_eq!(network.address_range.unwrap().to_string(), "10.9.0.128/25");
        assert_eq!(network.reserved, [Ipv4Addr::new(10, 9, 0, 9)]);
    }

    #[test]
    fn what_isnt_there_is_refused_by_name() {
        for (json, words) in [
            (r#"{"Driver":"macvlan"}"#, "could not find plugin macvlan"),
            (r#"{"Driver":"host"}"#, "only one instance"),
            (r#"{"EnableIPv6":true}"#, "EnableIPv6"),
            (r#"{"EnableIPv4":false}"#, "EnableIPv4"),
            (r#"{"Scope":"swarm"}"#, "swarm"),
            (r#"{"ConfigOnly":true}"#, "ConfigOnly"),
            (r#"{"Options":{"com.docker.network.bridge.name":"br0"}}"#, "com.docker.network.bridge.name=br0"),
            (r#"{"Options":{"haven.inside":"ajar"}}"#, "neither open nor closed"),
            (r#"{"IPAM":{"Driver":"dhcp"}}"#, "dhcp"),
            (r#"{"IPAM":{"Config":[{"Subnet":"10.9.0.0"}]}}"#, "Subnet"),
            (r#"{"IPAM":{"Config":[{"Subnet":"10.9.0.0/24","Gateway":"x"}]}}"#, "`x` is not an IPv4 address"),
            (r#"{"IPAM":{"Config":[{"Gateway":"10.9.0.1"}]}}"#, "need a subnet"),
            (r#"{"IPAM":{"Config":[{},{}]}}"#, "one subnet"),
        ] {
            let message = read(json).unwrap_err().message;
            assert!(message.contains(words), "{json}: {message}");
        }
    }
}
