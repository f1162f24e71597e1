//! `POST /images/{name}/tag`, `DELETE /images/{name}`, `POST /images/prune`: names come and go, and images with them.

use super::inspect::labels;
use super::list::created_s;
use super::reference;
use crate::Api;
use crate::call::Call;
use crate::container::lifecycle::until;
use crate::filter::Filters;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use haven_engine::image::{Image, PruneImages, RemoveImage, Removed};
use hyper::StatusCode;
use serde::Serialize;

pub(crate) async fn tag(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let target = reference(call.query.text("repo"), call.query.text("tag"))?;
    let target = target
        .ok_or_else(|| Refusal::invalid("invalid reference format: the repository (`repo`) is missing"))?;
    api.engine.tag_image(name, target).await?;
    Ok(Reply::empty(StatusCode::CREATED))
}

#[derive(Serialize)]
enum Change {
    Untagged(String),
    Deleted(String),
}

impl From<&Removed> for Change {
    fn from(removed: &Removed) -> Self {
        match removed {
            Removed::Untagged(name) => Self::Untagged(name.familiar()),
            Removed::Deleted(id) => Self::Deleted(id.to_string()),
        }
    }
}

fn changes(removed: &[Removed]) -> Vec<Change> {
    removed.iter().map(Change::from).collect()
}

pub(crate) async fn remove(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let how = RemoveImage { force: call.query.flag("force"), keep_parents: call.query.flag("noprune") };
    let removed = api.engine.remove_image(name, how).await?;
    Ok(Reply::json(&changes(&removed)))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImagesPruned {
    images_deleted: Option<Vec<Change>>,
    space_reclaimed: u64,
}

pub(crate) async fn prune(api: &Api, call: Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, &["dangling", "label", "label!", "until"])?;
    let dangling_only = filters.boolean("dangling")?.unwrap_or(true);
    let until_s = until(&filters)?.map(|ns| ns.div_euclid(1_000_000_000));
    let keep = move |image: &Image| {
        !filters.labels(&labels(image)) || until_s.is_some_and(|until| created_s(image) > until)
    };
    let report = api.engine.prune_images(PruneImages { all: !dangling_only }, keep).await?;
    Ok(Reply::json(&ImagesPruned {
        images_deleted: Some(changes(&report.removed)).filter(|list| !list.is_empty()),
        space_reclaimed: report.freed_bytes,
    }))
}
