//! A handle on any file, links and devices included, that doesn't open it.
//!
//! An `O_PATH` descriptor has no operations of its own in the kernel; where a call wants a path, it is given
//! `/proc/thread-self/fd/N`, which leads to exactly the file the descriptor holds and, for a symbolic link, not past
//! it. So `/proc` must be mounted where attributes other than the owner are changed by handle.

use super::attributes::{
    Stat, Times, absent_is_none, owner, read_growing, split_names, stat, without_xattrs,
};
use super::error::{PathError, Step as _};
use super::{Dir, Result};
use rustix::fs::{AtFlags, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

/// Whether a symbolic link at the end of a path is followed. Those before the end always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    Yes,
    No,
}

/// A file of any kind, held but not opened.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
}

impl Handle {
    pub(super) fn from_checked(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// From any descriptor: a fresh `O_PATH` handle on the same file.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let handle = Self { fd };
        let fd = rustix::fs::open(handle.proc_path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        Ok(Self { fd: fd.step("open", handle.proc_path())? })
    }

    fn proc_path(&self) -> String {
        format!("/proc/thread-self/fd/{}", self.fd.as_raw_fd())
    }

    pub fn stat(&self) -> Result<Stat> {
        stat(&self.fd)
    }

    /// What the link says.
    pub fn read_link(&self) -> Result<OsString> {
        let target = rustix::fs::readlinkat(&self.fd, "", Vec::new());
        // The kernel says ENOENT for an empty path on anything but a link.
        let target = target.map_err(|errno| if errno == Errno::NOENT { Errno::INVAL } else { errno });
        Ok(OsString::from_vec(target.step("readlinkat", "")?.into_bytes()))
    }

    /// Really opens the file. A link can't be opened (`ELOOP`).
    pub fn reopen(&self, flags: OFlags) -> Result<OwnedFd> {
        let path = self.proc_path();
        let flags = (flags | OFlags::CLOEXEC) - OFlags::CREATE - OFlags::NOFOLLOW;
        rustix::fs::open(&path, flags, Mode::empty()).step("open", path)
    }

    /// As a directory to work in.
    pub fn open_dir(&self) -> Result<Dir> {
        Ok(Dir::from_checked(self.reopen(OFlags::RDONLY | OFlags::DIRECTORY)?))
    }

    /// Clears set-id bits as the kernel does: set the mode afterwards.
    pub fn set_owner(&self, uid: u32, gid: u32) -> Result<()> {
        owner(uid, gid)
            .and_then(|(uid, gid)| rustix::fs::chownat(&self.fd, "", uid, gid, AtFlags::EMPTY_PATH))
            .step("fchownat", "")
    }

    /// Links have no mode of their own; asking for one is refused by the kernel.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        let path = self.proc_path();
        rustix::fs::chmod(&path, Mode::from_raw_mode(mode & 0o7777)).step("chmod", path)
    }

    pub fn set_times(&self, times: Times) -> Result<()> {
        rustix::fs::utimensat(&self.fd, "", &times.timestamps(), AtFlags::EMPTY_PATH).step("utimensat", "")
    }

    pub fn set_xattr(&self, name: impl AsRef<OsStr>, value: &[u8]) -> Result<()> {
        let name = name.as_ref();
        rustix::fs::setxattr(self.proc_path(), name, value, XattrFlags::empty()).step("setxattr", name)
    }

    /// The names of all extended attributes; none where the file system has no such thing.
    pub fn xattr_names(&self) -> Result<Vec<OsString>> {
        let path = self.proc_path();
        read_growing(|buffer| rustix::fs::listxattr(&path, buffer), || rustix::fs::listxattr_query(&path))
            .map(|list| split_names(&list))
            .or_else(without_xattrs)
            .step("listxattr", "")
    }

    /// One extended attribute's value, if it is there.
    pub fn xattr(&self, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>> {
        let (path, name) = (self.proc_path(), name.as_ref());
        let read = read_growing(
            |buffer| rustix::fs::getxattr(&path, name, buffer),
            || rustix::fs::getxattr_query(&path, name),
        );
        absent_is_none(read).step("getxattr", name)
    }

    /// Where the host sees this file now, for messages only: by the time it is read it may be elsewhere.
    pub fn host_path(&self) -> Result<OsString> {
        let path = self.proc_path();
        let target = rustix::fs::readlink(&path, Vec::new());
        Ok(OsString::from_vec(target.map_err(|errno| PathError::new("readlink", path, errno))?.into_bytes()))
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> Self {
        handle.fd
    }
}
