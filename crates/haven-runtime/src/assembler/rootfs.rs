//! The root file system as a detached mount: it is attached in the container's mount namespace and nowhere else.
//!
//! With a user namespace the layers and the directory of changes are id-mapped, both, so that on disk all ids are the
//! container's and nothing is ever re-owned. One mapped copy of the mount that holds them all serves every layer.

use super::idmap::host_id;
use super::older;
use crate::launch::RootFs;
use crate::plan::Plan;
use crate::setback::{Setback, Step};
use haven_spec::{Failure, Outcome};
use haven_sys::mount::{self, FileSystem, MountChange, propagation};
use haven_sys::process::{self, SingleThread};
use haven_sys::root::Dir;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The root file system as the host sees it, mounted nowhere: for copying into and out of a container that doesn't run.
/// It lives as long as the descriptor.
pub fn mount_rootfs(rootfs: &RootFs) -> Outcome<OwnedFd> {
    match rootfs {
        RootFs::Directory { path, .. } => directory(path, None),
        RootFs::Overlay { lowers, upper, work, volatile } => configure(lowers, upper, work, *volatile, None)
            .and_then(|(overlay, _layers)| overlay.mount(0).map_err(cannot_assemble)),
    }
    .map_err(Setback::into_failure)
}

/// What a mounted overlay was made from and no longer needs. Letting go of it takes the kernel a while.
pub(super) struct Layers(#[expect(dead_code, reason = "held until it is dropped")] Option<Dir>);

/// Puts the root file system together; `users` is the container's user namespace.
pub(super) fn assemble(
    proof: &SingleThread,
    plan: &Plan,
    users: Option<BorrowedFd<'_>>,
) -> Step<(OwnedFd, Option<Layers>)> {
    match &plan.rootfs {
        RootFs::Directory { path, idmap } => Ok((directory(path, users.filter(|_| *idmap))?, None)),
        RootFs::Overlay { lowers, upper, work, volatile } => {
            let ids = (host_id(&plan.uid_map, 0)?, host_id(&plan.gid_map, 0)?);
            let made = configure(lowers, upper, work, *volatile, users).and_then(|(overlay, source)| {
                let mounted = as_owner(proof, ids, || overlay.mount(0).map_err(cannot_assemble))?;
                Ok((mounted, Some(Layers(source.tree))))
            });
            match made {
                // Layers that are attached nowhere, or given one by one, are too new for this kernel; before 6.5 the
                // overlay takes no descriptors at all.
                Err(setback)
                    if [Errno::INVAL, Errno::OPNOTSUPP].map(Errno::raw_os_error).contains(&setback.errno) =>
                {
                    let mounted = older::overlay(proof, ids, lowers, upper, work, *volatile, users)
                        .map_err(|second| if second.errno == setback.errno { setback } else { second })?;
                    Ok((mounted, None))
                }
                made => made,
            }
        }
    }
}

/// Does `mount` as the container's root. The kernel makes files below `work` as whoever mounts, and nobody outside can own
/// a file on the mapped mount.
pub(super) fn as_owner(
    proof: &SingleThread,
    (uid, gid): (u32, u32),
    mount: impl FnOnce() -> Step<OwnedFd>,
) -> Step<OwnedFd> {
    let failed = |error| Setback::host("cannot act as the container's root", error);
    process::set_file_system_ids(proof, uid, gid).map_err(failed)?;
    let mounted = mount();
    process::restore_file_system_ids(proof).map_err(failed)?;
    mounted
}

fn cannot_assemble(error: mount::MountError) -> Setback {
    let setback = Setback::host("cannot put the root file system together", error.errno);
    Setback { because: Some(error.to_string()), ..setback }
}

fn directory(path: &Path, users: Option<BorrowedFd<'_>>) -> Step<OwnedFd> {
    let failed = |error: std::io::Error| {
        Setback::host(format!("cannot use `{}` as a root file system", path.display()), error)
    };
    let tree = mount::clone_tree(rustix::fs::CWD, path, true).map_err(|error| failed(error.into()))?;
    let stat = rustix::fs::fstat(&tree).map_err(|error| failed(error.into()))?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir() {
        return Err(failed(Errno::NOTDIR.into()));
    }
    let change = MountChange {
        propagation: propagation::PRIVATE,
        idmap: users,
        recursive: true,
        ..MountChange::default()
    };
    mount::change_mount(tree.as_fd(), c"", &change).map_err(failed)?;
    Ok(tree)
}

/// The overlay, up to the call that makes it, until which the layers must stay.
fn configure<'a>(
    lowers: &[PathBuf],
    upper: &Path,
    work: &Path,
    volatile: bool,
    users: Option<BorrowedFd<'a>>,
) -> Step<(FileSystem, Source<'a>)> {
    let failed = cannot_assemble;
    let mut source = Source::new(lowers.iter().map(PathBuf::as_path).chain([upper, work]), users)?;
    let mut overlay =
        FileSystem::open("overlay").and_then(|fs| fs.string("source", "overlay")).map_err(failed)?;
    for lower in lowers {
        overlay = overlay.descriptor("lowerdir+", source.open(lower)?.as_fd()).map_err(failed)?;
    }
    // Both must be seen on the same mount.
    let (upper, work) = (source.open(upper)?, source.open(work)?);
    overlay = overlay
        .descriptor("upperdir", upper.as_fd())
        .and_then(|fs| fs.descriptor("workdir", work.as_fd()))
        .and_then(|fs| fs.string("index", "off"))
        .and_then(|fs| fs.string("metacopy", "off"))
        .map_err(failed)?;
    if volatile {
        overlay = overlay.flag("volatile").map_err(failed)?;
    }
    Ok((overlay, source))
}

/// Where layers are opened: a mapped copy of the mount below their common directory, made once. A layer that lies on
/// another mount gets a copy of its own.
pub(super) struct Source<'a> {
    users: Option<BorrowedFd<'a>>,
    common: PathBuf,
    tree: Option<Dir>,
}

impl<'a> Source<'a> {
    pub(super) fn new<'p>(
        paths: impl Iterator<Item = &'p Path>,
        users: Option<BorrowedFd<'a>>,
    ) -> Step<Self> {
        let common = common_directory(paths);
        let mut source = Self { users, common, tree: None };
        if users.is_some() {
            let tree = source.mapped_copy(&source.common)?;
            source.tree =
                Some(Dir::from_fd(tree).map_err(|error| Setback::host("cannot open a copied mount", error))?);
        }
        Ok(source)
    }

    fn mapped_copy(&self, path: &Path) -> Step<OwnedFd> {
        let failed = |error: std::io::Error| {
            Setback::host(format!("cannot map the ids of `{}`", path.display()), error)
                .hint("the file system must support id-mapped mounts (ext4, xfs, btrfs, tmpfs and others do)")
        };
        let tree = mount::clone_tree(rustix::fs::CWD, path, false).map_err(|error| failed(error.into()))?;
        let change =
            MountChange { idmap: self.users, propagation: propagation::PRIVATE, ..MountChange::default() };
        mount::change_mount(tree.as_fd(), c"", &change).map_err(failed)?;
        Ok(tree)
    }

    /// The directory they are all below.
    pub(super) fn common(&self) -> &Path {
        &self.common
    }

    /// The mapped copy, when ids are mapped.
    pub(super) fn tree(&self) -> Option<&Dir> {
        self.tree.as_ref()
    }

    pub(super) fn open(&mut self, path: &Path) -> Step<OwnedFd> {
        let failed = |error: std::io::Error| {
            Setback::host(format!("cannot open the layer `{}`", path.display()), error)
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let plain = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let Some(tree) = &self.tree else { return Ok(plain) };
        if let Ok(relative) = path.strip_prefix(&self.common)
            && let Ok(mapped) = tree.open_beneath(relative)
            && is_same(&plain, &mapped)
        {
            return Ok(mapped.into());
        }
        self.mapped_copy(path)
    }
}

/// Whether both are the same directory of the same file system.
fn is_same(one: impl AsFd, other: impl AsFd) -> bool {
    let identity = |fd: BorrowedFd<'_>| {
        let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::INO).ok()?;
        Some((stat.stx_ino, stat.stx_dev_major, stat.stx_dev_minor))
    };
    identity(one.as_fd()).is_some_and(|identified| Some(identified) == identity(other.as_fd()))
}

/// The deepest directory that contains all of `paths`.
pub(super) fn common_directory<'p>(mut paths: impl Iterator<Item = &'p Path>) -> PathBuf {
    let Some(first) = paths.next() else { return PathBuf::from("/") };
    let mut common = first.parent().unwrap_or(Path::new("/")).to_owned();
    for path in paths {
        let parent = path.parent().unwrap_or(Path::new("/"));
        while !parent.starts_with(&common) {
            if !common.pop() {
                return PathBuf::from("/");
            }
        }
    }
    common
}

impl From<Setback> for Failure {
    fn from(setback: Setback) -> Self {
        setback.into_failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_directory_holds_everything() {
        let paths =
            ["/var/lib/haven/layers/a/fs", "/var/lib/haven/layers/b/fs", "/var/lib/haven/containers/c/upper"];
        assert_eq!(common_directory(paths.iter().map(Path::new)), Path::new("/var/lib/haven"));
        assert_eq!(common_directory(["/a/b"].iter().map(Path::new)), Path::new("/a"));
        assert_eq!(common_directory(["/a/b", "/c"].iter().map(Path::new)), Path::new("/"));
    }
}
