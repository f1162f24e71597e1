//! Reads a tar archive entry by entry, in one pass, from any dialect in use: v7, ustar, star, pax, GNU.
//!
//! What isn't a file's content goes to a [`Tap`] byte by byte as it is read, so that the archive can be put together
//! again exactly (see `recipe.rs`). It judges sizes against [`Limits`], and nothing else: where an entry may go is the
//! extractor's business.
//!
//! Departures from the letter, all as Go's archive/tar has them, whose readings decide what image layers mean: global
//! extended headers are ignored, links and directories have no content whatever their size says.

use super::entry::{EntryKind, Piece, TarEntry};
use super::header::{BLOCK, Dialect, Header, gnu_sparse_block};
use super::pax::{Pax, decimal, too_many_pieces};
use crate::io_failure::reading;
use crate::limits::Limits;
use haven_spec::{Failure, Outcome};
use haven_sys::root::Time;
use std::io::BufRead;

/// Takes every byte of the archive that isn't handed out as content.
pub(crate) trait Tap {
    fn raw(&mut self, bytes: &[u8]) -> Outcome<()>;
}

/// Takes nothing.
impl Tap for () {
    fn raw(&mut self, _bytes: &[u8]) -> Outcome<()> {
        Ok(())
    }
}

pub(crate) struct TarReader<R, T> {
    source: R,
    tap: T,
    limits: Limits,
    /// An archive that stops between entries is truncated, unless something else vouches for its length.
    end_required: bool,
    /// Content of the present entry not read yet, and the padding after it.
    remaining: u64,
    padding: u64,
    entries: u64,
    finished: bool,
}

impl<R: BufRead, T: Tap> TarReader<R, T> {
    pub(crate) fn new(source: R, tap: T, limits: Limits, end_required: bool) -> Self {
        Self { source, tap, limits, end_required, remaining: 0, padding: 0, entries: 0, finished: false }
    }

    pub(crate) fn tap(&mut self) -> &mut T {
        &mut self.tap
    }

    pub(crate) fn into_tap(self) -> T {
        self.tap
    }

    /// The next entry; content of the one before that wasn't read is passed over.
    pub(crate) fn next_entry(&mut self) -> Outcome<Option<TarEntry>> {
        self.skip_content()?;
        if self.finished {
            return Ok(None);
        }
        let mut pax = None;
        let mut long_name = None;
        let mut long_link = None;
        loop {
            let Some(header) = self.header()? else {
                if pax.is_some() || long_name.is_some() || long_link.is_some() {
                    return Err(truncated());
                }
                return Ok(None);
            };
            // An entry may come with up to three headers that describe it.
            self.entries += 1;
            if self.entries > self.limits.entries.saturating_mul(4) {
                return Err(self.too_many_entries());
            }
            match header.typeflag() {
                b'x' => {
                    let bytes = self.extension(&header)?;
                    pax = Some(Pax::parse(&bytes, &self.limits)?);
                }
                b'g' => {
                    self.extension(&header)?;
                }
                b'L' => long_name = Some(until_nul(self.extension(&header)?)),
                b'K' => long_link = Some(until_nul(self.extension(&header)?)),
                // A volume's label.
                b'V' => {
                    self.extension(&header)?;
                }
                _ => return self.entry(&header, pax.unwrap_or_default(), long_name, long_link).map(Some),
            }
        }
    }

    pub(crate) fn too_many_entries(&self) -> Failure {
        Failure::invalid(format!("the archive has more than the {} entries allowed", self.limits.entries))
    }

    /// Hands the next `length` bytes of the entry's content to `sink`, piece by piece as they come.
    pub(crate) fn content(&mut self, length: u64, mut sink: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<()> {
        let mut wanted = length.min(self.remaining);
        while wanted > 0 {
            let available = fill(&mut self.source)?;
            if available.is_empty() {
                return Err(truncated());
            }
            let take = usize::try_from(wanted).map_or(available.len(), |wanted| wanted.min(available.len()));
            sink(&available[..take])?;
            self.source.consume(take);
            wanted -= take as u64;
            self.remaining -= take as u64;
        }
        Ok(())
    }

    /// Reads some of the entry's content; 0 at its end.
    pub(crate) fn read_content(&mut self, buffer: &mut [u8]) -> Outcome<usize> {
        let most = usize::try_from(self.remaining).map_or(buffer.len(), |left| left.min(buffer.len()));
        if most == 0 {
            return Ok(0);
        }
        loop {
            match self.source.read(&mut buffer[..most]) {
                Ok(0) => return Err(truncated()),
                Ok(count) => {
                    self.remaining -= count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(reading(error)),
            }
        }
    }

    /// Passes over what is left of the entry, through the tap.
    pub(crate) fn skip_content(&mut self) -> Outcome<()> {
        let left = self.remaining + self.padding;
        self.remaining = 0;
        self.padding = 0;
        self.pass(left)
    }

    fn pass(&mut self, mut left: u64) -> Outcome<()> {
        while left > 0 {
            let available = fill(&mut self.source)?;
            if available.is_empty() {
                return Err(truncated());
            }
            let take = usize::try_from(left).map_or(available.len(), |left| left.min(available.len()));
            self.tap.raw(&available[..take])?;
            self.source.consume(take);
            left -= take as u64;
        }
        Ok(())
    }

    /// The next header block; `None` at the end of the archive, when everything after it has been read as well.
    fn header(&mut self) -> Outcome<Option<Header>> {
        let Some(block) = self.block()? else {
            self.finished = true;
            return if self.end_required { Err(truncated()) } else { Ok(None) };
        };
        if block.iter().any(|b| *b != 0) {
            return Header::new(block).map(Some);
        }
        self.finished = true;
        match self.block()? {
            Some(block) if block.iter().any(|b| *b != 0) => {
                return Err(Failure::invalid("the archive is damaged: an entry follows its end marker"));
            }
            _ => {}
        }
        loop {
            let available = fill(&mut self.source)?;
            if available.is_empty() {
                return Ok(None);
            }
            let length = available.len();
            self.tap.raw(available)?;
            self.source.consume(length);
        }
    }

    /// One block through the tap; `None` where the source ends before it.
    fn block(&mut self) -> Outcome<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            let available = fill(&mut self.source)?;
            if available.is_empty() {
                if filled == 0 {
                    return Ok(None);
                }
                return Err(truncated());
            }
            let take = available.len().min(BLOCK - filled);
            block[filled..filled + take].copy_from_slice(&available[..take]);
            self.source.consume(take);
            filled += take;
        }
        self.tap.raw(&block)?;
        Ok(Some(block))
    }

    /// The content of an entry that describes the next one.
    fn extension(&mut self, header: &Header) -> Outcome<Vec<u8>> {
        let size = unsigned(header.size()?, "size")?;
        if size > self.limits.header_bytes {
            return Err(Failure::invalid(format!(
                "an extended header has {size} bytes, more than the {} allowed",
                self.limits.header_bytes
            )));
        }
        self.remaining = size;
        self.padding = padding(size);
        self.stored_bytes(size)
    }

    /// `length` bytes of content, through the tap.
    fn stored_bytes(&mut self, length: u64) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content(length, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        self.tap.raw(&bytes)?;
        if self.remaining == 0 {
            let padding = std::mem::take(&mut self.padding);
            self.pass(padding)?;
        }
        Ok(bytes)
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Outcome<TarEntry> {
        let named = pax.path.clone().or(long_name).unwrap_or_else(|| header.name());
        let mut entry = self
            .fields(header, &pax, named.clone(), long_link)
            .map_err(|failure| failure.context(format!("entry `{}`", String::from_utf8_lossy(&named))))?;
        self.remaining = entry.stored;
        self.padding = padding(entry.stored);
        self.sparse(header, pax, &mut entry)
            .map_err(|failure| failure.context(format!("entry `{}`", String::from_utf8_lossy(&named))))?;
        Ok(entry)
    }

    fn fields(
        &self,
        header: &Header,
        pax: &Pax,
        path: Vec<u8>,
        long_link: Option<Vec<u8>>,
    ) -> Outcome<TarEntry> {
        let size = match pax.size {
            Some(size) => size,
            None => unsigned(header.size()?, "size")?,
        };
        let kind = match header.typeflag() {
            // The oldest dialect knows directories by their slash.
            0 if path.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' | b'S' => EntryKind::File,
            b'1' => EntryKind::HardLink,
            b'2' => EntryKind::Symlink,
            b'3' => EntryKind::CharDevice,
            b'4' => EntryKind::BlockDevice,
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Fifo,
            other => {
                return Err(Failure::invalid(format!(
                    "its type `{}` is not supported",
                    char::from(other).escape_default()
                )));
            }
        };
        let size = if kind == EntryKind::File { size } else { 0 };
        let owner = |from_pax: Option<u64>, from_header: Outcome<i64>, field| -> Outcome<u32> {
            let value = match from_pax {
                Some(value) => value,
                None => unsigned(from_header?, field)?,
            };
            // The last number means "nobody in particular" to the kernel.
            u32::try_from(value)
                .ok()
                .filter(|value| *value != u32::MAX)
                .ok_or_else(|| Failure::invalid(format!("its {field} {value} is larger than 4294967294")))
        };
        let (major, minor) = match kind {
            EntryKind::CharDevice | EntryKind::BlockDevice => header.device()?,
            _ => (0, 0),
        };
        let device = |number: i64| {
            u32::try_from(number)
                .map_err(|_| Failure::invalid(format!("its device number {number} can't be")))
        };
        let mode = header.mode()?;
        Ok(TarEntry {
            kind,
            mode: u32::try_from(mode & 0o7777)
                .map_err(|_| Failure::invalid(format!("its mode {mode} can't be")))?,
            uid: owner(pax.uid, header.uid(), "uid")?,
            gid: owner(pax.gid, header.gid(), "gid")?,
            modified: match pax.modified {
                Some(time) => time,
                None => Time { seconds: header.modified()?, nanoseconds: 0 },
            },
            link: pax.link.clone().or(long_link).unwrap_or_else(|| header.link()),
            device: (device(major)?, device(minor)?),
            size,
            stored: size,
            sparse: None,
            xattrs: pax.xattrs.clone(),
            path,
        })
    }

    /// Sparse files of all four kinds: finds the map, and makes sure it fits the stored bytes.
    fn sparse(&mut self, header: &Header, pax: Pax, entry: &mut TarEntry) -> Outcome<()> {
        if entry.kind != EntryKind::File {
            return Ok(());
        }
        let (pieces, real_size) = if header.typeflag() == b'S' {
            if header.dialect() != Dialect::Gnu {
                return Err(Failure::invalid("it is a sparse file in an archive of the wrong dialect"));
            }
            self.gnu_map(header)?
        } else if pax.sparse.major == Some(1) && pax.sparse.minor.unwrap_or(0) == 0 {
            if let Some(name) = pax.sparse.name {
                entry.path = name;
            }
            let Some(size) = pax.sparse.real_size else {
                return Err(Failure::invalid("it is a sparse file without a size"));
            };
            (self.map_in_content()?, size)
        } else if let (Some(size), None) = (pax.sparse.real_size, pax.sparse.major) {
            if let Some(name) = pax.sparse.name {
                entry.path = name;
            }
            if pax.sparse.count.is_some_and(|count| count != pax.sparse.pieces.len() as u64) {
                return Err(Failure::invalid("its sparse map is incomplete"));
            }
            (pax.sparse.pieces, size)
        } else if pax.sparse.major.is_some() {
            return Err(Failure::invalid("its sparse format is not supported"));
        } else {
            return Ok(());
        };
        entry.stored = self.remaining;
        check_map(&pieces, real_size, entry.stored)?;
        entry.size = real_size;
        entry.sparse = Some(pieces);
        Ok(())
    }

    /// GNU's own: the map continues in blocks between header and content.
    fn gnu_map(&mut self, header: &Header) -> Outcome<(Vec<Piece>, u64)> {
        let start = header.gnu_sparse()?;
        let mut more = start.more;
        let mut pieces = Vec::new();
        add_pieces(&mut pieces, &start.pieces, &self.limits)?;
        while more {
            let block = self.block()?.ok_or_else(truncated)?;
            let (next, again) = gnu_sparse_block(&block)?;
            add_pieces(&mut pieces, &next, &self.limits)?;
            more = again;
        }
        Ok((pieces, unsigned(start.real_size, "realsize")?))
    }

    /// pax 1.0: the map is decimal lines in the first blocks of the content.
    fn map_in_content(&mut self) -> Outcome<Vec<Piece>> {
        let refuse = || Failure::invalid("its sparse map is malformed");
        let mut unread: Vec<u8> = Vec::new();
        let mut next_number = |reader: &mut Self| -> Outcome<u64> {
            loop {
                if let Some(end) = unread.iter().position(|b| *b == b'\n') {
                    let number = decimal(&unread[..end]).ok_or_else(refuse)?;
                    unread.drain(..=end);
                    return Ok(number);
                }
                if reader.remaining < BLOCK as u64 || unread.len() > 32 {
                    return Err(refuse());
                }
                unread.extend(reader.stored_bytes(BLOCK as u64)?);
            }
        };
        let count = next_number(self)?;
        if count > self.limits.sparse_pieces as u64 {
            return Err(too_many_pieces(&self.limits));
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push(Piece { offset: next_number(self)?, length: next_number(self)? });
        }
        Ok(pieces)
    }
}

fn fill<R: BufRead>(source: &mut R) -> Outcome<&[u8]> {
    // The borrow checker needs the second call: the first one's slice can't leave the loop.
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(error)),
        }
    }
    source.fill_buf().map_err(reading)
}

fn truncated() -> Failure {
    Failure::invalid("the archive ends too early: it is truncated")
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Content is filled up to whole blocks.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn unsigned(value: i64, field: &str) -> Outcome<u64> {
    u64::try_from(value).map_err(|_| Failure::invalid(format!("its {field} is negative: {value}")))
}

fn add_pieces(pieces: &mut Vec<Piece>, found: &[(i64, i64)], limits: &Limits) -> Outcome<()> {
    if pieces.len() + found.len() > limits.sparse_pieces {
        return Err(too_many_pieces(limits));
    }
    for (offset, length) in found {
        pieces.push(Piece { offset: unsigned(*offset, "offset")?, length: unsigned(*length, "length")? });
    }
    Ok(())
}

fn check_map(pieces: &[Piece], size: u64, stored: u64) -> Outcome<()> {
    let refuse = || Err(Failure::invalid("its sparse map contradicts its size"));
    let mut end = 0;
    let mut sum = 0_u64;
    for piece in pieces {
        let Some(piece_end) = piece.offset.checked_add(piece.length) else { return refuse() };
        if piece.offset < end || piece_end > size {
            return refuse();
        }
        end = piece_end;
        sum += piece.length;
    }
    if sum == stored { Ok(()) } else { refuse() }
}
