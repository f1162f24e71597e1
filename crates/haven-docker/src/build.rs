//! `/build…`, `/session`, `/grpc`: building isn't available yet and says so; pruning its cache finds nothing.

use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use hyper::Method;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CachePruned {
    caches_deleted: Option<()>,
    space_reclaimed: u64,
}

/// `None` when the path is none of these.
pub(crate) fn answer(method: &Method, path: &[&str]) -> Option<Answer<Reply>> {
    if *method != Method::POST {
        return None;
    }
    match path {
        ["build" | "session" | "grpc"] | ["build", "cancel"] => Some(Err(Refusal::unavailable(
            "building isn't available yet: build elsewhere and bring the image with `docker save` and `docker load`",
        ))),
        // `docker system prune` asks for this, too.
        ["build", "prune"] => {
            Some(Ok(Reply::json(&CachePruned { caches_deleted: None, space_reclaimed: 0 })))
        }
        _ => None,
    }
}
