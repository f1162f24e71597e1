//! `GET /system/df`: what takes how much room.

use crate::Api;
use crate::call::Call;
use crate::container::list;
use crate::image::list as image_list;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::time;
use crate::version::ApiVersion;
use crate::volume::{self, Volume};
use haven_engine::image::Image;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DiskUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    layers_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<Vec<image_list::Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Vec<list::Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: Option<Vec<Volume>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_cache: Option<[(); 0]>,
    /// Gone since 1.42.
    #[serde(skip_serializing_if = "Option::is_none")]
    builder_size: Option<u64>,
}

const TYPES: &[&str] = &["container", "image", "volume", "build-cache"];

pub(crate) async fn df(api: &Api, call: Call) -> Answer<Reply> {
    let asked: Vec<&str> = call.query.all("type").collect();
    if let Some(bad) = asked.iter().find(|kind| !TYPES.contains(kind)) {
        return Err(Refusal::invalid(format!("unknown object type: {bad}")));
    }
    let wants = |kind: &str| asked.is_empty() || asked.contains(&kind);
    let usage = wants("image").then(|| api.engine.images().usage());
    let images = usage.as_ref().map(|usage| {
        let item = |image: &Arc<Image>| {
            let part = usage.images.get(&image.id).copied().unwrap_or_default();
            image_list::describe(
                image,
                Some(part),
                Some(api.engine.image_users(&image.id).len()),
                call.version,
            )
        };
        api.engine.images().images().iter().map(item).collect()
    });
    Ok(Reply::json(&DiskUsage {
        layers_size: usage.as_ref().map(|usage| usage.layers_bytes),
        images,
        containers: if wants("container") { Some(containers(api).await) } else { None },
        volumes: if wants("volume") { Some(volumes(api).await) } else { None },
        build_cache: wants("build-cache").then_some([]),
        builder_size: (call.version < ApiVersion::new(1, 42)).then_some(0),
    }))
}

/// What is removed meanwhile takes no room any more.
async fn containers(api: &Api) -> Vec<list::Listed> {
    let now_ns = time::now_ns();
    let mut listed = Vec::new();
    for view in api.engine.containers() {
        let size = api.engine.container_size(&view.id).await.ok();
        listed.push(list::describe(&view, size.as_ref(), now_ns, &|name| api.network_id(name)));
    }
    listed
}

async fn volumes(api: &Api) -> Vec<Volume> {
    let mut listed = Vec::new();
    for view in api.engine.volumes() {
        let size = api.engine.volume_size(&view.name).await.unwrap_or(0);
        listed.push(volume::describe(&view).used(view.users.len(), size));
    }
    listed
}
