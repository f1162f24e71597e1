//! `POST /commit`: an image from a container. A configuration in the body says the same as Dockerfile instructions in
//! the query, and is turned into them.

use super::reference;
use crate::Api;
use crate::call::Call;
use crate::container::{CreateBody, labels};
use crate::refusal::Answer;
use crate::reply::Reply;
use haven_engine::CommitContainer;
use serde::Serialize;
use serde_json::json;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Committed {
    id: String,
}

pub(crate) async fn commit(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: Option<Option<CreateBody>> = call.json_or_none().await?;
    let view = api.engine.find(call.query.text("container"))?;
    let mut changes = body.flatten().map(instructions).unwrap_or_default();
    let asked = call.query.all("changes").flat_map(str::lines);
    changes.extend(asked.map(str::to_owned).filter(|line| !line.is_empty()));
    let how = CommitContainer {
        reference: reference(call.query.text("repo"), call.query.text("tag"))?,
        comment: call.query.text("comment").to_owned(),
        author: call.query.text("author").to_owned(),
        pause: call.query.flag_or("pause", true),
        changes,
    };
    let id = api.engine.commit(&view.id, how).await?;
    Ok(Reply::created(&Committed { id: id.to_string() }))
}

/// The members that are set, as instructions.
fn instructions(body: CreateBody) -> Vec<String> {
    let mut lines = Vec::new();
    let quoted = |text: &str| json!(text).to_string();
    for entry in &body.env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        lines.push(format!("ENV {name}={}", quoted(value)));
    }
    for (name, value) in labels(body.labels) {
        lines.push(format!("LABEL {}={}", quoted(&name), quoted(&value)));
    }
    if let Some(words) = body.entrypoint {
        lines.push(format!("ENTRYPOINT {}", json!(Vec::from(words))));
    }
    if let Some(words) = body.command {
        lines.push(format!("CMD {}", json!(Vec::from(words))));
    }
    lines.extend(body.exposed_ports.keys().map(|port| format!("EXPOSE {port}")));
    lines.extend(body.volumes.keys().map(|path| format!("VOLUME {}", json!([path]))));
    let single = [("USER", &body.user), ("WORKDIR", &body.working_dir), ("STOPSIGNAL", &body.stop_signal)];
    lines.extend(
        single
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(word, value)| format!("{word} {value}")),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_becomes_instructions() {
        let body = r#"{"Env":["A=1 2"],"Cmd":["a","b c"],"Labels":{"l":"v\"w"},"ExposedPorts":{"80/tcp":{}},"User":"me"}"#;
        assert_eq!(
            instructions(serde_json::from_str(body).unwrap()),
            ["ENV A=\"1 2\"", "LABEL \"l\"=\"v\\\"w\"", "CMD [\"a\",\"b c\"]", "EXPOSE 80/tcp", "USER me"]
        );
        assert!(instructions(CreateBody::default()).is_empty());
    }
}
