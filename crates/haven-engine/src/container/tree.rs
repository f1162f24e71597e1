//! A container's file tree as seen from outside: by handle, running or not.
//!
//! Running: the tree its processes see, volumes and all, through `/proc/PID/root`; owners then show as host ids.
//! Not running: an overlay of its layers mounted for this one use, attached to no directory, with paths below a
//! volume or bind mount led there; owners are container ids, as they are on disk.

use super::confinement::ID_RANGE_SIZE;
use super::mounts;
use super::start;
use crate::record::ContainerRecord;
use crate::shared::Shared;
use haven_image::archive::{self, ExtractOptions, IdShift, PackOptions};
use haven_spec::{Failure, MountSource, Outcome};
use haven_sys::root::{FileKind, Root};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A tree and where in it a path of the container is.
pub(crate) struct Tree {
    pub(crate) root: Root,
    /// The container's ids in this tree; `None`: as they are.
    pub(crate) ids: Option<IdShift>,
    /// The container's root in this tree.
    pub(crate) root_owner: u32,
    stopped_mounts: Vec<(PathBuf, PathBuf, bool)>,
}

/// A path within one of a tree's roots.
pub(crate) struct Place {
    pub(crate) root: Root,
    pub(crate) path: PathBuf,
    pub(crate) readonly: bool,
}

impl Tree {
    /// `pid`: the container's first process, when it runs.
    pub(crate) fn open(shared: &Shared, record: &ContainerRecord, pid: Option<u32>) -> Outcome<Self> {
        let failed = |e: haven_sys::root::PathError| {
            Failure::host(format!("cannot open the files of container {}", record.id)).because(e)
        };
        if let Some(pid) = pid {
            let root = Root::open(format!("/proc/{pid}/root")).map_err(failed)?;
            let base = record.id_slot.map(|slot| shared.config.id_base + slot * ID_RANGE_SIZE);
            let ids = base.map(|first| IdShift::new(first, ID_RANGE_SIZE)).transpose()?;
            return Ok(Self { root, ids, root_owner: base.unwrap_or(0), stopped_mounts: Vec::new() });
        }
        let data = shared.config.container_data(&record.id);
        let overlay =
            overlay(&start::lowers(shared, record)?, Some((&data.join("upper"), &data.join("work"))))?;
        let root = Root::from_fd(overlay).map_err(failed)?;
        let stopped_mounts = record.spec.mounts.iter().filter_map(|mount| {
            let source = match &mount.source {
                MountSource::Bind { path, .. } => path.clone(),
                MountSource::Volume { name, subpath, .. } => {
                    shared.volumes.content(name).join(subpath.as_deref().unwrap_or(Path::new("")))
                }
                MountSource::Tmpfs { .. } => return None,
            };
            Some((mounts::clean(&mount.target), source, mount.readonly))
        });
        Ok(Self { root, ids: None, root_owner: 0, stopped_mounts: stopped_mounts.collect() })
    }

    /// Where `path` leads: the tree itself, or a volume of a container that doesn't run.
    pub(crate) fn place(&self, path: &Path) -> Outcome<Place> {
        let clean = mounts::clean(path);
        let mount = self
            .stopped_mounts
            .iter()
            .filter(|(target, _, _)| clean.starts_with(target))
            .max_by_key(|(target, _, _)| target.components().count());
        let failed = |e: haven_sys::root::PathError| {
            Failure::host(format!("cannot open `{}`", clean.display())).because(e)
        };
        match mount {
            Some((target, source, readonly)) if source.is_dir() => {
                let rest = clean.strip_prefix(target).unwrap_or(Path::new(""));
                let root = Root::open(source).map_err(failed)?;
                Ok(Place { root, path: Path::new("/").join(rest), readonly: *readonly })
            }
            _ => Ok(Place { root: self.root.try_clone().map_err(failed)?, path: clean, readonly: false }),
        }
    }
}

/// A read-only view of an image's layers, topmost first.
pub(crate) fn image_root(lowers: &[PathBuf]) -> Outcome<Root> {
    let failed = |e: haven_sys::root::PathError| Failure::host("cannot open the image's files").because(e);
    match lowers {
        [] => Err(Failure::invalid("the image has no layers")),
        [only] => Root::open(only).map_err(failed),
        _ => Root::from_fd(overlay(lowers, None)?).map_err(failed),
    }
}

/// An overlay that is attached nowhere and goes with its descriptor.
fn overlay(lowers: &[PathBuf], writable: Option<(&Path, &Path)>) -> Outcome<OwnedFd> {
    let failed =
        |e: rustix::io::Errno| Failure::host("cannot mount an overlay of the container's layers").because(e);
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed)?;
    let joined: Vec<&str> = lowers.iter().filter_map(|path| path.to_str()).collect();
    let set =
        |key: &str, value: &Path| rustix::mount::fsconfig_set_string(&context, key, value).map_err(failed);
    // One by one where the kernel knows it (6.5): the joined form is limited to a page.
    let one_by_one =
        lowers.iter().try_for_each(|lower| rustix::mount::fsconfig_set_string(&context, "lowerdir+", lower));
    if one_by_one.is_err() {
        set("lowerdir", Path::new(&joined.join(":")))?;
    }
    if let Some((upper, work)) = writable {
        set("upperdir", upper)?;
        set("workdir", work)?;
    }
    rustix::mount::fsconfig_create(&context).map_err(failed)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed)
}

/// Copies what is in `image`'s directory `from` into the host directory `to`, owners and all; nothing when there is
/// no such directory.
pub(crate) fn copy_directory(image: &Root, from: &Path, to: &Path) -> Outcome<()> {
    let failed =
        |e: haven_sys::root::PathError| Failure::host(format!("cannot copy `{}`", from.display())).because(e);
    let stat = match image.stat(from) {
        Ok(stat) if stat.kind == FileKind::Directory => stat,
        Ok(_) => return Ok(()),
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let target = Root::open(to).map_err(failed)?;
    let (reader, writer) = std::io::pipe().map_err(|e| Failure::host("cannot make a pipe").because(e))?;
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let options =
                PackOptions { rename: Some(OsString::new()), follow: true, ..PackOptions::default() };
            let mut writer = writer;
            archive::pack(image, from.as_os_str(), &mut writer, &options)
        });
        let unpacked = archive::extract_into(
            target.top(),
            reader,
            &ExtractOptions { devices: true, ..ExtractOptions::default() },
        );
        let packed = packing.join().unwrap_or_else(|_| Err(Failure::internal("copying was cut short")));
        unpacked.map(drop).and(packed.map(drop))
    })?;
    // The directory itself last: its content is made as root.
    let own = std::os::unix::fs::chown(to, Some(stat.uid), Some(stat.gid))
        .and_then(|()| std::fs::set_permissions(to, std::fs::Permissions::from_mode(stat.mode & 0o7777)));
    own.map_err(|e| Failure::host(format!("cannot give `{}` its owner", to.display())).because(e))
}
