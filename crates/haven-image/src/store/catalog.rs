//! All records in memory: what readers are given, and what a change starts from.
//!
//! Readers take the published catalog and never wait; a change is made on a copy together with a database
//! transaction, and published when that has been committed.

use super::record::{
    BLOBS, CONFIGS, IMAGES, ImageRecord, LAYERS, LayerRecord, TAGS, TagRecord, all, delete, encode, put, raw,
};
use crate::config::ImageConfig;
use crate::image::{DiffId, Image, Layer, Meaning, Tag};
use haven_spec::{Digest, Failure, ImageId, Outcome, Reference};
use redb::{ReadTransaction, WriteTransaction};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Former meanings a tag keeps.
const MEANINGS: usize = 10;

#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) record: ImageRecord,
    pub(crate) config: Arc<ImageConfig>,
    pub(crate) document: Arc<[u8]>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    pub(crate) known: BTreeMap<ImageId, Known>,
    pub(crate) tags: BTreeMap<Reference, TagRecord>,
    pub(crate) layers: BTreeMap<DiffId, LayerRecord>,
    pub(crate) blobs: HashMap<Digest, DiffId>,
    /// Made from the others.
    images: BTreeMap<ImageId, Arc<Image>>,
}

impl Catalog {
    pub(super) fn read(from: &ReadTransaction) -> Outcome<Self> {
        let mut catalog = Self::default();
        let mut documents: HashMap<String, Vec<u8>> = raw(from, CONFIGS)?.into_iter().collect();
        for (key, record) in all::<ImageRecord>(from, IMAGES)? {
            let document = documents
                .remove(&key)
                .ok_or_else(|| Failure::host(format!("the image `{key}` has lost its configuration")))?;
            let config = Arc::new(ImageConfig::parse(&document)?);
            catalog.known.insert(Digest::parse(&key)?, Known { record, config, document: document.into() });
        }
        for (key, record) in all::<TagRecord>(from, TAGS)? {
            catalog.tags.insert(Reference::parse(&key)?, record);
        }
        for (key, record) in all::<LayerRecord>(from, LAYERS)? {
            catalog.layers.insert(Digest::parse(&key)?, record);
        }
        for (key, diff_id) in all::<Digest>(from, BLOBS)? {
            catalog.blobs.insert(Digest::parse(&key)?, diff_id);
        }
        catalog.join();
        Ok(catalog)
    }

    /// Puts images together with their names and sizes.
    pub(super) fn join(&mut self) {
        let mut tags: BTreeMap<&ImageId, Vec<Reference>> = BTreeMap::new();
        for (reference, record) in &self.tags {
            tags.entry(&record.image).or_default().push(reference.clone());
        }
        let mut images = BTreeMap::new();
        for (id, known) in &self.known {
            let layers = known.config.rootfs.diff_ids.clone();
            let sizes =
                layers.iter().filter_map(|layer| self.layers.get(layer)).map(|layer| layer.size_bytes);
            let image = Image {
                id: id.clone(),
                size_bytes: sizes.sum(),
                layers,
                config: Arc::clone(&known.config),
                parent: known.record.parent.clone(),
                tags: tags.remove(id).unwrap_or_default(),
                digests: known.record.digests.clone(),
                comment: known.record.comment.clone(),
                added_at_ns: known.record.added_at_ns,
                tagged_at_ns: known.record.tagged_at_ns,
            };
            images.insert(id.clone(), Arc::new(image));
        }
        self.images = images;
    }

    pub(crate) fn images(&self) -> &BTreeMap<ImageId, Arc<Image>> {
        &self.images
    }

    pub(crate) fn tag(&self, reference: &Reference) -> Option<Tag> {
        self.tags.get(reference).map(|record| Tag {
            reference: reference.clone(),
            image: record.image.clone(),
            set_at_ns: record.set_at_ns,
            manifest: record.manifest.clone(),
            before: record.before.clone(),
        })
    }

    pub(crate) fn layer(&self, diff_id: &DiffId) -> Option<Layer> {
        self.layers.get(diff_id).map(|record| Layer {
            diff_id: diff_id.clone(),
            size_bytes: record.size_bytes,
            archive_bytes: record.archive_bytes,
            entries: record.entries,
            manifest: record.manifest.clone(),
            added_at_ns: record.added_at_ns,
        })
    }

    /// Layers some image needs.
    pub(crate) fn needed_layers(&self) -> BTreeSet<&DiffId> {
        self.known.values().flat_map(|known| &known.config.rootfs.diff_ids).collect()
    }
}

/// A change being made: the copy and the transaction it goes with.
pub(super) struct Draft {
    pub(super) catalog: Catalog,
    transaction: WriteTransaction,
}

impl Draft {
    pub(super) fn new(catalog: Catalog, transaction: WriteTransaction) -> Self {
        Self { catalog, transaction }
    }

    pub(super) fn commit(mut self) -> Outcome<Catalog> {
        self.transaction.commit().map_err(super::record::database)?;
        self.catalog.join();
        Ok(self.catalog)
    }

    pub(super) fn put_image(
        &mut self,
        id: &ImageId,
        config: &Arc<ImageConfig>,
        document: &[u8],
        record: ImageRecord,
    ) -> Outcome<()> {
        put(&self.transaction, IMAGES, id.as_str(), &encode(&record)?)?;
        put(&self.transaction, CONFIGS, id.as_str(), document)?;
        let known = Known { record, config: Arc::clone(config), document: document.into() };
        self.catalog.known.insert(id.clone(), known);
        Ok(())
    }

    pub(super) fn change_image(
        &mut self,
        id: &ImageId,
        change: impl FnOnce(&mut ImageRecord),
    ) -> Outcome<()> {
        if let Some(known) = self.catalog.known.get_mut(id) {
            change(&mut known.record);
            put(&self.transaction, IMAGES, id.as_str(), &encode(&known.record)?)?;
        }
        Ok(())
    }

    pub(super) fn delete_image(&mut self, id: &ImageId) -> Outcome<()> {
        delete(&self.transaction, IMAGES, id.as_str())?;
        delete(&self.transaction, CONFIGS, id.as_str())?;
        self.catalog.known.remove(id);
        Ok(())
    }

    /// Points a tag at an image; what it meant before is kept, and returned if it was another image.
    pub(super) fn put_tag(
        &mut self,
        reference: &Reference,
        image: &ImageId,
        manifest: Option<Digest>,
        now_ns: i64,
    ) -> Outcome<Option<ImageId>> {
        let mut before = Vec::new();
        let mut replaced = None;
        if let Some(known) = self.catalog.tags.get(reference) {
            before.clone_from(&known.before);
            if known.image != *image {
                before.insert(0, Meaning { image: known.image.clone(), set_at_ns: known.set_at_ns });
                before.truncate(MEANINGS);
                replaced = Some(known.image.clone());
            }
        }
        let record = TagRecord { image: image.clone(), set_at_ns: now_ns, manifest, before };
        put(&self.transaction, TAGS, &reference.to_string(), &encode(&record)?)?;
        self.catalog.tags.insert(reference.clone(), record);
        self.change_image(image, |record| record.tagged_at_ns = Some(now_ns))?;
        Ok(replaced)
    }

    pub(super) fn delete_tag(&mut self, reference: &Reference) -> Outcome<()> {
        delete(&self.transaction, TAGS, &reference.to_string())?;
        self.catalog.tags.remove(reference);
        Ok(())
    }

    pub(super) fn put_layer(&mut self, diff_id: &DiffId, blob: &Digest, record: LayerRecord) -> Outcome<()> {
        put(&self.transaction, LAYERS, diff_id.as_str(), &encode(&record)?)?;
        self.catalog.layers.insert(diff_id.clone(), record);
        self.put_blob(blob, diff_id)
    }

    /// Remembers what a compressed blob holds, so that it needn't be unpacked again.
    pub(super) fn put_blob(&mut self, blob: &Digest, diff_id: &DiffId) -> Outcome<()> {
        if blob != diff_id && self.catalog.blobs.get(blob) != Some(diff_id) {
            put(&self.transaction, BLOBS, blob.as_str(), &encode(diff_id)?)?;
            self.catalog.blobs.insert(blob.clone(), diff_id.clone());
        }
        Ok(())
    }

    pub(super) fn delete_layer(&mut self, diff_id: &DiffId) -> Outcome<()> {
        delete(&self.transaction, LAYERS, diff_id.as_str())?;
        self.catalog.layers.remove(diff_id);
        let blobs: Vec<Digest> = self
            .catalog
            .blobs
            .iter()
            .filter(|(_, known)| *known == diff_id)
            .map(|(blob, _)| blob.clone())
            .collect();
        for blob in blobs {
            delete(&self.transaction, BLOBS, blob.as_str())?;
            self.catalog.blobs.remove(&blob);
        }
        Ok(())
    }
}
