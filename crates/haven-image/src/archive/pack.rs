//! Packs files below a root into a tar stream, in an order and form that depend on nothing but the files.
//!
//! Overlayfs' whiteouts can be turned back into the form layers have. Sockets are left out: nobody is listening on a
//! copy. A file that changes while it is read keeps the size its header said.

use super::entry::{EntryKind, Piece, TarEntry, is_overlay_xattr};
use super::ids::IdShift;
use super::place::join;
use super::writer::TarWriter;
use crate::io_failure::writing;
use haven_spec::{Failure, Outcome};
use haven_sys::root::{self, Dir, FileKind, Follow, Handle, PathError, Root, Stat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;

/// Directories deeper than this are not packed: each costs a handle.
const DEPTH_LIMIT: usize = 512;
const BUFFER_BYTES: usize = 256 << 10;

/// Smaller files are packed with their holes filled.
const SPARSE_LEAST_BYTES: u64 = 1 << 20;
/// A file in more pieces than these is packed whole.
const SPARSE_PIECES: usize = 10_000;

/// How files are packed.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// The first name of every entry, in place of the packed file's own. Empty: a directory's contents become the
    /// archive's top, with `./` for the directory itself.
    pub rename: Option<OsString>,
    /// Where the owners on the disk come from; `None`: the same numbers.
    pub ids: Option<IdShift>,
    /// The tree is an overlay's upper directory: its marks for removed and opaque become a layer's.
    pub whiteouts: bool,
    /// Follow a link at the end of the path.
    pub follow: bool,
    /// Names right below the packed directory that are left out with all they contain.
    pub leave_out: Vec<OsString>,
}

/// Packs `path` (below `root`, read as a process confined to it would) and everything below it.
pub fn pack(root: &Root, path: &OsStr, sink: &mut dyn Write, options: &PackOptions) -> Outcome<()> {
    let shown = path.to_string_lossy();
    let failed = |error| file_failure(&shown, error);
    let follow = if options.follow { Follow::Yes } else { Follow::No };
    let handle = root.resolve(path, follow).map_err(failed)?;
    let stat = handle.stat().map_err(failed)?;
    let name = match &options.rename {
        Some(name) => name.as_bytes().to_vec(),
        None => {
            let name =
                path.as_bytes().split(|b| *b == b'/').rfind(|name| !name.is_empty()).unwrap_or_default();
            if matches!(name, b"." | b"..") { Vec::new() } else { name.to_vec() }
        }
    };
    let mut packer = Packer {
        writer: TarWriter::new(io::BufWriter::with_capacity(BUFFER_BYTES, sink)),
        options,
        seen: HashMap::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    if stat.kind == FileKind::Directory {
        let dir = handle.open_dir().map_err(failed)?;
        packer.directory(&dir, &name, &stat)?;
        packer.below(dir, name)?;
    } else {
        packer.other(&handle, &name, &stat)?;
    }
    let mut buffered = packer.writer.finish()?;
    buffered.flush().map_err(|error| writing("the archive", error))
}

struct Packer<'o, W> {
    writer: TarWriter<W>,
    options: &'o PackOptions,
    /// Files with several names, by device and inode: the first name they were packed under.
    seen: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

struct Level {
    dir: Dir,
    path: Vec<u8>,
    /// Names to do, the next last.
    pending: Vec<OsString>,
}

impl<W: Write> Packer<'_, W> {
    fn below(&mut self, top: Dir, path: Vec<u8>) -> Outcome<()> {
        let mut names = sorted_names(&top, &path)?;
        names.retain(|name| !self.options.leave_out.contains(name));
        let mut levels = vec![Level { dir: top, path, pending: names }];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.pending.pop() else {
                levels.pop();
                continue;
            };
            let path = join(&level.path, name.as_bytes());
            let failed = |error| file_failure(&String::from_utf8_lossy(&path), error);
            let handle = match level.dir.handle(&name) {
                Ok(handle) => handle,
                // Gone since the directory was listed.
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(failed(error)),
            };
            let stat = handle.stat().map_err(failed)?;
            if stat.kind != FileKind::Directory {
                let is_whiteout = stat.kind == FileKind::CharDevice && stat.node == (0, 0);
                if self.options.whiteouts && is_whiteout {
                    self.whiteout(&level.path, name.as_bytes())?;
                } else {
                    self.other(&handle, &path, &stat)?;
                }
                continue;
            }
            let dir = handle.open_dir().map_err(failed)?;
            self.directory(&dir, &path, &stat)?;
            if levels.len() > DEPTH_LIMIT {
                return Err(Failure::host(format!(
                    "`{}` is nested more than {DEPTH_LIMIT} directories deep",
                    String::from_utf8_lossy(&path)
                )));
            }
            let pending = sorted_names(&dir, &path)?;
            levels.push(Level { dir, path, pending });
        }
        Ok(())
    }

    fn directory(&mut self, dir: &Dir, path: &[u8], stat: &Stat) -> Outcome<()> {
        let failed = |error| file_failure(&String::from_utf8_lossy(path), error);
        let mut entry = self.entry(EntryKind::Directory, path, stat);
        entry.path = match path {
            b"" => b"./".to_vec(),
            b"/" => b"/".to_vec(),
            path => [path, b"/"].concat(),
        };
        let names = root::xattr_names(dir).map_err(failed)?;
        for name in kept_names(&names) {
            if let Some(value) = root::xattr(dir, name).map_err(failed)? {
                entry.xattrs.push((name.as_bytes().to_vec(), value));
            }
        }
        self.writer.entry(&entry)?;
        if self.options.whiteouts {
            let opaque = |name: &str| {
                Ok::<_, Failure>(root::xattr(dir, name).map_err(failed)?.is_some_and(|v| v == b"y"))
            };
            refuse_overlay_tricks(&names, path)?;
            if opaque("trusted.overlay.opaque")? || opaque("user.overlay.opaque")? {
                self.whiteout_named(&join(path, b".wh..wh..opq"))?;
            }
        }
        Ok(())
    }

    fn whiteout(&mut self, parent: &[u8], name: &[u8]) -> Outcome<()> {
        self.whiteout_named(&join(parent, &[b".wh.", name].concat()))
    }

    fn whiteout_named(&mut self, path: &[u8]) -> Outcome<()> {
        self.writer.entry(&TarEntry {
            path: path.to_vec(),
            kind: EntryKind::File,
            mode: 0o600,
            uid: 0,
            gid: 0,
            modified: root::Time::default(),
            link: Vec::new(),
            device: (0, 0),
            size: 0,
            stored: 0,
            sparse: None,
            xattrs: Vec::new(),
        })
    }

    /// Anything but a directory.
    fn other(&mut self, handle: &Handle, path: &[u8], stat: &Stat) -> Outcome<()> {
        let failed = |error| file_failure(&String::from_utf8_lossy(path), error);
        if stat.kind == FileKind::Socket {
            return Ok(());
        }
        if stat.links > 1 {
            if let Some(first) = self.seen.get(&(stat.device, stat.inode)) {
                let link = first.clone();
                let mut entry = self.entry(EntryKind::HardLink, path, stat);
                entry.link = link;
                return self.writer.entry(&entry);
            }
            self.seen.insert((stat.device, stat.inode), path.to_vec());
        }
        let kind = match stat.kind {
            FileKind::Symlink => EntryKind::Symlink,
            FileKind::CharDevice => EntryKind::CharDevice,
            FileKind::BlockDevice => EntryKind::BlockDevice,
            FileKind::Fifo => EntryKind::Fifo,
            _ => EntryKind::File,
        };
        let mut entry = self.entry(kind, path, stat);
        if kind == EntryKind::Symlink {
            entry.link = handle.read_link().map_err(failed)?.into_vec();
        }
        let names = handle.xattr_names().map_err(failed)?;
        if self.options.whiteouts {
            refuse_overlay_tricks(&names, path)?;
        }
        for name in kept_names(&names) {
            if let Some(value) = handle.xattr(name).map_err(failed)? {
                entry.xattrs.push((name.as_bytes().to_vec(), value));
            }
        }
        if kind != EntryKind::File {
            return self.writer.entry(&entry);
        }
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let file = File::from(handle.reopen(flags).map_err(failed)?);
        let unreadable = |error: io::Error| {
            Failure::host(format!("cannot read `{}`", String::from_utf8_lossy(path))).because(error)
        };
        if entry.size >= SPARSE_LEAST_BYTES
            && stat.allocated < entry.size / 2
            && let Some(pieces) = data_pieces(&file, entry.size).map_err(unreadable)?
        {
            entry.stored = pieces.iter().map(|piece| piece.length).sum();
            entry.sparse = Some(pieces);
        }
        self.writer.entry(&entry)?;
        let whole = [Piece { offset: 0, length: entry.size }];
        for piece in entry.sparse.as_deref().unwrap_or(&whole) {
            let mut offset = piece.offset;
            let mut left = piece.length;
            while left > 0 {
                let most =
                    usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
                let count = file.read_at(&mut self.buffer[..most], offset).map_err(unreadable)?;
                if count == 0 {
                    // It has shrunk.
                    self.buffer[..most].fill(0);
                }
                let count = if count == 0 { most } else { count };
                self.writer.content(&self.buffer[..count])?;
                offset += count as u64;
                left -= count as u64;
            }
        }
        Ok(())
    }

    fn entry(&self, kind: EntryKind, path: &[u8], stat: &Stat) -> TarEntry {
        let id = |id| self.options.ids.map_or(id, |ids| ids.in_container(id));
        let size = if kind == EntryKind::File { stat.size } else { 0 };
        TarEntry {
            path: path.to_vec(),
            kind,
            mode: stat.mode,
            uid: id(stat.uid),
            gid: id(stat.gid),
            modified: stat.modified,
            link: Vec::new(),
            device: stat.node,
            size,
            stored: size,
            sparse: None,
            xattrs: Vec::new(),
        }
    }
}

/// Where a file has data; `None` when that is in too many pieces, or the file system doesn't say.
fn data_pieces(file: &File, size: u64) -> io::Result<Option<Vec<Piece>>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start))?.min(size);
        if start >= end {
            break;
        }
        if pieces.len() == SPARSE_PIECES {
            return Ok(None);
        }
        pieces.push(Piece { offset: start, length: end - start });
        at = end;
    }
    Ok(Some(pieces))
}

/// The host's labels and overlay's marks are not the file's own.
fn kept_names(names: &[OsString]) -> impl Iterator<Item = &OsStr> {
    names.iter().map(OsString::as_os_str).filter(|name| {
        let name = name.as_bytes();
        (name == b"security.capability"
            || name.starts_with(b"user.")
            || name.starts_with(b"system.posix_acl_"))
            && !is_overlay_xattr(name)
    })
}

/// An upper directory whose files point elsewhere can't be read on its own.
fn refuse_overlay_tricks(names: &[OsString], path: &[u8]) -> Outcome<()> {
    let tricks = ["metacopy", "redirect"];
    let found = names.iter().map(|name| name.as_bytes()).find(|name| {
        is_overlay_xattr(name) && tricks.iter().any(|trick| name.ends_with(format!(".{trick}").as_bytes()))
    });
    match found {
        None => Ok(()),
        Some(name) => Err(Failure::host(format!(
            "`{}` has its content elsewhere (`{}`)",
            String::from_utf8_lossy(path),
            String::from_utf8_lossy(name)
        ))
        .hint("mount the overlay with metacopy=off and redirect_dir=off")),
    }
}

/// In reverse, so that the next is the last.
fn sorted_names(dir: &Dir, path: &[u8]) -> Outcome<Vec<OsString>> {
    let entries = dir.entries().map_err(|error| file_failure(&String::from_utf8_lossy(path), error))?;
    let mut names: Vec<OsString> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}

fn file_failure(path: &str, error: PathError) -> Failure {
    if error.is_not_found() {
        Failure::not_found(format!("no such file or directory: `{path}`")).because(error)
    } else {
        Failure::host(format!("cannot read `{path}`")).because(error)
    }
}
