//! The store: records in a database, layers as directories, one process that owns both.
//!
//! ```text
//! images.redb              records; a layer or image exists when its record does
//! layers/HEX/              a layer's files, as overlay's lower directory
//! notes/HEX/               its manifest, and the recipe for its archive
//! staging/N/, trash/N      unfinished and discarded work, removed when found
//! ```
//! Adding: files first, flushed; renamed into place; records last. Removing: records first, files later. So a crash
//! leaves files without a record at worst, and opening removes those. Readers take the published [`Catalog`] and wait
//! for nobody, however long a load takes.

mod catalog;
mod open;
mod record;
mod remove;
mod resolve;
mod tag;
mod usage;

pub use remove::{PruneImages, PruneReport, RemoveImage, Removed};
pub use usage::{DiskUsage, HistoryLine, ImageUsage};

pub(crate) use catalog::Catalog;
pub(crate) use record::ImageRecord;

use crate::config::ImageConfig;
use crate::image::{DiffId, Finding, Image, Layer, Tag};
use crate::layer::UnpackedLayer;
use crate::staging::{StagedLayer, Staging};
use arc_swap::ArcSwap;
use catalog::Draft;
use haven_spec::{Digest, Failure, ImageId, Outcome, Reference};
use haven_sys::root::{Dir, PathError};
use record::{LayerRecord, database};
use redb::Database;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Nanoseconds since the Unix epoch; the store reads no clock by itself.
pub type Clock = fn() -> i64;

/// The images of a host.
pub struct Store {
    /// Its lock says that this process owns the store.
    _lock: Dir,
    /// For overlay's sake: layers are named to the kernel by path.
    layers_path: PathBuf,
    layers: Dir,
    notes: Dir,
    trash: Dir,
    staging: Staging,
    database: Database,
    catalog: ArcSwap<Catalog>,
    /// Held by whoever changes something.
    writing: Mutex<()>,
    clock: Clock,
    findings: Vec<Finding>,
    next_trash: AtomicU64,
}

impl Store {
    /// What opening had to clean up, or found broken.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// All images, the newest first.
    pub fn images(&self) -> Vec<Arc<Image>> {
        let mut images: Vec<_> = self.catalog().images().values().map(Arc::clone).collect();
        images.sort_by(|a, b| {
            (&b.config.created, b.added_at_ns, &b.id).cmp(&(&a.config.created, a.added_at_ns, &a.id))
        });
        images
    }

    pub fn get(&self, id: &ImageId) -> Option<Arc<Image>> {
        self.catalog().images().get(id).map(Arc::clone)
    }

    /// All names, sorted, with what they meant before.
    pub fn tags(&self) -> Vec<Tag> {
        let catalog = self.catalog();
        catalog.tags.keys().filter_map(|reference| catalog.tag(reference)).collect()
    }

    pub fn layer(&self, layer: &DiffId) -> Option<Layer> {
        self.catalog().layer(layer)
    }

    /// The directory of a layer's files, for overlay. Owners are as the container sees them.
    pub fn layer_path(&self, layer: &DiffId) -> Outcome<PathBuf> {
        if !self.catalog().layers.contains_key(layer) {
            return Err(Failure::not_found(format!("there is no layer `{layer}`")));
        }
        Ok(self.layers_path.join(layer.hex()))
    }

    /// The configuration document's own bytes, whose digest is the image's id.
    pub fn config_bytes(&self, id: &ImageId) -> Outcome<Vec<u8>> {
        match self.catalog().known.get(id) {
            Some(known) => Ok(known.document.to_vec()),
            None => Err(Failure::not_found(format!("No such image: {id}"))),
        }
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    pub(crate) fn now_ns(&self) -> i64 {
        (self.clock)()
    }

    /// A place to unpack a layer in.
    pub(crate) fn stage(&self) -> Outcome<StagedLayer> {
        self.staging.layer().map_err(|error| crate::io_failure::writing("the layer", error.into()))
    }

    pub(crate) fn layer_dir(&self, layer: &DiffId) -> Outcome<Dir> {
        self.layers.open_dir(layer.hex()).map_err(|error| missing_layer(layer, error))
    }

    pub(crate) fn layer_notes(&self, layer: &DiffId) -> Outcome<Dir> {
        self.notes.open_dir(layer.hex()).map_err(|error| missing_layer(layer, error))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Whoever panicked while holding it has changed nothing that was published.
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a change: `f` works on a copy of the catalog and a transaction, both of which count only if it succeeds.
    fn change<T>(&self, _lock: &MutexGuard<'_, ()>, f: impl FnOnce(&mut Draft) -> Outcome<T>) -> Outcome<T> {
        let transaction = self.database.begin_write().map_err(database)?;
        let mut draft = Draft::new((*self.catalog()).clone(), transaction);
        let value = f(&mut draft)?;
        self.catalog.store(Arc::new(draft.commit()?));
        Ok(value)
    }

    /// Adds images with their layers, all or none. Layers that are there already are dropped.
    pub(crate) fn add(&self, new: AddImages) -> Outcome<Vec<Added>> {
        // Flushed before the lock is taken: this is what takes long.
        if let Some(layer) = new.layers.first() {
            layer.staged.sync().map_err(|error| host("cannot flush the layers to the disk", error))?;
        }
        let lock = self.lock();
        let catalog = self.catalog();
        let now_ns = self.now_ns();
        for image in &new.images {
            let known = |layer: &DiffId| {
                catalog.layers.contains_key(layer)
                    || new.layers.iter().any(|unpacked| unpacked.diff_id == *layer)
            };
            if let Some(layer) = image.config.rootfs.diff_ids.iter().find(|layer| !known(layer)) {
                return Err(Failure::conflict(format!(
                    "the layer `{layer}` has been removed while the image was loaded"
                ))
                .hint("try again"));
            }
        }
        let needed: BTreeSet<&DiffId> =
            new.images.iter().flat_map(|image| &image.config.rootfs.diff_ids).collect();
        let mut fresh: Vec<&UnpackedLayer> = Vec::new();
        for layer in &new.layers {
            let twice = fresh.iter().any(|other| other.diff_id == layer.diff_id);
            if needed.contains(&layer.diff_id) && !catalog.layers.contains_key(&layer.diff_id) && !twice {
                fresh.push(layer);
            }
        }
        let published = self.publish(&fresh).and_then(|()| {
            self.change(&lock, |draft| {
                for layer in &new.layers {
                    if fresh.iter().any(|other| std::ptr::eq(*other, layer)) {
                        draft.put_layer(&layer.diff_id, &layer.blob, layer_record(layer, now_ns))?;
                    } else if needed.contains(&layer.diff_id) {
                        draft.put_blob(&layer.blob, &layer.diff_id)?;
                    }
                }
                new.images.iter().map(|image| add_image(draft, image, now_ns)).collect::<Outcome<Vec<_>>>()
            })
        });
        if published.is_err() {
            for layer in &fresh {
                self.discard(&layer.diff_id);
            }
        }
        drop(lock);
        let added = published?;
        self.empty_trash();
        Ok(added)
    }

    /// Moves unpacked layers to where they stay.
    fn publish(&self, layers: &[&UnpackedLayer]) -> Outcome<()> {
        if layers.is_empty() {
            return Ok(());
        }
        for layer in layers {
            // Something a failed attempt left behind; no record speaks of it.
            self.discard(&layer.diff_id);
            layer
                .staged
                .publish(layer.diff_id.hex(), &self.layers, &self.notes)
                .map_err(|error| host("cannot move a layer into the store", error))?;
        }
        self.layers
            .sync()
            .and_then(|()| self.notes.sync())
            .map_err(|error| host("cannot flush the store to the disk", error))
    }

    /// Moves a layer's files, if there are any, to the trash.
    fn discard(&self, layer: &DiffId) {
        for dir in [&self.layers, &self.notes] {
            let number = self.next_trash.fetch_add(1, Ordering::Relaxed);
            // What is not there, or can't be moved now, is found when the store is next opened.
            drop(dir.rename_new(layer.hex(), &self.trash, number.to_string()));
        }
    }

    /// Removes what is in the trash; failing that, opening does it.
    fn empty_trash(&self) {
        for entry in self.trash.entries().unwrap_or_default() {
            drop(self.trash.remove_all(&entry.name));
        }
    }
}

/// Images to be added together, and the layers unpacked for them.
pub(crate) struct AddImages {
    pub(crate) images: Vec<AddImage>,
    pub(crate) layers: Vec<UnpackedLayer>,
}

/// One of them.
pub(crate) struct AddImage {
    pub(crate) id: ImageId,
    pub(crate) config: Arc<ImageConfig>,
    pub(crate) document: Vec<u8>,
    pub(crate) tags: Vec<Reference>,
    /// Digest of the manifest it was received under.
    pub(crate) manifest: Option<Digest>,
    pub(crate) parent: Option<ImageId>,
    pub(crate) comment: String,
}

/// What adding an image changed.
pub(crate) struct Added {
    pub(crate) id: ImageId,
    /// It was there already.
    pub(crate) known: bool,
    /// Tags that meant another image before.
    pub(crate) moved: Vec<(Reference, ImageId)>,
}

fn add_image(draft: &mut Draft, image: &AddImage, now_ns: i64) -> Outcome<Added> {
    let known = draft.catalog.known.contains_key(&image.id);
    if !known {
        let record = ImageRecord {
            parent: image.parent.clone().filter(|parent| draft.catalog.known.contains_key(parent)),
            digests: Vec::new(),
            comment: image.comment.clone(),
            added_at_ns: now_ns,
            tagged_at_ns: None,
        };
        draft.put_image(&image.id, &image.config, &image.document, record)?;
    }
    let mut moved = Vec::new();
    for tag in &image.tags {
        if let Some(before) = draft.put_tag(tag, &image.id, image.manifest.clone(), now_ns)? {
            moved.push((tag.clone(), before));
        }
        if let Some(manifest) = &image.manifest {
            let name = tag.with_digest(manifest.clone());
            draft.change_image(&image.id, |record| {
                if let Err(at) = record.digests.binary_search(&name) {
                    record.digests.insert(at, name);
                }
            })?;
        }
    }
    Ok(Added { id: image.id.clone(), known, moved })
}

fn layer_record(layer: &UnpackedLayer, now_ns: i64) -> LayerRecord {
    LayerRecord {
        size_bytes: layer.content_bytes,
        archive_bytes: layer.archive_bytes,
        entries: layer.entries,
        manifest: layer.manifest.clone(),
        added_at_ns: now_ns,
    }
}

fn missing_layer(layer: &DiffId, error: PathError) -> Failure {
    Failure::host(format!("the files of the layer `{layer}` can't be opened"))
        .because(error)
        .hint("remove the images that have it and load them again")
}

fn host(what: &str, error: PathError) -> Failure {
    let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let failure = Failure::host(what).because(error);
    if full { failure.hint("make room on the disk and try again") } else { failure }
}
