//! An image's configuration document, as the OCI image specification writes it, with Docker's additions.
//!
//! These types mirror the wire: names, optionality and nulls are the documents', and what Haven doesn't know is
//! carried along so that an image made from another loses nothing. The document's own bytes, whose digest is the
//! image's id, are kept beside it by the store. See the OCI image specification, `config.md`.

use haven_spec::{Digest, Failure, HealthCheck, Outcome, PortKey, Signal};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// The largest configuration document read, as registries limit manifests.
pub const CONFIG_LIMIT_BYTES: usize = 4 << 20;

/// `{}`: the value of the documents' sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

type Set = BTreeMap<String, Empty>;
type Unknown = BTreeMap<String, serde_json::Value>;

/// Docker writes `null` where it means nothing.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The whole document.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(deserialize_with = "null_as_default")]
    pub architecture: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(deserialize_with = "null_as_default")]
    pub os: String,
    #[serde(
        rename = "os.version",
        deserialize_with = "null_as_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    #[serde(deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    pub rootfs: RootFs,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    #[serde(flatten)]
    pub other: Unknown,
}

/// The layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(deserialize_with = "null_as_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

/// One step of how the image was made. The steps without `empty_layer` are the layers', in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    #[serde(flatten)]
    pub other: Unknown,
}

/// What a container made from the image does by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<Set>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Set>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    #[serde(
        serialize_with = "health_to_wire",
        deserialize_with = "health_from_wire",
        skip_serializing_if = "Option::is_none"
    )]
    pub healthcheck: Option<HealthCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    #[serde(flatten)]
    pub other: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct HealthOnWire {
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[allow(clippy::ref_option, reason = "the signature serde calls")]
fn health_to_wire<S: Serializer>(health: &Option<HealthCheck>, to: S) -> Result<S::Ok, S::Error> {
    let wire = health.as_ref().map(|check| HealthOnWire {
        test: check.test.clone(),
        interval: check.interval_ns,
        timeout: check.timeout_ns,
        start_period: check.start_period_ns,
        start_interval: check.start_interval_ns,
        retries: check.retries.into(),
    });
    wire.serialize(to)
}

fn health_from_wire<'de, D: Deserializer<'de>>(from: D) -> Result<Option<HealthCheck>, D::Error> {
    let Some(wire) = Option::<HealthOnWire>::deserialize(from)? else { return Ok(None) };
    let retries = u32::try_from(wire.retries)
        .map_err(|_| serde::de::Error::custom(format!("Healthcheck.Retries can't be {}", wire.retries)))?;
    Ok(Some(HealthCheck {
        test: wire.test,
        interval_ns: wire.interval,
        timeout_ns: wire.timeout,
        start_period_ns: wire.start_period,
        start_interval_ns: wire.start_interval,
        retries,
    }))
}

impl ImageConfig {
    /// Reads and checks a document: what it says must be usable, whoever wrote it.
    pub fn parse(bytes: &[u8]) -> Outcome<Self> {
        if bytes.len() > CONFIG_LIMIT_BYTES {
            return Err(Failure::invalid(format!(
                "the image's configuration has {} bytes, more than the {CONFIG_LIMIT_BYTES} allowed",
                bytes.len()
            )));
        }
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| Failure::invalid("the image's configuration can't be read").because(error))?;
        config.check().map_err(|failure| failure.context("the image's configuration can't be used"))?;
        Ok(config)
    }

    fn check(&self) -> Outcome<()> {
        if self.rootfs.kind != "layers" {
            return Err(Failure::invalid(format!("`rootfs.type` is `{}`, not `layers`", self.rootfs.kind)));
        }
        let steps = self.history.iter().filter(|step| !step.empty_layer).count();
        if !self.history.is_empty() && steps != self.rootfs.diff_ids.len() {
            return Err(Failure::invalid(format!(
                "the history tells of {steps} layers, but there are {}",
                self.rootfs.diff_ids.len()
            )));
        }
        let config = &self.config;
        for port in config.exposed_ports.iter().flatten() {
            check_ports(port.0).map_err(|failure| failure.context("`ExposedPorts` can't be read"))?;
        }
        if !config.stop_signal.is_empty() {
            Signal::parse(&config.stop_signal)
                .map_err(|failure| failure.context("`StopSignal` can't be read"))?;
        }
        if let Some(entry) =
            config.env.iter().flatten().find(|entry| entry.starts_with('=') || entry.contains('\0'))
        {
            return Err(Failure::invalid(format!("`Env` has an entry without a name: `{entry}`")));
        }
        Ok(())
    }

    /// The document's bytes, as a new image is made with.
    pub fn to_bytes(&self) -> Outcome<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Failure::internal("cannot write the image's configuration").because(error))
    }
}

/// `80`, `80/tcp`, or a range `8000-8010/udp`.
fn check_ports(text: &str) -> Outcome<()> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    for port in ports.splitn(2, '-') {
        PortKey::parse(&format!("{port}/{protocol}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKERS: &str = r#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,
        "ExposedPorts":{"80/tcp":{}},"Tty":false,"Env":["PATH=/bin"],"Cmd":["sh"],"Image":"","Volumes":null,"WorkingDir":"",
        "Entrypoint":null,"OnBuild":null,"Labels":null,"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000}},
        "container":"x","created":"2024-01-01T00:00:00Z","docker_version":"20.10.24","history":[{"created":"2024-01-01T00:00:00Z",
        "created_by":"sh","empty_layer":true},{"created_by":"COPY"}],"os":"linux",
        "rootfs":{"type":"layers","diff_ids":["sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}}"#;

    #[test]
    fn a_document_of_dockers_is_read_with_its_nulls_and_extras() {
        let config = ImageConfig::parse(DOCKERS.as_bytes()).unwrap();
        assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert_eq!(config.config.volumes, None);
        assert_eq!(config.config.healthcheck.as_ref().unwrap().interval_ns, 5_000_000_000);
        assert_eq!(config.other["container"], "x");
        let again = ImageConfig::parse(&config.to_bytes().unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_name() {
        for (from, to, named) in [
            ("80/tcp", "0/tcp", "ExposedPorts"),
            ("80/tcp", "80/x", "ExposedPorts"),
            ("\"Tty\":false", "\"StopSignal\":\"SIGNONE\"", "StopSignal"),
            ("PATH=/bin", "=x", "Env"),
            ("\"type\":\"layers\"", "\"type\":\"files\"", "rootfs.type"),
            ("\"created_by\":\"COPY\"", "\"empty_layer\":true", "history"),
            ("sha256:aa", "sha256:a", "digest"),
            ("\"Interval\":5000000000", "\"Retries\":-1", "Retries"),
        ] {
            let failure = ImageConfig::parse(DOCKERS.replace(from, to).as_bytes()).unwrap_err();
            assert!(failure.one_line().contains(named), "{}", failure.one_line());
        }
    }

    #[test]
    fn a_document_larger_than_the_limit_is_refused() {
        let mut bytes = DOCKERS.as_bytes().to_vec();
        bytes.resize(CONFIG_LIMIT_BYTES, b' ');
        assert!(ImageConfig::parse(&bytes).is_ok());
        bytes.push(b' ');
        assert!(ImageConfig::parse(&bytes).is_err());
    }
}
