//! Image archives built by hand, good ones and hostile ones: docker-archive (`docker save`'s format).
//!
//! Written here and not with Haven's own code, so that a mistake made twice in the same way is not one in both.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::Path;

/// What an image says about how to run it.
#[derive(Debug, Clone, Default)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub user: String,
    pub working_dir: String,
    pub volumes: Vec<String>,
    pub exposed: Vec<String>,
    /// As the image document has it (`Test`, `Interval` and so on).
    pub health: Option<Value>,
    pub stop_signal: Option<String>,
    pub labels: Vec<(String, String)>,
}

/// One layer: a tar archive in memory.
pub struct Layer {
    builder: tar::Builder<Vec<u8>>,
}

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer {
    pub fn new() -> Self {
        Self { builder: tar::Builder::new(Vec::new()) }
    }

    fn header(kind: tar::EntryType, mode: u32, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size as u64);
        header.set_mtime(1_700_000_000);
        header
    }

    /// With a name that the library would refuse (`../x`, `/x`), as an attacker writes it.
    fn put(mut self, mut header: tar::Header, path: &str, content: &[u8]) -> Self {
        let name = &mut header.as_old_mut().name;
        assert!(path.len() < name.len(), "names of test entries fit the old header: {path}");
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        self.builder.append(&header, content).expect("memory takes any entry");
        self
    }

    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.put(Self::header(tar::EntryType::Regular, mode, content.len()), path, content)
    }

    #[must_use]
    pub fn owned_file(self, path: &str, mode: u32, (uid, gid): (u32, u32), content: &str) -> Self {
        let mut header = Self::header(tar::EntryType::Regular, mode, content.len());
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        self.put(header, path, content.as_bytes())
    }

    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.put(Self::header(tar::EntryType::Directory, mode, 0), path, &[])
    }

    #[must_use]
    pub fn owned_directory(self, path: &str, mode: u32, (uid, gid): (u32, u32)) -> Self {
        let mut header = Self::header(tar::EntryType::Directory, mode, 0);
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        self.put(header, path, &[])
    }

    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Symlink, path, target)
    }

    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.link(tar::EntryType::Link, path, target)
    }

    fn link(self, kind: tar::EntryType, path: &str, target: &str) -> Self {
        let mut header = Self::header(kind, 0o777, 0);
        let name = &mut header.as_old_mut().linkname;
        name[..target.len()].copy_from_slice(target.as_bytes());
        self.put(header, path, &[])
    }

    #[must_use]
    pub fn device(self, path: &str, kind: tar::EntryType, (major, minor): (u32, u32)) -> Self {
        let mut header = Self::header(kind, 0o666, 0);
        header.set_device_major(major).expect("a header of GNU's format has devices");
        header.set_device_minor(minor).expect("a header of GNU's format has devices");
        self.put(header, path, &[])
    }

    /// The archive of the layer alone.
    pub fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().expect("memory takes the end of an archive")
    }
}

/// A whole image.
pub struct Archive {
    reference: String,
    config: ImageConfig,
    /// The digest of the content, and the bytes that are stored, which may be compressed.
    layers: Vec<(String, Vec<u8>)>,
}

impl Archive {
    pub fn new(reference: &str, config: ImageConfig) -> Self {
        Self { reference: reference.into(), config, layers: Vec::new() }
    }

    #[must_use]
    pub fn layer(self, layer: Layer) -> Self {
        self.raw_layer(layer.bytes())
    }

    /// A layer from bytes that need not be an archive at all.
    #[must_use]
    pub fn raw_layer(mut self, bytes: Vec<u8>) -> Self {
        self.layers.push((format!("sha256:{}", sha256(&bytes)), bytes));
        self
    }

    /// A layer stored compressed: `packed` is what a compressor made of `content`.
    #[must_use]
    pub fn packed_layer(mut self, content: &[u8], packed: Vec<u8>) -> Self {
        self.layers.push((format!("sha256:{}", sha256(content)), packed));
        self
    }

    /// The archive as `docker save` would write it.
    pub fn bytes(self) -> Vec<u8> {
        let digests: Vec<String> = self.layers.iter().map(|(digest, _)| digest.clone()).collect();
        let config = self.document(&digests).to_string().into_bytes();
        let config_name = format!("{}.json", sha256(&config));
        let mut all = Layer::new();
        let mut names = Vec::new();
        for (index, (_, layer)) in self.layers.iter().enumerate() {
            let name = format!("{index}/layer.tar");
            all = all.file(&name, 0o644, layer);
            names.push(name);
        }
        let manifest = json!([{ "Config": config_name, "RepoTags": [self.reference], "Layers": names }]);
        all.file(&config_name, 0o644, &config).file("manifest.json", 0o644, manifest.to_string()).bytes()
    }

    fn document(&self, digests: &[String]) -> Value {
        let ImageConfig { entrypoint, command, env, user, working_dir, health, stop_signal, .. } =
            &self.config;
        let set = |names: &[String]| {
            names.iter().map(|name| (name.clone(), json!({}))).collect::<serde_json::Map<_, _>>()
        };
        let mut config = json!({
            "Entrypoint": entrypoint, "Cmd": command, "Env": env, "User": user, "WorkingDir": working_dir,
            "Volumes": set(&self.config.volumes), "ExposedPorts": set(&self.config.exposed),
            "Labels": self.config.labels.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        });
        if let Some(health) = health {
            config["Healthcheck"] = health.clone();
        }
        if let Some(signal) = stop_signal {
            config["StopSignal"] = json!(signal);
        }
        json!({
            "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
            "os": "linux",
            "created": "2023-11-14T22:13:20Z",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": digests },
            "history": digests.iter().map(|_| json!({ "created": "2023-11-14T22:13:20Z", "created_by": "haven-tests" })).collect::<Vec<_>>(),
        })
    }

    pub fn write(self, path: &Path) {
        std::fs::write(path, self.bytes())
            .unwrap_or_else(|error| panic!("cannot write `{}`: {error}", path.display()));
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes any text");
        text
    })
}
