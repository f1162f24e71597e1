//! A tar stream from a container into a directory of this host.
//!
//! The archive is hostile until shown otherwise: absolute paths and `..` are refused, parents are opened by handle
//! without following links, a file never overwrites a directory nor the reverse, devices are left out. Files belong
//! to whoever copies and lose their set-id bits, unless owners were asked for.

use super::name::Renaming;
use crate::console;
use haven_spec::{Failure, Outcome};
use haven_sys::root::{Dir, FileKind, PathError, Root, Time, Times, set_mode, set_owner, set_times};
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// What is kept of the archive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unpacking {
    pub(crate) renaming: Option<Renaming>,
    /// Owners and set-id bits too.
    pub(crate) owners: bool,
}

/// Unpacks `source` into the existing directory `target`.
pub(crate) fn unpack(source: impl Read, target: &Path, how: &Unpacking) -> Outcome<()> {
    let into = || format!("cannot unpack into `{}`", target.display());
    let root = Root::open(target).map_err(|error| Failure::host(into()).because(error))?;
    let mut unpacker = Unpacker { top: root.into_top(), how, directories: Vec::new() };
    let mut archive = Archive::new(source);
    let entries =
        archive.entries().map_err(|error| Failure::host("cannot read the archive").because(error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| Failure::host("the archive broke off").because(error))?;
        let path =
            entry.path().map_err(|error| Failure::invalid("an entry has no usable name").because(error))?;
        let path = path.into_owned();
        unpacker.entry(&mut entry, &path).map_err(|reason| {
            let failure = Failure::host(format!("cannot unpack `{}`", path.display()));
            match reason {
                Reason::Path(error) => failure.because(error),
                Reason::Io(error) => failure.because(error),
                Reason::Refused(words) => failure.because(words),
            }
        })?;
    }
    unpacker.finish().map_err(|error| Failure::host(into()).because(error))
}

enum Reason {
    Path(PathError),
    Io(io::Error),
    Refused(&'static str),
}

impl From<PathError> for Reason {
    fn from(error: PathError) -> Self {
        Self::Path(error)
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Unpacker<'a> {
    top: Dir,
    how: &'a Unpacking,
    /// Directories get their times last, when nothing changes in them any more.
    directories: Vec<(PathBuf, Time)>,
}

impl Unpacker<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, path: &Path) -> Result<(), Reason> {
        let Some(path) = self.local(path)? else {
            return Ok(());
        };
        let header = entry.header().clone();
        let kind = header.entry_type();
        let modified =
            Time { seconds: i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), nanoseconds: 0 };
        let mode = header.mode().unwrap_or(0o644) & if self.how.owners { 0o7777 } else { 0o1777 };
        let (parent, name) = self.parent(&path)?;
        if kind == EntryType::Directory {
            match parent.lstat(&name) {
                Ok(stat) if stat.kind == FileKind::Directory => {}
                Ok(_) => return Err(Reason::Refused("cannot overwrite non-directory with a directory")),
                Err(_) => parent.mkdir(&name, 0o700)?,
            }
            let made = parent.open_dir(&name)?;
            self.own(&made, &header)?;
            set_mode(&made, mode)?;
            self.directories.push((path, modified));
            return Ok(());
        }
        match parent.lstat(&name) {
            Ok(stat) if stat.kind == FileKind::Directory => {
                return Err(Reason::Refused("cannot overwrite directory with non-directory"));
            }
            Ok(_) => parent.unlink(&name)?,
            Err(_) => {}
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mut file = parent.create_file(&name, 0o600)?;
                io::copy(entry, &mut file)?;
                self.own(&file, &header)?;
                set_mode(&file, mode)?;
                set_times(&file, Times { accessed: None, modified: Some(modified) })?;
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or(Reason::Refused("the link names no target"))?;
                parent.symlink(target.as_os_str(), &name)?;
                if self.how.owners {
                    let (uid, gid) = owners(&header)?;
                    parent.set_owner(&name, uid, gid)?;
                }
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or(Reason::Refused("the link names no target"))?;
                let target = self.local(&target)?.ok_or(Reason::Refused("a hard link to a directory"))?;
                let (from, old_name) = self.parent(&target)?;
                from.hardlink(&old_name, &parent, &name)?;
            }
            EntryType::Fifo => parent.mknod(&name, FileKind::Fifo, mode, (0, 0))?,
            EntryType::Char | EntryType::Block => {
                console::note(&format!("warning: {}: devices are not copied", path.display()));
            }
            _ => {}
        }
        Ok(())
    }

    /// The entry's place below the target, renamed if asked; `None` for the target itself.
    fn local(&self, path: &Path) -> Result<Option<PathBuf>, Reason> {
        let renamed = match &self.how.renaming {
            Some(renaming) => renaming.apply(path),
            None => path.to_owned(),
        };
        let mut local = PathBuf::new();
        for part in renamed.components() {
            match part {
                Component::Normal(name) => local.push(name),
                Component::CurDir => {}
                Component::ParentDir => return Err(Reason::Refused("its path climbs with `..`")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(Reason::Refused("its path is absolute"));
                }
            }
        }
        Ok((!local.as_os_str().is_empty()).then_some(local))
    }

    /// The directory an entry lies in, made if it isn't there yet.
    fn parent(&self, path: &Path) -> Result<(Dir, OsString), Reason> {
        let name = path.file_name().ok_or(Reason::Refused("it has no name"))?.to_owned();
        let mut directory = self.top.try_clone()?;
        for part in path.parent().into_iter().flat_map(Path::components) {
            let part = part.as_os_str();
            directory = match directory.open_dir(part) {
                Ok(next) => next,
                Err(error) if error.errno() == rustix::io::Errno::NOENT => {
                    directory.mkdir(part, 0o755)?;
                    directory.open_dir(part)?
                }
                Err(error) => return Err(error.into()),
            };
        }
        Ok((directory, name))
    }

    fn own(&self, made: impl std::os::fd::AsFd, header: &tar::Header) -> Result<(), Reason> {
        if self.how.owners {
            let (uid, gid) = owners(header)?;
            set_owner(made, uid, gid)?;
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), PathError> {
        for (path, modified) in self.directories.iter().rev() {
            // One that was replaced meanwhile has other times.
            if let Ok(directory) = self.top.open_beneath(path) {
                set_times(&directory, Times { accessed: None, modified: Some(*modified) })?;
            }
        }
        Ok(())
    }
}

fn owners(header: &tar::Header) -> Result<(u32, u32), Reason> {
    let narrow =
        |id: u64| u32::try_from(id).map_err(|_| Reason::Refused("its owner's number is out of range"));
    Ok((narrow(header.uid()?)?, narrow(header.gid()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tar::{Builder, Header};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("haven-unpack-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// An archive of (type, path, link target or content).
    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (kind, path, text) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            let content = if matches!(kind, EntryType::Regular) { text.as_bytes() } else { b"" };
            header.set_size(content.len() as u64);
            let name = path.as_bytes();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            if matches!(kind, EntryType::Link | EntryType::Symlink) {
                header.as_old_mut().linkname[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_arrive_without_set_id_bits() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new("plain");
        let bytes = archive(&[
            (EntryType::Directory, "d/", ""),
            (EntryType::Regular, "d/f", "text"),
            (EntryType::Link, "d/g", "d/f"),
            (EntryType::Symlink, "d/l", "/etc/passwd"),
        ]);
        let renaming = Some(Renaming { old: "d".into(), new: "copy".into() });
        unpack(bytes.as_slice(), &scratch.0, &Unpacking { renaming, owners: false }).unwrap();
        assert_eq!(fs::read_to_string(scratch.0.join("copy/g")).unwrap(), "text");
        let mode = fs::metadata(scratch.0.join("copy/f")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert_eq!(fs::read_link(scratch.0.join("copy/l")).unwrap(), Path::new("/etc/passwd"));
    }

    #[test]
    fn nothing_leaves_the_target() {
        let scratch = Scratch::new("hostile");
        let inside = scratch.0.join("inside");
        for (name, entries) in [
            ("climbing", vec![(EntryType::Regular, "../escaped", "x")]),
            ("absolute", vec![(EntryType::Regular, "/tmp/haven-escaped", "x")]),
            ("through a link", vec![(EntryType::Symlink, "l", ".."), (EntryType::Regular, "l/escaped", "x")]),
            ("hard link out", vec![(EntryType::Link, "h", "../secret")]),
            (
                "hard link through a link",
                vec![(EntryType::Symlink, "l", ".."), (EntryType::Link, "h", "l/secret")],
            ),
            (
                "a file over a directory",
                vec![(EntryType::Directory, "d/", ""), (EntryType::Regular, "d", "x")],
            ),
            (
                "a directory over a file",
                vec![(EntryType::Regular, "d", "x"), (EntryType::Directory, "d/", "")],
            ),
        ] {
            drop(fs::remove_dir_all(&inside));
            fs::create_dir_all(&inside).unwrap();
            fs::write(scratch.0.join("secret"), "s").unwrap();
            let bytes = archive(&entries);
            assert!(unpack(bytes.as_slice(), &inside, &Unpacking::default()).is_err(), "{name}");
            assert!(!scratch.0.join("escaped").exists(), "{name}");
            assert!(!inside.join("h").exists(), "{name}");
        }
    }

    #[test]
    fn a_truncated_archive_is_an_error() {
        let scratch = Scratch::new("short");
        let bytes = archive(&[(EntryType::Regular, "f", &"x".repeat(2000))]);
        assert!(unpack(&bytes[..1000], &scratch.0, &Unpacking::default()).is_err());
    }
}
