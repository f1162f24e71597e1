//! What the store tells about images and layers.

use crate::config::ImageConfig;
use haven_spec::{Digest, ImageId, Reference};
use std::sync::Arc;

/// A layer's name: the digest of its uncompressed archive.
pub type DiffId = Digest;

/// An image in the store, with the names it has now.
#[derive(Debug, Clone)]
pub struct Image {
    pub id: ImageId,
    pub config: Arc<ImageConfig>,
    /// The lowest first.
    pub layers: Vec<DiffId>,
    /// Bytes of all files in all layers.
    pub size_bytes: u64,
    /// The image it was made from on this host, if it was and that one is known.
    pub parent: Option<ImageId>,
    /// Sorted.
    pub tags: Vec<Reference>,
    /// Names with the digest of the manifest they were received under, sorted.
    pub digests: Vec<Reference>,
    pub comment: String,
    /// When it came to this store.
    pub added_at_ns: i64,
    /// When it last got a name.
    pub tagged_at_ns: Option<i64>,
}

impl Image {
    /// Without any name.
    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    /// A name to show: the first tag, or the short id.
    pub fn shown(&self) -> String {
        self.tags.first().map_or_else(|| self.id.short().to_owned(), Reference::familiar)
    }
}

/// A name, and what it has meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub reference: Reference,
    pub image: ImageId,
    pub set_at_ns: i64,
    /// The manifest it was received under.
    pub manifest: Option<Digest>,
    /// Images it meant before, the latest first.
    pub before: Vec<Meaning>,
}

/// What a tag meant for a time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Meaning {
    pub image: ImageId,
    pub set_at_ns: i64,
}

/// A layer in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    pub diff_id: DiffId,
    /// Bytes of its files.
    pub size_bytes: u64,
    /// Length of its uncompressed archive.
    pub archive_bytes: u64,
    pub entries: u64,
    /// Digest of the list of its files.
    pub manifest: Digest,
    pub added_at_ns: i64,
}

/// What opening the store had to clean up, or found broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Work that a crash left unfinished, removed now. The path is below the store's directory.
    Removed(String),
    /// It could not be removed.
    Stuck(String, String),
    /// A layer that is recorded but whose files are gone. Images that need it can't be used: remove and load them again.
    MissingLayer(DiffId),
}
