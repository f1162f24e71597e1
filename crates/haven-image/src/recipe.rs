//! How to put a layer's archive together again, byte for byte, from its unpacked tree.
//!
//! An archive is headers, padding and content. The content is in the tree; all the rest is kept here, compressed,
//! with notes of what goes between. So an image is saved with the digests it was loaded with, without keeping a second
//! copy of its files (docs/adr/0006). Content the tree doesn't have any more, because a later entry took its name, is
//! put aside in a directory of its own when that happens.
//!
//! ```text
//! recipe:  raw(length, bytes) | content(path, offset, length) …        compressed with zstd
//! aside:   (steps before it happened, path, number) …                  only when something was put aside
//! ```

use crate::archive::Place;
use crate::io_failure::{into_io, reading, writing};
use crate::manifest::{bytes, number, put_bytes, put_number};
use haven_spec::{Failure, Outcome};
use haven_sys::root::Dir;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;

/// Names in the directory a layer's notes are in.
pub(crate) const RECIPE: &str = "recipe";
const ASIDE_LIST: &str = "aside.list";
const ASIDE: &str = "aside";

const RAW: u8 = 1;
const CONTENT: u8 = 2;

/// Headers compress well at once; higher levels cost more time than they save room.
const ZSTD_LEVEL: i32 = 1;

/// Raw bytes collected before they are written.
const RAW_BYTES: usize = 32 << 10;

/// Writes a recipe while a layer is unpacked.
pub(crate) struct RecipeWriter {
    notes: Dir,
    encoder: zstd::stream::write::Encoder<'static, File>,
    raw: Vec<u8>,
    scratch: Vec<u8>,
    steps: u64,
    aside: Vec<u8>,
    aside_count: u64,
    aside_dir: Option<Dir>,
}

impl RecipeWriter {
    pub(crate) fn new(notes: Dir) -> Outcome<Self> {
        let file = notes.create_file(RECIPE, 0o600).map_err(|error| failed(error.into()))?;
        let encoder = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL).map_err(failed)?;
        Ok(Self {
            notes,
            encoder,
            raw: Vec::with_capacity(RAW_BYTES + 4096),
            scratch: Vec::new(),
            steps: 0,
            aside: Vec::new(),
            aside_count: 0,
            aside_dir: None,
        })
    }

    /// Bytes that aren't content.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.raw.extend_from_slice(bytes);
        if self.raw.len() >= RAW_BYTES { self.flush_raw() } else { Ok(()) }
    }

    /// `length` bytes of `place`'s content, from `offset` on, come next.
    pub(crate) fn content(&mut self, place: &Place, offset: u64, length: u64) -> Outcome<()> {
        self.flush_raw()?;
        self.scratch.clear();
        self.scratch.push(CONTENT);
        put_bytes(&mut self.scratch, place.bytes());
        put_number(&mut self.scratch, offset);
        put_number(&mut self.scratch, length);
        self.encoder.write_all(&self.scratch).map_err(failed)?;
        self.steps += 1;
        Ok(())
    }

    /// Moves what `name` in `dir` is, which is `place`, out of the way.
    pub(crate) fn put_aside(&mut self, place: &Place, dir: &Dir, name: &OsStr) -> Outcome<()> {
        let move_failed = |error: haven_sys::root::PathError| failed(error.into());
        if self.aside_dir.is_none() {
            self.notes.mkdir(ASIDE, 0o700).map_err(move_failed)?;
            self.aside_dir = Some(self.notes.open_dir(ASIDE).map_err(move_failed)?);
        }
        if let Some(aside) = &self.aside_dir {
            dir.rename_new(name, aside, self.aside_count.to_string()).map_err(move_failed)?;
        }
        put_number(&mut self.aside, self.steps);
        put_bytes(&mut self.aside, place.bytes());
        put_number(&mut self.aside, self.aside_count);
        self.aside_count += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Outcome<()> {
        self.flush_raw()?;
        self.encoder.finish().map_err(failed)?;
        if self.aside_count > 0 {
            let mut list = self.notes.create_file(ASIDE_LIST, 0o600).map_err(|error| failed(error.into()))?;
            list.write_all(&self.aside).map_err(failed)?;
        }
        Ok(())
    }

    fn flush_raw(&mut self) -> Outcome<()> {
        if self.raw.is_empty() {
            return Ok(());
        }
        self.scratch.clear();
        self.scratch.push(RAW);
        put_number(&mut self.scratch, self.raw.len() as u64);
        self.encoder.write_all(&self.scratch).map_err(failed)?;
        self.encoder.write_all(&self.raw).map_err(failed)?;
        self.raw.clear();
        self.steps += 1;
        Ok(())
    }
}

fn failed(error: io::Error) -> Failure {
    writing("the layer's recipe", error)
}

/// Reads the archive a recipe describes.
pub(crate) struct RecipeReader {
    tree: Dir,
    source: BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>,
    steps: u64,
    raw_left: u64,
    /// The file content comes from, and how much of it.
    content: Option<(File, u64, Vec<u8>)>,
    /// The directory last used, which is often the next one's.
    parent: Option<(Vec<u8>, Dir)>,
    /// For each path something was moved away from: after how many steps, and where to.
    aside: HashMap<Vec<u8>, Vec<(u64, u64)>>,
    aside_dir: Option<Dir>,
}

impl RecipeReader {
    pub(crate) fn open(tree: Dir, notes: &Dir) -> Outcome<Self> {
        let missing = |error: haven_sys::root::PathError| {
            Failure::host("the layer's recipe can't be opened").because(error)
        };
        let file = notes.open_file(RECIPE).map_err(missing)?;
        let decoder = zstd::stream::read::Decoder::new(file).map_err(reading)?;
        let mut aside: HashMap<Vec<u8>, Vec<(u64, u64)>> = HashMap::new();
        let mut aside_dir = None;
        match notes.open_file(ASIDE_LIST) {
            Ok(list) => {
                let mut list = BufReader::new(list);
                while !list.fill_buf().map_err(reading)?.is_empty() {
                    let step = number(&mut list).map_err(reading)?;
                    let path = bytes(&mut list).map_err(reading)?;
                    let count = number(&mut list).map_err(reading)?;
                    aside.entry(path).or_default().push((step, count));
                }
                aside_dir = Some(notes.open_dir(ASIDE).map_err(missing)?);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(missing(error)),
        }
        let source = BufReader::with_capacity(64 << 10, decoder);
        Ok(Self { tree, source, steps: 0, raw_left: 0, content: None, parent: None, aside, aside_dir })
    }

    /// Reads the next step; false at the end.
    fn step(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut kind = [0];
        self.source.read_exact(&mut kind)?;
        match kind[0] {
            RAW => self.raw_left = number(&mut self.source)?,
            CONTENT => {
                let path = bytes(&mut self.source)?;
                let offset = number(&mut self.source)?;
                let length = number(&mut self.source)?;
                let mut file = self.open_content(&path).map_err(into_io)?;
                if offset > 0 {
                    file.seek(SeekFrom::Start(offset))?;
                }
                self.content = Some((file, length, path));
            }
            _ => return Err(into_io(Failure::host("the layer's recipe is damaged"))),
        }
        self.steps += 1;
        Ok(true)
    }

    fn open_content(&mut self, path: &[u8]) -> Outcome<File> {
        let failed = |error| {
            Failure::host(format!("cannot read `{}` of the layer", String::from_utf8_lossy(path)))
                .because(error)
                .hint("the layer's files have been changed: remove the image and load it again")
        };
        let (parent, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        let name = OsStr::from_bytes(name);
        if let Some((number, rest)) = self.moved(path) {
            let aside =
                self.aside_dir.as_ref().ok_or_else(|| Failure::host("the layer's recipe is damaged"))?;
            let number = number.to_string();
            if rest.is_empty() {
                return aside.open_file(&number).map_err(failed);
            }
            let inside = [number.as_bytes(), b"/", &rest[..rest.len() - name.len()]].concat();
            let dir = aside.open_beneath(OsStr::from_bytes(&inside)).map_err(failed)?;
            return dir.open_file(name).map_err(failed);
        }
        if self.parent.as_ref().is_none_or(|(known, _)| known != parent) {
            let dir = self.tree.open_beneath(OsStr::from_bytes(parent)).map_err(failed)?;
            self.parent = Some((parent.to_vec(), dir));
        }
        match &self.parent {
            Some((_, dir)) => dir.open_file(name).map_err(failed),
            None => Err(Failure::internal("a directory handle is gone")),
        }
    }

    /// Whether `path`, or a directory above it, was moved away after the present step: where to, and the path below.
    fn moved<'p>(&self, path: &'p [u8]) -> Option<(u64, &'p [u8])> {
        if self.aside.is_empty() {
            return None;
        }
        let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at).chain([path.len()]);
        ends.filter_map(|end| {
            let moves = self.aside.get(&path[..end])?;
            let next = moves.partition_point(|(step, _)| *step <= self.steps);
            let (step, number) = moves.get(next)?;
            let rest = path.get(end + 1..).unwrap_or_default();
            Some((*step, (*number, rest)))
        })
        .min_by_key(|(step, _)| *step)
        .map(|(_, found)| found)
    }
}

impl Read for RecipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if self.raw_left > 0 {
                let most = usize::try_from(self.raw_left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let count = self.source.read(&mut buffer[..most])?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.raw_left -= count as u64;
                return Ok(count);
            }
            if let Some((file, left, path)) = &mut self.content {
                if *left > 0 {
                    let most = usize::try_from(*left).map_or(buffer.len(), |left| left.min(buffer.len()));
                    let count = file.read(&mut buffer[..most])?;
                    if count == 0 {
                        return Err(into_io(
                            Failure::host(format!(
                                "`{}` of the layer is too short",
                                String::from_utf8_lossy(path)
                            ))
                            .hint("the layer's files have been changed: remove the image and load it again"),
                        ));
                    }
                    *left -= count as u64;
                    return Ok(count);
                }
                self.content = None;
            }
            if !self.step()? {
                return Ok(0);
            }
        }
    }
}
