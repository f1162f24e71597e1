//! What a layer's files are, one by one: made while the layer is unpacked, kept beside it, compared when asked.
//!
//! The manifest has one form only (sorted by path, numbers as variable-length integers), so that its digest stands for
//! the layer's tree. That digest is in the layer's record, made in the same pass that checked the layer's own digest.

use crate::archive::{EntryKind, Piece, Place, TarEntry, below};
use crate::io_failure::{reading, writing};
use haven_spec::{Failure, Outcome};
use haven_sys::root::Time;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Write as _};

const MAGIC: &[u8] = b"haven layer manifest 1\n";

/// Compression of the file: paths and hashes; beyond this level little is gained.
const ZSTD_LEVEL: i32 = 3;

/// One name in a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Time,
    pub(crate) node: Node,
    /// Sorted by name.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory {
        opaque: bool,
    },
    File {
        size: u64,
        /// Of the content; for a sparse file, of its pieces one after the other.
        sha256: [u8; 32],
        pieces: Option<Vec<Piece>>,
        /// A further name of a file that is in the manifest under another.
        linked: bool,
    },
    Symlink {
        target: Vec<u8>,
    },
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    Whiteout,
}

/// All names of a layer; the top has the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) records: BTreeMap<Vec<u8>, Record>,
}

impl Manifest {
    /// A directory the archive doesn't speak of.
    pub(crate) fn imply(&mut self, path: &[u8]) {
        self.records.insert(
            path.to_vec(),
            Record {
                mode: 0o755,
                uid: 0,
                gid: 0,
                modified: Time::default(),
                node: Node::Directory { opaque: false },
                xattrs: Vec::new(),
            },
        );
    }

    pub(crate) fn whiteout(&mut self, path: &[u8]) {
        self.imply(path);
        if let Some(record) = self.records.get_mut(path) {
            record.mode = 0;
            record.node = Node::Whiteout;
        }
    }

    pub(crate) fn hide_below(&mut self, path: &[u8]) {
        if let Some(Record { node: Node::Directory { opaque }, .. }) = self.records.get_mut(path) {
            *opaque = true;
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
                let known = self.records.get(place.bytes()).map(|record| &record.node);
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
        let record = Record { mode, uid: entry.uid, gid: entry.gid, modified: entry.modified, node, xattrs };
        self.records.insert(place.bytes().to_vec(), record);
        Ok(())
    }

    fn link(&mut self, place: &Place, entry: &TarEntry) -> Outcome<()> {
        let target = entry.link_place()?;
        let mut record = self
            .records
            .get(target.bytes())
            .cloned()
            .ok_or_else(|| Failure::internal("a hard link's target has no record"))?;
        if let Node::File { linked, .. } = &mut record.node {
            *linked = true;
        }
        self.records.insert(place.bytes().to_vec(), record);
        Ok(())
    }

    /// Forgets a name and all below it.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        if self.records.remove(path).is_some_and(|record| matches!(record.node, Node::Directory { .. })) {
            let (from, to) = below(path);
            let gone: Vec<Vec<u8>> = self.records.range(from..to).map(|(path, _)| path.clone()).collect();
            for path in gone {
                self.records.remove(&path);
            }
        }
    }

    /// Bytes of all files, each counted once.
    pub(crate) fn content_bytes(&self) -> u64 {
        let sizes = self.records.values().map(|record| match record.node {
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
            encode(&mut buffer, path, record);
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
        let mut source = Source { inner: BufReader::with_capacity(64 << 10, decoder), hasher: Sha256::new() };
        let mut magic = [0; MAGIC.len()];
        source.fill(&mut magic)?;
        let mut manifest = Self::default();
        if magic == MAGIC {
            while let Some((path, record)) = decode(&mut source)? {
                manifest.records.insert(path, record);
            }
        }
        if source.hasher.finalize().as_slice() != digest {
            return Err(Failure::host("the layer's manifest is not the one that was recorded"));
        }
        Ok(manifest)
    }
}

fn encode(to: &mut Vec<u8>, path: &[u8], record: &Record) {
    put_bytes(to, path);
    let kind = match record.node {
        Node::Directory { opaque: false } => b'd',
        Node::Directory { opaque: true } => b'D',
        Node::File { linked: false, pieces: None, .. } => b'f',
        Node::File { linked: true, pieces: None, .. } => b'F',
        Node::File { linked: false, pieces: Some(_), .. } => b's',
        Node::File { linked: true, pieces: Some(_), .. } => b'S',
        Node::Symlink { .. } => b'l',
        Node::CharDevice(..) => b'c',
        Node::BlockDevice(..) => b'b',
        Node::Fifo => b'p',
        Node::Whiteout => b'w',
    };
    to.push(kind);
    for number in [record.mode, record.uid, record.gid, record.modified.nanoseconds] {
        put_number(to, number.into());
    }
    to.extend_from_slice(&record.modified.seconds.to_be_bytes());
    match &record.node {
        Node::File { size, sha256, pieces, .. } => {
            put_number(to, *size);
            to.extend_from_slice(sha256);
            if let Some(pieces) = pieces {
                put_number(to, pieces.len() as u64);
                for piece in pieces {
                    put_number(to, piece.offset);
                    put_number(to, piece.length);
                }
            }
        }
        Node::Symlink { target } => put_bytes(to, target),
        Node::CharDevice(major, minor) | Node::BlockDevice(major, minor) => {
            put_number(to, (*major).into());
            put_number(to, (*minor).into());
        }
        Node::Directory { .. } | Node::Fifo | Node::Whiteout => {}
    }
    put_number(to, record.xattrs.len() as u64);
    for (name, value) in &record.xattrs {
        put_bytes(to, name);
        put_bytes(to, value);
    }
}

/// Seven bits a byte, the lowest first, the top bit set on all but the last.
pub(crate) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push((number & 0x7f) as u8);
}

pub(crate) fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// The longest string in a manifest or recipe: an extended attribute's value, a path.
const STRING_LIMIT: u64 = 16 << 20;

struct Source<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Source<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Outcome<()> {
        self.inner.read_exact(bytes).map_err(reading)?;
        self.hasher.update(&*bytes);
        Ok(())
    }

    fn byte(&mut self) -> Outcome<u8> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn small(&mut self) -> Outcome<u32> {
        u32::try_from(self.number()?).map_err(|_| damaged())
    }

    fn number(&mut self) -> Outcome<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged())
    }

    fn bytes(&mut self) -> Outcome<Vec<u8>> {
        let length = self.number()?;
        if length > STRING_LIMIT {
            return Err(damaged());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged())?];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn at_end(&mut self) -> Outcome<bool>
    where
        R: std::io::BufRead,
    {
        Ok(self.inner.fill_buf().map_err(reading)?.is_empty())
    }
}

fn damaged() -> Failure {
    Failure::host("the layer's manifest is damaged")
}

fn decode<R: std::io::BufRead>(from: &mut Source<R>) -> Outcome<Option<(Vec<u8>, Record)>> {
    if from.at_end()? {
        return Ok(None);
    }
    let path = from.bytes()?;
    let kind = from.byte()?;
    let (mode, uid, gid, nanoseconds) = (from.small()?, from.small()?, from.small()?, from.small()?);
    let mut seconds = [0; 8];
    from.fill(&mut seconds)?;
    let node = match kind {
        b'd' | b'D' => Node::Directory { opaque: kind == b'D' },
        b'f' | b'F' | b's' | b'S' => {
            let size = from.number()?;
            let mut sha256 = [0; 32];
            from.fill(&mut sha256)?;
            let mut pieces = None;
            if matches!(kind, b's' | b'S') {
                let count = from.number()?;
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(Piece { offset: from.number()?, length: from.number()? });
                }
                pieces = Some(list);
            }
            Node::File { size, sha256, pieces, linked: matches!(kind, b'F' | b'S') }
        }
        b'l' => Node::Symlink { target: from.bytes()? },
        b'c' => Node::CharDevice(from.small()?, from.small()?),
        b'b' => Node::BlockDevice(from.small()?, from.small()?),
        b'p' => Node::Fifo,
        b'w' => Node::Whiteout,
        _ => return Err(damaged()),
    };
    let mut xattrs = Vec::new();
    for _ in 0..from.number()? {
        xattrs.push((from.bytes()?, from.bytes()?));
    }
    let modified = Time { seconds: i64::from_be_bytes(seconds), nanoseconds };
    Ok(Some((path, Record { mode, uid, gid, modified, node, xattrs })))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            manifest.records.insert(format!("path{number}").into_bytes(), record);
        }
        let path = std::env::temp_dir().join(format!("haven-manifest-{}", std::process::id()));
        let digest = manifest.write(File::create(&path).unwrap()).unwrap();
        let again = Manifest::read(File::open(&path).unwrap(), &digest);
        let other = Manifest::read(File::open(&path).unwrap(), &[0; 32]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(again.unwrap(), manifest);
        assert!(other.is_err());
        assert_eq!(manifest.content_bytes(), 600);
    }
}
