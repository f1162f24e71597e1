//! Copying in and out of containers, and their whole trees: tar archives, resolved by handle inside the container's
//! own file tree, never on a host path.

use super::tree::{Place, Tree};
use crate::engine::{ByteSink, ByteSource, Engine};
use crate::request::PathStat;
use haven_image::archive::{self, AbsoluteNames, ExtractOptions, PackOptions};
use haven_spec::{ContainerId, Failure, Kind, Outcome};
use haven_sys::root::{FileKind, Follow, PathError, Stat};
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Go's `os.FileMode` bits, which the Docker API shows.
mod go {
    pub(super) const DIR: u32 = 1 << 31;
    pub(super) const SYMLINK: u32 = 1 << 27;
    pub(super) const DEVICE: u32 = 1 << 26;
    pub(super) const NAMED_PIPE: u32 = 1 << 25;
    pub(super) const SOCKET: u32 = 1 << 24;
    pub(super) const SETUID: u32 = 1 << 23;
    pub(super) const SETGID: u32 = 1 << 22;
    pub(super) const CHAR_DEVICE: u32 = 1 << 21;
    pub(super) const STICKY: u32 = 1 << 20;
}

fn go_mode(stat: &Stat) -> u32 {
    let kind = match stat.kind {
        FileKind::Directory => go::DIR,
        FileKind::Symlink => go::SYMLINK,
        FileKind::BlockDevice => go::DEVICE,
        FileKind::CharDevice => go::DEVICE | go::CHAR_DEVICE,
        FileKind::Fifo => go::NAMED_PIPE,
        FileKind::Socket => go::SOCKET,
        _ => 0,
    };
    let special = [(0o4000, go::SETUID), (0o2000, go::SETGID), (0o1000, go::STICKY)];
    let special = special.iter().filter(|(bit, _)| stat.mode & bit != 0).fold(0, |all, (_, go)| all | go);
    kind | special | (stat.mode & 0o777)
}

fn missing(container: &ContainerId, path: &str) -> impl Fn(PathError) -> Failure {
    let what = format!("Could not find the file {path} in container {container}");
    move |error| {
        let kind = if error.is_not_found() { Kind::NotFound } else { Kind::Invalid };
        Failure::new(kind, what.clone()).because(error)
    }
}

/// Whether the path says that it means a directory: `a/` or `a/.`.
fn means_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

fn look(container: &ContainerId, place: &Place, path: &str) -> Outcome<(PathStat, Stat)> {
    let follow = if means_directory(path) { Follow::Yes } else { Follow::No };
    let handle = place.root.resolve(&place.path, follow).map_err(missing(container, path))?;
    let stat = handle.stat().map_err(missing(container, path))?;
    if means_directory(path) && stat.kind != FileKind::Directory {
        return Err(Failure::invalid(format!("{path} in container {container} is not a directory")));
    }
    let name = if path.ends_with("/.") || path == "." {
        ".".to_owned()
    } else {
        Path::new(path).file_name().unwrap_or(OsStr::new("/")).to_string_lossy().into_owned()
    };
    let link_target = if stat.kind == FileKind::Symlink {
        let target = handle.read_link().map_err(missing(container, path))?;
        let parent = place.path.parent().unwrap_or(Path::new("/"));
        super::mounts::clean(&parent.join(target)).to_string_lossy().into_owned()
    } else {
        String::new()
    };
    let shown = PathStat {
        name,
        size: stat.size,
        go_mode: go_mode(&stat),
        modified_at_ns: stat
            .modified
            .seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(stat.modified.nanoseconds.into()),
        link_target,
    };
    Ok((shown, stat))
}

/// Runs `work` in a thread whose new files belong to the root of the tree's container.
fn as_owner_of(tree: &Tree, work: impl FnOnce() -> Outcome<()> + Send) -> Outcome<()> {
    let owner = tree.root_owner;
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            if owner != 0 {
                let change = haven_sys::file_owner::become_owner(owner, owner);
                change.map_err(|e| Failure::host("cannot write as the container's root").because(e))?;
            }
            work()
        });
        thread.join().unwrap_or_else(|_| Err(Failure::internal("copying was cut short")))
    })
}

impl Engine {
    async fn tree(&self, id: &ContainerId) -> Outcome<impl FnOnce() -> Outcome<Tree> + Send + 'static> {
        let record = self.record(id).await?;
        let pid = self.live(id).await.map(|live| live.pid);
        let shared = Arc::clone(&self.shared);
        Ok(move || Tree::open(&shared, &record, pid))
    }

    /// What is at `path` inside the container, running or not.
    pub async fn path_stat(&self, id: &ContainerId, path: &str) -> Outcome<PathStat> {
        let (open, id, path) = (self.tree(id).await?, id.clone(), path.to_owned());
        super::task::blocking(move || {
            let place = open()?.place(Path::new(&path))?;
            look(&id, &place, &path).map(|(stat, _)| stat)
        })
        .await
    }

    /// The file or directory at `path` as a tar archive; ask [`Engine::path_stat`] first what it is.
    pub async fn archive_get(&self, id: &ContainerId, path: &str, mut sink: ByteSink) -> Outcome<()> {
        let (open, id, path) = (self.tree(id).await?, id.clone(), path.to_owned());
        super::task::blocking(move || {
            let tree = open()?;
            let place = tree.place(Path::new(&path))?;
            let (shown, _) = look(&id, &place, &path)?;
            // Clients put another name in place of this one, also of the dot and the root's slash.
            let options = PackOptions {
                rename: Some(shown.name.as_str().into()),
                follow: means_directory(&path),
                ids: tree.ids,
                ..PackOptions::default()
            };
            archive::pack(&place.root, place.path.as_os_str(), &mut sink, &options)?;
            sink.flush().map_err(|e| Failure::host("cannot send the archive").because(e))
        })
        .await
    }

    /// Unpacks a tar archive (plain or compressed) into the directory `path`. `keep_kind`: refuse to put a directory
    /// in a file's place and the other way round. `copy_owner`: owners as in the archive; otherwise the container's
    /// root.
    pub async fn archive_put(
        &self,
        id: &ContainerId,
        path: &str,
        source: ByteSource,
        keep_kind: bool,
        copy_owner: bool,
    ) -> Outcome<()> {
        let readonly = self.record(id).await?.spec.security.readonly_rootfs;
        let (open, id, path) = (self.tree(id).await?, id.clone(), path.to_owned());
        super::task::blocking(move || {
            let tree = open()?;
            let place = tree.place(Path::new(&path))?;
            let within_mount = place.path != super::mounts::clean(Path::new(&path));
            if place.readonly || (readonly && !within_mount) {
                return Err(Failure::new(Kind::Forbidden, "container rootfs is marked read-only"));
            }
            let handle = place.root.resolve(&place.path, Follow::Yes).map_err(missing(&id, &path))?;
            let stat = handle.stat().map_err(missing(&id, &path))?;
            if stat.kind != FileKind::Directory {
                return Err(Failure::invalid(format!("extraction point `{path}` is not a directory")));
            }
            let directory = handle.open_dir().map_err(missing(&id, &path))?;
            let options = ExtractOptions {
                absolute_names: AbsoluteNames::FromTop,
                ids: tree.ids,
                owner: (!copy_owner).then_some((0, 0)),
                devices: true,
                keep_kinds: keep_kind,
                ..ExtractOptions::default()
            };
            as_owner_of(&tree, move || archive::extract_into(&directory, source, &options).map(drop))
        })
        .await
    }

    /// The whole file tree, without mounts, as a tar archive.
    pub async fn export(&self, id: &ContainerId, mut sink: ByteSink) -> Outcome<()> {
        let record = self.record(id).await?;
        let shared = Arc::clone(&self.shared);
        super::task::blocking(move || {
            // The layers, not the running tree: volumes and kernel file systems are not the container's content.
            let data = shared.config.container_data(&record.id);
            let mut layers = vec![data.join("upper")];
            layers.extend(super::start::lowers(&shared, &record)?);
            let root = super::tree::image_root(&layers)?;
            let options = PackOptions { rename: Some(OsString::new()), ..PackOptions::default() };
            archive::pack(&root, OsStr::new("/"), &mut sink, &options)?;
            sink.flush().map_err(|e| Failure::host("cannot send the archive").because(e))
        })
        .await
    }
}
