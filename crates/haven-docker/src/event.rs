//! `GET /events`: what happens, as JSON lines; the kept past first when `since` asks for it.

use crate::Api;
use crate::call::Call;
use crate::filter::Filters;
use crate::refusal::Answer;
use crate::reply::{JSON, Reply, STREAM_PIECES};
use crate::time;
use haven_engine::{Event, EventObject};
use hyper::body::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;
use std::future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

#[derive(Serialize)]
struct Message<'a> {
    /// This and the next two are the form of the first versions; some clients read only them.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Action")]
    action: &'a str,
    #[serde(rename = "Actor")]
    actor: Actor<'a>,
    scope: &'static str,
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    #[serde(rename = "Attributes")]
    attributes: &'a BTreeMap<String, String>,
}

fn line(event: &Event) -> Bytes {
    let old_form = matches!(event.object, EventObject::Container | EventObject::Image);
    let message = Message {
        status: old_form.then_some(&event.action),
        id: old_form.then_some(&event.id),
        from: (event.object == EventObject::Container)
            .then(|| event.attributes.get("image").map(String::as_str))
            .flatten(),
        kind: event.object.word(),
        action: &event.action,
        actor: Actor { id: &event.id, attributes: &event.attributes },
        scope: "local",
        time: event.time_ns.div_euclid(1_000_000_000),
        time_nano: event.time_ns,
    };
    let mut bytes = serde_json::to_vec(&message).unwrap_or_default();
    bytes.push(b'\n');
    Bytes::from(bytes)
}

fn passes(event: &Event, filters: &Filters) -> bool {
    let name = event.attributes.get("name").map_or("", String::as_str);
    let named = |wanted: &str| event.id.starts_with(wanted) || name.starts_with(wanted);
    let object =
        |key: &str, kind: EventObject| filters.any(key, |wanted| event.object == kind && named(wanted));
    let nothing = |key: &str| filters.any(key, |_| false);
    let image = |wanted: &str| match event.object {
        EventObject::Image => event.id.starts_with(wanted) || name == wanted || without_tag(name) == wanted,
        _ => {
            event.attributes.get("image").is_some_and(|image| image == wanted || without_tag(image) == wanted)
        }
    };
    filters.any("type", |kind| kind == event.object.word())
        && filters.any("event", |wanted| {
            // `exec_start: ls` and `health_status: healthy` are found by their first word, too.
            event.action == wanted || event.action.split(':').next() == Some(wanted)
        })
        && object("container", EventObject::Container)
        && object("volume", EventObject::Volume)
        && object("network", EventObject::Network)
        && object("daemon", EventObject::Daemon)
        && filters.any("image", image)
        && filters.any("scope", |scope| scope == "local")
        && filters.labels(&event.attributes)
        && ["config", "node", "plugin", "secret", "service"].into_iter().all(nothing)
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

pub(crate) fn events(api: &Api, call: &Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, FILTERS)?;
    let moment = |key: &str| call.query.given(key).map(|text| time::moment_ns(key, text)).transpose();
    let (since_ns, until_ns) = (moment("since")?, moment("until")?);
    let (kept, mut coming) = api.engine.events().listen();
    let (sender, pieces) = mpsc::channel(STREAM_PIECES);
    drop(tokio::spawn(async move {
        let wanted =
            |event: &Event| until_ns.is_none_or(|until| event.time_ns <= until) && passes(event, &filters);
        // Without a `since` only a past `until` asks for the past, and that asks for nothing.
        let past: Vec<Arc<Event>> = since_ns.map_or_else(Vec::new, |since| {
            kept.into_iter().filter(|event| event.time_ns >= since && wanted(event)).collect()
        });
        for event in past {
            if sender.send(Ok(line(&event))).await.is_err() {
                return;
            }
        }
        let over = async {
            let Some(until) = until_ns else { return future::pending().await };
            let left = u64::try_from(until.saturating_sub(time::now_ns())).unwrap_or(0);
            tokio::time::sleep(Duration::from_nanos(left)).await;
        };
        tokio::pin!(over);
        loop {
            let event = tokio::select! {
                biased;
                () = sender.closed() => return,
                event = coming.recv() => match event {
                    Ok(event) => event,
                    // A client too slow to keep up misses some; the rest still comes.
                    Err(RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "a client reads events too slowly");
                        continue;
                    }
                    Err(RecvError::Closed) => return,
                },
                () = &mut over => return,
            };
            if wanted(&event) && sender.send(Ok(line(&event))).await.is_err() {
                return;
            }
        }
    }));
    Ok(Reply::stream(JSON, pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    fn event(object: EventObject, action: &str, attributes: &[(&str, &str)]) -> Event {
        Event {
            object,
            action: action.into(),
            id: "abcdef".into(),
            attributes: attributes.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            time_ns: 1_500_000_000,
        }
    }

    fn filtered(event: &Event, json: &str) -> bool {
        let encoded: String = json.bytes().map(|b| format!("%{b:02x}")).collect();
        passes(event, &Filters::read(&Query::parse(&format!("filters={encoded}")).unwrap(), FILTERS).unwrap())
    }

    #[test]
    fn container_events_carry_the_old_form_and_others_do_not() {
        let start = line(&event(EventObject::Container, "start", &[("image", "bb"), ("name", "web")]));
        let start: serde_json::Value = serde_json::from_slice(&start).unwrap();
        assert_eq!(
            (&start["status"], &start["from"], &start["time"]),
            (&"start".into(), &"bb".into(), &1.into())
        );
        let volume: serde_json::Value =
            serde_json::from_slice(&line(&event(EventObject::Volume, "create", &[]))).unwrap();
        assert!(volume.get("status").is_none() && volume.get("id").is_none());
        assert_eq!(volume["Actor"]["ID"], "abcdef");
    }

    #[test]
    fn events_are_found_by_type_name_image_and_first_word() {
        let exec = event(
            EventObject::Container,
            "exec_start: ls",
            &[("image", "bb:1"), ("name", "web"), ("l", "v")],
        );
        for (json, found) in [
            (r#"{"type":["container"]}"#, true),
            (r#"{"type":["volume"]}"#, false),
            (r#"{"event":["exec_start"]}"#, true),
            (r#"{"event":["start"]}"#, false),
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["abc"]}"#, true),
            (r#"{"container":["other"]}"#, false),
            (r#"{"image":["bb"]}"#, true),
            (r#"{"label":["l=v"]}"#, true),
            (r#"{"volume":["web"]}"#, false),
            (r#"{"service":["x"]}"#, false),
        ] {
            assert_eq!(filtered(&exec, json), found, "{json}");
        }
    }
}
