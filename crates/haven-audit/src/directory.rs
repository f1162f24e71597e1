//! The directory of a record: which files there are, and how they are read and made.
//!
//! A file is made under another name, flushed, and renamed, so that it exists whole or not at all.

use crate::limits::{NOTE_BYTES, SEGMENT_BYTES};
use crate::merkle::Hash;
use crate::{PublicKey, SignedCheckpoint, Signer};
use haven_spec::{Failure, Outcome};
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const KEY: &str = "key";
const PUBLIC_KEY: &str = "key.pub";
const LOCK: &str = "lock";
const SLOTS: [&str; 2] = ["checkpoint.0", "checkpoint.1"];
const RECORDS: &str = "records";
const LEAVES: &str = "leaves";

/// A part of the record: a segment, or what stays of an archived one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) archived: bool,
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn make(&self) -> Outcome<()> {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.path).map_err(|e| {
            Failure::host(format!("cannot make the directory of the audit record `{}`", self.path.display()))
                .because(e)
        })
    }

    /// Held by who appends; given up when it is dropped.
    pub(crate) fn lock(&self) -> Outcome<File> {
        let path = self.path.join(LOCK);
        let cannot = || format!("cannot lock the audit record `{}`", self.path.display());
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(|e| Failure::host(cannot()).because(e))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|e| {
            Failure::conflict(cannot()).because(e).hint("another process appends to it; stop that one first")
        })?;
        Ok(file)
    }

    /// All parts by their first record. Where a segment and its leaves are both there, the segment counts.
    pub(crate) fn parts(&self) -> Outcome<Vec<Part>> {
        let cannot =
            |e| Failure::host(format!("cannot read the audit record `{}`", self.path.display())).because(e);
        let mut parts = Vec::new();
        for file in fs::read_dir(&self.path).map_err(cannot)? {
            let file = file.map_err(cannot)?;
            let name = file.file_name();
            let Some((first, kind)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            if (kind != RECORDS && kind != LEAVES) || first.len() != 20 {
                continue;
            }
            let Ok(first) = first.parse::<u64>() else { continue };
            parts.push(Part { first, archived: kind == LEAVES, path: file.path() });
        }
        parts.sort_by_key(|part| (part.first, part.archived));
        parts.dedup_by_key(|part| part.first);
        Ok(parts)
    }

    pub(crate) fn segment_path(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.{RECORDS}"))
    }

    pub(crate) fn leaves_path(&self, first: u64) -> PathBuf {
        self.path.join(format!("{first:020}.{LEAVES}"))
    }

    pub(crate) fn signer(&self) -> Outcome<Option<Signer>> {
        match self.read_small(KEY)? {
            Some(text) => Signer::parse(&text).map(Some).map_err(|e| {
                e.context(format!("cannot use the key of the audit record `{}`", self.path.display()))
            }),
            None => Ok(None),
        }
    }

    /// A new key, from the kernel's random numbers.
    pub(crate) fn make_key(&self, name: &str) -> Outcome<Signer> {
        let mut seed = [0; 32];
        let mut filled = 0;
        while filled < seed.len() {
            filled += rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty())
                .map_err(|e| Failure::host("cannot get random numbers from the kernel").because(e))?;
        }
        let signer = Signer::from_seed(name, &seed)?;
        // The private one last: while it is not there, the directory holds no record.
        self.write_whole(&self.path.join(PUBLIC_KEY), 0o644, format!("{}\n", signer.public()).as_bytes())?;
        self.write_whole(&self.path.join(KEY), 0o600, format!("{}\n", signer.to_text()).as_bytes())?;
        Ok(signer)
    }

    pub(crate) fn public_key(&self) -> Outcome<PublicKey> {
        let text = self.read_small(PUBLIC_KEY)?.ok_or_else(|| {
            Failure::not_found(format!("no audit record in `{}`", self.path.display()))
                .hint("give the directory that holds `key.pub` and the segments")
        })?;
        PublicKey::parse(&text)
    }

    /// The newest checkpoint that is whole and truly signed.
    pub(crate) fn newest_checkpoint(&self, key: &PublicKey) -> Option<SignedCheckpoint> {
        let slots = SLOTS.iter().filter_map(|slot| self.read_small(slot).ok().flatten());
        slots.filter_map(|note| SignedCheckpoint::open(&note, key).ok()).max_by_key(SignedCheckpoint::size)
    }

    /// The files that hold the newest checkpoint in turns.
    pub(crate) fn slots(&self) -> Outcome<[File; 2]> {
        let open = |slot: &str| {
            let path = self.path.join(slot);
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o644).open(&path).map_err(|e| {
                Failure::host(format!("cannot open the checkpoint `{}`", path.display())).because(e)
            })
        };
        Ok([open(SLOTS[0])?, open(SLOTS[1])?])
    }

    /// A small text file; `None` when there is none.
    fn read_small(&self, name: &str) -> Outcome<Option<String>> {
        let path = self.path.join(name);
        let cannot = |e| Failure::host(format!("cannot read `{}`", path.display())).because(e);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(cannot(e)),
        };
        let mut bytes = Vec::new();
        file.take(NOTE_BYTES as u64).read_to_end(&mut bytes).map_err(cannot)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    pub(crate) fn write_whole(&self, path: &Path, mode: u32, content: &[u8]) -> Outcome<()> {
        let cannot = |e| Failure::host(format!("cannot write `{}`", path.display())).because(e);
        let draft = path.with_extension("draft");
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&draft);
        let mut file = file.map_err(cannot)?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(cannot)?;
        fs::rename(&draft, path).map_err(cannot)?;
        self.flush()
    }

    pub(crate) fn remove(&self, path: &Path) -> Outcome<()> {
        fs::remove_file(path)
            .map_err(|e| Failure::host(format!("cannot remove `{}`", path.display())).because(e))?;
        self.flush()
    }

    /// Names that were made or removed are on disk when this returns.
    fn flush(&self) -> Outcome<()> {
        File::open(&self.path).and_then(|directory| directory.sync_all()).map_err(|e| {
            Failure::host(format!("cannot flush the directory `{}`", self.path.display())).because(e)
        })
    }
}

/// A segment's bytes.
pub(crate) fn read_segment(path: &Path) -> Outcome<Vec<u8>> {
    let cannot = || format!("cannot read the segment `{}`", path.display());
    let file = File::open(path).map_err(|e| Failure::host(cannot()).because(e))?;
    let mut bytes = Vec::new();
    file.take(SEGMENT_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Failure::host(cannot()).because(e))?;
    if bytes.len() as u64 > SEGMENT_BYTES {
        return Err(Failure::invalid(cannot()).because(format!("it is longer than {SEGMENT_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The leaves of an archived segment; a rest that is no whole hash is left out.
pub(crate) fn read_leaves(path: &Path) -> Outcome<Vec<Hash>> {
    Ok(read_segment(path)?.as_chunks::<32>().0.to_vec())
}

/// Puts a checkpoint over the older of the two. Nothing of that one is left behind it: within a directory notes only grow.
pub(crate) fn write_slot(slot: &File, note: &str) -> std::io::Result<()> {
    slot.write_all_at(note.as_bytes(), 0)
}
