//! `GET /containers/json`: what `docker ps` shows, with all its filters.

use super::endpoint::{self, Endpoint, ListedPort, NetworkIds};
use super::inspect::{Mount, mounts};
use super::state::status_line;
use crate::Api;
use crate::call::Call;
use crate::filter::Filters;
use crate::network::name as network_name;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::time;
use haven_engine::{ContainerSize, ContainerView};
use haven_spec::{ContainerState, PortKey, PortProtocol};
use regex_lite::Regex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

const STATES: &[&str] = &["created", "running", "paused", "restarting", "removing", "exited", "dead"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    id: String,
    names: [String; 1],
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Vec<ListedPort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
    host_config: HostConfig,
    network_settings: Networks,
    mounts: Vec<Mount>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: BTreeMap<String, Endpoint>,
}

pub(crate) async fn list(api: &Api, call: Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, FILTERS)?;
    let query = Wanted::read(api, &call, filters)?;
    let chosen = query.choose(api.engine.containers());
    let sizes = call.query.flag("size");
    let mut listed = Vec::with_capacity(chosen.len());
    let now_ns = time::now_ns();
    for view in &chosen {
        let size = match sizes {
            // One that is removed meanwhile has no size any more.
            true => api.engine.container_size(&view.id).await.ok(),
            false => None,
        };
        listed.push(describe(view, size.as_ref(), now_ns, &|name| api.network_id(name)));
    }
    Ok(Reply::json(&listed))
}

/// One line of the list.
pub(crate) fn describe(
    view: &ContainerView,
    size: Option<&ContainerSize>,
    now_ns: i64,
    ids: NetworkIds<'_>,
) -> Listed {
    Listed {
        id: view.id.to_string(),
        names: [format!("/{}", view.name)],
        image: view.spec.image.clone(),
        image_id: view.image_id.to_string(),
        command: command_line(&view.arguments()),
        created: view.created_at_ns.div_euclid(1_000_000_000),
        ports: endpoint::listed_ports(view),
        // A size of nothing isn't shown.
        size_rw: size.map(|size| size.rw_bytes).filter(|bytes| *bytes != 0),
        size_root_fs: size.map(|size| size.rootfs_bytes).filter(|bytes| *bytes != 0),
        labels: view.spec.labels.clone(),
        state: view.state.word(),
        status: status_line(view, now_ns),
        host_config: HostConfig {
            network_mode: endpoint::mode_to_wire(&view.spec.network),
            annotations: view.spec.annotations.clone(),
        },
        network_settings: Networks { networks: endpoint::networks(view, ids) },
        mounts: mounts(view),
    }
}

/// The words of the command line, those with blanks in quotes.
fn command_line(arguments: &[String]) -> String {
    let mut line = String::new();
    for (index, word) in arguments.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        if index > 0 && word.contains(' ') {
            line.push('\'');
            line.push_str(word);
            line.push('\'');
        } else {
            line.push_str(word);
        }
    }
    line
}

/// What a client wants to see.
struct Wanted {
    all: bool,
    limit: Option<usize>,
    /// Older than this, as (created, id).
    before: Option<Arc<ContainerView>>,
    since: Option<Arc<ContainerView>>,
    filters: Filters,
    names: Vec<Regex>,
    exited: Vec<i32>,
    expose: Vec<Ports>,
    publish: Vec<Ports>,
    ancestors: Vec<String>,
    networks: Vec<String>,
}

impl Wanted {
    fn read(api: &Api, call: &Call, filters: Filters) -> Answer<Self> {
        let limit = call.query.number("limit")?.filter(|limit| *limit > 0);
        for status in filters.values("status") {
            if !STATES.contains(&status.as_str()) {
                return Err(Refusal::invalid(format!(
                    "invalid filter 'status={status}': invalid value for state ({status}): must be one of {}",
                    "created, running, paused, restarting, removing, exited, dead"
                )));
            }
        }
        for health in filters.values("health") {
            if !matches!(health.as_str(), "none" | "starting" | "healthy" | "unhealthy") {
                return Err(Refusal::invalid(format!(
                    "invalid filter 'health={health}': invalid value for health ({health}): must be one of none, starting, unhealthy, healthy"
                )));
            }
        }
        let anchor = |key: &str| {
            let wanted = filters.values(key).last().map(String::as_str).or_else(|| call.query.given(key));
            wanted.map(|wanted| api.engine.find(wanted)).transpose()
        };
        let numbers = |key: &str| {
            let number = |text: &String| {
                text.parse::<i32>().map_err(|_| Refusal::invalid(format!("invalid filter '{key}={text}'")))
            };
            filters.values(key).iter().map(number).collect::<Answer<Vec<_>>>()
        };
        let ports = |key: &str| {
            filters.values(key).iter().map(|text| Ports::parse(key, text)).collect::<Answer<Vec<_>>>()
        };
        let regex = |text: &String| {
            Regex::new(text).map_err(|_| {
                Refusal::invalid(format!("invalid filter 'name={text}': not a regular expression"))
            })
        };
        Ok(Self {
            all: call.query.flag("all") || limit.is_some() || !filters.values("status").is_empty(),
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            before: anchor("before")?,
            since: anchor("since")?,
            names: filters.values("name").iter().map(regex).collect::<Answer<_>>()?,
            exited: numbers("exited")?,
            expose: ports("expose")?,
            publish: ports("publish")?,
            ancestors: filters.values("ancestor").iter().map(|name| api.image_id(name)).collect(),
            networks: filters
                .values("network")
                .iter()
                .map(|name| network_name::from_wire(name).to_owned())
                .collect(),
            filters,
        })
    }

    fn choose(&self, views: Vec<Arc<ContainerView>>) -> Vec<Arc<ContainerView>> {
        let passing = views.into_iter().filter(|view| self.passes(view));
        passing.take(self.limit.unwrap_or(usize::MAX)).collect()
    }

    fn passes(&self, view: &ContainerView) -> bool {
        let running = view.state.is_alive() || matches!(view.state, ContainerState::Restarting { .. });
        let exit_code = matches!(view.state, ContainerState::Exited { .. } | ContainerState::Dead { .. })
            .then(|| view.state.exit().map(|exit| exit.code))
            .flatten();
        (self.all || running)
            && self.before.as_ref().is_none_or(|anchor| older(view, anchor))
            && self.since.as_ref().is_none_or(|anchor| older(anchor, view))
            && self.filters.any("status", |status| status == view.state.word())
            && self.filters.any("id", |id| view.id.as_str().starts_with(id))
            && self.filters.any("is-task", |value| matches!(value, "false" | "0"))
            && self.filters.any("isolation", |value| matches!(value, "" | "default"))
            && self.filters.labels(&view.spec.labels)
            && self.filters.any("health", |wanted| {
                wanted == view.health.as_ref().map_or("none", |health| health.status.word())
            })
            && (self.names.is_empty() || self.names.iter().any(|name| name_matches(name, view)))
            && (self.exited.is_empty() || exit_code.is_some_and(|code| self.exited.contains(&code)))
            && self.filters.any("volume", |wanted| has_mount(view, wanted))
            && (self.networks.is_empty() || self.networks.iter().any(|wanted| on_network(view, wanted)))
            && (self.ancestors.is_empty()
                || self.ancestors.iter().any(|id| id == view.image_id.as_str() || *id == view.spec.image))
            && (self.expose.is_empty()
                || view.spec.exposed_ports.iter().any(|key| self.expose.iter().any(|ports| ports.has(*key))))
            && (self.publish.is_empty()
                || published(view).any(|key| self.publish.iter().any(|ports| ports.has(key))))
    }
}

fn older(view: &ContainerView, than: &ContainerView) -> bool {
    (view.created_at_ns, &view.id) < (than.created_at_ns, &than.id)
}

/// With and without the slash that names are shown with: clients write both.
fn name_matches(name: &Regex, view: &ContainerView) -> bool {
    name.is_match(view.name.as_str()) || name.is_match(&format!("/{}", view.name))
}

fn has_mount(view: &ContainerView, wanted: &str) -> bool {
    view.mounts.iter().any(|mount| {
        mount.name.as_ref().is_some_and(|name| name.as_str() == wanted)
            || mount.destination.as_os_str() == wanted
            || (!mount.source.as_os_str().is_empty() && mount.source.as_os_str() == wanted)
    })
}

fn on_network(view: &ContainerView, wanted: &str) -> bool {
    let by_endpoint = view.endpoints.iter().any(|endpoint| {
        endpoint.network == wanted || (!wanted.is_empty() && endpoint.network_id.starts_with(wanted))
    });
    by_endpoint
        || endpoint::main_network(&view.spec.network) == Some(wanted)
        || view.spec.attachments.contains_key(wanted)
}

fn published(view: &ContainerView) -> impl Iterator<Item = PortKey> {
    view.endpoints.iter().flat_map(|endpoint| &endpoint.published).map(|port| port.container)
}

/// `80`, `80/udp`, `8000-8010/tcp`.
#[derive(Debug)]
struct Ports {
    range: RangeInclusive<u16>,
    protocol: PortProtocol,
}

impl Ports {
    fn parse(key: &str, text: &str) -> Answer<Self> {
        let refuse =
            || Refusal::invalid(format!("invalid filter '{key}={text}': not a port or a range of ports"));
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let number = |text: &str| text.parse::<u16>().map_err(|_| refuse());
        Ok(Self {
            range: number(first)?..=number(last)?,
            protocol: PortProtocol::parse(protocol).map_err(|_| refuse())?,
        })
    }

    fn has(&self, key: PortKey) -> bool {
        key.protocol == self.protocol && self.range.contains(&key.port)
    }
}
