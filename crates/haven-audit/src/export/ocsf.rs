//! OCSF: every change is API Activity (class 6003 of category 6), whatever it was about.
//!
//! Required attributes of the class are always there; what Haven does not know of an actor is left out; what the schema
//! has no place for is under `unmapped`.

use super::Origin;
use crate::{Change, Effect};
use serde_json::{Map, Value, json};

const CATEGORY: u64 = 6;
const CLASS: u64 = 6003;
const SCHEMA: &str = "1.3.0";

pub(super) fn change(change: &Change, origin: &Origin) -> Value {
    let entry = &change.entry;
    let (activity, activity_name) = activity(&entry.action);
    let (status, status_name) = match change.ending.as_ref().map(|ending| ending.result) {
        Some(Effect::Applied) => (1, "Success"),
        Some(Effect::Failed) => (2, "Failure"),
        Some(Effect::Unknown) => (0, "Unknown"),
        None if change.noted => (1, "Success"),
        None => (0, "Unknown"),
    };
    let (severity, severity_name) = match (status, entry.broke_glass) {
        (_, true) => (3, "Medium"),
        (1, _) => (1, "Informational"),
        _ => (2, "Low"),
    };
    let mut event = json!({
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "type_uid": CLASS * 100 + activity,
        "type_name": format!("API Activity: {activity_name}"),
        "severity_id": severity,
        "severity": severity_name,
        "status_id": status,
        "status": status_name,
        "time": change.at.wall.as_millisecond(),
        "message": format!("{} {}", entry.action, change.state()),
        "metadata": {
            "version": SCHEMA,
            "product": { "name": "Haven", "vendor_name": "Haven", "version": origin.version },
            "uid": change.sequence.to_string(),
            "sequence": change.sequence,
            "log_name": "audit",
        },
        "actor": actor(change),
        "api": { "operation": entry.action, "service": { "name": entry.client } },
        "src_endpoint": { "hostname": origin.host },
        "resources": entry.objects.iter().map(|object| {
            let mut resource = json!({ "type": object.kind, "name": object.name });
            if let Some(id) = &object.id {
                resource["uid"] = json!(id);
            }
            resource
        }).collect::<Vec<_>>(),
    });
    if let Some(detail) = change.ending.as_ref().and_then(|ending| ending.detail.as_ref()) {
        event["status_detail"] = json!(detail);
    }
    let mut unmapped = Map::new();
    for (name, value) in [
        ("before", entry.before.clone()),
        ("after", entry.after.clone()),
        ("reason", entry.reason.clone().map(Value::from)),
        ("exposure", entry.exposure.clone()),
        ("login_uid", entry.actor.login_uid.map(Value::from)),
        ("certificate", entry.actor.certificate.clone().map(Value::from)),
        ("boot", Some(change.at.boot.clone().into())),
        ("monotonic_ns", Some(change.at.monotonic_ns.into())),
        ("broke_glass", entry.broke_glass.then_some(true.into())),
    ] {
        if let Some(value) = value {
            unmapped.insert(name.to_owned(), value);
        }
    }
    if !entry.affected.is_empty() {
        let affected = entry.affected.iter().map(|object| format!("{}:{}", object.kind, object.name));
        unmapped.insert("affected".into(), affected.collect());
    }
    event["unmapped"] = unmapped.into();
    event
}

fn actor(change: &Change) -> Value {
    let actor = &change.entry.actor;
    let mut user = Map::new();
    if let Some(name) = &actor.user {
        user.insert("name".into(), name.as_str().into());
    }
    if let Some(uid) = actor.uid {
        user.insert("uid".into(), uid.to_string().into());
    }
    let mut all = Map::new();
    // The schema wants at least one of them.
    all.insert("app_name".into(), change.entry.client.as_str().into());
    if !user.is_empty() {
        all.insert("user".into(), user.into());
    }
    if let Some(pid) = actor.pid {
        let mut process = json!({ "pid": pid });
        if let Some(exe) = &actor.exe {
            let name = exe.rsplit('/').next().unwrap_or(exe);
            process["name"] = json!(name);
            process["file"] = json!({ "name": name, "path": exe, "type_id": 1 });
        }
        all.insert("process".into(), process);
    }
    if let Some(token) = &actor.token {
        all.insert("session".into(), json!({ "uid": token }));
    }
    all.into()
}

/// The class's activities: create, read, update, delete, other.
fn activity(action: &str) -> (u64, &'static str) {
    match action.rsplit('.').next().unwrap_or(action) {
        "add" | "create" | "import" | "load" | "pull" | "publish" => (1, "Create"),
        "read" | "show" | "list" => (2, "Read"),
        "update" | "change" | "connect" | "disconnect" | "rename" | "start" | "stop" => (3, "Update"),
        "remove" | "delete" | "expire" | "prune" => (4, "Delete"),
        _ => (99, "Other"),
    }
}
