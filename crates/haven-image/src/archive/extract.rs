//! Makes the files an archive tells of, below one directory handle.
//!
//! No path is ever resolved twice or through a link: the extractor walks from handle to handle, one name at a time,
//! and keeps the handles of the directory it is in, which archives stay in for long. What is at a name already
//! gives way to a later entry of the same name (two directories merge). Directories get their owner, mode, attributes
//! and times at the end, when nothing will be added to them any more.
//!
//! In layers, whiteouts take overlayfs' form: a character device 0:0 for a removed name, the attribute
//! `trusted.overlay.opaque` for a directory that hides everything below it.

use super::entry::{EntryKind, TarEntry};
use super::place::{Place, below, join};
use super::reader::{Tap, TarReader};
use super::{ExtractOptions, Extracted, Mode};
use crate::io_failure::writing;
use haven_spec::{Failure, Outcome};
use haven_sys::root::{self, Dir, FileKind, PathError, Time, Times};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;

const WHITEOUT: &[u8] = b".wh.";
/// Names for AUFS' own use; only the first means something in an image.
const WHITEOUT_META: &[u8] = b".wh..wh.";
const WHITEOUT_OPAQUE: &[u8] = b".wh..wh..opq";
const OPAQUE: &str = "trusted.overlay.opaque";

/// Directory handles kept at once.
const HANDLES: usize = 48;

/// Is told what becomes of an archive's bytes and entries.
pub(crate) trait Journal: Tap {
    /// Whether [`Journal::made`] wants the hash of files' content.
    const HASHES: bool;

    /// `length` bytes of the archive are the content of `place` from `offset` on, and were not given to
    /// [`Tap::raw`].
    fn content(&mut self, place: &Place, offset: u64, length: u64) -> Outcome<()>;

    /// `place` has been made.
    fn made(&mut self, place: &Place, made: Made<'_>) -> Outcome<()>;

    /// `name` in `dir`, which is `place`, is in the way of a later entry and has to go.
    fn clear(&mut self, place: &Place, dir: &Dir, name: &OsStr) -> Outcome<()>;
}

/// What was made.
pub(crate) enum Made<'e> {
    /// As the entry says; for files with their content's hash.
    Entry {
        entry: &'e TarEntry,
        hash: Option<[u8; 32]>,
    },
    /// A directory the archive doesn't mention, above something it does.
    Implied,
    Whiteout,
    /// The directory hides everything below it.
    Opaque,
}

/// Keeps no journal; what is in the way is removed.
impl Journal for () {
    const HASHES: bool = false;

    fn content(&mut self, _place: &Place, _offset: u64, _length: u64) -> Outcome<()> {
        Ok(())
    }

    fn made(&mut self, _place: &Place, _made: Made<'_>) -> Outcome<()> {
        Ok(())
    }

    fn clear(&mut self, place: &Place, dir: &Dir, name: &OsStr) -> Outcome<()> {
        dir.remove_all(name).map_err(|error| host(place, error))
    }
}

/// What a directory is given at the end.
#[derive(Debug, Clone, Default)]
struct DirAttributes {
    /// `None`: not mentioned by the archive.
    said: Option<Said>,
    /// Made here, not found.
    made: bool,
    opaque: bool,
}

#[derive(Debug, Clone)]
struct Said {
    mode: u32,
    owner: (u32, u32),
    modified: Time,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

pub(super) struct Extractor<'a> {
    options: &'a ExtractOptions,
    walk: Walk<'a>,
    directories: BTreeMap<Vec<u8>, DirAttributes>,
    done: Extracted,
    metadata_bytes: u64,
}

impl<'a> Extractor<'a> {
    pub(super) fn new(top: &'a Dir, options: &'a ExtractOptions) -> Self {
        Self {
            options,
            walk: Walk { top, path: Vec::new(), levels: Vec::new() },
            directories: BTreeMap::new(),
            done: Extracted::default(),
            metadata_bytes: 0,
        }
    }

    pub(super) fn run<R: BufRead, J: Journal>(mut self, reader: &mut TarReader<R, J>) -> Outcome<Extracted> {
        if self.options.mode == Mode::Layer {
            self.directories.insert(Vec::new(), DirAttributes { made: true, ..DirAttributes::default() });
        }
        while let Some(entry) = reader.next_entry()? {
            self.entry(&entry, reader).map_err(|failure| {
                failure.context(format!("entry `{}`", String::from_utf8_lossy(&entry.path)))
            })?;
        }
        self.finish()
    }

    fn entry<R: BufRead, J: Journal>(
        &mut self,
        entry: &TarEntry,
        reader: &mut TarReader<R, J>,
    ) -> Outcome<()> {
        let limits = &self.options.limits;
        self.done.entries += 1;
        if self.done.entries > limits.entries {
            return Err(reader.too_many_entries());
        }
        let place = Place::parse(&entry.path, "path", self.options.absolute_names, limits)?;
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        let pieces =
            entry.sparse.as_ref().map_or(0, |pieces| pieces.len() * size_of::<super::entry::Piece>());
        self.metadata_bytes += (place.bytes().len() + entry.link.len() + xattrs + pieces) as u64;
        if self.metadata_bytes > limits.metadata_bytes {
            return Err(Failure::invalid(format!(
                "the archive's names and attributes are longer than the {} bytes allowed",
                limits.metadata_bytes
            )));
        }
        self.done.content_bytes = self.done.content_bytes.saturating_add(entry.size);
        if self.done.content_bytes > limits.content_bytes {
            return Err(Failure::invalid(format!(
                "the archive's files are larger than the {} bytes allowed",
                limits.content_bytes
            )));
        }
        if place.is_top() {
            return self.top(entry, reader.tap());
        }
        let (_, name) = place.split();
        if self.options.mode == Mode::Layer && name.starts_with(WHITEOUT) {
            return self.whiteout(&place, reader.tap());
        }
        self.make(entry, &place, reader)
    }

    /// The archive's own word on the top directory.
    fn top<J: Journal>(&mut self, entry: &TarEntry, journal: &mut J) -> Outcome<()> {
        if entry.kind != EntryKind::Directory {
            return Err(Failure::invalid("the top of the archive is not a directory"));
        }
        if self.options.mode == Mode::Layer {
            self.say_directory(&[], entry)?;
            journal.made(&Place::from_clean(&[]), Made::Entry { entry, hash: None })?;
        }
        Ok(())
    }

    fn whiteout<J: Journal>(&mut self, place: &Place, journal: &mut J) -> Outcome<()> {
        let (_, name) = place.split();
        if name == WHITEOUT_OPAQUE {
            let parent = place.parent();
            self.enter(&parent, journal)?;
            self.directories.entry(parent.bytes().to_vec()).or_default().opaque = true;
            return journal.made(&parent, Made::Opaque);
        }
        if name.starts_with(WHITEOUT_META) {
            return Ok(());
        }
        let hidden = &name[WHITEOUT.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Failure::invalid("it is a whiteout that names no file"));
        }
        let hidden = place.beside(hidden);
        let name = hidden.split().1;
        self.enter(&hidden.parent(), journal)?;
        let dir = self.walk.dir()?;
        match dir.mknod(OsStr::from_bytes(name), FileKind::CharDevice, 0, (0, 0)) {
            Ok(()) => journal.made(&hidden, Made::Whiteout),
            // What is in this layer stays; only what is below it in other layers is hidden.
            Err(error) if error.errno() == Errno::EXIST => match self.directories.get_mut(hidden.bytes()) {
                Some(attributes) => {
                    attributes.opaque = true;
                    journal.made(&hidden, Made::Opaque)
                }
                None => Ok(()),
            },
            Err(error) => Err(host(&hidden, error)),
        }
    }

    fn make<R: BufRead, J: Journal>(
        &mut self,
        entry: &TarEntry,
        place: &Place,
        reader: &mut TarReader<R, J>,
    ) -> Outcome<()> {
        self.enter(&place.parent(), reader.tap())?;
        let name = OsStr::from_bytes(place.split().1);
        let mut hash = None;
        let mut opaque = false;
        match entry.kind {
            EntryKind::Directory => opaque = self.directory(entry, place, name, reader.tap())?,
            EntryKind::File => hash = self.file(entry, place, name, reader)?,
            EntryKind::HardLink => self.hard_link(entry, place, name, reader.tap())?,
            EntryKind::Symlink | EntryKind::CharDevice | EntryKind::BlockDevice | EntryKind::Fifo => {
                self.node(entry, place, name, reader.tap())?;
            }
        }
        reader.tap().made(place, Made::Entry { entry, hash })?;
        if opaque {
            reader.tap().made(place, Made::Opaque)?;
        }
        Ok(())
    }

    /// True when the directory hides what is below it, because a whiteout had its name before.
    fn directory<J: Journal>(
        &mut self,
        entry: &TarEntry,
        place: &Place,
        name: &OsStr,
        journal: &mut J,
    ) -> Outcome<bool> {
        let mut opaque = false;
        match self.walk.dir()?.mkdir(name, 0o700) {
            Ok(()) => self.directories.entry(place.bytes().to_vec()).or_default().made = true,
            Err(error) if error.errno() == Errno::EXIST => {
                let found = self.walk.dir()?.lstat(name).map_err(|error| host(place, error))?;
                if found.kind != FileKind::Directory {
                    self.may_replace(false)?;
                    opaque = self.options.mode == Mode::Layer
                        && found.kind == FileKind::CharDevice
                        && found.node == (0, 0);
                    self.make_way(place, name, journal)?;
                    self.walk.dir()?.mkdir(name, 0o700).map_err(|error| host(place, error))?;
                    let attributes = self.directories.entry(place.bytes().to_vec()).or_default();
                    attributes.made = true;
                    attributes.opaque = opaque;
                }
            }
            Err(error) => return Err(host(place, error)),
        }
        self.say_directory(place.bytes(), entry)?;
        Ok(opaque)
    }

    fn say_directory(&mut self, path: &[u8], entry: &TarEntry) -> Outcome<()> {
        let said = Said {
            mode: entry.mode,
            owner: self.options.owner_on_disk(entry)?,
            modified: entry.modified,
            xattrs: entry.kept_xattrs().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        };
        self.directories.entry(path.to_vec()).or_default().said = Some(said);
        Ok(())
    }

    fn file<R: BufRead, J: Journal>(
        &mut self,
        entry: &TarEntry,
        place: &Place,
        name: &OsStr,
        reader: &mut TarReader<R, J>,
    ) -> Outcome<Option<[u8; 32]>> {
        let file = match self.walk.dir()?.create_file(name, 0o600) {
            Ok(file) => file,
            Err(error) if error.errno() == Errno::EXIST => {
                self.make_way(place, name, reader.tap())?;
                self.walk.dir()?.create_file(name, 0o600).map_err(|error| host(place, error))?
            }
            Err(error) => return Err(host(place, error)),
        };
        let hash = write_content(&file, entry, place, reader)?;
        self.set_file_attributes(&file, entry, place)?;
        Ok(hash)
    }

    fn set_file_attributes(&self, file: &File, entry: &TarEntry, place: &Place) -> Outcome<()> {
        let (uid, gid) = self.options.owner_on_disk(entry)?;
        let set = || -> root::Result<()> {
            // The owner first: changing it clears set-id bits and capabilities.
            root::set_owner(file, uid, gid)?;
            root::set_mode(file, entry.mode)?;
            for (name, value) in entry.kept_xattrs() {
                root::set_xattr(file, OsStr::from_bytes(name), value)?;
            }
            root::set_times(file, times(entry.modified))
        };
        set().map_err(|error| host(place, error))
    }

    fn hard_link<J: Journal>(
        &mut self,
        entry: &TarEntry,
        place: &Place,
        name: &OsStr,
        journal: &mut J,
    ) -> Outcome<()> {
        let target =
            Place::parse(&entry.link, "link target", self.options.absolute_names, &self.options.limits)?;
        let (parent, target_name) = target.split();
        let target_name = OsStr::from_bytes(target_name);
        let missing = || {
            Failure::invalid(format!(
                "it is a hard link to `{}`, which is no file of this archive",
                String::from_utf8_lossy(&entry.link)
            ))
        };
        if target.is_top() {
            return Err(missing());
        }
        if target == *place {
            return Err(Failure::invalid("it is a hard link to itself"));
        }
        let from = match self.walk.top.open_beneath(OsStr::from_bytes(parent)) {
            Ok(dir) => dir,
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                return Err(missing());
            }
            Err(error) => return Err(host(place, error)),
        };
        match from.lstat(target_name) {
            Ok(found) if found.kind == FileKind::Directory => return Err(missing()),
            // A removed name is no file.
            Ok(found) if found.kind == FileKind::CharDevice && found.node == (0, 0) => return Err(missing()),
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Err(missing()),
            Err(error) => return Err(host(place, error)),
        }
        let link = |walk: &mut Walk<'_>| -> Outcome<root::Result<()>> {
            let to = walk.dir()?;
            Ok(from.hardlink(target_name, to, name))
        };
        match link(&mut self.walk)? {
            Ok(()) => Ok(()),
            Err(error) if error.errno() == Errno::EXIST => {
                self.make_way(place, name, journal)?;
                // Making way may have taken the target along.
                match link(&mut self.walk)? {
                    Ok(()) => Ok(()),
                    Err(error) if error.is_not_found() => Err(missing()),
                    Err(error) => Err(host(place, error)),
                }
            }
            Err(error) if error.is_not_found() => Err(missing()),
            Err(error) => Err(host(place, error)),
        }
    }

    /// Links, devices and FIFOs.
    fn node<J: Journal>(
        &mut self,
        entry: &TarEntry,
        place: &Place,
        name: &OsStr,
        journal: &mut J,
    ) -> Outcome<()> {
        let kind = match entry.kind {
            EntryKind::CharDevice => FileKind::CharDevice,
            EntryKind::BlockDevice => FileKind::BlockDevice,
            EntryKind::Fifo => FileKind::Fifo,
            _ => FileKind::Symlink,
        };
        if matches!(kind, FileKind::CharDevice | FileKind::BlockDevice) {
            if !self.options.devices {
                return Err(Failure::invalid("it is a device node, which is not allowed here"));
            }
            if kind == FileKind::CharDevice && entry.device == (0, 0) && self.options.mode == Mode::Layer {
                return Err(Failure::invalid(
                    "it is the character device 0:0, which would hide a file of a lower layer",
                ));
            }
        }
        if kind == FileKind::Symlink
            && (entry.link.is_empty()
                || entry.link.len() > self.options.limits.path_bytes
                || entry.link.contains(&0))
        {
            return Err(Failure::invalid(format!(
                "it is a link whose target is not between 1 and {} bytes long",
                self.options.limits.path_bytes
            )));
        }
        let (uid, gid) = self.options.owner_on_disk(entry)?;
        let make = |dir: &Dir| match kind {
            FileKind::Symlink => dir.symlink(OsStr::from_bytes(&entry.link), name),
            _ => dir.mknod(name, kind, 0o600, entry.device),
        };
        match make(self.walk.dir()?) {
            Ok(()) => {}
            Err(error) if error.errno() == Errno::EXIST => {
                self.make_way(place, name, journal)?;
                make(self.walk.dir()?).map_err(|error| host(place, error))?;
            }
            Err(error) => return Err(host(place, error)),
        }
        let dir = self.walk.dir()?;
        let set = || -> root::Result<()> {
            dir.set_owner(name, uid, gid)?;
            let mut xattrs = entry.kept_xattrs().peekable();
            if kind != FileKind::Symlink || xattrs.peek().is_some() {
                let handle = dir.handle(name)?;
                if kind != FileKind::Symlink {
                    handle.set_mode(entry.mode)?;
                }
                for (name, value) in xattrs {
                    handle.set_xattr(OsStr::from_bytes(name), value)?;
                }
            }
            dir.set_times(name, times(entry.modified))
        };
        set().map_err(|error| host(place, error))
    }

    fn may_replace(&self, found_directory: bool) -> Outcome<()> {
        if !self.options.keep_kinds {
            return Ok(());
        }
        Err(Failure::invalid(if found_directory {
            "cannot overwrite directory with non-directory"
        } else {
            "cannot overwrite non-directory with directory"
        }))
    }

    /// Frees a name that something has already.
    fn make_way<J: Journal>(&mut self, place: &Place, name: &OsStr, journal: &mut J) -> Outcome<()> {
        if self.options.keep_kinds {
            let found = self.walk.dir()?.lstat(name).map_err(|error| host(place, error))?;
            if found.kind == FileKind::Directory {
                self.may_replace(true)?;
            }
        }
        journal.clear(place, self.walk.dir()?, name)?;
        if self.directories.remove(place.bytes()).is_some() {
            let (from, to) = below(place.bytes());
            let gone: Vec<Vec<u8>> = self.directories.range(from..to).map(|(path, _)| path.clone()).collect();
            for path in gone {
                self.directories.remove(&path);
            }
        }
        Ok(())
    }

    /// Goes to a directory, making what is missing on the way.
    fn enter<J: Journal>(&mut self, place: &Place, journal: &mut J) -> Outcome<()> {
        let mode = self.options.mode;
        let directories = &mut self.directories;
        self.walk.enter(place.bytes(), |dir, path, name| {
            let here = Place::from_clean(path);
            match dir.mkdir(name, 0o700) {
                Ok(()) => {}
                // A removed name comes back as a directory: nothing of the lower one shows.
                Err(error)
                    if error.errno() == Errno::EXIST && mode == Mode::Layer && is_whiteout(dir, name) =>
                {
                    journal.clear(&here, dir, name)?;
                    dir.mkdir(name, 0o700).map_err(|error| host(&here, error))?;
                    directories.entry(path.to_vec()).or_default().opaque = true;
                }
                Err(error) => return Err(host(&here, error)),
            }
            let attributes = directories.entry(path.to_vec()).or_default();
            attributes.made = true;
            let opaque = attributes.opaque;
            journal.made(&here, Made::Implied)?;
            if opaque {
                journal.made(&here, Made::Opaque)?;
            }
            Ok(())
        })
    }

    /// Gives the directories what the archive said of them, the deepest first.
    fn finish(mut self) -> Outcome<Extracted> {
        let directories = std::mem::take(&mut self.directories);
        for (path, attributes) in directories.iter().rev() {
            let place = Place::from_clean(path);
            self.walk.enter(path, |_, _, _| {
                Err(Failure::host("a directory has disappeared while it was filled"))
            })?;
            let dir = self.walk.dir()?;
            let set = || -> root::Result<()> {
                if let Some(said) = &attributes.said {
                    root::set_owner(dir, said.owner.0, said.owner.1)?;
                    root::set_mode(dir, said.mode)?;
                    for (name, value) in &said.xattrs {
                        root::set_xattr(dir, OsStr::from_bytes(name), value)?;
                    }
                } else if attributes.made {
                    let (uid, gid) = self.options.implied_owner();
                    root::set_owner(dir, uid, gid)?;
                    root::set_mode(dir, 0o755)?;
                }
                if attributes.opaque {
                    root::set_xattr(dir, OPAQUE, b"y")?;
                }
                match &attributes.said {
                    Some(said) => root::set_times(dir, times(said.modified)),
                    // The same layer has the same content wherever and whenever it is unpacked.
                    None if self.options.mode == Mode::Layer => root::set_times(dir, times(Time::default())),
                    None => Ok(()),
                }
            };
            set().map_err(|error| {
                host(&place, error).context(format!("directory `{}`", String::from_utf8_lossy(path)))
            })?;
        }
        Ok(self.done)
    }
}

fn is_whiteout(dir: &Dir, name: &OsStr) -> bool {
    dir.lstat(name).is_ok_and(|found| found.kind == FileKind::CharDevice && found.node == (0, 0))
}

fn times(modified: Time) -> Times {
    Times { accessed: Some(modified), modified: Some(modified) }
}

/// Writes a file's stored bytes where they belong, hashing as it goes.
fn write_content<R: BufRead, J: Journal>(
    mut file: &File,
    entry: &TarEntry,
    place: &Place,
    reader: &mut TarReader<R, J>,
) -> Outcome<Option<[u8; 32]>> {
    let failed = |error| writing("its content", error);
    let mut hasher = Sha256::new();
    match &entry.sparse {
        None => {
            if entry.stored > 0 {
                reader.content(entry.stored, |bytes| {
                    if J::HASHES {
                        hasher.update(bytes);
                    }
                    file.write_all(bytes).map_err(failed)
                })?;
                reader.tap().content(place, 0, entry.stored)?;
            }
        }
        Some(pieces) => {
            file.set_len(entry.size).map_err(failed)?;
            for piece in pieces.iter().filter(|piece| piece.length > 0) {
                let mut offset = piece.offset;
                reader.content(piece.length, |bytes| {
                    if J::HASHES {
                        hasher.update(bytes);
                    }
                    file.write_all_at(bytes, offset).map_err(failed)?;
                    offset += bytes.len() as u64;
                    Ok(())
                })?;
                reader.tap().content(place, piece.offset, piece.length)?;
            }
        }
    }
    Ok(J::HASHES.then(|| hasher.finalize().into()))
}

/// Blames the host, or the archive where the kernel's answer says that names clash.
fn host(place: &Place, error: PathError) -> Failure {
    let shown = String::from_utf8_lossy(place.bytes()).into_owned();
    match error.errno() {
        Errno::NOTDIR | Errno::LOOP => {
            Failure::invalid("a name in its path is a link or a file, not a directory").because(error)
        }
        Errno::NAMETOOLONG => Failure::invalid("its path is too long for the file system").because(error),
        Errno::NOSPC | Errno::DQUOT => Failure::host(format!("cannot make `{shown}`"))
            .because(error)
            .hint("make room on the disk and try again"),
        Errno::OPNOTSUPP => Failure::host(format!("cannot set an attribute of `{shown}`"))
            .because(error)
            .hint("the file system that holds the images has to support extended attributes"),
        _ => Failure::host(format!("cannot make `{shown}`")).because(error),
    }
}

/// The directory the extractor is in, with the handles of those above it.
struct Walk<'a> {
    top: &'a Dir,
    path: Vec<u8>,
    levels: Vec<Level>,
}

struct Level {
    /// Where its name ends in the walk's path.
    end: usize,
    /// Given up when there are too many; opened again when needed.
    dir: Option<Dir>,
}

impl Walk<'_> {
    fn dir(&mut self) -> Outcome<&Dir> {
        let Some(level) = self.levels.last_mut() else { return Ok(self.top) };
        if level.dir.is_none() {
            let path = &self.path[..level.end];
            let dir = self.top.open_beneath(OsStr::from_bytes(path));
            level.dir = Some(dir.map_err(|error| host(&Place::from_clean(path), error))?);
        }
        level.dir.as_ref().ok_or_else(|| Failure::internal("a directory handle is gone"))
    }

    /// Moves to `path`; `missing` makes a directory that isn't there and is told its handle, path and name.
    fn enter(
        &mut self,
        path: &[u8],
        mut missing: impl FnMut(&Dir, &[u8], &OsStr) -> Outcome<()>,
    ) -> Outcome<()> {
        // Keep the levels that are on the way.
        while let Some(level) = self.levels.last() {
            let shared = path.len() >= level.end
                && path[..level.end] == self.path[..level.end]
                && (path.len() == level.end || path[level.end] == b'/');
            if shared {
                break;
            }
            self.levels.pop();
        }
        let mut start = self.levels.last().map_or(0, |level| level.end);
        self.path.truncate(start);
        while start < path.len() {
            let begin = if start == 0 { 0 } else { start + 1 };
            let end = path[begin..].iter().position(|b| *b == b'/').map_or(path.len(), |at| begin + at);
            let name = OsStr::from_bytes(&path[begin..end]);
            let dir = match self.dir()?.open_dir(name) {
                Ok(dir) => dir,
                Err(error) if error.is_not_found() || is_whiteout(self.dir()?, name) => {
                    missing(self.dir()?, &path[..end], name)?;
                    self.dir()?
                        .open_dir(name)
                        .map_err(|error| host(&Place::from_clean(&path[..end]), error))?
                }
                Err(error) => return Err(host(&Place::from_clean(&path[..end]), error)),
            };
            self.path = join(&self.path, &path[begin..end]);
            self.levels.push(Level { end, dir: Some(dir) });
            if let Some(surplus) = self.levels.len().checked_sub(HANDLES + 1) {
                self.levels[surplus].dir = None;
            }
            start = end;
        }
        Ok(())
    }
}
