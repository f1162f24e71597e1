//! The overlay on kernels that take no detached layers (before 6.15) or no layers one by one (before 6.7).
//!
//! There the mapped copy has to be attached somewhere in the mounting process's namespace, so a child gets one of its
//! own, in which nobody else sees anything; the overlay is mounted by the old call, and a detached copy of it taken. Longer and
//! slower, with the same result.

use super::made_by_child;
use super::rootfs::{Source, as_owner};
use crate::setback::{Setback, Step};
use haven_sys::mount::{attach, clone_tree};
use haven_sys::process::{self, NewNamespaces, SingleThread};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount_change};
use std::ffi::CString;
use std::fmt::Write as _;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What the old call takes of options: a page, with its end.
const OPTION_BYTES: usize = 4095;

pub(super) fn overlay(
    proof: &SingleThread,
    ids: (u32, u32),
    lowers: &[PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
    users: Option<BorrowedFd<'_>>,
) -> Step<OwnedFd> {
    made_by_child(proof, || mount(proof, ids, lowers, upper, work, volatile, users))
}

fn mount(
    proof: &SingleThread,
    ids: (u32, u32),
    lowers: &[PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
    users: Option<BorrowedFd<'_>>,
) -> Step<OwnedFd> {
    let failed = |error: Errno| Setback::host("cannot put the root file system together", error);
    process::unshare(proof, NewNamespaces::MOUNT)
        .map_err(|error| Setback::host("cannot make a mount namespace", error))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(failed)?;
    let mut source = Source::new(lowers.iter().map(PathBuf::as_path).chain([upper, work]), users)?;
    let place = source.common().to_owned();
    let top = rustix::fs::open(&place, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed)?;
    if let Some(tree) = source.tree() {
        attach(tree, &top).map_err(failed)?;
    }
    let opened: Vec<OwnedFd> = lowers.iter().map(|lower| source.open(lower)).collect::<Step<_>>()?;
    let (upper, work) = (source.open(upper)?, source.open(work)?);
    let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower: Vec<String> = opened.iter().map(path).collect();
    let mut options =
        format!("lowerdir={},upperdir={},workdir={}", lower.join(":"), path(&upper), path(&work));
    options.push_str(",index=off,metacopy=off");
    if volatile {
        let _infallible = write!(options, ",volatile");
    }
    if options.len() > OPTION_BYTES {
        return Err(Setback::request(format!("{} layers are too many for this kernel", lowers.len()))
            .hint("a kernel from 6.7 on takes more"));
    }
    let options = CString::new(options).map_err(|_| failed(Errno::INVAL))?;
    as_owner(proof, ids, || {
        rustix::mount::mount("overlay", &place, "overlay", MountFlags::empty(), options.as_c_str())
            .map_err(failed)?;
        clone_tree(rustix::fs::CWD, &place, false).map_err(failed)
    })
}
