//! Reading the archive around the layers: one pass, each entry dealt with as it comes.

use super::digest_in_name;
use super::documents::Documents;
use crate::archive::{AbsoluteNames, EntryKind, Place, TarEntry, TarReader};
use crate::chunk::{CHUNK_BYTES, ChunkWriter, Pool, queue};
use crate::compression::{Compression, MAGIC_BYTES, inflate, read_start};
use crate::image::DiffId;
use crate::io_failure::{into_io, reading};
use crate::layer::{LayerRules, UnpackedLayer, unpack};
use crate::progress::{OnProgress, Progress, STEP_BYTES};
use crate::store::Store;
use haven_spec::{Digest, Failure, Kind, Outcome};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::thread::{Scope, ScopedJoinHandle};

/// Looked at to tell what an entry is.
const START_BYTES: usize = 512;

/// What became of an entry that may be a layer.
pub(super) enum Blob {
    /// With its size in the archive.
    Unpacked(Box<UnpackedLayer>, u64),
    /// In the store already.
    Known { blob: Digest, diff_id: DiffId, size: u64 },
    /// It looked like a layer and can't be one.
    Failed(Refusal),
    /// It doesn't look like a layer.
    Other,
}

/// A failure that may be told more than once.
pub(super) struct Refusal {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Refusal {
    fn new(failure: &Failure) -> Self {
        let hint = failure.advice().map(str::to_owned);
        Self { kind: failure.kind(), message: failure.one_line(), hint }
    }

    pub(super) fn failure(&self) -> Failure {
        let failure = Failure::new(self.kind, self.message.clone());
        match &self.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        }
    }
}

/// All that was in the archive.
#[derive(Default)]
pub(super) struct Outer {
    pub(super) documents: Documents,
    blobs: HashMap<String, Blob>,
}

impl Outer {
    pub(super) fn blob(&self, entry: &str) -> Option<&Blob> {
        self.blobs.get(entry)
    }

    pub(super) fn take_unpacked(&mut self) -> Vec<UnpackedLayer> {
        self.blobs
            .drain()
            .filter_map(|(_, blob)| match blob {
                Blob::Unpacked(layer, _) => Some(*layer),
                _ => None,
            })
            .collect()
    }
}

/// Reads an archive, compressed or not, to its end.
pub(super) fn read(
    store: &Store,
    mut source: impl Read + Send,
    rules: &LayerRules,
    progress: OnProgress<'_>,
) -> Outcome<Outer> {
    let start = read_start(&mut source, START_BYTES).map_err(reading)?;
    if start.is_empty() {
        return Err(Failure::invalid("it is empty"));
    }
    let compression = Compression::of(&start[..start.len().min(MAGIC_BYTES)]);
    let pool = Pool::default();
    let mut source = Cursor::new(start).chain(source);
    std::thread::scope(|scope| match compression {
        Compression::None => {
            let source = BufReader::with_capacity(CHUNK_BYTES, source);
            Entries::new(store, scope, rules, &pool, progress).read(source)
        }
        Compression::Foreign(name) => Err(Compression::unsupported(name)),
        Compression::Gzip | Compression::Zstd => {
            let (mut writer, reader) = queue(&pool);
            scope.spawn(move || {
                loop {
                    match writer.read_from(&mut source) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => return writer.fail(error),
                    }
                }
                // A reader that is gone has failed with a better message.
                drop(writer.finish());
            });
            let (content, _digest) = inflate(scope, reader, compression, &rules.limits, &pool);
            Entries::new(store, scope, rules, &pool, progress).read(content)
        }
    })
}

/// A layer being unpacked: its entry, its size, and the thread at work.
type Running<'scope> = (String, u64, ScopedJoinHandle<'scope, Outcome<UnpackedLayer>>);

struct Entries<'a, 'scope, 'env> {
    store: &'env Store,
    scope: &'scope Scope<'scope, 'env>,
    rules: &'env LayerRules,
    pool: &'a Pool,
    progress: OnProgress<'a>,
    outer: Outer,
    running: VecDeque<Running<'scope>>,
    parallel: Parallel,
}

/// How many layers are unpacked at once.
#[derive(Clone, Copy)]
struct Parallel {
    most: usize,
    /// With fewer at work, a layer that can't keep up is put into a file, so that the next can be begun. Each keeps two
    /// processors busy by itself.
    enough: usize,
}

impl Parallel {
    fn new(wanted: Option<usize>) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        match wanted {
            Some(layers) => Self { most: layers.max(1), enough: layers },
            None => Self { most: processors, enough: processors / 2 },
        }
    }
}

impl<'a, 'scope, 'env> Entries<'a, 'scope, 'env> {
    fn new(
        store: &'env Store,
        scope: &'scope Scope<'scope, 'env>,
        rules: &'env LayerRules,
        pool: &'a Pool,
        progress: OnProgress<'a>,
    ) -> Self {
        let parallel = Parallel::new(rules.parallel_layers);
        Self {
            store,
            scope,
            rules,
            pool,
            progress,
            outer: Outer::default(),
            running: VecDeque::new(),
            parallel,
        }
    }

    fn read(mut self, source: impl BufRead) -> Outcome<Outer> {
        let mut reader = TarReader::new(source, (), self.rules.limits.clone(), false);
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut entries = 0;
        while let Some(entry) = reader.next_entry()? {
            entries += 1;
            if entries > self.rules.limits.entries {
                return Err(reader.too_many_entries());
            }
            self.entry(&entry, &mut reader, &mut buffer).map_err(|failure| {
                failure.context(format!("entry `{}`", String::from_utf8_lossy(&entry.path)))
            })?;
        }
        while !self.running.is_empty() {
            self.join_oldest()?;
        }
        Ok(self.outer)
    }

    fn entry<R: BufRead>(
        &mut self,
        entry: &TarEntry,
        reader: &mut TarReader<R, ()>,
        buffer: &mut [u8],
    ) -> Outcome<()> {
        let limits = &self.rules.limits;
        let place = Place::parse(&entry.path, "path", AbsoluteNames::Refuse, limits)?;
        let Ok(name) = String::from_utf8(place.bytes().to_vec()) else {
            return Ok(());
        };
        self.outer.documents.forget(&name);
        // The last of several entries with one name counts.
        self.settle(&name)?;
        match entry.kind {
            EntryKind::Symlink | EntryKind::HardLink => {
                if let Some(target) = link_target(&place, entry) {
                    self.outer.documents.link(name, target);
                }
                return Ok(());
            }
            EntryKind::File if entry.sparse.is_none() => {}
            _ => return Ok(()),
        }
        let mut filled = 0;
        while filled < START_BYTES {
            match reader.read_content(&mut buffer[filled..START_BYTES])? {
                0 => break,
                count => filled += count,
            }
        }
        let start = buffer[..filled].to_vec();
        match Looks::like(&start) {
            Looks::Document if self.outer.documents.room_for(entry.size, limits) => {
                let mut bytes = start;
                loop {
                    match reader.read_content(buffer)? {
                        0 => break,
                        count => bytes.extend_from_slice(&buffer[..count]),
                    }
                }
                self.outer.documents.put(name, bytes);
                Ok(())
            }
            Looks::Layer => self.layer(name, entry.size, &start, reader, buffer),
            Looks::Foreign(compression) => {
                let refusal = Refusal::new(&Compression::unsupported(compression));
                self.outer.blobs.insert(name, Blob::Failed(refusal));
                Ok(())
            }
            _ => {
                self.outer.blobs.insert(name, Blob::Other);
                Ok(())
            }
        }
    }

    fn layer<R: BufRead>(
        &mut self,
        name: String,
        size: u64,
        start: &[u8],
        reader: &mut TarReader<R, ()>,
        buffer: &mut [u8],
    ) -> Outcome<()> {
        let digest = digest_in_name(&name);
        if let Some(digest) = &digest {
            let catalog = self.store.catalog();
            let diff_id =
                if catalog.layers.contains_key(digest) { Some(digest) } else { catalog.blobs.get(digest) };
            if let Some(diff_id) = diff_id.filter(|diff_id| catalog.layers.contains_key(*diff_id)) {
                return self.known_layer(name, size, start, diff_id, reader, buffer);
            }
        }
        while self.running.len() >= self.parallel.most {
            self.join_oldest()?;
        }
        let staged = self.store.stage()?;
        let (mut writer, chunks) = queue(self.pool);
        if self.running.len() + 1 < self.parallel.enough {
            writer.spill_into(staged.spill_file()?);
        }
        let (rules, pool) = (self.rules, self.pool.clone());
        let worker = self.scope.spawn(move || unpack(chunks, staged, rules, &pool));
        self.running.push_back((name.clone(), size, worker));
        self.feed(&shown(&name), size, start, writer, reader)
    }

    /// Passes an entry's content on to the thread that unpacks it.
    fn feed<R: BufRead>(
        &mut self,
        shown: &str,
        size: u64,
        start: &[u8],
        mut writer: ChunkWriter,
        reader: &mut TarReader<R, ()>,
    ) -> Outcome<()> {
        let mut source = Cursor::new(start).chain(Content { reader });
        let mut done = 0;
        let mut told = 0;
        loop {
            match writer.read_from(&mut source) {
                Ok(true) => {}
                Ok(false) => break,
                // The thread has given up and says why when it is joined; the rest is passed over.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(reading(error)),
            }
            done = (done + CHUNK_BYTES as u64).min(size);
            if done - told >= STEP_BYTES || done == size {
                told = done;
                (self.progress)(Progress::Layer {
                    name: shown.to_owned(),
                    done_bytes: done,
                    total_bytes: size,
                });
            }
        }
        drop(writer.finish());
        Ok(())
    }

    /// A layer that needn't be unpacked is hashed all the same: the archive has to be what it says.
    fn known_layer<R: BufRead>(
        &mut self,
        name: String,
        size: u64,
        start: &[u8],
        diff_id: &DiffId,
        reader: &mut TarReader<R, ()>,
        buffer: &mut [u8],
    ) -> Outcome<()> {
        let mut hasher = Sha256::new();
        hasher.update(start);
        loop {
            match reader.read_content(buffer)? {
                0 => break,
                count => hasher.update(&buffer[..count]),
            }
        }
        let blob = Digest::sha256(&hasher.finalize().into());
        let diff_id = if blob == *diff_id || self.store.catalog().blobs.get(&blob) == Some(diff_id) {
            diff_id.clone()
        } else {
            // Reported as a wrong digest, if an image needs it.
            blob.clone()
        };
        (self.progress)(Progress::Known { name: shown(&name), diff_id: diff_id.clone() });
        self.outer.blobs.insert(name, Blob::Known { blob, diff_id, size });
        Ok(())
    }

    fn join_oldest(&mut self) -> Outcome<()> {
        let Some((name, size, worker)) = self.running.pop_front() else { return Ok(()) };
        let outcome =
            worker.join().map_err(|_| Failure::internal("a thread that unpacks a layer has died"))?;
        let blob = match outcome {
            Ok(layer) => {
                (self.progress)(Progress::Unpacked { name: shown(&name), diff_id: layer.diff_id.clone() });
                Blob::Unpacked(Box::new(layer), size)
            }
            // The host's trouble won't be less with the next layer.
            Err(failure) if failure.kind() == Kind::Host => {
                return Err(failure.context(format!("entry `{name}`")));
            }
            Err(failure) => Blob::Failed(Refusal::new(&failure)),
        };
        self.outer.blobs.insert(name, blob);
        Ok(())
    }

    /// Forgets what an earlier entry of this name was.
    fn settle(&mut self, name: &str) -> Outcome<()> {
        while self.running.iter().any(|(known, _, _)| known == name) {
            self.join_oldest()?;
        }
        self.outer.blobs.remove(name);
        Ok(())
    }
}

/// An entry's content as a stream.
struct Content<'r, R> {
    reader: &'r mut TarReader<R, ()>,
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read_content(buffer).map_err(into_io)
    }
}

/// What an entry seems to be, by how it begins.
enum Looks {
    Document,
    Layer,
    Foreign(&'static str),
    Other,
}

impl Looks {
    fn like(start: &[u8]) -> Self {
        match Compression::of(start) {
            Compression::Gzip | Compression::Zstd => return Self::Layer,
            Compression::Foreign(name) => return Self::Foreign(name),
            Compression::None => {}
        }
        if matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return Self::Document;
        }
        let Ok(block) = <[u8; 512]>::try_from(start) else { return Self::Other };
        if crate::archive::is_tar_start(&block) { Self::Layer } else { Self::Other }
    }
}

/// Where a link between entries leads: a symbolic one is read from its own directory.
fn link_target(place: &Place, entry: &TarEntry) -> Option<String> {
    let mut names: Vec<&[u8]> = Vec::new();
    let parent = place.parent();
    if entry.kind == EntryKind::Symlink && !entry.link.starts_with(b"/") {
        names.extend(parent.bytes().split(|b| *b == b'/').filter(|name| !name.is_empty()));
    }
    for name in entry.link.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    String::from_utf8(names.join(&b'/')).ok()
}

/// Short enough for a line.
fn shown(name: &str) -> String {
    match digest_in_name(name) {
        Some(digest) => digest.short().to_owned(),
        None => name.strip_suffix("/layer.tar").unwrap_or(name).chars().take(12).collect(),
    }
}
