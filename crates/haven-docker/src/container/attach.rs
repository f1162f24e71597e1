//! `POST /containers/{id}/attach`: the container's streams over the taken-over connection. Works before the
//! container is started: `docker run` attaches first so as to miss nothing.

use super::logs::Dress;
use crate::Api;
use crate::call::Call;
use crate::hijack::Hijack;
use crate::query::Query;
use crate::refusal::{Answer, Refusal};
use crate::reply::{MULTIPLEXED_STREAM, RAW_STREAM, Reply};
use crate::stream::{self, End, Manner};
use crate::time;
use haven_engine::{AttachContainer, ContainerView, Event, EventObject, LogQuery};
use haven_spec::ContainerState;

/// The keys a client asked for; Docker's when it didn't.
pub(crate) fn detach_keys(query: &Query) -> Answer<Vec<u8>> {
    match query.given("detachKeys") {
        None => Ok(stream::DEFAULT_DETACH_KEYS.to_vec()),
        Some(text) => stream::parse_keys(text)
            .ok_or_else(|| Refusal::invalid(format!("Invalid detach keys ({text}) provided"))),
    }
}

pub(crate) async fn attach(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let keys = detach_keys(&call.query)?;
    let view = api.engine.find(name)?;
    check(&view)?;
    let what = AttachContainer {
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
    };
    let framed = !view.spec.tty;
    let kind = if framed && call.at_least(1, 42) { MULTIPLEXED_STREAM } else { RAW_STREAM };
    // Attached before the log is read: nothing falls between the two.
    let attached =
        if call.query.flag("stream") { Some(api.engine.attach(&view.id, what).await?) } else { None };
    let past = if call.query.flag("logs") { Some(past_output(api, &view, what).await?) } else { None };
    let engine = api.engine.clone();
    Ok(Reply::Hijack(Hijack::new(&call.headers, &kind, async move |connection| {
        let Some(attached) = attached else {
            let (_, mut writer) = connection.split();
            if let Some(past) = past
                && stream::tell_past(&mut writer, past).await.is_err()
            {
                return;
            }
            writer.finish().await;
            return;
        };
        let manner =
            Manner { framed, detach_keys: attached.tty.then_some(keys), end_input: view.spec.stdin_once };
        let end = stream::talk(connection, attached.output, attached.input, manner, past).await;
        if end == End::Detached {
            let mut attributes = view.spec.labels.clone();
            attributes.insert("image".into(), view.spec.image.clone());
            attributes.insert("name".into(), view.name.to_string());
            engine.events().tell(Event {
                object: EventObject::Container,
                action: "detach".into(),
                id: view.id.to_string(),
                attributes,
                time_ns: time::now_ns(),
            });
        }
    })))
}

/// States in which nothing can be attached.
pub(crate) fn check(view: &ContainerView) -> Answer<()> {
    let conflict = |words: &str| {
        Err(Refusal::new(hyper::StatusCode::CONFLICT, format!("container {} is {words}", view.id)))
    };
    match view.state {
        ContainerState::Paused { .. } => conflict("paused, unpause the container before attach"),
        ContainerState::Restarting { .. } => conflict("restarting, wait until the container is running"),
        _ => Ok(()),
    }
}

/// What the container has said until now.
async fn past_output(api: &Api, view: &ContainerView, what: AttachContainer) -> Answer<stream::Past> {
    let query = LogQuery {
        stdout: what.stdout,
        stderr: what.stderr,
        until_ns: Some(time::now_ns()),
        ..LogQuery::default()
    };
    let dress = Dress { framed: !view.spec.tty, timestamps: false, details: false };
    Ok((api.engine.logs(&view.id, query).await?, dress))
}
