//! `config.json`: the whole document and the root file system's place.

use super::{Hooks, Linux, Mount, Process};
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The version written into documents made here.
pub const VERSION: &str = "1.2.1";

/// The document that describes a container.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    #[serde(rename = "ociVersion")]
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domainname: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// Where the root file system is; a relative path is relative to the bundle.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Root {
    pub path: String,
    #[serde(skip_serializing_if = "is_false")]
    pub readonly: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !*value
}

impl Spec {
    /// Reads a document; says which member is wrong when one is.
    pub fn parse(text: &[u8]) -> Outcome<Self> {
        parse(text).map_err(|error| Failure::invalid("cannot read the OCI configuration").because(error))
    }
}

/// Reads any of this module's documents. The strict reading is tried first because it is fast; what it refuses is
/// read again without `null`s and with the last of members given twice, as the Go decoder reads it.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(text: &[u8]) -> Result<T, serde_json::Error> {
    // A list would pass for a document whose members are all at their defaults.
    if text.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'{') {
        return Err(serde::de::Error::custom("not a JSON object"));
    }
    serde_json::from_slice(text).or_else(|strict| {
        let mut value: Value = serde_json::from_slice(text)?;
        let forgiven = without_nulls(&mut value);
        // Where nothing was forgiven the strict error is the better one: it has a line and a column.
        serde_json::from_value(value).map_err(|error| if forgiven { error } else { strict })
    })
}

/// Removes the members that are `null`; whether there were any. The depth is bounded by the reader's own limit.
fn without_nulls(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            let before = members.len();
            members.retain(|_, member| !member.is_null());
            let mut removed = members.len() != before;
            for member in members.values_mut() {
                removed |= without_nulls(member);
            }
            removed
        }
        Value::Array(items) => items.iter_mut().fold(false, |removed, item| without_nulls(item) | removed),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{NamespaceType, SeccompAction};

    /// Every member this crate knows, in the order and form other programs write.
    const FULL: &str = include_str!("../../tests/fixtures/oci/full.json");

    #[test]
    fn a_document_with_every_member_survives_reading_and_writing() {
        let spec = Spec::parse(FULL.as_bytes()).unwrap();
        let written = serde_json::to_value(&spec).unwrap();
        let original: Value = serde_json::from_str(FULL).unwrap();
        assert_eq!(written, original);
    }

    #[test]
    fn null_and_absent_mean_the_same() {
        let spec = Spec::parse(
            br#"{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0,"additionalGids":null},"args":null,"cwd":"/"},
                 "mounts":null,"hooks":null,"linux":{"namespaces":[{"type":"pid","path":null}],"resources":null}}"#,
        )
        .unwrap();
        assert!(spec.mounts.is_empty() && spec.hooks.is_none());
        let linux = spec.linux.unwrap();
        assert_eq!(linux.namespaces[0].kind, NamespaceType::Pid);
    }

    #[test]
    fn unknown_members_and_other_platforms_are_ignored() {
        let spec = Spec::parse(
            br#"{"ociVersion":"1.9.0","windows":{"layerFolders":null},"x":[{"y":1}],
                 "linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","new":1}}}"#,
        )
        .unwrap();
        assert_eq!(spec.linux.unwrap().seccomp.unwrap().default_action, SeccompAction::Allow);
    }

    #[test]
    fn a_wrong_member_is_named() {
        let failure = Spec::parse(br#"{"linux":{"namespaces":[{"type":"house"}]}}"#).unwrap_err();
        let text = failure.one_line();
        assert!(text.contains("house") && text.contains("line 1"), "{text}");
        assert!(Spec::parse(b"").is_err() && Spec::parse(b"[]").is_err() && Spec::parse(b"{").is_err());
    }
}
