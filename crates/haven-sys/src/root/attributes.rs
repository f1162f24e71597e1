//! What a file is, and changing that through an open descriptor.

use super::Result;
use super::error::Step as _;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;

/// What sort of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    Regular,
    Directory,
    Symlink,
    CharDevice,
    BlockDevice,
    Fifo,
    Socket,
}

impl FileKind {
    fn from_mode(mode: u32) -> Self {
        match FileType::from_raw_mode(mode) {
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::CharacterDevice => Self::CharDevice,
            FileType::BlockDevice => Self::BlockDevice,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            _ => Self::Regular,
        }
    }

    pub(super) fn file_type(self) -> FileType {
        match self {
            Self::Regular => FileType::RegularFile,
            Self::Directory => FileType::Directory,
            Self::Symlink => FileType::Symlink,
            Self::CharDevice => FileType::CharacterDevice,
            Self::BlockDevice => FileType::BlockDevice,
            Self::Fifo => FileType::Fifo,
            Self::Socket => FileType::Socket,
        }
    }
}

/// A point in time, since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Time {
    pub seconds: i64,
    /// Below 1,000,000,000.
    pub nanoseconds: u32,
}

/// The times to set; `None` leaves one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    pub accessed: Option<Time>,
    pub modified: Option<Time>,
}

impl Times {
    pub(super) fn timestamps(self) -> Timestamps {
        let spec = |time: Option<Time>| match time {
            Some(time) => Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() },
            None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        Timestamps { last_access: spec(self.accessed), last_modification: spec(self.modified) }
    }
}

/// A file's attributes, see inode(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub kind: FileKind,
    /// Permission bits with set-id and sticky bits, without the kind.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Space it takes, in bytes.
    pub allocated: u64,
    pub links: u64,
    pub inode: u64,
    /// The device it lies on.
    pub device: u64,
    /// The device it is: (major, minor).
    pub node: (u32, u32),
    pub modified: Time,
    pub accessed: Time,
    pub changed: Time,
}

impl From<rustix::fs::Stat> for Stat {
    #[allow(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        clippy::unnecessary_cast,
        reason = "sizes and nanoseconds the kernel reports are never negative, nanoseconds below 2^30; widths differ by machine"
    )]
    fn from(raw: rustix::fs::Stat) -> Self {
        let time = |seconds: i64, nanoseconds: u64| Time { seconds, nanoseconds: nanoseconds as u32 };
        Self {
            kind: FileKind::from_mode(raw.st_mode),
            mode: raw.st_mode & 0o7777,
            uid: raw.st_uid,
            gid: raw.st_gid,
            size: raw.st_size as u64,
            allocated: raw.st_blocks as u64 * 512,
            links: raw.st_nlink as u64,
            inode: raw.st_ino,
            device: raw.st_dev,
            node: (rustix::fs::major(raw.st_rdev), rustix::fs::minor(raw.st_rdev)),
            modified: time(raw.st_mtime as i64, raw.st_mtime_nsec as u64),
            accessed: time(raw.st_atime as i64, raw.st_atime_nsec as u64),
            changed: time(raw.st_ctime as i64, raw.st_ctime_nsec as u64),
        }
    }
}

/// Attributes of what `fd` is open on; an `O_PATH` descriptor will do.
pub fn stat(fd: impl AsFd) -> Result<Stat> {
    rustix::fs::fstat(fd).map(Stat::from).step("fstat", "")
}

/// 2^32-1 means "leave it alone" to the kernel and can't be an owner.
pub(super) fn owner(uid: u32, gid: u32) -> rustix::io::Result<(Option<Uid>, Option<Gid>)> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
}

/// Clears set-id bits as the kernel does: set the mode afterwards.
pub fn set_owner(fd: impl AsFd, uid: u32, gid: u32) -> Result<()> {
    owner(uid, gid)
        .and_then(|(uid, gid)| rustix::fs::chownat(fd, "", uid, gid, AtFlags::EMPTY_PATH))
        .step("fchownat", "")
}

/// Permission bits with set-id and sticky bits; not for `O_PATH` descriptors.
pub fn set_mode(fd: impl AsFd, mode: u32) -> Result<()> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o7777)).step("fchmod", "")
}

/// Not for `O_PATH` descriptors.
pub fn set_times(fd: impl AsFd, times: Times) -> Result<()> {
    rustix::fs::futimens(fd, &times.timestamps()).step("futimens", "")
}

/// Adds or replaces one extended attribute; not for `O_PATH` descriptors.
pub fn set_xattr(fd: impl AsFd, name: impl AsRef<OsStr>, value: &[u8]) -> Result<()> {
    let name = name.as_ref();
    rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()).step("fsetxattr", name)
}

/// Removes one extended attribute, if it is there; not for `O_PATH` descriptors.
pub fn clear_xattr(fd: impl AsFd, name: impl AsRef<OsStr>) -> Result<()> {
    let name = name.as_ref();
    match rustix::fs::fremovexattr(fd, name) {
        Err(Errno::NODATA) => Ok(()),
        other => other.step("fremovexattr", name),
    }
}

/// The names of all extended attributes; none where the file system has no such thing. Not for `O_PATH` descriptors.
pub fn xattr_names(fd: impl AsFd) -> Result<Vec<OsString>> {
    let fd = fd.as_fd();
    read_growing(|buffer| rustix::fs::flistxattr(fd, buffer), || rustix::fs::flistxattr_query(fd))
        .map(|list| split_names(&list))
        .or_else(without_xattrs)
        .step("flistxattr", "")
}

/// One extended attribute's value, if it is there; not for `O_PATH` descriptors.
pub fn xattr(fd: impl AsFd, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>> {
    let (fd, name) = (fd.as_fd(), name.as_ref());
    let read = read_growing(
        |buffer| rustix::fs::fgetxattr(fd, name, buffer),
        || rustix::fs::fgetxattr_query(fd, name),
    );
    absent_is_none(read).step("fgetxattr", name)
}

pub(super) fn absent_is_none(read: rustix::io::Result<Vec<u8>>) -> rustix::io::Result<Option<Vec<u8>>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno),
    }
}

pub(super) fn without_xattrs(errno: Errno) -> rustix::io::Result<Vec<OsString>> {
    if errno == Errno::OPNOTSUPP { Ok(Vec::new()) } else { Err(errno) }
}

pub(super) fn split_names(list: &[u8]) -> Vec<OsString> {
    list.split(|b| *b == 0).filter(|n| !n.is_empty()).map(|n| OsStr::from_bytes(n).to_owned()).collect()
}

/// Reads something whose size may change between asking for the size and reading: 256 bytes at first, which is
/// enough for nearly all.
pub(super) fn read_growing(
    mut read: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
    mut size: impl FnMut() -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {
                let needed = size()?.max(buffer.len() + 1);
                buffer.resize(needed, 0);
            }
            Err(errno) => return Err(errno),
        }
    }
}
