//! Making images here: from a root file system, from what a container changed, from a builder's steps.

use crate::archive::{AbsoluteNames, IdShift, PackOptions, pack};
use crate::change::apply_changes;
use crate::chunk::{ChunkWriter, Pool, queue};
use crate::config::{HistoryEntry, ImageConfig};
use crate::image::{DiffId, Image};
use crate::io_failure::into_io;
use crate::layer::{LayerRules, UnpackedLayer, unpack};
use crate::limits::Limits;
use crate::platform::Platform;
use crate::progress::{OnProgress, Progress, STEP_BYTES};
use crate::store::{AddImage, AddImages, Store};
use haven_spec::{Digest, Failure, ImageId, Outcome, Reference};
use haven_sys::root::Root;
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// A root file system to become an image.
#[derive(Debug, Clone, Default)]
pub struct ImportImage {
    pub reference: Option<Reference>,
    /// Kept in the image's history.
    pub message: String,
    /// Dockerfile instructions for the configuration.
    pub changes: Vec<String>,
    /// The machine it is for; `None`: this one.
    pub platform: Option<Platform>,
    /// RFC 3339, for the configuration.
    pub created: String,
    pub absolute_names: AbsoluteNames,
    pub limits: Limits,
}

/// A layer that has been made and belongs to no image yet. It is gone when dropped.
pub struct NewLayer(UnpackedLayer);

impl NewLayer {
    pub fn diff_id(&self) -> &DiffId {
        &self.0.diff_id
    }

    /// Bytes of its files.
    pub fn size_bytes(&self) -> u64 {
        self.0.content_bytes
    }

    /// Entries in its archive.
    pub fn entries(&self) -> u64 {
        self.0.entries
    }
}

/// An image to be made.
pub struct NewImage {
    /// Its layers and history come first.
    pub parent: Option<ImageId>,
    /// On top of the parent's, in order.
    pub layers: Vec<NewLayer>,
    /// The parent's, changed as wanted. Layers and history are completed here.
    pub config: ImageConfig,
    /// The step that made it. With several layers all but the last get an empty step before it.
    pub history: HistoryEntry,
    pub reference: Option<Reference>,
    pub comment: String,
}

impl Store {
    /// Makes an image of one layer from a tar of a root file system, plain or compressed.
    pub fn import(
        &self,
        source: impl Read + Send,
        how: ImportImage,
        progress: OnProgress<'_>,
    ) -> Outcome<Arc<Image>> {
        let context = |failure: Failure| failure.context("cannot import the root file system");
        let platform = how.platform.clone().unwrap_or_else(Platform::host);
        let mut config = ImageConfig {
            created: Some(how.created.clone()),
            architecture: platform.architecture,
            variant: platform.variant.unwrap_or_default(),
            os: platform.os,
            ..ImageConfig::default()
        };
        // Bad instructions are found before the long part.
        apply_changes(&mut config.config, &how.changes)?;
        let rules = LayerRules {
            limits: how.limits,
            absolute_names: how.absolute_names,
            end_required: true,
            ..LayerRules::default()
        };
        let layer = self.make_layer(&rules, |writer| feed(source, writer, progress)).map_err(context)?;
        let comment = if how.message.is_empty() { "Imported from -".to_owned() } else { how.message };
        self.create_image(NewImage {
            parent: None,
            layers: vec![layer],
            config,
            history: HistoryEntry {
                created: Some(how.created),
                comment: comment.clone(),
                ..HistoryEntry::default()
            },
            reference: how.reference,
            comment,
        })
    }

    /// Makes a layer from a tar stream, plain or compressed.
    pub fn create_layer(&self, source: impl Read + Send) -> Outcome<NewLayer> {
        let rules = LayerRules { end_required: true, ..LayerRules::default() };
        self.make_layer(&rules, |writer| feed(source, writer, &mut |_| ()))
            .map_err(|failure| failure.context("cannot make the layer"))
    }

    /// Makes a layer from an overlay's upper directory. `ids`: how the container's owners lie on the disk. The
    /// container should not be writing to it.
    pub fn create_layer_from_upper(&self, upper: &Root, ids: Option<IdShift>) -> Outcome<NewLayer> {
        let options = PackOptions { rename: Some("".into()), ids, whiteouts: true, ..PackOptions::default() };
        let rules = LayerRules { end_required: true, ..LayerRules::default() };
        self.make_layer(&rules, |mut writer| {
            match pack(upper, OsStr::new("/"), &mut Sink(&mut writer), &options) {
                Ok(()) => drop(writer.finish()),
                Err(failure) => writer.fail(into_io(failure)),
            }
        })
        .map_err(|failure| failure.context("cannot make a layer of what the container changed"))
    }

    /// Adds an image made of `new.parent`'s layers and the new ones.
    pub fn create_image(&self, new: NewImage) -> Outcome<Arc<Image>> {
        if let Some(reference) = new.reference.as_ref().filter(|reference| reference.digest().is_some()) {
            return Err(Failure::invalid(format!(
                "refusing to create a tag with a digest reference: `{reference}`"
            ))
            .hint("give a name with a tag, like debian:12"));
        }
        let mut config = new.config;
        config.rootfs.diff_ids.clear();
        config.history.clear();
        config.rootfs.kind = "layers".into();
        // They speak of how the parent was made.
        for stale in ["container", "container_config", "parent", "id"] {
            config.other.remove(stale);
        }
        if let Some(parent) = &new.parent {
            let parent =
                self.get(parent).ok_or_else(|| Failure::not_found(format!("No such image: {parent}")))?;
            config.rootfs.diff_ids.clone_from(&parent.config.rootfs.diff_ids);
            config.history.clone_from(&parent.config.history);
            // A parent without a history would make the new steps belong to its layers.
            let told = config.history.iter().filter(|step| !step.empty_layer).count();
            for _ in told..config.rootfs.diff_ids.len() {
                config.history.push(HistoryEntry::default());
            }
        }
        for earlier in 1..new.layers.len() {
            config.history.push(HistoryEntry {
                created: new.history.created.clone(),
                comment: format!("part {earlier} of {}", new.layers.len()),
                ..HistoryEntry::default()
            });
        }
        config.rootfs.diff_ids.extend(new.layers.iter().map(|layer| layer.0.diff_id.clone()));
        config.history.push(HistoryEntry { empty_layer: new.layers.is_empty(), ..new.history });
        let document = config.to_bytes()?;
        // What is made here has to be as good as what is loaded.
        let config = ImageConfig::parse(&document)?;
        let id = Digest::sha256(&Sha256::digest(&document).into());
        let image = AddImage {
            id: id.clone(),
            config: Arc::new(config),
            document,
            tags: new.reference.into_iter().collect(),
            manifest: None,
            parent: new.parent,
            comment: new.comment,
        };
        let layers = new.layers.into_iter().map(|layer| layer.0).collect();
        self.add(AddImages { images: vec![image], layers })?;
        self.get(&id).ok_or_else(|| Failure::conflict(format!("the image `{id}` has been removed meanwhile")))
    }

    /// Runs `feed` and the unpacking of what it writes side by side. What goes wrong in `feed` is passed on through the
    /// writer, so that there is one place that tells.
    fn make_layer(&self, rules: &LayerRules, feed: impl FnOnce(ChunkWriter)) -> Outcome<NewLayer> {
        let pool = Pool::default();
        let staged = self.stage()?;
        let (writer, reader) = queue(&pool);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| unpack(reader, staged, rules, &pool));
            feed(writer);
            let unpacked =
                worker.join().map_err(|_| Failure::internal("the thread that unpacks a layer has died"))?;
            unpacked.map(NewLayer)
        })
    }
}

fn feed(mut source: impl Read, mut writer: ChunkWriter, progress: OnProgress<'_>) {
    let mut counting = Counting { source: &mut source, bytes: 0 };
    let mut told = 0;
    loop {
        match writer.read_from(&mut counting) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return writer.fail(error),
        }
        if counting.bytes - told >= STEP_BYTES {
            told = counting.bytes;
            progress(Progress::Layer { name: String::new(), done_bytes: told, total_bytes: 0 });
        }
    }
    let bytes = counting.bytes;
    progress(Progress::Layer { name: String::new(), done_bytes: bytes, total_bytes: bytes });
    // A reader that is gone tells why itself.
    drop(writer.finish());
}

struct Counting<'r> {
    source: &'r mut dyn Read,
    bytes: u64,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Keeps `flush` for the end: pieces are sent when they are full.
struct Sink<'w>(&'w mut ChunkWriter);

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
