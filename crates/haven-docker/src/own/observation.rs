//! `/haven/v1/observations`: who may do for a while what no link permits, so that it is known what it needs.

use crate::Api;
use crate::call::Call;
use crate::refusal::Answer;
use crate::reply::Reply;
use crate::time;
use crate::wire::wire;
use haven_engine::ObservationView;
use serde::Serialize;

wire! {
    ObserveBody {
        who: String = "Who",
        seconds: i64 = "Seconds",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Observation {
    who: String,
    kind: &'static str,
    since: String,
    until: String,
    by: Option<u32>,
}

fn describe(view: &ObservationView) -> Observation {
    Observation {
        who: view.subject.to_string(),
        kind: view.subject.kind(),
        since: time::rfc3339(view.since_ns),
        until: time::rfc3339(view.until_ns),
        by: view.by,
    }
}

pub(crate) fn list(api: &Api) -> Reply {
    Reply::json(&api.engine.observations().iter().map(describe).collect::<Vec<_>>())
}

pub(crate) async fn begin(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: ObserveBody = call.json().await?;
    let span_ns = body.seconds.saturating_mul(1_000_000_000);
    let view = api.engine.observe(&body.who, span_ns, call.caller_uid).await?;
    Ok(Reply::created(&describe(&view)))
}

/// The name may have a slash: `shop/api`.
pub(crate) async fn end(api: &Api, who: &[&str]) -> Answer<Reply> {
    api.engine.stop_observing(&who.join("/")).await?;
    Ok(Reply::done())
}
