//! `/haven/v1/links/import` and `/export`: what other systems' files mean here, and ours in their words.

use crate::Api;
use crate::call::Call;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::wire::wire;
use serde::Serialize;

wire! {
    ImportBody {
        text: String = "Text",
        form: String = "Form",
        reading: String = "Reading",
        project: String = "Project",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Proposed {
    from: String,
    to: String,
    traffic: String,
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Import {
    links: Vec<Proposed>,
    observe: Vec<String>,
    open_networks: Vec<String>,
    notes: Vec<String>,
    implied: usize,
}

/// What a file would mean; nothing is changed.
pub(crate) async fn import(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: ImportBody = call.json().await?;
    let view = match body.form.as_str() {
        "compose" | "" => {
            let reading = if body.reading.is_empty() { "links" } else { &body.reading };
            api.engine.read_compose(&body.text, reading, &body.project)?
        }
        "kubernetes" => api.engine.read_policies(&body.text)?,
        other => return Err(Refusal::invalid(format!("`{other}` is neither compose nor kubernetes"))),
    };
    let links = view.links.into_iter().map(|link| Proposed {
        from: link.from,
        to: link.to,
        traffic: link.traffic,
        reason: link.reason,
    });
    Ok(Reply::json(&Import {
        links: links.collect(),
        observe: view.observe,
        open_networks: view.open_networks,
        notes: view.notes,
        implied: view.implied,
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Export {
    text: String,
    notes: Vec<String>,
}

pub(crate) async fn export(api: &Api, call: &Call) -> Answer<Reply> {
    let namespace = call.query.given("Namespace").unwrap_or("default");
    let (text, notes) = api.engine.policies(namespace).await?;
    Ok(Reply::json(&Export { text, notes }))
}
