//! Tar archives and the files they tell of: unpacking below a directory handle, packing from one.
//!
//! Both directions are one pass over a stream, hold no file in memory, and touch the file system through
//! [`haven_sys::root`] only. Used for layers, root file systems, and copying in and out of containers.

mod entry;
mod extract;
mod header;
mod ids;
mod pack;
mod pax;
mod place;
mod reader;
mod writer;

pub use ids::IdShift;
pub use pack::{PackOptions, pack};

pub(crate) use entry::{EntryKind, Piece, TarEntry};
pub(crate) use extract::{Journal, Made};
pub(crate) use place::{Place, below, join};
pub(crate) use reader::{Tap, TarReader};
pub(crate) use writer::TarWriter;

use crate::compression;
use crate::io_failure::reading;
use crate::limits::Limits;
use extract::Extractor;
use haven_spec::Outcome;
use haven_sys::root::Dir;
use std::io::{BufRead, BufReader, Read};

/// Whose rules hold for the names in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every name is a file's.
    #[default]
    Plain,
    /// An image's layer: `.wh.` names are whiteouts, and nothing depends on when or by whom it is unpacked.
    Layer,
}

/// What to do with names that start with a slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AbsoluteNames {
    #[default]
    Refuse,
    /// Read them from the top of the tree that is made, as a process confined to it would.
    FromTop,
}

/// How an archive is unpacked.
#[derive(Debug, Clone, Default)]
pub struct ExtractOptions {
    pub mode: Mode,
    pub absolute_names: AbsoluteNames,
    /// Where the archive's owners are on the disk; `None`: the same numbers.
    pub ids: Option<IdShift>,
    /// Everything belongs to this (uid, gid), whatever the archive says; before the shift.
    pub owner: Option<(u32, u32)>,
    /// Device nodes are made; otherwise they are an error.
    pub devices: bool,
    /// A directory is not replaced by something else, nor the other way round: an error instead.
    pub keep_kinds: bool,
    pub limits: Limits,
}

impl ExtractOptions {
    fn owner_on_disk(&self, entry: &TarEntry) -> Outcome<(u32, u32)> {
        let (uid, gid) = self.owner.unwrap_or((entry.uid, entry.gid));
        match self.ids {
            Some(ids) => Ok((ids.to_disk(uid)?, ids.to_disk(gid)?)),
            None => Ok((uid, gid)),
        }
    }

    /// Of directories no entry speaks of.
    fn implied_owner(&self) -> (u32, u32) {
        let (uid, gid) = self.owner.unwrap_or((0, 0));
        let shift = |id| self.ids.map_or(id, |ids| ids.to_disk(id).unwrap_or(id));
        (shift(uid), shift(gid))
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extracted {
    pub entries: u64,
    /// Bytes of all files, holes included.
    pub content_bytes: u64,
}

/// Unpacks a tar stream, plain or compressed with gzip or zstd, below `top`. Entries that are there already are
/// replaced; when it fails half-way, what was made so far stays.
pub fn extract_into(top: &Dir, source: impl Read, options: &ExtractOptions) -> Outcome<Extracted> {
    let source = compression::open(source, &options.limits).map_err(reading)?;
    let source = BufReader::with_capacity(256 << 10, source);
    let mut reader = TarReader::new(source, (), options.limits.clone(), true);
    Extractor::new(top, options).run(&mut reader)
}

/// As [`extract_into`], telling `journal` what becomes of every byte and entry. Without `end_required` the stream may
/// lack the archive's end marker: the caller checks its digest.
pub(crate) fn extract_with<R: BufRead, J: Journal>(
    top: &Dir,
    source: R,
    journal: J,
    options: &ExtractOptions,
    end_required: bool,
) -> Outcome<(Extracted, J)> {
    let mut reader = TarReader::new(source, journal, options.limits.clone(), end_required);
    let done = Extractor::new(top, options).run(&mut reader)?;
    Ok((done, reader.into_tap()))
}

/// Whether a tar archive may begin with this block: a header, or the end marker of an empty one.
pub(crate) fn is_tar_start(block: &[u8; header::BLOCK]) -> bool {
    block.iter().all(|b| *b == 0) || header::Header::new(*block).is_ok()
}
