//! `GET /images/{name}/json` and `/history`.

use crate::Api;
use crate::call::Call;
use crate::container::inspect::{STORAGE_DRIVER, health_to_wire};
use crate::refusal::Answer;
use crate::reply::Reply;
use crate::time;
use crate::version::ApiVersion;
use haven_engine::image::{ContainerConfig, HistoryLine, Image};
use haven_spec::Reference;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Inspect {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: String,
    comment: String,
    created: String,
    /// This and the next are gone since 1.45.
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_config: Option<Map<String, Value>>,
    docker_version: String,
    author: String,
    config: Map<String, Value>,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    os_version: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    data: Option<()>,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    last_tag_time: String,
}

pub(crate) fn inspect(api: &Api, call: &Call, name: &str) -> Answer<Reply> {
    let image = api.engine.images().resolve(name)?;
    Ok(Reply::json(&describe(&image, call.version)))
}

pub(crate) fn describe(image: &Image, version: ApiVersion) -> Inspect {
    let document = &image.config;
    // Clients of these days found a container's whole configuration in an image, most of it empty.
    let whole = version < ApiVersion::new(1, 45);
    Inspect {
        id: image.id.to_string(),
        repo_tags: image.tags.iter().map(Reference::familiar).collect(),
        repo_digests: image.digests.iter().map(Reference::familiar).collect(),
        parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment: image.comment.clone(),
        created: document.created.clone().unwrap_or_else(|| time::ZERO.into()),
        container: whole.then_some(""),
        container_config: whole.then(|| config(&ContainerConfig::default(), true)),
        docker_version: document.docker_version.clone(),
        author: document.author.clone(),
        config: config(&document.config, whole),
        architecture: document.architecture.clone(),
        variant: document.variant.clone(),
        os: document.os.clone(),
        os_version: document.os_version.clone(),
        size: image.size_bytes,
        virtual_size: (version < ApiVersion::new(1, 44)).then_some(image.size_bytes),
        graph_driver: GraphDriver { data: None, name: STORAGE_DRIVER },
        root_fs: RootFs {
            kind: "layers",
            layers: document.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        },
        metadata: Metadata { last_tag_time: time::rfc3339(image.tagged_at_ns.unwrap_or(0)) },
    }
}

/// What containers made from the image do by default. `whole`: with the members only containers have.
fn config(config: &ContainerConfig, whole: bool) -> Map<String, Value> {
    let set = |keys: Option<Vec<&String>>| -> Value {
        let map =
            |keys: Vec<&String>| keys.into_iter().map(|key| (key.clone(), json!({}))).collect::<Map<_, _>>();
        keys.map_or(Value::Null, |keys| Value::Object(map(keys)))
    };
    let mut wire = Map::new();
    let mut put = |key: &str, value: Value| drop(wire.insert(key.to_owned(), value));
    if whole {
        for key in ["Hostname", "Domainname", "Image"] {
            put(key, json!(""));
        }
        for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
            put(key, json!(false));
        }
    }
    put("User", json!(config.user));
    put("Env", json!(config.env));
    put("Cmd", json!(config.cmd));
    put("Volumes", set(config.volumes.as_ref().map(|volumes| volumes.keys().collect())));
    put("WorkingDir", json!(config.working_dir));
    put("Entrypoint", json!(config.entrypoint));
    put("OnBuild", json!(config.on_build));
    put("Labels", json!(config.labels));
    if let Some(ports) = &config.exposed_ports {
        put("ExposedPorts", set(Some(ports.keys().collect())));
    }
    if let Some(check) = &config.healthcheck {
        put("Healthcheck", health_to_wire(check));
    }
    if config.args_escaped {
        put("ArgsEscaped", json!(true));
    }
    if !config.stop_signal.is_empty() {
        put("StopSignal", json!(config.stop_signal));
    }
    if let Some(timeout) = config.stop_timeout.filter(|_| whole) {
        put("StopTimeout", json!(timeout));
    }
    if let Some(shell) = &config.shell {
        put("Shell", json!(shell));
    }
    wire
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HistoryItem {
    id: String,
    created: i64,
    created_by: String,
    tags: Option<Vec<String>>,
    size: u64,
    comment: String,
}

pub(crate) fn history(api: &Api, name: &str) -> Answer<Reply> {
    let images = api.engine.images();
    let image = images.resolve(name)?;
    let lines: Vec<HistoryItem> = images.history(&image.id)?.iter().map(history_item).collect();
    Ok(Reply::json(&lines))
}

pub(crate) fn history_item(line: &HistoryLine) -> HistoryItem {
    let created = line.created.as_deref().and_then(|text| time::moment_ns("created", text).ok());
    let tags: Vec<String> = line.tags.iter().map(Reference::familiar).collect();
    HistoryItem {
        // Steps that ended in no image of this host.
        id: line.image.as_ref().map_or_else(|| "<missing>".into(), ToString::to_string),
        created: created.unwrap_or(0).div_euclid(1_000_000_000),
        created_by: line.created_by.clone(),
        tags: Some(tags).filter(|tags| !tags.is_empty()),
        size: line.size_bytes,
        comment: line.comment.clone(),
    }
}

/// Labels of an image, for filters.
pub(crate) fn labels(image: &Image) -> BTreeMap<String, String> {
    image.config.config.labels.clone().unwrap_or_default()
}
