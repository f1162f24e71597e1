//! What a layer's files are, one by one: made while the layer is unpacked, kept beside it, compared when asked.
//!
//! The manifest has one form only (sorted by path, see [`Record`]), so that its digest stands for the layer's tree.
//! That digest is in the layer's record, made in the same pass that checked the layer's own digest. It is held in memory
//! in the form it is written in: a layer may have a million names.

mod record;

pub(crate) use record::{Node, Record, bytes, number, put_bytes, put_number};

use crate::archive::{EntryKind, Place, TarEntry, below};
use crate::io_failure::{reading, writing};
use haven_spec::{Failure, Outcome};
use haven_sys::root::Time;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};

const MAGIC: &[u8] = b"haven layer manifest 1\n";

/// Compression of the file: paths and hashes; beyond this level little is gained.
const ZSTD_LEVEL: i32 = 3;

/// All names of a layer; the top has the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Encoded records.
    records: BTreeMap<Box<[u8]>, Box<[u8]>>,
    scratch: Vec<u8>,
}

impl Manifest {
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.records.keys().map(|path| &**path)
    }

    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.records.contains_key(path)
    }

    pub(crate) fn get(&self, path: &[u8]) -> Option<Record> {
        // What is here has been encoded here.
        Record::decode(&mut &**self.records.get(path)?).ok()
    }

    fn insert(&mut self, path: &[u8], record: &Record) {
        self.scratch.clear();
        record.encode(&mut self.scratch);
        self.records.insert(path.into(), self.scratch.as_slice().into());
    }

    /// A directory the archive doesn't speak of.
    pub(crate) fn imply(&mut self, path: &[u8]) {
        self.insert(path, &bare(0o755, Node::Directory { opaque: false }));
    }

    pub(crate) fn whiteout(&mut self, path: &[u8]) {
        self.insert(path, &bare(0, Node::Whiteout));
    }

    pub(crate) fn hide_below(&mut self, path: &[u8]) {
        if let Some(mut record) = self.get(path)
            && let Node::Directory { opaque } = &mut record.node
        {
            *opaque = true;
            self.insert(path, &record);
        }
    }

    pub(crate) fn add(&mut self, place: &Place, entry: &TarEntry, sha256: Option<[u8; 32]>) -> Outcome<()> {
        if entry.kind == EntryKind::HardLink {
            return self.link(place, entry);
        }
        let node = match entry.kind {
            EntryKind::File => Node::File {
                size: entry.size,
                sha256: sha256.ok_or_else(|| Failure::internal("a file was not hashed"))?,
                pieces: entry.sparse.clone(),
                linked: false,
            },
            EntryKind::Directory => {
                // Two directories of one name merge.
                let known = self.get(place.bytes()).map(|record| record.node);
                Node::Directory { opaque: matches!(known, Some(Node::Directory { opaque: true })) }
            }
            EntryKind::CharDevice => Node::CharDevice(entry.device.0, entry.device.1),
            EntryKind::BlockDevice => Node::BlockDevice(entry.device.0, entry.device.1),
            EntryKind::Fifo => Node::Fifo,
            EntryKind::Symlink | EntryKind::HardLink => Node::Symlink { target: entry.link.clone() },
        };
        let mut xattrs: Vec<_> =
            entry.kept_xattrs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        xattrs.sort();
        let mode = if entry.kind == EntryKind::Symlink { 0o777 } else { entry.mode };
        let (uid, gid, modified) = (entry.uid, entry.gid, entry.modified);
        self.insert(place.bytes(), &Record { mode, uid, gid, modified, node, xattrs });
        Ok(())
    }

    fn link(&mut self, place: &Place, entry: &TarEntry) -> Outcome<()> {
        let target = entry.link_place()?;
        let mut record = self
            .get(target.bytes())
            .ok_or_else(|| Failure::internal("a hard link's target has no record"))?;
        if let Node::File { linked, .. } = &mut record.node {
            *linked = true;
        }
        self.insert(place.bytes(), &record);
        Ok(())
    }

    /// Forgets a name and all below it.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        if self.records.remove(path).is_none() {
            return;
        }
        let (from, to) = below(path);
        let range = (std::ops::Bound::Included(from.as_slice()), std::ops::Bound::Excluded(to.as_slice()));
        let gone: Vec<Box<[u8]>> =
            self.records.range::<[u8], _>(range).map(|(path, _)| path.clone()).collect();
        for path in gone {
            self.records.remove(&path);
        }
    }

    /// Bytes of all files, each counted once.
    pub(crate) fn content_bytes(&self) -> u64 {
        let sizes = self.paths().filter_map(|path| self.get(path)).map(|record| match record.node {
            Node::File { size, linked: false, .. } => size,
            _ => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Writes the compressed form and returns the digest of the plain one.
    pub(crate) fn write(&self, file: File) -> Outcome<[u8; 32]> {
        let failed = |error| writing("the layer's manifest", error);
        let mut hasher = Sha256::new();
        let mut encoder = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL).map_err(failed)?;
        let mut buffer = MAGIC.to_vec();
        for (path, record) in &self.records {
            put_bytes(&mut buffer, path);
            buffer.extend_from_slice(record);
            if buffer.len() > 64 << 10 {
                hasher.update(&buffer);
                encoder.write_all(&buffer).map_err(failed)?;
                buffer.clear();
            }
        }
        hasher.update(&buffer);
        encoder.write_all(&buffer).map_err(failed)?;
        encoder.finish().map_err(failed)?;
        Ok(hasher.finalize().into())
    }

    /// Reads the compressed form; `digest` is what the plain one has to have.
    pub(crate) fn read(file: File, digest: &[u8; 32]) -> Outcome<Self> {
        let decoder = zstd::stream::read::Decoder::new(file).map_err(reading)?;
        let mut source =
            BufReader::with_capacity(64 << 10, Hashing { inner: decoder, hasher: Sha256::new() });
        let mut magic = [0; MAGIC.len()];
        source.read_exact(&mut magic).map_err(reading)?;
        let mut manifest = Self::default();
        while magic == MAGIC && !source.fill_buf().map_err(reading)?.is_empty() {
            let path = bytes(&mut source).map_err(reading)?;
            manifest.insert(&path, &Record::decode(&mut source).map_err(reading)?);
        }
        if source.get_ref().hasher.clone().finalize().as_slice() != digest {
            return Err(Failure::host("the layer's manifest is not the one that was recorded"));
        }
        Ok(manifest)
    }
}

fn bare(mode: u32, node: Node) -> Record {
    Record { mode, uid: 0, gid: 0, modified: Time::default(), node, xattrs: Vec::new() }
}

struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Piece;

    #[test]
    fn every_record_is_written_and_read_back_and_the_digest_holds_it() {
        let file = |pieces, linked| Node::File { size: 300, sha256: [7; 32], pieces, linked };
        let nodes = [
            Node::Directory { opaque: false },
            Node::Directory { opaque: true },
            file(None, false),
            file(None, true),
            file(Some(vec![Piece { offset: 1 << 40, length: 300 }]), false),
            Node::Symlink { target: b"/x".to_vec() },
            Node::CharDevice(1, 3),
            Node::BlockDevice(u32::MAX, u32::MAX),
            Node::Fifo,
            Node::Whiteout,
        ];
        let mut manifest = Manifest::default();
        for (number, node) in nodes.into_iter().enumerate() {
            let modified = Time { seconds: -1, nanoseconds: 999_999_999 };
            let xattrs = vec![(b"user.x".to_vec(), vec![0; 200])];
            let record = Record { mode: 0o7777, uid: u32::MAX - 1, gid: 0, modified, node, xattrs };
            manifest.insert(format!("path{number}").as_bytes(), &record);
        }
        let path = std::env::temp_dir().join(format!("haven-manifest-{}", std::process::id()));
        let digest = manifest.write(File::create(&path).unwrap()).unwrap();
        let again = Manifest::read(File::open(&path).unwrap(), &digest);
        let other = Manifest::read(File::open(&path).unwrap(), &[0; 32]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(again.unwrap().records, manifest.records);
        assert!(other.is_err());
        assert_eq!(manifest.content_bytes(), 600);
    }
}
