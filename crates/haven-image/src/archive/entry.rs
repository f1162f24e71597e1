//! One entry of a tar archive, whatever dialect it was written in.

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
