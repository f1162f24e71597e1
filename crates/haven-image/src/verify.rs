//! Proving that an image's files are the image's.
//!
//! The chain: the image's id is its configuration's digest; the configuration names its layers' digests; each layer's
//! record names the digest of its manifest, made in the pass that checked the layer's own digest; the manifest tells of
//! every file. All of it is read again and compared. What this proves holds for the moment of reading: nothing stops
//! the host's administrator from changing a file afterwards.

use crate::archive::{Piece, join};
use crate::image::DiffId;
use crate::layer::MANIFEST;
use crate::manifest::{Manifest, Node, Record};
use crate::store::Store;
use haven_spec::{Digest, Failure, ImageId, Outcome};
use haven_sys::root::{Dir, FileKind, PathError, Stat};
use rustix::fs::SeekFrom;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::PoisonError;

/// What was compared, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    pub layers: usize,
    pub files: u64,
    pub content_bytes: u64,
    pub differences: Vec<Difference>,
}

/// A file that is not as the image says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    pub layer: DiffId,
    /// From the top of the layer; empty for the top itself.
    pub path: String,
    pub what: String,
}

/// Differences told; beyond these the image is beyond telling.
const DIFFERENCES_LIMIT: usize = 1000;

impl Store {
    /// Compares every file of an image with what was loaded.
    pub fn verify(&self, id: &ImageId) -> Outcome<Verification> {
        let image = self.get(id).ok_or_else(|| Failure::not_found(format!("No such image: {id}")))?;
        let mut verification = Verification { layers: image.layers.len(), ..Verification::default() };
        let document = Digest::sha256(&Sha256::digest(self.config_bytes(id)?).into());
        if document != *id {
            return Err(Failure::host(format!("the configuration of `{id}` has the digest `{document}`"))
                .hint("the store's database has been changed: remove the image and load it again"));
        }
        let seen: BTreeSet<&DiffId> = image.layers.iter().collect();
        for layer in seen {
            self.verify_layer(layer, &mut verification)
                .map_err(|failure| failure.context(format!("cannot verify the layer `{layer}`")))?;
        }
        verification.differences.sort();
        verification.differences.truncate(DIFFERENCES_LIMIT);
        Ok(verification)
    }

    fn verify_layer(&self, layer: &DiffId, verification: &mut Verification) -> Outcome<()> {
        let record = self
            .layer(layer)
            .ok_or_else(|| Failure::host("it is missing").hint("remove the image and load it again"))?;
        let tree = self.layer_dir(layer)?;
        let file = self
            .layer_notes(layer)?
            .open_file(MANIFEST)
            .map_err(|error| Failure::host("its manifest can't be opened").because(error))?;
        let mut digest = [0; 32];
        for (byte, pair) in digest.iter_mut().zip(record.manifest.hex().as_bytes().as_chunks::<2>().0) {
            let text = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(text, 16).unwrap_or_default();
        }
        let manifest = Manifest::read(file, &digest)?;
        let paths: Vec<&[u8]> = manifest.paths().collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        // Small portions, handed out one after the other: large files are unevenly spread.
        let portions = Mutex::new(paths.chunks(64));
        let found = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut checker =
                        Checker { tree: &tree, manifest: &manifest, parent: None, differences: Vec::new() };
                    loop {
                        let portion = portions.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some(portion) = portion else { break };
                        for path in portion {
                            if let Some(record) = manifest.get(path) {
                                checker.check(path, &record);
                            }
                        }
                    }
                    found.lock().unwrap_or_else(PoisonError::into_inner).append(&mut checker.differences);
                });
            }
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        verification.differences.extend(found.into_iter().map(|(path, what)| Difference {
            layer: layer.clone(),
            path: String::from_utf8_lossy(&path).into_owned(),
            what,
        }));
        verification.files += manifest.len() as u64;
        verification.content_bytes += manifest.content_bytes();
        Ok(())
    }
}

struct Checker<'a> {
    tree: &'a Dir,
    manifest: &'a Manifest,
    parent: Option<(Vec<u8>, Dir)>,
    differences: Vec<(Vec<u8>, String)>,
}

impl Checker<'_> {
    fn check(&mut self, path: &[u8], record: &Record) {
        if self.differences.len() > DIFFERENCES_LIMIT {
            return;
        }
        let mut found = Vec::new();
        if let Err(error) = self.compare(path, record, &mut found) {
            found.push(if error.is_not_found() {
                "is missing".to_owned()
            } else {
                format!("can't be read: {error}")
            });
        }
        self.differences.extend(found.into_iter().map(|what| (path.to_vec(), what)));
    }

    fn compare(&mut self, path: &[u8], record: &Record, found: &mut Vec<String>) -> Result<(), PathError> {
        let (parent, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        if self.parent.as_ref().is_none_or(|(known, _)| known != parent) {
            self.parent = Some((parent.to_vec(), self.tree.open_beneath(OsStr::from_bytes(parent))?));
        }
        let Some((_, dir)) = &self.parent else { return Ok(()) };
        if path.is_empty() {
            let stat = dir.stat()?;
            compare_stat(record, &stat, found);
            compare_xattrs(
                record,
                haven_sys::root::xattr_names(dir)?,
                |name| haven_sys::root::xattr(dir, name),
                found,
            )?;
            return self.compare_names(path, &dir.try_clone()?, found);
        }
        let name = OsStr::from_bytes(name);
        let handle = dir.handle(name)?;
        let stat = handle.stat()?;
        compare_stat(record, &stat, found);
        compare_xattrs(record, handle.xattr_names()?, |name| handle.xattr(name), found)?;
        match &record.node {
            Node::Directory { .. } if stat.kind == FileKind::Directory => {
                let inside = handle.open_dir()?;
                self.compare_names(path, &inside, found)?;
            }
            Node::File { size, sha256, pieces, .. }
                if stat.kind == FileKind::Regular && stat.size == *size =>
            {
                let file = dir.open_file(name)?;
                match content_hash(&file, pieces.as_deref()) {
                    Ok(hash) if hash == *sha256 => {}
                    Ok(_) => found.push("has another content".to_owned()),
                    Err(error) => found.push(format!("can't be read: {error}")),
                }
            }
            Node::Symlink { target } if stat.kind == FileKind::Symlink => {
                let says = handle.read_link()?;
                if says.as_bytes() != target.as_slice() {
                    found.push(format!(
                        "leads to `{}`, not `{}`",
                        says.display(),
                        String::from_utf8_lossy(target)
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Names that are there and shouldn't be.
    fn compare_names(&mut self, path: &[u8], dir: &Dir, found: &mut Vec<String>) -> Result<(), PathError> {
        for entry in dir.entries()? {
            if !self.manifest.contains(&join(path, entry.name.as_bytes())) {
                found.push(format!("has `{}` in it, which is not the image's", entry.name.display()));
            }
        }
        Ok(())
    }
}

fn compare_stat(record: &Record, stat: &Stat, found: &mut Vec<String>) {
    let (kind, node) = match &record.node {
        Node::Directory { .. } => (FileKind::Directory, None),
        Node::File { .. } => (FileKind::Regular, None),
        Node::Symlink { .. } => (FileKind::Symlink, None),
        Node::CharDevice(major, minor) => (FileKind::CharDevice, Some((*major, *minor))),
        Node::BlockDevice(major, minor) => (FileKind::BlockDevice, Some((*major, *minor))),
        Node::Fifo => (FileKind::Fifo, None),
        Node::Whiteout => (FileKind::CharDevice, Some((0, 0))),
    };
    if stat.kind != kind || node.is_some_and(|node| node != stat.node) {
        found.push(format!("is another kind of file ({:?}, not {kind:?})", stat.kind));
        return;
    }
    // A removed name has no attributes of its own.
    if matches!(record.node, Node::Whiteout) {
        return;
    }
    if let Node::File { size, .. } = record.node
        && size != stat.size
    {
        found.push(format!("has {} bytes, not {size}", stat.size));
    }
    if kind != FileKind::Symlink && stat.mode != record.mode {
        found.push(format!("has the mode {:04o}, not {:04o}", stat.mode, record.mode));
    }
    if (stat.uid, stat.gid) != (record.uid, record.gid) {
        found.push(format!("belongs to {}:{}, not {}:{}", stat.uid, stat.gid, record.uid, record.gid));
    }
    if stat.modified != record.modified {
        found.push("has another modification time".to_owned());
    }
}

fn compare_xattrs(
    record: &Record,
    names: Vec<std::ffi::OsString>,
    value: impl Fn(&OsStr) -> Result<Option<Vec<u8>>, PathError>,
    found: &mut Vec<String>,
) -> Result<(), PathError> {
    let opaque = matches!(record.node, Node::Directory { opaque: true });
    let mut left: BTreeSet<&[u8]> = record.xattrs.iter().map(|(name, _)| name.as_slice()).collect();
    if opaque {
        left.insert(b"trusted.overlay.opaque");
    }
    for name in &names {
        let bytes = name.as_bytes();
        // The host's security module labels files as it likes.
        if bytes.starts_with(b"security.") && bytes != b"security.capability" {
            continue;
        }
        let expected = match record.xattrs.iter().find(|(known, _)| known == bytes) {
            Some((_, value)) => value.as_slice(),
            None if opaque && bytes == b"trusted.overlay.opaque" => b"y",
            None => {
                found.push(format!(
                    "has the extended attribute `{}`, which is not the image's",
                    name.display()
                ));
                continue;
            }
        };
        left.remove(bytes);
        if value(name)?.as_deref() != Some(expected) {
            found.push(format!("has another value of the extended attribute `{}`", name.display()));
        }
    }
    for name in left {
        found.push(format!("lacks the extended attribute `{}`", String::from_utf8_lossy(name)));
    }
    Ok(())
}

/// The hash the manifest has: of all content, or of a sparse file's pieces. Between those there must be nothing but
/// zeros.
fn content_hash(mut file: &File, pieces: Option<&[Piece]>) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let Some(pieces) = pieces else {
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(hasher.finalize().into());
            }
            hasher.update(&buffer[..count]);
        }
    };
    let mut at = 0;
    for piece in pieces.iter().chain([&Piece { offset: u64::MAX, length: 0 }]) {
        if has_data(file, at, piece.offset, &mut buffer)? {
            return Ok([0; 32]);
        }
        let mut offset = piece.offset;
        let mut left = piece.length;
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let count = file.read_at(&mut buffer[..most], offset)?;
            if count == 0 {
                return Ok([0; 32]);
            }
            hasher.update(&buffer[..count]);
            offset += count as u64;
            left -= count as u64;
        }
        at = offset;
    }
    Ok(hasher.finalize().into())
}

/// Whether there is a byte other than zero from `at` up to `end`.
fn has_data(file: &File, mut at: u64, end: u64, buffer: &mut [u8]) -> std::io::Result<bool> {
    while at < end {
        at = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(data) => data,
            // No data behind.
            Err(rustix::io::Errno::NXIO) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if at >= end {
            break;
        }
        let most = usize::try_from(end - at).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = file.read_at(&mut buffer[..most], at)?;
        if count == 0 {
            return Ok(false);
        }
        if buffer[..count].iter().any(|b| *b != 0) {
            return Ok(true);
        }
        at += count as u64;
    }
    Ok(false)
}
