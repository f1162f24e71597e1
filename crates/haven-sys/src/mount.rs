//! Mounts as descriptors: what the new mount API has and rustix lacks.
//!
//! Everything Haven mounts is made detached (fsmount(2), open_tree(2)), shaped here, and attached once by
//! move_mount(2) on a descriptor of the target. See mount_setattr(2).

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `MOUNT_ATTR_…` of mount_setattr(2).
pub mod attribute {
    pub const RDONLY: u64 = 0x1;
    pub const NOSUID: u64 = 0x2;
    pub const NODEV: u64 = 0x4;
    pub const NOEXEC: u64 = 0x8;
    /// The field of the access-time modes; relatime is its zero.
    pub const ATIME: u64 = 0x70;
    pub const NOATIME: u64 = 0x10;
    pub const STRICTATIME: u64 = 0x20;
    pub const NODIRATIME: u64 = 0x80;
    pub const NOSYMFOLLOW: u64 = 0x20_0000;
}

/// `MS_…` of mount(2): how mounts made on one side show on the other.
pub mod propagation {
    pub const UNBINDABLE: u64 = 1 << 17;
    pub const PRIVATE: u64 = 1 << 18;
    pub const SLAVE: u64 = 1 << 19;
    pub const SHARED: u64 = 1 << 20;
}

/// A mount that could not be made: which call, and what the file system said beside the error number.
#[derive(Debug)]
pub struct MountError {
    pub call: String,
    pub errno: rustix::io::Errno,
    pub said: Option<String>,
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, io::Error::from(self.errno))?;
        match &self.said {
            Some(said) => write!(f, " ({said})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for MountError {}

impl MountError {
    fn new(call: impl Into<String>, errno: rustix::io::Errno) -> Self {
        Self { call: call.into(), errno, said: None }
    }
}

/// A file system being configured: fsopen(2), fsconfig(2), fsmount(2).
#[derive(Debug)]
pub struct FileSystem {
    context: OwnedFd,
    name: String,
}

impl FileSystem {
    pub fn open(name: &str) -> Result<Self, MountError> {
        match fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC) {
            Ok(context) => Ok(Self { context, name: name.to_owned() }),
            Err(errno) => Err(MountError::new(format!("fsopen `{name}`"), errno)),
        }
    }

    pub fn flag(self, key: &str) -> Result<Self, MountError> {
        let done = fsconfig_set_flag(&self.context, key);
        self.check(done, key)
    }

    pub fn string(self, key: &str, value: impl AsRef<OsStr>) -> Result<Self, MountError> {
        let done = fsconfig_set_string(&self.context, key, value.as_ref());
        self.check(done, key)
    }

    /// A parameter that is a file or directory, by descriptor.
    pub fn descriptor(self, key: &str, value: BorrowedFd<'_>) -> Result<Self, MountError> {
        match fsconfig_set_fd(&self.context, key, value) {
            // Before 6.13 overlayfs takes layers by path only.
            Err(rustix::io::Errno::INVAL) => {
                let path = format!("/proc/thread-self/fd/{}", value.as_raw_fd());
                self.string(key, path)
            }
            done => self.check(done, key),
        }
    }

    /// `key=value` or a flag, as in fstab(5).
    pub fn option(self, text: &str) -> Result<Self, MountError> {
        match text.split_once('=') {
            Some((key, value)) => self.string(key, value),
            None => self.flag(text),
        }
    }

    /// The file system, mounted nowhere yet.
    pub fn mount(self, attributes: u64) -> Result<OwnedFd, MountError> {
        let done = fsconfig_create(&self.context);
        let this = self.check(done, "create")?;
        let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).unwrap_or(0));
        fsmount(&this.context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(|errno| this.error("fsmount", errno))
    }

    fn check(self, done: rustix::io::Result<()>, key: &str) -> Result<Self, MountError> {
        match done {
            Ok(()) => Ok(self),
            Err(errno) => Err(self.error(&format!("fsconfig `{key}` of"), errno)),
        }
    }

    fn error(&self, call: &str, errno: rustix::io::Errno) -> MountError {
        // The context can be read for what the file system has to say, one message at a time: `e text`.
        let mut buffer = [0; 512];
        let mut said = Vec::new();
        while let Ok(length @ 1..) = rustix::io::read(&self.context, &mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]);
            said.push(line.get(2..).unwrap_or(&line).trim().to_owned());
        }
        let said = (!said.is_empty()).then(|| said.join("; "));
        MountError { call: format!("{call} `{}`", self.name), errno, said }
    }
}

/// A detached copy of the mount that `path` below `directory` lies on, from there down; an empty path means
/// `directory` itself. Links at the end of the path are followed.
pub fn clone_tree(
    directory: impl AsFd,
    path: impl AsRef<OsStr>,
    recursive: bool,
) -> rustix::io::Result<OwnedFd> {
    let path = path.as_ref();
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(directory, path, flags)
}

/// Attaches a detached mount to what `target` is open on.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Takes the mount at `path` away; it ends when nobody uses it any more.
pub fn detach(path: &str) -> rustix::io::Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH)
}

/// What mount_setattr(2) changes: attribute bits, propagation, the user namespace for ids.
#[derive(Debug, Default, Clone, Copy)]
pub struct MountChange<'fd> {
    /// `MOUNT_ATTR_…` bits to set and to clear.
    pub set: u64,
    pub clear: u64,
    /// One of `MS_PRIVATE`, `MS_SHARED`, `MS_SLAVE`, `MS_UNBINDABLE`; 0: unchanged.
    pub propagation: u64,
    /// Ids on the file system are this user namespace's ids.
    pub idmap: Option<BorrowedFd<'fd>>,
    /// The whole tree below, not only this mount.
    pub recursive: bool,
}

/// mount_attr of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes the mount that `path` below `directory` is on (which must be its root); an empty path means `directory`
/// itself.
pub fn change_mount(directory: BorrowedFd<'_>, path: &CStr, change: &MountChange<'_>) -> io::Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let mut attr = MountAttr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: 0,
    };
    if let Some(namespace) = change.idmap {
        attr.attr_set |= MOUNT_ATTR_IDMAP;
        attr.userns_fd = u64::try_from(namespace.as_raw_fd()).unwrap_or(u64::MAX);
    }
    let mut flags = libc::AT_SYMLINK_NOFOLLOW;
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH;
    }
    if change.recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: `path` is NUL-terminated and `attr` a properly sized mount_attr; both outlive the call, and the
    // descriptors are open for their borrows' lives.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
