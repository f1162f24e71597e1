//! `--mount type=…,source=…,target=…`: the long way to mount, with every option named.

use super::volume::absolute;
use super::{bytes, csv};
use serde_json::{Map, Value as Json, json};

/// The API's mount for a value of `--mount`.
pub(crate) fn parse(text: &str) -> Result<Json, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("value is empty".into());
    }
    let mut mount = Mount::default();
    for field in csv::fields(text)? {
        mount.read(&field)?;
    }
    mount.checked()
}

#[derive(Default)]
struct Mount {
    kind: String,
    source: String,
    target: String,
    readonly: bool,
    consistency: String,
    bind: Map<String, Json>,
    volume: Map<String, Json>,
    driver: Map<String, Json>,
    tmpfs: Map<String, Json>,
    image: Map<String, Json>,
}

impl Mount {
    fn read(&mut self, field: &str) -> Result<(), String> {
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (field, None),
        };
        if name.trim() != name {
            return Err(format!(
                "invalid option '{}' in '{field}': option should not have whitespace",
                name.trim()
            ));
        }
        if let Some(value) = value {
            if value.trim().is_empty() {
                return Err(format!("invalid value for '{name}': value is empty"));
            }
            if value.trim() != value {
                return Err(format!(
                    "invalid value for '{name}' in '{field}': value should not have whitespace"
                ));
            }
        }
        let name = name.to_lowercase();
        let boolean = matches!(
            name.as_str(),
            "readonly" | "ro" | "volume-nocopy" | "bind-create-src" | "bind-nonrecursive"
        );
        if value.is_none() && !boolean {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
        let truth = || match value {
            None | Some("1" | "true") => Ok(true),
            Some("0" | "false") => Ok(false),
            Some(other) => Err(format!("invalid value for '{name}': `{other}` is neither true nor false")),
        };
        let text = value.unwrap_or_default();
        match name.as_str() {
            "type" => self.kind = text.to_lowercase(),
            "source" | "src" => {
                self.source = if text.starts_with('.') {
                    absolute(text, &std::env::current_dir().unwrap_or_else(|_| "/".into()))
                } else {
                    text.to_owned()
                };
            }
            "target" | "dst" | "destination" => self.target = text.to_owned(),
            "readonly" | "ro" => self.readonly = truth()?,
            "consistency" => self.consistency = text.to_lowercase(),
            "bind-propagation" => set(&mut self.bind, "Propagation", text.to_lowercase()),
            "bind-nonrecursive" => set(&mut self.bind, "NonRecursive", truth()?),
            "bind-recursive" => match text {
                "enabled" => {}
                "disabled" => set(&mut self.bind, "NonRecursive", true),
                "writable" => set(&mut self.bind, "ReadOnlyNonRecursive", true),
                "readonly" => set(&mut self.bind, "ReadOnlyForceRecursive", true),
                other => {
                    return Err(format!(
                        "invalid value for {name}: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                    ));
                }
            },
            "bind-create-src" => set(&mut self.bind, "CreateMountpoint", truth()?),
            "volume-subpath" => set(&mut self.volume, "Subpath", text),
            "volume-nocopy" => set(&mut self.volume, "NoCopy", truth()?),
            "volume-label" => add(&mut self.volume, "Labels", text),
            "volume-driver" => set(&mut self.driver, "Name", text),
            "volume-opt" => add(&mut self.driver, "Options", text),
            "image-subpath" => set(&mut self.image, "Subpath", text),
            "tmpfs-size" => {
                let size = bytes::parse(text).map_err(|_| format!("invalid value for {name}: {text}"))?;
                set(&mut self.tmpfs, "SizeBytes", size);
            }
            "tmpfs-mode" => {
                let mode =
                    u32::from_str_radix(text, 8).map_err(|_| format!("invalid value for {name}: {text}"))?;
                set(&mut self.tmpfs, "Mode", mode);
            }
            _ => return Err(format!("unknown option '{name}' in '{field}'")),
        }
        Ok(())
    }

    fn checked(mut self) -> Result<Json, String> {
        if self.kind.is_empty() {
            self.kind = "volume".into();
        }
        if !self.driver.is_empty() {
            self.volume.insert("DriverConfig".into(), Json::Object(std::mem::take(&mut self.driver)));
        }
        for (kind, options) in
            [("bind", &self.bind), ("volume", &self.volume), ("image", &self.image), ("tmpfs", &self.tmpfs)]
        {
            if self.kind != kind && !options.is_empty() {
                return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", self.kind));
            }
        }
        if self.target.is_empty() {
            return Err("target is required".into());
        }
        for (word, option) in [("writable", "ReadOnlyNonRecursive"), ("readonly", "ReadOnlyForceRecursive")] {
            if self.bind.contains_key(option) && !self.readonly {
                return Err(format!(
                    "option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"
                ));
            }
        }
        if self.bind.contains_key("ReadOnlyForceRecursive")
            && self.bind.get("Propagation").and_then(Json::as_str) != Some("rprivate")
        {
            return Err(
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction".into()
            );
        }
        let mut mount = json!({"Type": self.kind, "Target": self.target});
        if let Json::Object(mount) = &mut mount {
            for (name, text) in [("Source", self.source), ("Consistency", self.consistency)] {
                if !text.is_empty() {
                    mount.insert(name.into(), Json::String(text));
                }
            }
            if self.readonly {
                mount.insert("ReadOnly".into(), Json::Bool(true));
            }
            for (name, options) in [
                ("BindOptions", self.bind),
                ("VolumeOptions", self.volume),
                ("ImageOptions", self.image),
                ("TmpfsOptions", self.tmpfs),
            ] {
                if !options.is_empty() {
                    mount.insert(name.into(), Json::Object(options));
                }
            }
        }
        Ok(mount)
    }
}

fn set(options: &mut Map<String, Json>, name: &str, value: impl Into<Json>) {
    options.insert(name.to_owned(), value.into());
}

/// Adds `name=value` to the map called `map`.
fn add(options: &mut Map<String, Json>, map: &str, text: &str) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() {
        return;
    }
    if let Json::Object(entries) = options.entry(map).or_insert_with(|| json!({})) {
        entries.insert(name.to_owned(), Json::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_by_their_names() {
        for (text, expected) in [
            ("type=bind,source=/a,target=/b", json!({"Type":"bind","Source":"/a","Target":"/b"})),
            ("src=data,dst=/b,ro", json!({"Type":"volume","Source":"data","Target":"/b","ReadOnly":true})),
            (
                "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1777",
                json!({"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1_048_576,"Mode":1023}}),
            ),
            (
                r#"type=volume,target=/b,volume-driver=local,"volume-opt=o=addr=1,vers=4",volume-label=a=b,volume-nocopy"#,
                json!({"Type":"volume","Target":"/b","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},
                    "DriverConfig":{"Name":"local","Options":{"o":"addr=1,vers=4"}}}}),
            ),
            (
                "type=bind,src=/a,dst=/b,bind-propagation=RSLAVE,readonly=false",
                json!({"Type":"bind","Source":"/a","Target":"/b","BindOptions":{"Propagation":"rslave"}}),
            ),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn wrong_mounts_are_refused_with_the_reason() {
        for (text, word) in [
            ("", "empty"),
            ("type=bind,source=/a", "target is required"),
            ("type=bind,source=/a,target=/b,tmpfs-size=1m", "cannot mix"),
            ("type=bind,source", "key=value"),
            ("type=bind,source= /a,target=/b", "whitespace"),
            ("type=bind,source=/a,target=/b,foo=bar", "unknown option"),
            ("target=/b,readonly=maybe", "neither"),
            ("type=tmpfs,target=/b,tmpfs-size=x", "invalid value"),
            ("type=tmpfs,target=/b,tmpfs-mode=9", "invalid value"),
            ("type=bind,src=/a,target=/b,bind-recursive=writable", "readonly"),
            ("type=bind,src=/a,target=/b,bind-recursive=sometimes", "must be"),
            ("target=", "empty"),
        ] {
            let reason = parse(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
    }
}
