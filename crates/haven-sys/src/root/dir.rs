//! A directory held by handle, worked in one name at a time. No link is ever followed.

use super::attributes::{FileKind, Stat, Times, owner, stat};
use super::error::{PathError, Step as _};
use super::{Handle, Result, Root, openat2};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Room for directory entries per call.
const LIST_BUFFER_BYTES: usize = 32 * 1024;

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: OsString,
    /// Where the file system says so in the listing.
    pub kind: Option<FileKind>,
    pub inode: u64,
}

/// One name: no slash, not `.` or `..`, not empty.
fn single<'n>(call: &'static str, name: &'n OsStr) -> Result<&'n OsStr> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(PathError::new(call, name, Errno::INVAL)),
        bytes if bytes.contains(&b'/') => Err(PathError::new(call, name, Errno::INVAL)),
        _ => Ok(name),
    }
}

impl Dir {
    pub(super) fn from_checked(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The directory `fd` is open on; it must be readable, not `O_PATH`.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        match stat(&fd)?.kind {
            FileKind::Directory => Ok(Self { fd }),
            _ => Err(PathError::new("fstat", "", Errno::NOTDIR)),
        }
    }

    /// A second descriptor on the same open directory.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { fd: rustix::io::fcntl_dupfd_cloexec(&self.fd, 0).step("fcntl", "")? })
    }

    /// This directory as a root of its own.
    pub fn into_root(self) -> Root {
        Root { top: self }
    }

    pub fn stat(&self) -> Result<Stat> {
        stat(&self.fd)
    }

    /// The directory `name` in this one.
    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = single("openat", name.as_ref())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self { fd: rustix::fs::openat(&self.fd, name, flags, Mode::empty()).step("openat", name)? })
    }

    /// As [`Dir::open_dir`], but a mount point is refused (`EXDEV`).
    pub fn open_dir_same_mount(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let name = single("openat2", name.as_ref())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        Ok(Self { fd: openat2(self.fd.as_fd(), name, flags, resolve).step("openat2", name)? })
    }

    /// The directory at a path of several names below this one: no `..` that leads out, no link, no absolute path.
    pub fn open_beneath(&self, path: impl AsRef<OsStr>) -> Result<Self> {
        let path = path.as_ref();
        let wanted = if path.is_empty() { OsStr::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        Ok(Self { fd: openat2(self.fd.as_fd(), wanted, flags, resolve).step("openat2", path)? })
    }

    /// A handle on whatever has this name.
    pub fn handle(&self, name: impl AsRef<OsStr>) -> Result<Handle> {
        let name = single("openat", name.as_ref())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Handle::from_checked(
            rustix::fs::openat(&self.fd, name, flags, Mode::empty()).step("openat", name)?,
        ))
    }

    /// Opens a regular file for reading; anything else is refused without waiting for it.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> Result<File> {
        let name = single("openat", name.as_ref())?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty()).step("openat", name)?;
        match stat(&fd)?.kind {
            FileKind::Regular => Ok(File::from(fd)),
            FileKind::Directory => Err(PathError::new("openat", name, Errno::ISDIR)),
            _ => Err(PathError::new("openat", name, Errno::INVAL)),
        }
    }

    /// Makes a new regular file and opens it for reading and writing; whatever already has the name is an error.
    pub fn create_file(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<File> {
        let name = single("openat", name.as_ref())?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(mode & 0o7777));
        Ok(File::from(fd.step("openat", name)?))
    }

    pub fn mkdir(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<()> {
        let name = single("mkdirat", name.as_ref())?;
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(mode & 0o7777)).step("mkdirat", name)
    }

    /// Makes a link that says `target`, which is kept as it is and not looked at.
    pub fn symlink(&self, target: impl AsRef<OsStr>, name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("symlinkat", name.as_ref())?;
        rustix::fs::symlinkat(target.as_ref(), &self.fd, name).step("symlinkat", name)
    }

    /// Gives the file `name` in this directory the second name `new_name` in `to`. A symbolic link gets a second
    /// name itself, it is not followed.
    pub fn hardlink(&self, name: impl AsRef<OsStr>, to: &Self, new_name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("linkat", name.as_ref())?;
        let new_name = single("linkat", new_name.as_ref())?;
        rustix::fs::linkat(&self.fd, name, &to.fd, new_name, AtFlags::empty()).step("linkat", new_name)
    }

    /// Makes a device, FIFO or socket. `device` is (major, minor), ignored where it means nothing.
    pub fn mknod(
        &self,
        name: impl AsRef<OsStr>,
        kind: FileKind,
        mode: u32,
        device: (u32, u32),
    ) -> Result<()> {
        let name = single("mknodat", name.as_ref())?;
        let device = match kind {
            FileKind::CharDevice | FileKind::BlockDevice => rustix::fs::makedev(device.0, device.1),
            _ => 0,
        };
        let mode = Mode::from_raw_mode(mode & 0o7777);
        rustix::fs::mknodat(&self.fd, name, kind.file_type(), mode, device).step("mknodat", name)
    }

    /// What `name` is; a link is not followed.
    pub fn lstat(&self, name: impl AsRef<OsStr>) -> Result<Stat> {
        let name = single("fstatat", name.as_ref())?;
        rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).map(Stat::from).step("fstatat", name)
    }

    pub fn read_link(&self, name: impl AsRef<OsStr>) -> Result<OsString> {
        let name = single("readlinkat", name.as_ref())?;
        let target = rustix::fs::readlinkat(&self.fd, name, Vec::new()).step("readlinkat", name)?;
        Ok(OsString::from_vec(target.into_bytes()))
    }

    /// Clears set-id bits as the kernel does: set the mode afterwards.
    pub fn set_owner(&self, name: impl AsRef<OsStr>, uid: u32, gid: u32) -> Result<()> {
        let name = single("fchownat", name.as_ref())?;
        owner(uid, gid)
            .and_then(|(uid, gid)| rustix::fs::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW))
            .step("fchownat", name)
    }

    pub fn set_times(&self, name: impl AsRef<OsStr>, times: Times) -> Result<()> {
        let name = single("utimensat", name.as_ref())?;
        rustix::fs::utimensat(&self.fd, name, &times.timestamps(), AtFlags::SYMLINK_NOFOLLOW)
            .step("utimensat", name)
    }

    /// Removes a name that isn't a directory's.
    pub fn unlink(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("unlinkat", name.as_ref())?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).step("unlinkat", name)
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("unlinkat", name.as_ref())?;
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).step("unlinkat", name)
    }

    /// Moves `name` to `new_name` in `to`, replacing what is there as rename(2) does.
    pub fn rename(&self, name: impl AsRef<OsStr>, to: &Self, new_name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("renameat", name.as_ref())?;
        let new_name = single("renameat", new_name.as_ref())?;
        rustix::fs::renameat(&self.fd, name, &to.fd, new_name).step("renameat", name)
    }

    /// As [`Dir::rename`], but an error when `new_name` is taken.
    pub fn rename_new(&self, name: impl AsRef<OsStr>, to: &Self, new_name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("renameat2", name.as_ref())?;
        let new_name = single("renameat2", new_name.as_ref())?;
        rustix::fs::renameat_with(&self.fd, name, &to.fd, new_name, RenameFlags::NOREPLACE)
            .step("renameat2", name)
    }

    /// Removes `name` and everything below it. Mounts below it are an error, never entered.
    pub fn remove_all(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = single("remove_all", name.as_ref())?;
        super::remove::remove_all(self, name)
    }

    /// All names but `.` and `..`, in the file system's order.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut found = Vec::new();
        self.each_entry(|entry| {
            found.push(entry);
            true
        })?;
        Ok(found)
    }

    /// Calls `visit` for each name until it says `false`.
    pub(super) fn each_entry(&self, mut visit: impl FnMut(Entry) -> bool) -> Result<()> {
        // A descriptor of its own: the position in the listing belongs to the open file.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, ".", flags, Mode::empty()).step("openat", ".")?;
        let mut buffer = vec![MaybeUninit::uninit(); LIST_BUFFER_BYTES];
        let mut list = RawDir::new(&fd, &mut buffer);
        while let Some(next) = list.next() {
            let next = next.step("getdents64", "")?;
            let name = next.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match next.file_type() {
                FileType::RegularFile => Some(FileKind::Regular),
                FileType::Directory => Some(FileKind::Directory),
                FileType::Symlink => Some(FileKind::Symlink),
                FileType::CharacterDevice => Some(FileKind::CharDevice),
                FileType::BlockDevice => Some(FileKind::BlockDevice),
                FileType::Fifo => Some(FileKind::Fifo),
                FileType::Socket => Some(FileKind::Socket),
                _ => None,
            };
            if !visit(Entry { name: OsStr::from_bytes(name).to_owned(), kind, inode: next.ino() }) {
                break;
            }
        }
        Ok(())
    }

    /// Waits until everything written to this directory's file system is on its disk.
    pub fn sync_file_system(&self) -> Result<()> {
        rustix::fs::syncfs(&self.fd).step("syncfs", "")
    }

    /// Waits until this directory's own names are on its disk.
    pub fn sync(&self) -> Result<()> {
        rustix::fs::fsync(&self.fd).step("fsync", "")
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.fd
    }
}
