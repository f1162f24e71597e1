//! Loading images from one stream: Docker's archive or an OCI layout in a tar, plain or compressed.
//!
//! The stream is read once, in the order it comes, and can't be sought in, while what tells its parts' meaning may
//! come last. So anything that looks like a layer is unpacked as it passes, several at once, into the staging area;
//! small JSON documents are kept in memory; the rest is hashed and forgotten. At the end the documents say which
//! images there are, each part is checked against the digest it goes by, and what no image needs is dropped. A damaged
//! part that no image needs is no reason to refuse the others.

mod docker_archive;
mod documents;
mod oci_layout;
mod outer;

use crate::archive::AbsoluteNames;
use crate::config::ImageConfig;
use crate::image::{DiffId, Image};
use crate::layer::{LayerRules, UnpackedLayer};
use crate::limits::Limits;
use crate::platform::Platform;
use crate::progress::OnProgress;
use crate::store::{AddImage, AddImages, Store};
use haven_spec::{Digest, Failure, ImageId, Outcome, Reference};
use outer::{Blob, Outer};
use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

/// What is taken from an archive.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The machine the images are for; `None`: this one.
    pub platform: Option<Platform>,
    /// Names in layers that start with a slash.
    pub absolute_names: AbsoluteNames,
    /// Layers unpacked at once; `None`: as many as keep the processors busy.
    pub parallel_layers: Option<usize>,
    pub limits: Limits,
}

/// An image that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub image: Arc<Image>,
    /// The names the archive gave it.
    pub tags: Vec<Reference>,
    /// It was in the store already.
    pub known: bool,
    /// Names that meant another image before.
    pub moved: Vec<(Reference, ImageId)>,
}

impl Store {
    /// Loads every image of an archive, all or none.
    pub fn load(
        &self,
        source: impl Read + Send,
        options: &LoadOptions,
        progress: OnProgress<'_>,
    ) -> Outcome<Vec<Loaded>> {
        load(self, source, options, progress).map_err(|failure| failure.context("cannot load the archive"))
    }
}

fn load(
    store: &Store,
    source: impl Read + Send,
    options: &LoadOptions,
    progress: OnProgress<'_>,
) -> Outcome<Vec<Loaded>> {
    let rules = LayerRules {
        limits: options.limits.clone(),
        absolute_names: options.absolute_names,
        end_required: false,
        parallel_layers: options.parallel_layers,
    };
    let mut outer = outer::read(store, source, &rules, progress)?;
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    let wanted = if outer.documents.has(docker_archive::MANIFEST) {
        docker_archive::images(&outer.documents, &options.limits)?
    } else if outer.documents.has(oci_layout::INDEX) {
        oci_layout::images(&outer.documents, &platform, &options.limits)?
    } else {
        return Err(no_images(&outer));
    };
    if wanted.is_empty() {
        return Err(Failure::invalid("there is no image in it"));
    }
    if wanted.len() > options.limits.images {
        return Err(Failure::invalid(format!(
            "it holds more than the {} images allowed",
            options.limits.images
        )));
    }
    let mut images: Vec<AddImage> = Vec::new();
    for image in wanted {
        let checked = check_image(&image, &outer, &platform, &options.limits)
            .map_err(|failure| failure.context(format!("image {}", image.shown())))?;
        match images.iter_mut().find(|other| other.id == checked.id) {
            Some(other) => other.tags.extend(checked.tags),
            None => images.push(checked),
        }
    }
    let layers = outer.take_unpacked();
    finish(store, images, layers)
}

fn finish(store: &Store, images: Vec<AddImage>, layers: Vec<UnpackedLayer>) -> Outcome<Vec<Loaded>> {
    let tags: Vec<Vec<Reference>> = images.iter().map(|image| image.tags.clone()).collect();
    let added = store.add(AddImages { images, layers })?;
    added
        .into_iter()
        .zip(tags)
        .map(|(added, tags)| {
            let image = store.get(&added.id).ok_or_else(|| {
                Failure::conflict(format!("the image `{}` has been removed meanwhile", added.id))
            })?;
            Ok(Loaded { image, tags, known: added.known, moved: added.moved })
        })
        .collect()
}

fn no_images(outer: &Outer) -> Failure {
    let failure = Failure::invalid("it has neither a `manifest.json` nor an `index.json`");
    if outer.documents.has("repositories") {
        return failure.hint(
            "it was saved by a Docker older than 1.10: load it there and save it again with a newer one",
        );
    }
    failure.hint("if it is a root file system rather than an image, use `haven import`")
}

/// An image an archive tells of.
struct WantedImage {
    /// The entry its configuration is in.
    config: String,
    config_digest: Option<Digest>,
    layers: Vec<WantedLayer>,
    tags: Vec<Reference>,
    manifest: Option<Digest>,
}

struct WantedLayer {
    /// The entry it is in.
    entry: String,
    digest: Option<Digest>,
    size: Option<u64>,
}

impl WantedImage {
    fn shown(&self) -> String {
        self.tags.first().map_or_else(|| format!("`{}`", self.config), |tag| format!("`{}`", tag.familiar()))
    }
}

/// Checks that all of an image is there and what it says it is.
fn check_image(
    wanted: &WantedImage,
    outer: &Outer,
    platform: &Platform,
    limits: &Limits,
) -> Outcome<AddImage> {
    let document = outer.documents.bytes(&wanted.config)?;
    let id = outer.documents.digest(&wanted.config)?;
    if let Some(expected) = wanted.config_digest.as_ref().or(digest_in_name(&wanted.config).as_ref())
        && *expected != id
    {
        return Err(wrong_digest(&wanted.config, expected, &id));
    }
    let config = ImageConfig::parse(document)
        .map_err(|failure| failure.context(format!("entry `{}`", wanted.config)))?;
    let its = Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: (!config.variant.is_empty()).then(|| config.variant.clone()),
    };
    if platform.accepts(&its).is_none() {
        return Err(Failure::invalid(format!("it is for {its}, not for {platform}")).hint(
            "load the image for this machine, or name its platform with --platform to keep it anyway",
        ));
    }
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != wanted.layers.len() {
        return Err(Failure::invalid(format!(
            "its configuration tells of {} layers, its manifest of {}",
            diff_ids.len(),
            wanted.layers.len()
        )));
    }
    if diff_ids.len() > limits.layers {
        return Err(Failure::invalid(format!("it has more than the {} layers allowed", limits.layers)));
    }
    for (layer, expected) in wanted.layers.iter().zip(diff_ids) {
        check_layer(layer, expected, outer)?;
    }
    Ok(AddImage {
        id,
        document: document.to_vec(),
        config: Arc::new(config),
        tags: wanted.tags.clone(),
        manifest: wanted.manifest.clone(),
        parent: None,
        comment: String::new(),
    })
}

fn check_layer(layer: &WantedLayer, expected: &DiffId, outer: &Outer) -> Outcome<()> {
    let entry = outer.documents.follow(&layer.entry)?;
    let in_entry = |failure: Failure| failure.context(format!("entry `{entry}`"));
    let (blob, diff_id, size) = match outer.blob(&entry) {
        Some(Blob::Unpacked(unpacked, size)) => (&unpacked.blob, &unpacked.diff_id, *size),
        Some(Blob::Known { blob, diff_id, size }) => (blob, diff_id, *size),
        Some(Blob::Failed(message)) => return Err(in_entry(message.failure())),
        Some(Blob::Other) => {
            return Err(in_entry(Failure::invalid(
                "it is not a layer: neither a tar archive nor a compressed one",
            )));
        }
        None => {
            return Err(Failure::invalid(format!("its layer `{}` is missing from the archive", layer.entry)));
        }
    };
    if let Some(digest) = &layer.digest
        && digest != blob
    {
        return Err(wrong_digest(&entry, digest, blob));
    }
    if layer.size.is_some_and(|expected| expected != size) {
        return Err(in_entry(Failure::invalid(format!(
            "it has {size} bytes, but its descriptor says {}",
            layer.size.unwrap_or(0)
        ))));
    }
    if diff_id != expected {
        return Err(wrong_digest(&entry, expected, diff_id));
    }
    Ok(())
}

fn wrong_digest(entry: &str, expected: &Digest, found: &Digest) -> Failure {
    Failure::invalid(format!("entry `{entry}`: its content has the digest `{found}`, not `{expected}`"))
        .hint("the archive is damaged or has been changed: get it again from where it came from")
}

/// The digest an entry goes by: `blobs/sha256/HEX`, `HEX.json`, `HEX.tar`.
fn digest_in_name(entry: &str) -> Option<Digest> {
    let hex = match entry.strip_prefix("blobs/sha256/") {
        Some(hex) => hex,
        None => entry.strip_suffix(".json").or_else(|| entry.strip_suffix(".tar"))?,
    };
    Digest::parse(&format!("sha256:{hex}")).ok()
}

/// Without the ones that come up twice, in order.
fn distinct<T: Clone + Eq + std::hash::Hash>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}
