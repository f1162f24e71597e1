//! Commands that change a container's state: start, stop, restart, kill, pause, unpause, rename, resize, update,
//! remove, prune.

use super::config::HostConfig;
use super::create::container_name;
use super::limits;
use crate::Api;
use crate::call::Call;
use crate::filter::Filters;
use crate::query::Query;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::time;
use haven_engine::{RemoveContainer, StopContainer, UpdateContainer};
use haven_spec::Signal;
use hyper::StatusCode;
use hyper::body::Body;
use serde::Serialize;

pub(crate) async fn start(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    // A host configuration at start was Docker's way long ago; whoever still sends one must not think it holds.
    if call.body.size_hint().lower() > 7 {
        return Err(Refusal::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    if !call.query.text("checkpoint").is_empty() {
        return Err(Refusal::unavailable("starting from a checkpoint isn't available"));
    }
    let view = api.engine.find(name)?;
    api.engine.start(&view.id).await.map_err(|failure| in_clients_words(failure.into()))?;
    Ok(Reply::done())
}

/// The command line takes its exit codes 126 and 127 from these very words, in small letters.
pub(crate) fn in_clients_words(mut refusal: Refusal) -> Refusal {
    for words in ["no such file or directory", "permission denied", "is a directory"] {
        let mut capital = words.to_owned();
        capital[..1].make_ascii_uppercase();
        refusal.message = refusal.message.replace(&capital, words);
    }
    refusal
}

fn stop_wish(call: &Call) -> Answer<StopContainer> {
    let signal = call.query.given("signal").filter(|_| call.at_least(1, 42));
    Ok(StopContainer { signal: signal.map(Signal::parse).transpose()?, timeout_s: call.query.number("t")? })
}

pub(crate) async fn stop(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let how = stop_wish(&call)?;
    let view = api.engine.find(name)?;
    api.engine.stop(&view.id, how).await?;
    Ok(Reply::done())
}

pub(crate) async fn restart(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let how = stop_wish(&call)?;
    let view = api.engine.find(name)?;
    api.engine.restart(&view.id, how).await.map_err(|failure| in_clients_words(failure.into()))?;
    Ok(Reply::done())
}

pub(crate) async fn kill(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let what = format!("cannot kill container: {name}");
    let prefixed = |failure: haven_spec::Failure| {
        let refusal = Refusal::from(failure);
        // Some failures begin so themselves.
        if refusal.message.starts_with("Cannot kill container") { refusal } else { refusal.prefixed(&what) }
    };
    let signal = call.query.given("signal").map_or(Ok(Signal::KILL), Signal::parse).map_err(prefixed)?;
    let view = api.engine.find(name).map_err(prefixed)?;
    api.engine.kill(&view.id, signal).await.map_err(prefixed)?;
    Ok(Reply::done())
}

pub(crate) async fn pause(api: &Api, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    api.engine.pause(&view.id).await?;
    Ok(Reply::done())
}

pub(crate) async fn unpause(api: &Api, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    api.engine.unpause(&view.id).await?;
    Ok(Reply::done())
}

pub(crate) async fn rename(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    let Some(new) = call.query.given("name") else {
        return Err(Refusal::invalid("Neither old nor new names may be empty"));
    };
    let prefixed = |refusal: Refusal| refusal.prefixed("Error when allocating new name");
    let new = container_name(new).map_err(prefixed)?;
    api.engine.rename(&view.id, new).await.map_err(|failure| prefixed(failure.into()))?;
    Ok(Reply::done())
}

/// Rows and columns of a terminal.
pub(crate) fn terminal_size(query: &Query) -> Answer<(u16, u16)> {
    let side = |key: &str, what: &str| {
        let text = query.text(key);
        text.parse::<u16>()
            .map_err(|_| Refusal::invalid(format!("invalid resize {what} \"{text}\": invalid syntax")))
    };
    Ok((side("h", "height")?, side("w", "width")?))
}

pub(crate) async fn resize(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let (rows, columns) = terminal_size(&call.query)?;
    let view = api.engine.find(name)?;
    api.engine.resize(&view.id, rows, columns).await?;
    Ok(Reply::empty(StatusCode::OK))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Updated {
    warnings: Option<Vec<String>>,
}

pub(crate) async fn update(api: &Api, mut call: Call, name: &str) -> Answer<Reply> {
    let wish: HostConfig = call.json().await?;
    let change =
        UpdateContainer { resources: limits::resources(&wish)?, restart: limits::restart_policy(&wish)? };
    let view = api.engine.find(name)?;
    let warnings = api.engine.update(&view.id, change).await?;
    Ok(Reply::json(&Updated { warnings: Some(warnings).filter(|list| !list.is_empty()) }))
}

pub(crate) async fn remove(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    if call.query.flag("link") {
        return Err(Refusal::unavailable(
            "removing links of containers (link=1) isn't available: there are none",
        ));
    }
    let view = api.engine.find(name)?;
    let how = RemoveContainer { force: call.query.flag("force"), volumes: call.query.flag("v") };
    api.engine.remove(&view.id, how).await?;
    Ok(Reply::done())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainersPruned {
    containers_deleted: Option<Vec<String>>,
    space_reclaimed: u64,
}

pub(crate) async fn prune(api: &Api, call: Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, &["label", "label!", "until"])?;
    let until_ns = until(&filters)?;
    let keep = |view: &haven_engine::ContainerView| {
        !filters.labels(&view.spec.labels) || until_ns.is_some_and(|until| view.created_at_ns > until)
    };
    let pruned = api.engine.prune_containers(keep).await?;
    Ok(Reply::json(&ContainersPruned {
        containers_deleted: Some(pruned.removed).filter(|list| !list.is_empty()),
        space_reclaimed: pruned.reclaimed_bytes,
    }))
}

/// The one moment of an `until` filter.
pub(crate) fn until(filters: &Filters) -> Answer<Option<i64>> {
    match filters.values("until") {
        [] => Ok(None),
        [one] => time::moment_ns("until", one).map(Some),
        _ => Err(Refusal::invalid("more than one until filter specified")),
    }
}
