//! A memory file system that begins with what its target had.

use crate::setback::{Setback, Step};
use haven_sys::root::{Dir, FileKind, Follow, PathError, Root};
use std::io;
use std::os::fd::OwnedFd;

/// How deep directories are followed.
const DEEPEST: usize = 64;

/// Copies the directory `target` of `root`, if there is one, into the file system `mount`.
pub(super) fn fill(root: &Root, target: &str, mount: &OwnedFd) -> Step<()> {
    let failed = |error: io::Error| Setback::host(format!("cannot copy `{target}` into memory"), error);
    let from = match root.open_dir(target) {
        Ok(from) => from,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    };
    let copy = mount.try_clone().map_err(failed)?;
    let to = Root::from_fd(copy).map_err(|error| failed(error.into()))?;
    let to = to
        .resolve("", Follow::No)
        .and_then(|handle| handle.open_dir())
        .map_err(|error| failed(error.into()))?;
    copy_directory(&from, &to, DEEPEST).map_err(failed)
}

fn copy_directory(from: &Dir, to: &Dir, deeper: usize) -> io::Result<()> {
    if deeper == 0 {
        return Err(io::Error::from(rustix::io::Errno::LOOP));
    }
    for entry in from.entries()? {
        copy_entry(from, to, &entry.name, deeper)?;
    }
    let stat = from.stat()?;
    haven_sys::root::set_owner(to, stat.uid, stat.gid)?;
    Ok(haven_sys::root::set_mode(to, stat.mode)?)
}

fn copy_entry(from: &Dir, to: &Dir, name: &std::ffi::OsStr, deeper: usize) -> io::Result<()> {
    let stat = from.lstat(name)?;
    match stat.kind {
        FileKind::Directory => {
            to.mkdir(name, 0o700)?;
            return copy_directory(&from.open_dir(name)?, &to.open_dir(name)?, deeper - 1);
        }
        FileKind::Symlink => to.symlink(from.read_link(name)?, name)?,
        FileKind::Regular => {
            let mut source = from.open_file(name)?;
            let mut copy = to.create_file(name, 0o600)?;
            io::copy(&mut source, &mut copy)?;
            haven_sys::root::set_owner(&copy, stat.uid, stat.gid)?;
            haven_sys::root::set_mode(&copy, stat.mode)?;
            return Ok(());
        }
        // Devices and sockets of an image have no business in memory.
        _ => return Ok(()),
    }
    let owned: Result<(), PathError> = to.set_owner(name, stat.uid, stat.gid);
    Ok(owned?)
}
