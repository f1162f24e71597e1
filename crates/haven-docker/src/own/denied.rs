//! `/haven/v1/denied`: who tried what in vain, counted by the kernel.

use crate::Api;
use crate::refusal::Answer;
use crate::reply::Reply;
use haven_engine::{AttemptView, WantedView};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Attempt {
    from: String,
    to: String,
    /// `tcp`, `udp`, `sctp`; `name` for a name that was looked up.
    protocol: &'static str,
    port: u16,
    /// The name that was looked up, or `null`.
    name: Option<String>,
    packets: u64,
    /// It was let through: whoever tried it is observed.
    observed: bool,
    /// What `haven link add` would have to be told; `null` when no link could permit it.
    suggestion: Option<String>,
}

fn describe(view: &AttemptView) -> Attempt {
    Attempt {
        from: view.from.to_string(),
        to: view.to.to_string(),
        protocol: view.protocol.word(),
        port: view.port,
        name: None,
        packets: view.packets,
        observed: view.observed,
        suggestion: view.suggestion.clone(),
    }
}

fn looked_up(view: &WantedView) -> Attempt {
    Attempt {
        from: view.from.to_string(),
        to: view.to.to_string(),
        protocol: "name",
        port: 0,
        name: Some(view.name.clone()),
        packets: view.count,
        observed: false,
        suggestion: Some(view.suggestion.clone()),
    }
}

/// The most tried first, then names that were looked up.
pub(crate) async fn list(api: &Api) -> Answer<Reply> {
    let attempts = api.engine.denied().await?;
    let names = api.engine.wanted();
    let listed = attempts.iter().map(describe).chain(names.iter().map(looked_up));
    Ok(Reply::json(&listed.collect::<Vec<_>>()))
}
