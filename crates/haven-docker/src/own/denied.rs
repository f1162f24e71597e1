//! `/haven/v1/denied`: who tried what in vain, counted by the kernel.

use crate::Api;
use crate::refusal::Answer;
use crate::reply::Reply;
use haven_engine::AttemptView;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attempt {
    from: String,
    to: String,
    protocol: &'static str,
    port: u16,
    packets: u64,
    /// What `haven link add` would have to be told; `null` when no link could permit it.
    suggestion: Option<String>,
}

fn describe(view: &AttemptView) -> Attempt {
    Attempt {
        from: view.from.to_string(),
        to: view.to.to_string(),
        protocol: view.protocol.word(),
        port: view.port,
        packets: view.packets,
        suggestion: view.suggestion.clone(),
    }
}

/// The most tried first.
pub(crate) async fn list(api: &Api) -> Answer<Reply> {
    let attempts = api.engine.denied().await?;
    Ok(Reply::json(&attempts.iter().map(describe).collect::<Vec<_>>()))
}
