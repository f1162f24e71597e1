//! Saving images: one archive that is Docker's and an OCI layout at the same time, as Docker writes it since 25.
//!
//! Layers are put together again from their recipes and checked against their digests while they are written, so a
//! saved image loads with the same id, here and elsewhere. The archive depends on the images and names alone: saving
//! twice gives the same bytes.

use crate::archive::{EntryKind, TarEntry, TarWriter};
use crate::image::{DiffId, Image};
use crate::io_failure::reading;
use crate::progress::{OnProgress, Progress, STEP_BYTES};
use crate::recipe::RecipeReader;
use crate::store::{Catalog, Store};
use haven_spec::{Digest, Failure, Outcome, Reference};
use haven_sys::root::Time;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write};
use std::sync::Arc;

const BUFFER_BYTES: usize = 256 << 10;

impl Store {
    /// Writes the images `names` stand for. An image given by a name is saved with that name, by its id with none.
    pub fn save(&self, names: &[String], sink: &mut dyn Write, progress: OnProgress<'_>) -> Outcome<()> {
        save(self, names, sink, progress).map_err(|failure| failure.context("cannot save the images"))
    }

    /// A layer's archive, byte for byte as it came.
    pub fn layer_archive(&self, layer: &DiffId) -> Outcome<impl std::io::Read + Send + use<>> {
        RecipeReader::open(self.layer_dir(layer)?, &self.layer_notes(layer)?)
    }
}

/// An image, and the names it is saved with.
struct Chosen {
    image: Arc<Image>,
    tags: BTreeSet<Reference>,
}

fn save(store: &Store, names: &[String], sink: &mut dyn Write, progress: OnProgress<'_>) -> Outcome<()> {
    let catalog = store.catalog();
    let chosen = choose(store, &catalog, names)?;
    let mut writer = TarWriter::new(std::io::BufWriter::with_capacity(BUFFER_BYTES, sink));
    for path in ["blobs/", "blobs/sha256/"] {
        writer.entry(&entry(path, EntryKind::Directory, 0))?;
    }
    let mut written = BTreeSet::new();
    let mut index = Vec::new();
    let mut docker = Vec::new();
    let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for Chosen { image, tags } in &chosen {
        let mut descriptors = Vec::new();
        for layer in &image.layers {
            let size = write_layer(store, &catalog, layer, &mut written, &mut writer, progress)?;
            descriptors.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size,
            }));
        }
        let document = store.config_bytes(&image.id)?;
        write_blob(&mut writer, &mut written, &image.id, &document)?;
        let manifest = to_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": image.id, "size": document.len(),
            },
            "layers": descriptors,
        }))?;
        let digest = Digest::sha256(&Sha256::digest(&manifest).into());
        write_blob(&mut writer, &mut written, &digest, &manifest)?;
        let descriptor = |annotations: Option<Value>| {
            let mut descriptor = json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": manifest.len(),
                "platform": platform(image),
            });
            if let Some(annotations) = annotations {
                descriptor["annotations"] = annotations;
            }
            descriptor
        };
        if tags.is_empty() {
            index.push(descriptor(None));
        }
        for tag in tags {
            index.push(descriptor(Some(json!({
                "io.containerd.image.name": tag.to_string(),
                "org.opencontainers.image.ref.name": tag.tag().unwrap_or_default(),
            }))));
            let top = image.layers.last().map_or_else(|| image.id.hex(), Digest::hex);
            let known = repositories.entry(tag.familiar_repository()).or_default();
            known.insert(tag.tag().unwrap_or_default().to_owned(), top.to_owned());
        }
        let shown: Vec<String> = tags.iter().map(Reference::familiar).collect();
        let layers: Vec<String> = image.layers.iter().map(blob_path).collect();
        docker.push(json!({
            "Config": blob_path(&image.id),
            "RepoTags": if shown.is_empty() { Value::Null } else { json!(shown) },
            "Layers": layers,
        }));
    }
    write_document(
        &mut writer,
        "index.json",
        &json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index,
        }),
    )?;
    write_document(&mut writer, "manifest.json", &json!(docker))?;
    write_document(&mut writer, "oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    if !repositories.is_empty() {
        write_document(&mut writer, "repositories", &json!(repositories))?;
    }
    let mut buffered = writer.finish()?;
    buffered.flush().map_err(|error| crate::io_failure::writing("the archive", error))
}

/// The images in the order they were named, each once.
fn choose(store: &Store, catalog: &Catalog, names: &[String]) -> Outcome<Vec<Chosen>> {
    if names.is_empty() {
        return Err(Failure::invalid("no image is named"));
    }
    let mut chosen: Vec<Chosen> = Vec::new();
    for name in names {
        let reference = Reference::parse(name).ok();
        // A repository without a tag means all of its tags.
        if let Some(reference) = reference.as_ref().filter(|reference| is_repository(name, reference)) {
            let repository = reference.familiar_repository();
            let tags: Vec<_> =
                catalog.tags.iter().filter(|(tag, _)| tag.familiar_repository() == repository).collect();
            for (tag, record) in &tags {
                add(&mut chosen, store.resolve(record.image.as_str())?, Some((*tag).clone()));
            }
            if !tags.is_empty() {
                continue;
            }
        }
        let image = store.resolve(name)?;
        let tag = reference.filter(|reference| image.tags.contains(reference));
        add(&mut chosen, image, tag);
    }
    Ok(chosen)
}

/// Whether a name says no tag; reading it has added one.
fn is_repository(name: &str, reference: &Reference) -> bool {
    let said = name.rsplit('/').next().unwrap_or_default();
    reference.digest().is_none() && !said.contains(':')
}

fn add(chosen: &mut Vec<Chosen>, image: Arc<Image>, tag: Option<Reference>) {
    match chosen.iter_mut().find(|known| known.image.id == image.id) {
        Some(known) => known.tags.extend(tag),
        None => chosen.push(Chosen { image, tags: tag.into_iter().collect() }),
    }
}

fn platform(image: &Image) -> Value {
    let config = &image.config;
    let mut platform = json!({ "architecture": config.architecture, "os": config.os });
    if !config.variant.is_empty() {
        platform["variant"] = json!(config.variant);
    }
    platform
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn to_bytes(value: &Value) -> Outcome<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Failure::internal("cannot write a document").because(error))
}

/// The layer's length.
fn write_layer<W: Write>(
    store: &Store,
    catalog: &Catalog,
    layer: &DiffId,
    written: &mut BTreeSet<Digest>,
    writer: &mut TarWriter<W>,
    progress: OnProgress<'_>,
) -> Outcome<u64> {
    let record = catalog.layers.get(layer).ok_or_else(|| {
        Failure::host(format!("the layer `{layer}` is missing")).hint("remove the image and load it again")
    })?;
    let size = record.archive_bytes;
    if !written.insert(layer.clone()) {
        return Ok(size);
    }
    let changed = |why: String| {
        Failure::host(format!("the layer `{layer}` is not what was loaded: {why}"))
            .hint("`haven image verify` names the files that differ; remove the image and load it again")
    };
    writer.entry(&entry(&blob_path(layer), EntryKind::File, size))?;
    let mut source = RecipeReader::open(store.layer_dir(layer)?, &store.layer_notes(layer)?)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done = 0;
    let mut told = 0;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => return Err(changed("its files can't be read".into()).because(reading(error))),
        };
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        writer.content(&buffer[..count])?;
        done += count as u64;
        if done - told >= STEP_BYTES {
            told = done;
            let name = layer.short().to_owned();
            progress(Progress::Layer { name, done_bytes: done, total_bytes: size });
        }
    }
    let found = Digest::sha256(&hasher.finalize().into());
    if done != size || found != *layer {
        return Err(changed(format!("its digest is `{found}`")));
    }
    Ok(size)
}

fn write_blob<W: Write>(
    writer: &mut TarWriter<W>,
    written: &mut BTreeSet<Digest>,
    digest: &Digest,
    bytes: &[u8],
) -> Outcome<()> {
    if written.insert(digest.clone()) {
        write_file(writer, &blob_path(digest), bytes)?;
    }
    Ok(())
}

fn write_document<W: Write>(writer: &mut TarWriter<W>, path: &str, document: &Value) -> Outcome<()> {
    write_file(writer, path, &to_bytes(document)?)
}

fn write_file<W: Write>(writer: &mut TarWriter<W>, path: &str, bytes: &[u8]) -> Outcome<()> {
    writer.entry(&entry(path, EntryKind::File, bytes.len() as u64))?;
    writer.content(bytes)
}

fn entry(path: &str, kind: EntryKind, size: u64) -> TarEntry {
    TarEntry {
        path: path.as_bytes().to_vec(),
        kind,
        mode: if kind == EntryKind::Directory { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        modified: Time::default(),
        link: Vec::new(),
        device: (0, 0),
        size,
        stored: size,
        sparse: None,
        xattrs: Vec::new(),
    }
}
