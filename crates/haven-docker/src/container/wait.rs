//! `POST /containers/{id}/wait`: the head is answered as soon as the wait is registered, the body when it ends.
//! `docker run` starts the container only after it has seen the head.

use crate::Api;
use crate::call::Call;
use crate::refusal::{Answer, Refusal};
use crate::reply::{JSON, Reply};
use haven_engine::WaitCondition;
use haven_spec::Exit;
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WaitError>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WaitError {
    message: String,
}

pub(crate) async fn wait(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let condition = match call.query.text("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(Refusal::invalid(format!("invalid condition: \"{other}\""))),
    };
    let view = api.engine.find(name)?;
    let waiter = api.engine.wait(&view.id, condition).await?;
    let (sender, pieces) = mpsc::channel(1);
    drop(tokio::spawn(async move {
        let outcome = tokio::select! {
            outcome = waiter.done() => outcome,
            // The client went; nobody is waiting any more.
            () = sender.closed() => return,
        };
        let waited = match outcome {
            Ok(Exit { code, .. }) => Waited { status_code: code, error: None },
            Err(failure) => Waited {
                status_code: 125,
                error: Some(WaitError { message: Refusal::from(failure).message }),
            },
        };
        let mut bytes = serde_json::to_vec(&waited).unwrap_or_default();
        bytes.push(b'\n');
        // It may have gone this very moment.
        drop(sender.send(Ok(Bytes::from(bytes))).await);
    }));
    Ok(Reply::stream(JSON, pieces))
}
