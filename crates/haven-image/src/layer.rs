//! Unpacking one layer: from a stream of bytes, compressed or not, to a tree with its manifest and recipe.
//!
//! ```text
//! bytes ──▶ inflate, hash compressed ──▶ unpack, hash each file
//!                                   └──▶ hash content (the layer's digest)
//! ```
//! Each arrow is a bounded queue between threads, so one layer keeps several processors busy in one pass.

use crate::archive::{self, AbsoluteNames, ExtractOptions, Journal, Made, Mode, Place, Tap};
use crate::chunk::{ChunkReader, Pool};
use crate::compression::{Compression, MAGIC_BYTES, inflate};
use crate::io_failure::{reading, writing};
use crate::limits::Limits;
use crate::manifest::Manifest;
use crate::recipe::RecipeWriter;
use crate::staging::StagedLayer;
use haven_spec::{Digest, Failure, Outcome};
use haven_sys::root::{Dir, FileKind, PathError};
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::io::BufRead as _;

pub(crate) const MANIFEST: &str = "manifest";

/// A layer that lies unpacked in the staging area, and what was found out about it.
pub(crate) struct UnpackedLayer {
    pub(crate) staged: StagedLayer,
    /// Digest of the uncompressed archive: the layer's name.
    pub(crate) diff_id: Digest,
    /// Digest of the bytes as they came.
    pub(crate) blob: Digest,
    /// Length of the uncompressed archive.
    pub(crate) archive_bytes: u64,
    /// Bytes of all files.
    pub(crate) content_bytes: u64,
    pub(crate) entries: u64,
    pub(crate) manifest: Digest,
}

/// What is allowed in a layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerRules {
    pub(crate) limits: Limits,
    pub(crate) absolute_names: AbsoluteNames,
    /// Nobody knows the layer's digest beforehand: an archive without an end marker is truncated.
    pub(crate) end_required: bool,
    /// Layers unpacked at once; `None`: as many as keep the processors busy.
    pub(crate) parallel_layers: Option<usize>,
}

/// Unpacks `source` to its end.
pub(crate) fn unpack(
    mut source: ChunkReader,
    staged: StagedLayer,
    rules: &LayerRules,
    pool: &Pool,
) -> Outcome<UnpackedLayer> {
    let start = source.fill_buf().map_err(reading)?;
    let compression = Compression::of(&start[..start.len().min(MAGIC_BYTES)]);
    if let Compression::Foreign(name) = compression {
        return Err(Compression::unsupported(name));
    }
    std::thread::scope(|scope| {
        let (mut content, compressed) = match compression {
            Compression::None => (source, None),
            _ => {
                let (content, handle) = inflate(scope, source, compression, &rules.limits, pool);
                (content, Some(handle))
            }
        };
        let mut copy = content.copy();
        let hashing = scope.spawn(move || {
            let mut hasher = Sha256::new();
            let mut length = 0_u64;
            // An error shows at the reader this is a copy of.
            while let Ok(Some(chunk)) = copy.next_chunk() {
                hasher.update(&**chunk);
                length += chunk.len() as u64;
            }
            (Digest::sha256(&hasher.finalize().into()), length)
        });
        let extracted = extract(content, &staged, rules);
        let broken = || Failure::internal("a thread that unpacks a layer has died");
        let (diff_id, archive_bytes) = hashing.join().map_err(|_| broken())?;
        let compressed = match compressed {
            Some(handle) => Some(handle.join().map_err(|_| broken())?),
            None => None,
        };
        let (extracted, journal) = extracted?;
        let blob = match compressed {
            None => diff_id.clone(),
            Some(side) => Digest::sha256(&side.ok_or_else(broken)?),
        };
        let content_bytes = journal.manifest.content_bytes();
        let manifest = journal.finish()?;
        Ok(UnpackedLayer {
            staged,
            diff_id,
            blob,
            archive_bytes,
            content_bytes,
            entries: extracted.entries,
            manifest,
        })
    })
}

fn extract(
    content: ChunkReader,
    staged: &StagedLayer,
    rules: &LayerRules,
) -> Outcome<(archive::Extracted, LayerJournal)> {
    let options = ExtractOptions {
        mode: Mode::Layer,
        absolute_names: rules.absolute_names,
        devices: true,
        limits: rules.limits.clone(),
        ..ExtractOptions::default()
    };
    let journal = LayerJournal::new(staged.notes().map_err(|error| writing("the layer", error.into()))?)?;
    let tree = staged.tree().map_err(|error| writing("the layer", error.into()))?;
    archive::extract_with(&tree, content, journal, &options, rules.end_required)
}

/// Keeps the manifest and the recipe as the layer is unpacked.
struct LayerJournal {
    notes: Dir,
    manifest: Manifest,
    recipe: RecipeWriter,
}

impl LayerJournal {
    fn new(notes: Dir) -> Outcome<Self> {
        let mut manifest = Manifest::default();
        manifest.imply(&[]);
        let for_recipe = notes.try_clone().map_err(|error| writing("the layer", error.into()))?;
        Ok(Self { notes, manifest, recipe: RecipeWriter::new(for_recipe)? })
    }

    /// Writes both; the manifest's digest.
    fn finish(self) -> Outcome<Digest> {
        self.recipe.finish()?;
        let file = self.notes.create_file(MANIFEST, 0o600);
        let digest =
            self.manifest.write(file.map_err(|error| writing("the layer's manifest", error.into()))?)?;
        Ok(Digest::sha256(&digest))
    }
}

impl Tap for LayerJournal {
    fn raw(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.recipe.raw(bytes)
    }
}

impl Journal for LayerJournal {
    const HASHES: bool = true;

    fn content(&mut self, place: &Place, offset: u64, length: u64) -> Outcome<()> {
        self.recipe.content(place, offset, length)
    }

    fn made(&mut self, place: &Place, made: Made<'_>) -> Outcome<()> {
        match made {
            Made::Entry { entry, hash } => self.manifest.add(place, entry, hash)?,
            Made::Implied => self.manifest.imply(place.bytes()),
            Made::Whiteout => self.manifest.whiteout(place.bytes()),
            Made::Opaque => self.manifest.hide_below(place.bytes()),
        }
        Ok(())
    }

    fn clear(&mut self, place: &Place, dir: &Dir, name: &OsStr) -> Outcome<()> {
        let failed = |error: PathError| writing("the layer", error.into());
        self.manifest.remove(place.bytes());
        let found = dir.lstat(name).map_err(failed)?;
        match found.kind {
            // The archive's content of these can't be had elsewhere.
            FileKind::Directory => self.recipe.put_aside(place, dir, name),
            FileKind::Regular if found.size > 0 => self.recipe.put_aside(place, dir, name),
            _ => dir.unlink(name).map_err(failed),
        }
    }
}
