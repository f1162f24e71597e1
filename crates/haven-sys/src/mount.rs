//! Mounts as descriptors: what the new mount API has and rustix lacks.
//!
//! Everything Haven mounts is made detached (fsmount(2), open_tree(2)), shaped here, and attached once by
//! move_mount(2) on a descriptor of the target. See mount_setattr(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
