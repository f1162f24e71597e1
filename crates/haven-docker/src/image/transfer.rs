//! Images in and out as archives: load, import, save. Pulling and pushing aren't available yet and say what to do
//! instead.

use super::reference;
use crate::Api;
use crate::call::{BodyReader, Call};
use crate::refusal::{Answer, Refusal};
use crate::reply::{JSON, Reply, STREAM_PIECES, TAR};
use crate::transfer::to_client;
use haven_engine::image::{Loaded, Progress};
use haven_spec::Outcome;
use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;

/// One line of what clients show while it goes on.
#[derive(Default, Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    progress_detail: Option<ProgressDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    error_detail: Option<ErrorDetail<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ProgressDetail {
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Serialize)]
struct ErrorDetail<'a> {
    message: &'a str,
}

fn encode(line: &Line<'_>) -> Bytes {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.extend_from_slice(b"\r\n");
    Bytes::from(bytes)
}

fn error_line(message: &str) -> Bytes {
    encode(&Line { error_detail: Some(ErrorDetail { message }), error: Some(message), ..Line::default() })
}

/// What a registry would be needed for.
pub(crate) fn registry_unavailable(doing: &str) -> Refusal {
    Refusal::unavailable(format!(
        "{doing} isn't available yet: bring images as archives with `docker load`, or a root file system with `docker import`"
    ))
}

/// `POST /images/create`: an import when there is a source, a pull otherwise.
pub(crate) async fn create(api: &Api, call: Call) -> Answer<Reply> {
    if let Some(image) = call.query.given("fromImage") {
        return Err(registry_unavailable(&format!("pulling images (`{image}`)")));
    }
    match call.query.given("fromSrc") {
        Some("-") => import(api, call).await,
        Some(source) => Err(Refusal::unavailable(format!(
            "importing from `{source}` isn't available: fetch it and send its content (`docker import -`)"
        ))),
        None => {
            Err(Refusal::invalid("neither `fromImage` nor `fromSrc` says where the image is to come from"))
        }
    }
}

async fn import(api: &Api, call: Call) -> Answer<Reply> {
    let name = reference(call.query.text("repo"), call.query.text("tag"))?;
    let message = call.query.given("message").unwrap_or("Imported from -").to_owned();
    let changes = call.query.all("changes").map(str::to_owned).collect();
    let platform = call.query.given("platform").map(str::to_owned);
    let source = Box::new(BodyReader::new(call.body));
    let id = api.engine.import_image(source, name, message, changes, platform).await?;
    let line = Line { status: Some(id.as_str()), ..Line::default() };
    Ok(Reply::bytes(hyper::StatusCode::OK, JSON, encode(&line)))
}

/// `POST /images/load`: progress as it goes; a failure is told in the stream, for the head is long gone.
pub(crate) fn load(api: &Api, call: Call) -> Reply {
    let quiet = call.query.flag("quiet");
    let source = Box::new(BodyReader::new(call.body));
    let (sender, pieces) = mpsc::channel(STREAM_PIECES);
    let engine = api.engine.clone();
    drop(tokio::spawn(async move {
        let reports = sender.clone();
        let progress = move |report: Progress| {
            if !quiet && let Some(line) = progress_line(&report) {
                // Progress is worth no waiting: a client that doesn't keep up misses some.
                drop(reports.try_send(Ok(line)));
            }
        };
        let outcome = engine.load_images(source, progress).await;
        for line in outcome_lines(&outcome) {
            if sender.send(Ok(line)).await.is_err() {
                return;
            }
        }
    }));
    Reply::stream(JSON, pieces)
}

fn progress_line(report: &Progress) -> Option<Bytes> {
    let short =
        |name: &str| name.strip_prefix("sha256:").unwrap_or(name).chars().take(12).collect::<String>();
    match report {
        Progress::Layer { name, done_bytes, total_bytes } => Some(encode(&Line {
            status: Some("Loading layer"),
            progress_detail: Some(ProgressDetail { current: *done_bytes, total: *total_bytes }),
            id: Some(&short(name)),
            ..Line::default()
        })),
        Progress::Unpacked { .. } | Progress::Known { .. } => None,
    }
}

fn outcome_lines(outcome: &Outcome<Vec<Loaded>>) -> Vec<Bytes> {
    let loaded = match outcome {
        Ok(loaded) => loaded,
        Err(failure) => return vec![error_line(&failure.one_line())],
    };
    let mut lines = Vec::new();
    let mut say = |text: String| lines.push(encode(&Line { stream: Some(&text), ..Line::default() }));
    for one in loaded {
        for (name, before) in &one.moved {
            say(format!(
                "The image {} already exists, renaming the old one with ID {before} to empty string\n",
                name.familiar()
            ));
        }
        if one.tags.is_empty() {
            say(format!("Loaded image ID: {}\n", one.image.id));
        }
        for name in &one.tags {
            say(format!("Loaded image: {}\n", name.familiar()));
        }
    }
    lines
}

/// `GET /images/{name}/get`.
pub(crate) async fn get(api: &Api, name: &str) -> Answer<Reply> {
    save(api, vec![name.to_owned()]).await
}

/// `GET /images/get?names=a&names=b`.
pub(crate) async fn get_many(api: &Api, call: Call) -> Answer<Reply> {
    let names: Vec<String> = call
        .query
        .all("names")
        .flat_map(|list| list.split(','))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err(Refusal::invalid("no image is named: give `names` at least once"));
    }
    save(api, names).await
}

async fn save(api: &Api, names: Vec<String>) -> Answer<Reply> {
    // Asked first, so that a name nobody has is a 404 and not half an archive.
    for name in &names {
        api.engine.images().resolve(name)?;
    }
    let engine = api.engine.clone();
    let pieces = to_client(move |sink| async move { engine.save_images(names, sink).await }).await?;
    Ok(Reply::stream(TAR, pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::Failure;

    #[test]
    fn a_failed_load_is_told_as_clients_look_for_it() {
        let short = std::io::Error::other("short");
        let failed = outcome_lines(&Err(Failure::invalid("cannot load the archive").because(short)));
        let line: serde_json::Value = serde_json::from_slice(&failed[0]).unwrap();
        assert_eq!(line["error"], "cannot load the archive: short");
        assert_eq!(line["errorDetail"]["message"], line["error"]);
    }

    #[test]
    fn progress_has_dockers_form() {
        let report =
            Progress::Layer { name: "sha256:0123456789abcdef".into(), done_bytes: 5, total_bytes: 10 };
        let line: serde_json::Value = serde_json::from_slice(&progress_line(&report).unwrap()).unwrap();
        assert_eq!(line["id"], "0123456789ab");
        assert_eq!(line["progressDetail"], serde_json::json!({"current": 5, "total": 10}));
    }
}
