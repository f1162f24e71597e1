//! One entry of the record: who did what to what, why, and what came of it.
//!
//! ```text
//!   Intent ──done──▶ Ended(applied | failed | unknown)      a change, written ahead
//!   Noted                                                   what has happened already: a log-in, a repair
//! ```
//!
//! An entry is a line of JSON; the line's bytes, exactly as they stand on disk, are the leaf of the tree.

use crate::limits::{OBJECTS, TEXT_BYTES, VALUE_BYTES};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// When something happened, by every clock there is: the wall clock may jump, the monotonic one counts within a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    #[serde(rename = "time", with = "as_text")]
    pub wall: Timestamp,
    pub monotonic_ns: u64,
    /// The kernel's id of this boot.
    pub boot: String,
}

/// Who acted, as far as is known. What is not known is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The user who logged in, which `sudo` does not change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uid: Option<u32>,
    /// The process at the other end of the socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The name of a token, never the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A client certificate's subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// A name: of the uid, or of a user who logged in otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl Actor {
    /// Whether `text` names this actor: a user's name, a number, a token or a certificate.
    pub fn is_called(&self, text: &str) -> bool {
        let number = text.parse::<u32>().ok();
        [&self.user, &self.token, &self.certificate].into_iter().flatten().any(|name| name == text)
            || number.is_some() && (self.uid == number || self.login_uid == number)
    }
}

/// Something that can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Object {
    /// `container`, `link`, `network`, `image`…
    pub kind: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Object {
    pub fn new(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into(), id: None }
    }

    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Whether `text` names it: its name, its id or the first twelve and more characters of it, or `kind:name`.
    pub fn is_called(&self, text: &str) -> bool {
        let id = self.id.as_deref().unwrap_or_default();
        let by_kind = text.split_once(':').is_some_and(|(kind, name)| kind == self.kind && name == self.name);
        self.name == text
            || by_kind
            || !id.is_empty() && (id == text || text.len() >= 12 && id.starts_with(text))
    }
}

/// A change or an event: everything that is known when it begins.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    pub actor: Actor,
    /// By which way: `cli`, `docker api`, `console`, `reconcile`…
    pub client: String,
    /// `link.add`, `network.remove`…
    pub action: String,
    pub objects: Vec<Object>,
    /// What it exposes or closes without being about it: found by [`crate::Query::exposed`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The difference in who reaches whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Value>,
    /// Policy forbade it and was overridden.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub broke_glass: bool,
}

impl Entry {
    /// With every field cut to its limit, and saying so.
    #[must_use]
    pub(crate) fn within_limits(mut self) -> Self {
        for text in [&mut self.client, &mut self.action] {
            shorten(text);
        }
        let actor = &mut self.actor;
        let optional =
            [&mut actor.exe, &mut actor.token, &mut actor.certificate, &mut actor.user, &mut self.reason];
        optional.into_iter().flatten().for_each(shorten);
        for objects in [&mut self.objects, &mut self.affected] {
            let left_out = objects.len().saturating_sub(OBJECTS);
            if left_out > 0 {
                objects.truncate(OBJECTS);
                objects.push(Object::new("more", left_out.to_string()));
            }
            for object in objects {
                for text in [Some(&mut object.kind), Some(&mut object.name), object.id.as_mut()] {
                    text.into_iter().for_each(|text| shorten_to(text, NAME_BYTES));
                }
            }
        }
        let values = [&mut self.before, &mut self.after, &mut self.exposure];
        values.into_iter().flatten().for_each(digest_if_long);
        self
    }
}

/// What came of an intent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub result: Effect,
    /// The error's words, or what else is worth telling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The state that resulted, where it differs from what was intended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

impl Ending {
    pub fn applied() -> Self {
        Self { result: Effect::Applied, detail: None, after: None }
    }

    pub fn failed(why: impl Into<String>) -> Self {
        Self { result: Effect::Failed, detail: Some(why.into()), after: None }
    }

    pub fn unknown(why: impl Into<String>) -> Self {
        Self { result: Effect::Unknown, detail: Some(why.into()), after: None }
    }

    #[must_use]
    pub(crate) fn within_limits(mut self) -> Self {
        self.detail.iter_mut().for_each(shorten);
        self.after.iter_mut().for_each(digest_if_long);
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    Applied,
    Failed,
    /// It was interrupted, and what is so now does not tell.
    Unknown,
}

impl Effect {
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Intent(Entry),
    Noted(Entry),
    Ended { of: u64, ending: Ending },
}

/// An entry with its place and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub sequence: u64,
    #[serde(flatten)]
    pub at: Moment,
    #[serde(flatten)]
    pub stage: Stage,
}

impl Record {
    pub fn entry(&self) -> Option<&Entry> {
        match &self.stage {
            Stage::Intent(entry) | Stage::Noted(entry) => Some(entry),
            Stage::Ended { .. } => None,
        }
    }
}

/// The longest name, kind or id.
const NAME_BYTES: usize = 128;

fn shorten(text: &mut String) {
    shorten_to(text, TEXT_BYTES);
}

fn shorten_to(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit - '…'.len_utf8()));
        text.push('…');
    }
}

fn digest_if_long(value: &mut Value) {
    let text = value.to_string();
    if text.len() > VALUE_BYTES {
        let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        *value = json!({ "left_out_bytes": text.len(), "sha256": digest });
    }
}

mod as_text {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{time:.9}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{}` is not a time", text.escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        Moment { wall: "2026-01-02T03:04:05.5Z".parse().unwrap(), monotonic_ns: 7, boot: "b".into() }
    }

    #[test]
    fn a_record_is_one_line_and_is_read_as_it_was_written() {
        let entry = Entry {
            actor: Actor { uid: Some(0), user: Some("alice\n".into()), ..Actor::default() },
            action: "link.add".into(),
            objects: vec![Object::new("container", "db")],
            reason: Some("two\nlines".into()),
            before: Some(json!({"a": 1.5, "b": [null]})),
            ..Entry::default()
        };
        for stage in [
            Stage::Intent(entry.clone()),
            Stage::Noted(entry),
            Stage::Ended { of: 3, ending: Ending::failed("no") },
        ] {
            let record = Record { sequence: 4, at: moment(), stage };
            let line = serde_json::to_string(&record).unwrap();
            assert!(!line.contains('\n'), "{line}");
            assert!(line.contains("\"time\":\"2026-01-02T03:04:05.500000000Z\""), "{line}");
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let entry = Entry {
            reason: Some("ä".repeat(TEXT_BYTES)),
            before: Some(Value::String("x".repeat(VALUE_BYTES))),
            after: Some(Value::String("x".repeat(VALUE_BYTES - 2))),
            affected: vec![Object::new("k".repeat(1000), "n"); OBJECTS + 5],
            ..Entry::default()
        }
        .within_limits();
        let reason = entry.reason.unwrap();
        assert!(reason.len() <= TEXT_BYTES && reason.ends_with('…'));
        assert_eq!(entry.before.unwrap()["left_out_bytes"], VALUE_BYTES + 2);
        assert!(entry.after.unwrap().is_string());
        assert_eq!(entry.affected.last().unwrap(), &Object::new("more", "5"));
        assert!(entry.affected.iter().all(|object| object.kind.len() <= NAME_BYTES));
    }

    #[test]
    fn objects_and_actors_answer_to_their_names() {
        let object = Object::new("container", "db").with_id("0123456789abcdef");
        for name in ["db", "container:db", "0123456789ab", "0123456789abcdef"] {
            assert!(object.is_called(name), "{name}");
        }
        for name in ["", "d", "image:db", "01234", "0123456789abcdef0"] {
            assert!(!object.is_called(name), "{name}");
        }
        let actor = Actor { login_uid: Some(1000), user: Some("alice".into()), ..Actor::default() };
        assert!(actor.is_called("alice") && actor.is_called("1000"));
        assert!(!actor.is_called("0") && !actor.is_called("") && !actor.is_called("bob"));
    }
}
