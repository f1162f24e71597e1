//! Builds image archives in every layout there is, from layers made by [`crate::tarball`].

use crate::tarball::Tarball;
use flate2::Compression;
use flate2::write::GzEncoder;
use haven_spec::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::io::Write as _;

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::sha256(&Sha256::digest(bytes).into())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// An image to be: layers as uncompressed tars, and a configuration made for them.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: Value,
}

impl Image {
    /// Of these layers, for this machine.
    pub(crate) fn of(layers: &[Vec<u8>]) -> Self {
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| sha256(layer)).collect();
        let config = json!({
            "architecture": haven_image::Platform::host().architecture,
            "os": "linux",
            "created": "2024-05-06T07:08:09.123456789Z",
            "config": { "Cmd": ["sh"], "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": layers.iter().map(|_| json!({ "created_by": "a test" })).collect::<Vec<_>>(),
        });
        Self { layers: layers.to_vec(), config }
    }

    /// Two small layers; `salt` makes it another image.
    pub(crate) fn small(salt: &str) -> Self {
        let lower =
            Tarball::new().dir("etc").file("etc/name", salt.as_bytes()).file("gone", b"soon").finish();
        let upper = Tarball::new().file("app", &[7; 3000]).file(".wh.gone", b"").finish();
        Self::of(&[lower, upper])
    }

    pub(crate) fn document(&self) -> Vec<u8> {
        serde_json::to_vec(&self.config).unwrap()
    }

    pub(crate) fn id(&self) -> Digest {
        sha256(&self.document())
    }

    /// As `docker save` wrote it for years: layers in directories of their own, `manifest.json` last.
    pub(crate) fn docker(&self, tags: &[&str]) -> Vec<u8> {
        let mut archive = Tarball::new();
        let mut entries = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let entry = format!("{number:064}/layer.tar");
            archive = archive.dir(&format!("{number:064}/")).file(&format!("{number:064}/VERSION"), b"1.0");
            archive = archive.file(&format!("{number:064}/json"), b"{\"id\":\"x\"}").file(&entry, layer);
            entries.push(entry);
        }
        let config = format!("{}.json", self.id().hex());
        archive
            .file(&config, &self.document())
            .file("manifest.json", &docker_manifest(&[(config.as_str(), tags, &entries)]))
            .file("repositories", b"{}")
            .finish()
    }

    /// An OCI layout, its layers packed by `pack` (of the given kind), blobs first.
    pub(crate) fn oci(&self, name: Option<&str>, kind: &str, pack: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let (archive, manifest) = self.oci_blobs(Tarball::new(), kind, pack);
        let annotations = match name {
            Some(name) => json!({ "org.opencontainers.image.ref.name": name }),
            None => Value::Null,
        };
        let mut descriptor = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        descriptor["annotations"] = annotations;
        archive.file("index.json", &index(&[descriptor])).file("oci-layout", LAYOUT).finish()
    }

    /// Adds the image's blobs; the manifest's bytes.
    pub(crate) fn oci_blobs(
        &self,
        mut archive: Tarball,
        kind: &str,
        pack: fn(&[u8]) -> Vec<u8>,
    ) -> (Tarball, Vec<u8>) {
        let mut layers = Vec::new();
        for layer in &self.layers {
            let blob = pack(layer);
            layers.push(descriptor(&format!("application/vnd.oci.image.layer.v1.tar{kind}"), &blob));
            archive = archive.file(&blob_path(&blob), &blob);
        }
        let config = self.document();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers,
        }))
        .unwrap();
        (archive.file(&blob_path(&config), &config).file(&blob_path(&manifest), &manifest), manifest)
    }
}

pub(crate) const LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

pub(crate) fn blob_path(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", sha256(bytes).hex())
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() })
}

pub(crate) fn index(manifests: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "schemaVersion": 2, "manifests": manifests })).unwrap()
}

pub(crate) fn docker_manifest(images: &[(&str, &[&str], &[String])]) -> Vec<u8> {
    let items: Vec<Value> = images
        .iter()
        .map(|(config, tags, layers)| json!({ "Config": config, "RepoTags": tags, "Layers": layers }))
        .collect();
    serde_json::to_vec(&items).unwrap()
}
