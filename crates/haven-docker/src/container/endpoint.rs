//! A container's networks and ports as `inspect` and lists show them.

use crate::network::name as network_name;
use haven_engine::{ContainerView, EndpointView, PublishedPort};
use haven_spec::{NetworkAttachment, NetworkMode, PortKey};
use serde::Serialize;
use std::collections::BTreeMap;

/// `EndpointSettings`. Every member is always there: clients index them without asking.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    ipam: Option<Ipam>,
    links: Option<Vec<String>>,
    aliases: Option<Vec<String>>,
    mac_address: String,
    driver_opts: Option<BTreeMap<String, String>>,
    gw_priority: i64,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

/// The addresses a client asked for.
#[derive(Debug, Default, Serialize)]
struct Ipam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "Option::is_none")]
    ipv4: Option<String>,
    #[serde(rename = "IPv6Address", skip_serializing_if = "Option::is_none")]
    ipv6: Option<String>,
}

/// `NetworkSettings` of `inspect`: the default network's endpoint stands here once more, as it always has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkSettings {
    bridge: &'static str,
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    sandbox_key: String,
    ports: BTreeMap<String, Option<Vec<Binding>>>,
    hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_ipv6_address: &'static str,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_ipv6_prefix_len: u8,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_ip_addresses: Option<()>,
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: Option<()>,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    mac_address: String,
    networks: BTreeMap<String, Endpoint>,
}

/// One listening address of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Binding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// A port in a list of containers.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedPort {
    #[serde(rename = "IP", skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    private_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    kind: &'static str,
}

/// Finds a network's id by the engine's name of it; empty when there is none.
pub(crate) type NetworkIds<'a> = &'a dyn Fn(&str) -> String;

/// The network a container is on by its mode, in the engine's words; `None` when it uses another container's.
pub(crate) fn main_network(mode: &NetworkMode) -> Option<&str> {
    match mode {
        NetworkMode::Default => Some(network_name::DEFAULT),
        NetworkMode::None => Some("none"),
        NetworkMode::Host => Some("host"),
        NetworkMode::Container(_) => None,
        NetworkMode::Named(name) => Some(name.as_str()),
    }
}

/// The mode as clients write it.
pub(crate) fn mode_to_wire(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Container(id) => format!("container:{id}"),
        other => main_network(other).map(network_name::to_wire).unwrap_or_default().to_owned(),
    }
}

/// Every network, by the name clients know.
pub(crate) fn networks(view: &ContainerView, ids: NetworkIds<'_>) -> BTreeMap<String, Endpoint> {
    let asked = |name: &str| view.spec.attachments.get(name);
    let mut networks: BTreeMap<String, Endpoint> = view
        .endpoints
        .iter()
        .map(|endpoint| {
            let name = network_name::to_wire(&endpoint.network).to_owned();
            (name, live(view, endpoint, asked(&endpoint.network)))
        })
        .collect();
    // What it will be on once it runs.
    let planned =
        main_network(&view.spec.network).into_iter().chain(view.spec.attachments.keys().map(String::as_str));
    for name in planned {
        networks
            .entry(network_name::to_wire(name).to_owned())
            .or_insert_with(|| Endpoint { network_id: ids(name), ..wished(asked(name)) });
    }
    networks
}

fn wished(asked: Option<&NetworkAttachment>) -> Endpoint {
    let Some(asked) = asked else { return Endpoint::default() };
    let addresses = asked.ipv4.is_some() || asked.ipv6.is_some();
    Endpoint {
        ipam: addresses.then(|| Ipam {
            ipv4: asked.ipv4.map(|address| address.to_string()),
            ipv6: asked.ipv6.map(|address| address.to_string()),
        }),
        aliases: Some(asked.aliases.clone()).filter(|aliases| !aliases.is_empty()),
        mac_address: asked.mac.clone().unwrap_or_default(),
        driver_opts: Some(asked.driver_opts.clone()).filter(|options| !options.is_empty()),
        ..Endpoint::default()
    }
}

fn live(view: &ContainerView, endpoint: &EndpointView, asked: Option<&NetworkAttachment>) -> Endpoint {
    let mut names: Vec<String> = Vec::new();
    if endpoint.network != network_name::DEFAULT {
        names.push(view.name.to_string());
        names.extend(endpoint.aliases.iter().cloned());
        names.push(view.id.short().to_owned());
    }
    Endpoint {
        mac_address: endpoint.mac.clone(),
        network_id: endpoint.network_id.clone(),
        endpoint_id: endpoint.endpoint_id.clone(),
        gateway: endpoint.gateway.to_string(),
        ip_address: endpoint.ipv4.to_string(),
        ip_prefix_len: endpoint.ipv4_prefix,
        dns_names: Some(names).filter(|names| !names.is_empty()),
        ..wished(asked)
    }
}

/// The ports of a container that runs: published ones with their addresses, exposed ones without.
fn ports(view: &ContainerView) -> BTreeMap<PortKey, Vec<&PublishedPort>> {
    let mut ports: BTreeMap<PortKey, Vec<&PublishedPort>> = BTreeMap::new();
    if !view.state.is_alive() || view.endpoints.is_empty() {
        return ports;
    }
    for key in &view.spec.exposed_ports {
        ports.entry(*key).or_default();
    }
    for published in view.endpoints.iter().flat_map(|endpoint| &endpoint.published) {
        ports.entry(published.container).or_default().push(published);
    }
    ports
}

/// The ports as a list shows them.
pub(crate) fn listed_ports(view: &ContainerView) -> Vec<ListedPort> {
    let mut listed = Vec::new();
    for (key, published) in ports(view) {
        let bare =
            ListedPort { ip: None, private_port: key.port, public_port: None, kind: key.protocol.word() };
        if published.is_empty() {
            listed.push(bare);
            continue;
        }
        listed.extend(published.into_iter().map(|port| ListedPort {
            ip: Some(port.host_address.to_string()),
            private_port: key.port,
            public_port: Some(port.host_port),
            kind: key.protocol.word(),
        }));
    }
    listed
}

/// Everything about networks that `inspect` shows.
pub(crate) fn settings(view: &ContainerView, ids: NetworkIds<'_>) -> NetworkSettings {
    let bindings = |published: Vec<&PublishedPort>| {
        let binding = |port: &&PublishedPort| Binding {
            host_ip: port.host_address.to_string(),
            host_port: port.host_port.to_string(),
        };
        Some(published.iter().map(binding).collect::<Vec<_>>()).filter(|list| !list.is_empty())
    };
    let networks = networks(view, ids);
    let main = view.endpoints.iter().find(|endpoint| endpoint.network == network_name::DEFAULT);
    let alive = view.state.is_alive();
    let text = |pick: fn(&EndpointView) -> String| main.map(pick).unwrap_or_default();
    NetworkSettings {
        bridge: "",
        sandbox_id: if alive { view.id.to_string() } else { String::new() },
        sandbox_key: view.state.pid().map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default(),
        ports: ports(view)
            .into_iter()
            .map(|(key, published)| (key.to_string(), bindings(published)))
            .collect(),
        hairpin_mode: false,
        link_local_ipv6_address: "",
        link_local_ipv6_prefix_len: 0,
        secondary_ip_addresses: None,
        secondary_ipv6_addresses: None,
        endpoint_id: text(|endpoint| endpoint.endpoint_id.clone()),
        gateway: text(|endpoint| endpoint.gateway.to_string()),
        global_ipv6_address: String::new(),
        global_ipv6_prefix_len: 0,
        ip_address: text(|endpoint| endpoint.ipv4.to_string()),
        ip_prefix_len: main.map_or(0, |endpoint| endpoint.ipv4_prefix),
        ipv6_gateway: String::new(),
        mac_address: text(|endpoint| endpoint.mac.clone()),
        networks,
    }
}
