//! Looking into a container: its processes, and what it changed of its image.

use crate::Api;
use crate::call::Call;
use crate::refusal::Answer;
use crate::reply::Reply;
use haven_engine::ChangeKind;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Top {
    titles: Vec<String>,
    processes: Vec<Vec<String>>,
}

pub(crate) async fn top(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    let arguments = call.query.given("ps_args").unwrap_or("-ef");
    let table = api.engine.top(&view.id, arguments).await?;
    Ok(Reply::json(&Top { titles: table.titles, processes: table.rows }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    path: String,
    kind: u8,
}

pub(crate) async fn changes(api: &Api, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    let changes = api.engine.changes(&view.id).await?;
    let wire: Vec<Change> = changes
        .into_iter()
        .map(|change| Change {
            path: change.path,
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
        })
        .collect();
    // Nothing changed is `null`, not `[]`.
    Ok(Reply::json(&Some(wire).filter(|list| !list.is_empty())))
}
