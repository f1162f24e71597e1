//! `GET /haven/doctor`: what the daemon finds of its host. Who looks is the daemon's business; here it is only told.

use crate::Api;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use hyper::StatusCode;
use serde::Serialize;
use std::sync::Arc;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum CheckStatus {
    #[serde(rename = "ok")]
    Good,
    /// Works with less.
    #[serde(rename = "warn")]
    Warning,
    /// Something doesn't work.
    #[serde(rename = "fail")]
    Bad,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `user namespaces`.
    pub check: String,
    pub status: CheckStatus,
    /// What that means.
    pub meaning: String,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
}

/// Looks at the host and at what is left lying about. Called on a thread that may block.
pub trait Doctor: Send + Sync + 'static {
    fn examine(&self) -> Vec<Check>;
}

impl<F: Fn() -> Vec<Check> + Send + Sync + 'static> Doctor for F {
    fn examine(&self) -> Vec<Check> {
        self()
    }
}

pub(crate) async fn doctor(api: &Api) -> Answer<Reply> {
    let doctor = Arc::clone(&api.doctor);
    let checks = tokio::task::spawn_blocking(move || doctor.examine()).await;
    let broke_off = |error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the examination broke off: {error}"))
    };
    Ok(Reply::json(&checks.map_err(broke_off)?))
}
