//! Paths inside a root file system, resolved by handle.
//!
//! Every file system Haven touches on behalf of a container was written by somebody else, and may be rewritten while
//! we look at it. A path is therefore never joined to a string and handed to the kernel: it is resolved by `openat2`
//! against a directory handle, and what is done next is done to the handle. This is the only module that may do so;
//! the worst holes of container runtimes (a link swapped between check and use) are impossible by construction.
//!
//! ```text
//! Root ──resolve──▶ Handle        O_PATH: anything, also links and devices; attributes by handle
//!   │                 └─reopen──▶ File
//!   └──open_dir / open_parent / mkdir_all──▶ Dir ──one name at a time──▶ Dir, File, Handle
//! ```
//!
//! Two ways of reading a path exist, and the names say which is meant:
//! - [`Root`]'s methods follow links as a process confined to that root would (`RESOLVE_IN_ROOT`): `..` stops at the
//!   root, absolute links start there. For mount targets and copying.
//! - [`Dir`]'s methods take one name, and never follow a link. For unpacking and removing.
//!   [`Dir::open_beneath`] takes several names and refuses links altogether.
//!
//! Magic links (`/proc/PID/fd/…`) are refused everywhere. It decides nothing about owners or contents.
//! See openat2(2), path_resolution(7).

mod attributes;
mod dir;
mod error;
mod handle;
mod remove;
#[cfg(test)]
mod tests;

pub use attributes::{
    FileKind, Stat, Time, Times, clear_xattr, set_mode, set_owner, set_times, set_xattr, stat, xattr,
    xattr_names,
};
pub use dir::{Dir, Entry};
pub use error::PathError;
pub use handle::{Follow, Handle};

use error::Step;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// A result whose error names the call and the path.
pub type Result<T> = std::result::Result<T, PathError>;

/// Links followed while directories are made, as many as the kernel follows in one path.
const LINK_LIMIT: u32 = 40;

/// Times a look-up is repeated when the kernel saw a rename race with a `..` and could not decide.
const RETRY_LIMIT: u32 = 128;

/// `openat2`, repeated while the kernel asks for it.
fn openat2(
    dir: BorrowedFd<'_>,
    path: &OsStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    let mut attempt = 0;
    loop {
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if attempt < RETRY_LIMIT => attempt += 1,
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// A root file system, held by a handle on its top directory.
#[derive(Debug)]
pub struct Root {
    top: Dir,
}

impl Root {
    /// The directory at `path` of the host. Links on the way are followed: the path must be trusted.
    pub fn open(path: impl AsRef<OsStr>) -> Result<Self> {
        let path = path.as_ref();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(rustix::fs::CWD, path, flags, Mode::empty()).step("open", path)?;
        Ok(Self { top: Dir::from_checked(fd) })
    }

    /// The directory `fd` is open on.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        Ok(Self { top: Dir::from_fd(fd)? })
    }

    /// The top directory, for work one name at a time.
    pub fn top(&self) -> &Dir {
        &self.top
    }

    pub fn into_top(self) -> Dir {
        self.top
    }

    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { top: self.top.try_clone()? })
    }

    /// A handle on whatever `path` names.
    pub fn resolve(&self, path: impl AsRef<OsStr>, follow: Follow) -> Result<Handle> {
        let path = path.as_ref();
        let mut flags = OFlags::PATH;
        if follow == Follow::No {
            flags |= OFlags::NOFOLLOW;
        }
        Ok(Handle::from_checked(self.open_in_root(path, flags)?))
    }

    /// Opens the existing `path` with `flags`. A FIFO or device is opened too when the flags allow it: add
    /// `O_NONBLOCK` where the content isn't trusted.
    pub fn open_with(&self, path: impl AsRef<OsStr>, flags: OFlags) -> Result<OwnedFd> {
        self.open_in_root(path.as_ref(), flags - OFlags::CREATE - OFlags::TMPFILE)
    }

    /// Opens a regular file for reading. Anything else is refused without waiting for it.
    pub fn open_file(&self, path: impl AsRef<OsStr>) -> Result<File> {
        let path = path.as_ref();
        let fd = self.open_in_root(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        match stat(&fd)?.kind {
            FileKind::Regular => Ok(File::from(fd)),
            FileKind::Directory => Err(PathError::new("openat2", path, Errno::ISDIR)),
            _ => Err(PathError::new("openat2", path, Errno::INVAL)),
        }
    }

    pub fn open_dir(&self, path: impl AsRef<OsStr>) -> Result<Dir> {
        Ok(Dir::from_checked(self.open_in_root(path.as_ref(), OFlags::RDONLY | OFlags::DIRECTORY)?))
    }

    /// The directory that holds `path`'s last name, and that name. The last name itself is not looked at; a path
    /// that ends in `..` or names the root itself has none and is refused.
    pub fn open_parent(&self, path: impl AsRef<OsStr>) -> Result<(Dir, OsString)> {
        let (parent, name) = split_last(path.as_ref())?;
        Ok((self.open_dir(parent)?, name))
    }

    /// What `path` is; a link at its end is not followed.
    pub fn lstat(&self, path: impl AsRef<OsStr>) -> Result<Stat> {
        self.resolve(path, Follow::No)?.stat()
    }

    /// What `path` leads to.
    pub fn stat(&self, path: impl AsRef<OsStr>) -> Result<Stat> {
        self.resolve(path, Follow::Yes)?.stat()
    }

    pub fn read_link(&self, path: impl AsRef<OsStr>) -> Result<OsString> {
        self.resolve(path, Follow::No)?.read_link()
    }

    pub fn read_dir(&self, path: impl AsRef<OsStr>) -> Result<Vec<Entry>> {
        self.open_dir(path)?.entries()
    }

    /// Makes `path` and every missing directory above it; those made get `mode` (less the umask). What exists stays
    /// as it is. A link on the way that leads to a missing directory has that made, inside the root.
    pub fn mkdir_all(&self, path: impl AsRef<OsStr>, mode: u32) -> Result<Dir> {
        let whole = path.as_ref();
        let mut wanted = whole.to_owned();
        for _ in 0..=LINK_LIMIT {
            match self.open_dir(&wanted) {
                Ok(dir) => return Ok(dir),
                Err(error) if error.errno() == Errno::NOENT => {}
                Err(error) => return Err(error),
            }
            match self.mkdir_missing(&wanted, mode)? {
                Made::All(dir) => return Ok(dir),
                Made::MetLink(instead) => wanted = instead,
            }
        }
        Err(PathError::new("mkdir_all", whole, Errno::LOOP))
    }

    fn mkdir_missing(&self, path: &OsStr, mode: u32) -> Result<Made> {
        let names: Vec<&[u8]> = path.as_bytes().split(|b| *b == b'/').filter(|n| !n.is_empty()).collect();
        // The longest part that exists; at worst the root itself.
        let mut known = names.len();
        let mut dir = loop {
            known = known.saturating_sub(1);
            match self.open_dir(OsStr::from_bytes(&names[..known].join(&b'/'))) {
                Ok(dir) => break dir,
                Err(error) if error.errno() == Errno::NOENT && known > 0 => {}
                Err(error) => return Err(error),
            }
        };
        for (index, name) in names.iter().enumerate().skip(known) {
            let name = OsStr::from_bytes(name);
            if name == "." {
                continue;
            }
            match dir.mkdir(name, mode) {
                Ok(()) => {}
                Err(error) if error.errno() == Errno::EXIST => {}
                Err(error) => return Err(error),
            }
            dir = match dir.open_dir(name) {
                Ok(next) => next,
                Err(error) if matches!(error.errno(), Errno::NOTDIR | Errno::LOOP) => {
                    // A link that leads nowhere yet: continue at what it says, read from the root again.
                    let target = dir.read_link(name).map_err(|_not_a_link| error)?;
                    let mut instead = Vec::new();
                    if !target.as_bytes().starts_with(b"/") {
                        instead = names[..index].join(&b'/');
                        instead.push(b'/');
                    }
                    instead.extend_from_slice(target.as_bytes());
                    for rest in &names[index + 1..] {
                        instead.push(b'/');
                        instead.extend_from_slice(rest);
                    }
                    return Ok(Made::MetLink(OsString::from_vec(instead)));
                }
                Err(error) => return Err(error),
            };
        }
        Ok(Made::All(dir))
    }

    /// A handle on the file at `path`, for mounting on: an empty one is made, with the directories above it, when
    /// nothing is there. `mode` is the file's, directories get 0755.
    pub fn file_target(&self, path: impl AsRef<OsStr>, mode: u32) -> Result<Handle> {
        let mut wanted = path.as_ref().to_owned();
        for _ in 0..=LINK_LIMIT {
            match self.resolve(&wanted, Follow::Yes) {
                Err(error) if error.errno() == Errno::NOENT => {}
                other => return other,
            }
            let (parent, name) = split_last(&wanted)?;
            let dir = self.mkdir_all(parent, 0o755)?;
            match dir.create_file(&name, mode) {
                Ok(file) => return Handle::from_fd(OwnedFd::from(file)),
                Err(error) if error.errno() == Errno::EXIST => {}
                Err(error) => return Err(error),
            }
            let Ok(target) = dir.read_link(&name) else { continue };
            let mut instead = Vec::new();
            if !target.as_bytes().starts_with(b"/") {
                instead.extend_from_slice(parent.as_bytes());
                instead.push(b'/');
            }
            instead.extend_from_slice(target.as_bytes());
            wanted = OsString::from_vec(instead);
        }
        Err(PathError::new("file_target", path.as_ref(), Errno::LOOP))
    }

    /// Makes a new regular file and opens it for reading and writing; whatever already has the name is an error.
    pub fn create_file(&self, path: impl AsRef<OsStr>, mode: u32) -> Result<File> {
        let (dir, name) = self.open_parent(path)?;
        dir.create_file(name, mode)
    }

    /// Makes a link at `path` that says `target`, which is kept as it is and not looked at.
    pub fn symlink(&self, target: impl AsRef<OsStr>, path: impl AsRef<OsStr>) -> Result<()> {
        let (dir, name) = self.open_parent(path)?;
        dir.symlink(target, name)
    }

    /// Gives the existing file `path` (a link at its end is not followed) the second name `new`.
    pub fn hardlink(&self, path: impl AsRef<OsStr>, new: impl AsRef<OsStr>) -> Result<()> {
        let (from, old_name) = self.open_parent(path)?;
        let (to, new_name) = self.open_parent(new)?;
        from.hardlink(old_name, &to, new_name)
    }

    /// Makes a device, FIFO or socket. `device` is (major, minor), ignored where it means nothing.
    pub fn mknod(
        &self,
        path: impl AsRef<OsStr>,
        kind: FileKind,
        mode: u32,
        device: (u32, u32),
    ) -> Result<()> {
        let (dir, name) = self.open_parent(path)?;
        dir.mknod(name, kind, mode, device)
    }

    /// Removes `path` and everything below it. Mounts below it are an error, never entered.
    pub fn remove_all(&self, path: impl AsRef<OsStr>) -> Result<()> {
        let (dir, name) = self.open_parent(path)?;
        dir.remove_all(name)
    }

    fn open_in_root(&self, path: &OsStr, flags: OFlags) -> Result<OwnedFd> {
        let wanted = if path.is_empty() { OsStr::new(".") } else { path };
        openat2(self.top.as_fd(), wanted, flags, ResolveFlags::IN_ROOT).step("openat2", path)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }
}

enum Made {
    All(Dir),
    MetLink(OsString),
}

/// Splits off the last name; slashes at the end don't count.
fn split_last(path: &OsStr) -> Result<(&OsStr, OsString)> {
    let bytes = path.as_bytes();
    let end = bytes.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let start = bytes[..end].iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    match &bytes[start..end] {
        b"" | b"." | b".." => Err(PathError::new("open_parent", path, Errno::INVAL)),
        name => Ok((OsStr::from_bytes(&bytes[..start]), OsStr::from_bytes(name).to_owned())),
    }
}
