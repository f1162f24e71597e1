//! One entry of a tar archive, whatever dialect it was written in.

use super::AbsoluteNames;
use super::place::Place;
use crate::limits::Limits;
use haven_spec::Outcome;
use haven_sys::root::Time;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    /// A second name for the file `link` of the same archive.
    HardLink,
    Symlink,
    Directory,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// Where a piece of a sparse file belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// An entry's header. Paths are bytes as they stand in the archive, not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TarEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: EntryKind,
    /// Permission bits with set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Time,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    /// (major, minor) of a device.
    pub(crate) device: (u32, u32),
    /// The file's size.
    pub(crate) size: u64,
    /// Bytes of content the archive holds; less than `size` for a sparse file.
    pub(crate) stored: u64,
    /// For a sparse file, where the stored bytes go: ascending, without overlap.
    pub(crate) sparse: Option<Vec<Piece>>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl TarEntry {
    /// Those a file gets: not overlayfs' marks and not the labels of a security module. An image may not speak to the
    /// host's overlay or to its policy.
    pub(crate) fn kept_xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.xattrs
            .iter()
            .filter(|(name, _)| name == b"security.capability" || !is_the_hosts_xattr(name))
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// Where a hard link's target is, once the extractor has taken it.
    pub(crate) fn link_place(&self) -> Outcome<Place> {
        Place::parse(&self.link, "link target", AbsoluteNames::FromTop, &Limits::default())
    }
}

fn is_the_hosts_xattr(name: &[u8]) -> bool {
    name.starts_with(b"security.") || is_overlay_xattr(name)
}

pub(super) fn is_overlay_xattr(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}
