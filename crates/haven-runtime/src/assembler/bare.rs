//! A mount namespace with next to nothing in it, for a first process that is made in advance.
//!
//! Such a process may wait for long, and a mount namespace is a copy: with the host's mounts in it the waiting process
//! would keep file systems busy that the host has unmounted since. So it is made where there is only a `/proc` and a
//! `/sys`, which the kernel wants to see before it lets a user namespace have its own.

use crate::setback::{Setback, Step};
use haven_sys::mount::{self, FileSystem, MountError, attribute};
use haven_sys::process::{self, NewNamespaces, SingleThread};
use haven_sys::root::{PathError, Root};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_change};
use std::io;
use std::os::fd::AsFd;

/// Does `act` there, and returns to the host's mounts.
pub(super) fn within<T>(proof: &SingleThread, act: impl FnOnce() -> Step<T>) -> Step<T> {
    let failed = |error: io::Error| Setback::host("cannot change between mount namespaces", error);
    let host = rustix::fs::open("/proc/self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(error.into()))?;
    process::unshare(proof, NewNamespaces::MOUNT).map_err(failed)?;
    let done = strip().map_err(failed).and_then(|()| act());
    process::join_namespace(proof, host.as_fd(), NewNamespaces::MOUNT).map_err(failed)?;
    done
}

fn strip() -> io::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let attributes = attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    let fresh = |fstype: &str, attributes: u64| {
        FileSystem::open(fstype)
            .and_then(|fs| fs.mount(attributes))
            .map_err(|error: MountError| io::Error::from(error.errno))
    };
    let bare = fresh("tmpfs", attributes)?;
    let top = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    mount::attach(&bare, &top)?;
    let root = Root::from_fd(bare.try_clone()?).map_err(|error: PathError| io::Error::from(error))?;
    for (name, fstype) in [("proc", "proc"), ("sys", "sysfs")] {
        let directory = root.mkdir_all(name, 0o755)?;
        mount::attach(fresh(fstype, attributes)?, &directory)?;
    }
    rustix::process::fchdir(&bare)?;
    rustix::process::pivot_root(".", ".")?;
    mount::detach(".")?;
    Ok(rustix::process::chdir("/")?)
}
