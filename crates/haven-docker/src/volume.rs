//! `/volumes/…`.

use crate::Api;
use crate::call::Call;
use crate::container::{check_driver, labels, volume_name};
use crate::filter::Filters;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::time;
use crate::version::ApiVersion;
use crate::wire::wire;
use haven_engine::{CreateVolume, VolumeView};
use serde::Serialize;
use std::collections::BTreeMap;

/// The label Docker puts on volumes nobody named.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

wire! {
    CreateBody {
        name: String = "Name",
        driver: String = "Driver",
        options: BTreeMap<String, String> = "DriverOpts",
        labels: BTreeMap<String, Option<String>> = "Labels",
        cluster: Option<crate::wire::Empty> = "ClusterVolumeSpec",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volume {
    created_at: String,
    driver: &'static str,
    labels: Option<BTreeMap<String, String>>,
    mountpoint: String,
    name: String,
    options: Option<BTreeMap<String, String>>,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_data: Option<Usage>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    ref_count: usize,
    size: u64,
}

impl Volume {
    /// With how many containers mention it and how much it takes.
    pub(crate) fn used(self, ref_count: usize, size: u64) -> Self {
        Self { usage_data: Some(Usage { ref_count, size }), ..self }
    }
}

/// A volume as every answer shows it.
pub(crate) fn describe(view: &VolumeView) -> Volume {
    Volume {
        created_at: time::rfc3339_seconds(view.created_at_ns),
        driver: "local",
        labels: Some(shown_labels(view)).filter(|labels| !labels.is_empty()),
        mountpoint: view.mountpoint.display().to_string(),
        name: view.name.to_string(),
        options: Some(view.options.clone()).filter(|options| !options.is_empty()),
        scope: "local",
        usage_data: None,
    }
}

fn shown_labels(view: &VolumeView) -> BTreeMap<String, String> {
    let mut labels = view.labels.clone();
    if view.anonymous {
        labels.entry(ANONYMOUS_LABEL.into()).or_default();
    }
    labels
}

pub(crate) async fn create(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: CreateBody = call.json_or_none().await?.unwrap_or_default();
    if body.cluster.is_some() {
        return Err(Refusal::unavailable(
            "cluster volumes aren't available: this node is not a swarm manager",
        ));
    }
    check_driver(&body.driver)?;
    let name = if body.name.is_empty() { None } else { Some(volume_name(&body.name)?) };
    let request = CreateVolume { name, labels: labels(body.labels), options: body.options };
    let view = api.engine.create_volume(request).await?;
    Ok(Reply::created(&describe(&view)))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    volumes: Vec<Volume>,
    warnings: Option<()>,
}

pub(crate) fn list(api: &Api, call: &Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, &["dangling", "driver", "label", "label!", "name"])?;
    let dangling = filters.boolean("dangling")?;
    let views = api.engine.volumes();
    let passing = views.iter().filter(|view| {
        dangling.is_none_or(|wanted| view.users.is_empty() == wanted)
            && filters.any("driver", |driver| driver == "local")
            && filters.any("name", |part| view.name.as_str().contains(part))
            && filters.labels(&shown_labels(view))
    });
    Ok(Reply::json(&List { volumes: passing.map(describe).collect(), warnings: None }))
}

pub(crate) fn inspect(api: &Api, name: &str) -> Answer<Reply> {
    Ok(Reply::json(&describe(&api.engine.volume(name)?)))
}

pub(crate) async fn remove(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    api.engine.remove_volume(name, call.query.flag("force")).await?;
    Ok(Reply::done())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VolumesPruned {
    volumes_deleted: Option<Vec<String>>,
    space_reclaimed: u64,
}

pub(crate) async fn prune(api: &Api, call: Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, &["all", "label", "label!"])?;
    // Before 1.42 named volumes were pruned too.
    let all = filters.boolean("all")?.unwrap_or(call.version < ApiVersion::new(1, 42));
    let pruned = api.engine.prune_volumes(all, |view| !filters.labels(&shown_labels(view))).await?;
    Ok(Reply::json(&VolumesPruned {
        volumes_deleted: Some(pruned.removed).filter(|list| !list.is_empty()),
        space_reclaimed: pruned.reclaimed_bytes,
    }))
}
