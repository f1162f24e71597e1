//! Files of this host as a tar stream, made while it is read.

use crate::console;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tar::{Builder, EntryType, Header};

/// Deepest directory; deeper ones are refused before the stack is in danger.
const DEPTH_LIMIT: usize = 1000;

/// A tar stream of `source`, whose entries begin with `name`. Links are packed as links.
pub(crate) fn pack(source: PathBuf, name: String) -> io::Result<Box<dyn Read + Send>> {
    fs::symlink_metadata(&source)?;
    let (reader, writer) = io::pipe()?;
    let failure = Arc::new(Mutex::new(None));
    let note = Arc::clone(&failure);
    std::thread::Builder::new().name("pack".into()).spawn(move || {
        // The lock is held while the pipe is open: who reads its end waits here for the reason.
        let Ok(mut slot) = note.lock() else { return };
        *slot = write(writer, &source, &name).err();
    })?;
    Ok(Box::new(Packed { reader, failure }))
}

/// The reading end; a failure while packing is a failure of reading, not a short archive.
struct Packed {
    reader: PipeReader,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Read for Packed {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(space)?;
        if count == 0
            && !space.is_empty()
            && let Ok(mut slot) = self.failure.lock()
            && let Some(error) = slot.take()
        {
            return Err(error);
        }
        Ok(count)
    }
}

fn write(writer: PipeWriter, source: &Path, name: &str) -> io::Result<()> {
    let mut packer = Packer { builder: Builder::new(writer), seen: HashMap::new() };
    packer.add(source, Path::new(name), 0)?;
    packer.builder.finish()
}

struct Packer {
    builder: Builder<PipeWriter>,
    /// Files with several names: device and inode, and the name they were packed under.
    seen: HashMap<(u64, u64), PathBuf>,
}

impl Packer {
    fn add(&mut self, source: &Path, name: &Path, depth: usize) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", source.display()));
        let data = fs::symlink_metadata(source).map_err(named)?;
        let mut header = Header::new_gnu();
        header.set_mode(data.mode() & 0o7777);
        header.set_uid(u64::from(data.uid()));
        header.set_gid(u64::from(data.gid()));
        header.set_mtime(u64::try_from(data.mtime()).unwrap_or(0));
        header.set_size(0);
        let kind = data.file_type();
        if kind.is_dir() {
            if depth == DEPTH_LIMIT {
                return Err(io::Error::other(format!("{}: directories nest too deep", source.display())));
            }
            header.set_entry_type(EntryType::Directory);
            self.builder.append_data(&mut header, name, io::empty())?;
            let mut children: Vec<_> =
                fs::read_dir(source).map_err(named)?.collect::<Result<_, _>>().map_err(named)?;
            children.sort_by_key(fs::DirEntry::file_name);
            for child in children {
                self.add(&child.path(), &name.join(child.file_name()), depth + 1)?;
            }
            return Ok(());
        }
        if kind.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            let target = fs::read_link(source).map_err(named)?;
            return self.builder.append_link(&mut header, name, target);
        }
        if kind.is_socket() {
            console::note(&format!("warning: {}: sockets are not copied", source.display()));
            return Ok(());
        }
        if data.nlink() > 1
            && let Some(first) = self.seen.insert((data.dev(), data.ino()), name.to_owned())
        {
            self.seen.insert((data.dev(), data.ino()), first.clone());
            header.set_entry_type(EntryType::Link);
            return self.builder.append_link(&mut header, name, first);
        }
        if kind.is_file() {
            header.set_entry_type(EntryType::Regular);
            header.set_size(data.len());
            let file = File::open(source).map_err(named)?;
            let exact = Exact { file, left: data.len() };
            return self.builder.append_data(&mut header, name, exact).map_err(named);
        }
        header.set_entry_type(if kind.is_char_device() {
            EntryType::Char
        } else if kind.is_block_device() {
            EntryType::Block
        } else {
            EntryType::Fifo
        });
        header.set_device_major(rustix::fs::major(data.rdev()))?;
        header.set_device_minor(rustix::fs::minor(data.rdev()))?;
        self.builder.append_data(&mut header, name, io::empty())
    }
}

/// Exactly the announced bytes of a file that may grow or shrink meanwhile.
struct Exact {
    file: File,
    left: u64,
}

impl Read for Exact {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(space.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut space[..most])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was copied",
            ));
        }
        self.left -= count as u64;
        Ok(count)
    }
}
