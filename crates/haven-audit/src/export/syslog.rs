//! RFC 5424: a header, structured data that a machine reads, and a sentence for a person.
//!
//! The structured data's id needs an enterprise number; Haven has none registered and uses 32473, which RFC 5612 keeps
//! for examples, so that it clashes with nobody's.

use super::Origin;
use crate::{Change, Effect, Object, SignedCheckpoint};
use jiff::Timestamp;
use std::fmt::Write as _;

/// Log audit (13), the facility for records like these.
const FACILITY: u8 = 13;
const NOTICE: u8 = 5;
const WARNING: u8 = 4;

pub(super) fn change(change: &Change, origin: &Origin) -> String {
    let entry = &change.entry;
    let failed = change.ending.as_ref().is_some_and(|ending| ending.result != Effect::Applied);
    let severity = if failed || entry.broke_glass { WARNING } else { NOTICE };
    let mut message = header(severity, change.at.wall, origin, &entry.action);
    let mut parameter = |name: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = write!(message, " {name}=\"{}\"", escaped(value));
    };
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    parameter("sequence", &change.sequence.to_string());
    parameter("boot", &change.at.boot);
    parameter("client", &entry.client);
    parameter("result", change.state());
    for (name, value) in [
        ("uid", number(entry.actor.uid)),
        ("loginUid", number(entry.actor.login_uid)),
        ("pid", number(entry.actor.pid)),
        ("exe", entry.actor.exe.clone()),
        ("user", entry.actor.user.clone()),
        ("token", entry.actor.token.clone()),
        ("certificate", entry.actor.certificate.clone()),
        ("reason", entry.reason.clone()),
        ("error", change.ending.as_ref().and_then(|ending| ending.detail.clone())),
        ("exposure", entry.exposure.as_ref().map(ToString::to_string)),
        ("before", entry.before.as_ref().map(ToString::to_string)),
        ("after", entry.after.as_ref().map(ToString::to_string)),
        ("brokeGlass", entry.broke_glass.then(|| "true".to_owned())),
    ] {
        if let Some(value) = value {
            parameter(name, &value);
        }
    }
    for object in &entry.objects {
        parameter("object", &shown(object));
    }
    for object in &entry.affected {
        parameter("affected", &shown(object));
    }
    message.push_str("] \u{feff}");
    let who = entry.actor.user.clone().or(number(entry.actor.uid)).unwrap_or_else(|| entry.client.clone());
    let what = entry.objects.iter().map(shown).collect::<Vec<_>>().join(", ");
    message.push_str(&one_line(&format!("{who}: {} {what}: {}", entry.action, change.state())));
    message
}

pub(super) fn checkpoint(checkpoint: &SignedCheckpoint, now: Timestamp, origin: &Origin) -> String {
    let mut message = header(NOTICE, now, origin, "audit.checkpoint");
    let _ = write!(message, " size=\"{}\"] \u{feff}", checkpoint.size());
    message.push_str(&checkpoint.to_string().replace('\n', "\\n"));
    message
}

/// Everything up to the structured data's id.
fn header(severity: u8, at: Timestamp, origin: &Origin, id: &str) -> String {
    format!(
        "<{}>1 {at:.6} {} haven {} {} [haven@32473",
        FACILITY * 8 + severity,
        word(&origin.host, 255),
        origin.pid,
        word(id, 32)
    )
}

fn shown(object: &Object) -> String {
    format!("{}:{}", object.kind, object.name)
}

/// A header's field: printable ASCII without spaces, `-` for nothing.
fn word(text: &str, limit: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(limit).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// A parameter's value: `"`, `\` and `]` are escaped, and a line feed would end the message.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
