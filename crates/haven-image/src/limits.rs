//! What is taken from an archive at most. A stranger's file decides how much memory, disk and time it costs us only
//! up to these numbers; each refusal names the limit and the entry.

/// Bounds for one archive. The defaults are far above what real images have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries in one layer (or root file system, or copied archive).
    pub entries: u64,
    /// Bytes of an entry's path, and of a link's target. The kernel takes 4,095 in one call.
    pub path_bytes: usize,
    /// Names in a path: how deep directories are nested.
    pub depth: usize,
    /// Bytes of one extended attribute's value. The kernel takes 65,536.
    pub xattr_bytes: usize,
    /// Extended attributes of one entry.
    pub xattrs: usize,
    /// Bytes of one extended header (long names, extended attributes, sparse maps).
    pub header_bytes: u64,
    /// Bytes of all paths, link targets and extended attributes of one layer together: they are held in memory.
    pub metadata_bytes: u64,
    /// Pieces of one sparse file.
    pub sparse_pieces: usize,
    /// Bytes of all files of one layer together, holes included.
    pub content_bytes: u64,
    /// How many times larger than its compressed form content may be. Deflate reaches 1,032 at most.
    pub ratio: u64,
    /// Up to so many bytes of content the ratio isn't looked at.
    pub ratio_free_bytes: u64,
    /// Bytes of one JSON document in an image archive.
    pub document_bytes: u64,
    /// Bytes of all JSON documents of an image archive together: they are held in memory.
    pub documents_bytes: u64,
    /// Indexes inside indexes.
    pub index_depth: usize,
    /// Layers of one image.
    pub layers: usize,
    /// Images in one archive.
    pub images: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            path_bytes: 4095,
            depth: 512,
            xattr_bytes: 65_536,
            xattrs: 256,
            header_bytes: 1 << 20,
            metadata_bytes: 256 << 20,
            sparse_pieces: 1_000_000,
            content_bytes: 256 << 30,
            ratio: 200,
            ratio_free_bytes: 256 << 20,
            document_bytes: 4 << 20,
            documents_bytes: 64 << 20,
            index_depth: 4,
            layers: 500,
            images: 1000,
        }
    }
}
