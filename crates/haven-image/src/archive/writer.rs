//! Writes tar archives: ustar headers, with a pax header in front where ustar has no room for something. Sparse files
//! take GNU's pax format 1.0, the one that tar programs of all kinds read.

use super::entry::{EntryKind, TarEntry};
use super::header::BLOCK;
use crate::io_failure::writing;
use haven_spec::Outcome;
use std::io::Write;

/// The largest number eight digits of octal less the final NUL can say.
const OCTAL_7: u64 = 0o7_777_777;
/// The same for twelve.
const OCTAL_11: u64 = 0o77_777_777_777;

pub(crate) struct TarWriter<W> {
    sink: W,
    /// Content of the present entry still to come.
    owed: u64,
    padding: usize,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, owed: 0, padding: 0 }
    }

    /// Starts an entry; a file's `entry.stored` bytes have to follow.
    pub(crate) fn entry(&mut self, entry: &TarEntry) -> Outcome<()> {
        debug_assert_eq!(self.owed, 0, "the content of the entry before has been written");
        let pax = pax_records(entry);
        if !pax.is_empty() {
            let mut header = Header::new(b'x', b"././@PaxHeader");
            header.octal(100, 7, 0o644);
            header.octal(124, 11, pax.len() as u64);
            self.put(&header.finish())?;
            self.put(&pax)?;
            self.put(&ZEROS[..padding(pax.len() as u64)])?;
        }
        let map = sparse_map(entry);
        let size = if entry.kind == EntryKind::File { entry.stored + map.len() as u64 } else { 0 };
        self.put(&header(entry, size))?;
        self.put(&map)?;
        // The map is made of whole blocks.
        self.owed = size - map.len() as u64;
        self.padding = padding(size);
        Ok(())
    }

    /// Writes content of the present entry; what is more than its size is left out.
    pub(crate) fn content(&mut self, bytes: &[u8]) -> Outcome<()> {
        let take = usize::try_from(self.owed).map_or(bytes.len(), |owed| owed.min(bytes.len()));
        self.put(&bytes[..take])?;
        self.owed -= take as u64;
        if self.owed == 0 {
            let padding = std::mem::take(&mut self.padding);
            self.put(&ZEROS[..padding])?;
        }
        Ok(())
    }

    /// The end marker.
    pub(crate) fn finish(mut self) -> Outcome<W> {
        self.put(&[0; 2 * BLOCK])?;
        self.sink.flush().map_err(|error| writing("the archive", error))?;
        Ok(self.sink)
    }

    fn put(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.sink.write_all(bytes).map_err(|error| writing("the archive", error))
    }
}

const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Never a whole block.
#[allow(clippy::cast_possible_truncation, reason = "the remainder of 512 fits")]
fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

fn typeflag(kind: EntryKind) -> u8 {
    match kind {
        EntryKind::File => b'0',
        EntryKind::HardLink => b'1',
        EntryKind::Symlink => b'2',
        EntryKind::CharDevice => b'3',
        EntryKind::BlockDevice => b'4',
        EntryKind::Directory => b'5',
        EntryKind::Fifo => b'6',
    }
}

fn header(entry: &TarEntry, size: u64) -> [u8; BLOCK] {
    let mut header = match &entry.sparse {
        // A program that doesn't know the format makes something else of it, under another name.
        Some(_) => Header::new(typeflag(entry.kind), &[b"GNUSparseFile.0/", entry.path.as_slice()].concat()),
        None => Header::new(typeflag(entry.kind), &entry.path),
    };
    header.octal(100, 7, entry.mode.into());
    header.octal(108, 7, entry.uid.into());
    header.octal(116, 7, entry.gid.into());
    header.octal(124, 11, size);
    header.octal(136, 11, u64::try_from(entry.modified.seconds).unwrap_or(0));
    header.bytes(157, 100, &entry.link);
    if matches!(entry.kind, EntryKind::CharDevice | EntryKind::BlockDevice) {
        header.octal(329, 7, entry.device.0.into());
        header.octal(337, 7, entry.device.1.into());
    }
    header.finish()
}

/// What the header can't say.
fn pax_records(entry: &TarEntry) -> Vec<u8> {
    let mut records = Vec::new();
    if entry.path.len() > 100 {
        record(&mut records, b"path", &entry.path);
    }
    if entry.link.len() > 100 {
        record(&mut records, b"linkpath", &entry.link);
    }
    let size = entry.stored + sparse_map(entry).len() as u64;
    if entry.kind == EntryKind::File && size > OCTAL_11 {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    if u64::from(entry.uid) > OCTAL_7 {
        record(&mut records, b"uid", entry.uid.to_string().as_bytes());
    }
    if u64::from(entry.gid) > OCTAL_7 {
        record(&mut records, b"gid", entry.gid.to_string().as_bytes());
    }
    let seconds = entry.modified.seconds;
    let nanoseconds = entry.modified.nanoseconds;
    if nanoseconds != 0 || u64::try_from(seconds).is_ok_and(|s| s > OCTAL_11) || seconds < 0 {
        // Digits after the point count away from zero in pax, upwards in the kernel.
        let text = match (seconds, nanoseconds) {
            (seconds, 0) => seconds.to_string(),
            (0.., _) => format!("{seconds}.{nanoseconds:09}"),
            (-1, _) => format!("-0.{:09}", 1_000_000_000 - nanoseconds),
            _ => format!("{}.{:09}", seconds + 1, 1_000_000_000 - nanoseconds),
        };
        let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
        record(&mut records, b"mtime", text.as_bytes());
    }
    if entry.sparse.is_some() {
        record(&mut records, b"GNU.sparse.major", b"1");
        record(&mut records, b"GNU.sparse.minor", b"0");
        record(&mut records, b"GNU.sparse.name", &entry.path);
        record(&mut records, b"GNU.sparse.realsize", entry.size.to_string().as_bytes());
    }
    for (name, value) in &entry.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    records
}

/// Where a sparse file's pieces belong: decimal lines, filled up to whole blocks. Nothing for other files.
fn sparse_map(entry: &TarEntry) -> Vec<u8> {
    let Some(pieces) = &entry.sparse else { return Vec::new() };
    let end = pieces.last().map_or(0, |piece| piece.offset + piece.length);
    // A hole at the end shows as an empty piece behind it.
    let tail = (end < entry.size).then_some((entry.size, 0));
    let mut map = format!("{}\n", pieces.len() + usize::from(tail.is_some())).into_bytes();
    for (offset, length) in pieces.iter().map(|piece| (piece.offset, piece.length)).chain(tail) {
        map.extend_from_slice(format!("{offset}\n{length}\n").as_bytes());
    }
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

struct Header {
    block: [u8; BLOCK],
}

impl Header {
    fn new(typeflag: u8, path: &[u8]) -> Self {
        let mut header = Self { block: [0; BLOCK] };
        header.bytes(0, 100, path);
        header.block[156] = typeflag;
        header.bytes(257, 8, b"ustar\x0000");
        header
    }

    /// What doesn't fit is cut: a pax record says all of it.
    fn bytes(&mut self, at: usize, room: usize, bytes: &[u8]) {
        let take = bytes.len().min(room);
        self.block[at..at + take].copy_from_slice(&bytes[..take]);
    }

    /// `digits` octal digits and a NUL. What doesn't fit is 0: a pax record says it.
    fn octal(&mut self, at: usize, digits: usize, value: u64) {
        let most = if digits == 11 { OCTAL_11 } else { OCTAL_7 };
        let value = if value > most { 0 } else { value };
        let text = format!("{value:0digits$o}");
        self.bytes(at, digits, text.as_bytes());
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.block[148..156].fill(b' ');
        let sum: u64 = self.block.iter().map(|b| u64::from(*b)).sum();
        let text = format!("{sum:06o}\0 ");
        self.bytes(148, 8, text.as_bytes());
        self.block
    }
}
