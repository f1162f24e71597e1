//! Mounts made with the host's rights, each a parcel for the container's first process.

use super::made_by_child;
use crate::link::Parcel;
use crate::oci::NamespaceType;
use crate::plan::{MountKind, MountPlan, Plan, ProcessPlan};
use crate::setback::{Setback, Step};
use haven_sys::mount::{self, FileSystem, MountChange, attribute, propagation};
use haven_sys::process::SingleThread;
use haven_sys::root;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a parcel is for.
pub(crate) const ROOT: u16 = 0;
/// `/dev/null`, to be put over files nobody may read.
pub(crate) const NULL_NODE: u16 = 1;
/// An empty directory that can't be written, to be put over directories nobody may read.
pub(crate) const EMPTY_DIRECTORY: u16 = 2;
/// The container's `/dev`, with its nodes.
pub(crate) const DEV: u16 = 3;
/// Landlock's rule set, which isn't a mount but comes the same way.
pub(crate) const LANDLOCK: u16 = 4;
/// The host's `/proc`, for a process that executes under a label.
pub(crate) const HOST_PROC: u16 = 6;
/// Where a process without a keeper waits for its start.
pub(crate) const START: u16 = 5;
/// The descriptor passed on with this index.
pub(crate) const FIRST_PRESERVED: u16 = 0x0100;
/// The mount with this index in the plan.
pub(crate) const FIRST_MOUNT: u16 = 0x1000;
/// The device with this index in the plan, when it lies elsewhere than in `/dev`.
pub(crate) const FIRST_DEVICE: u16 = 0x8000;

/// Whether the container's first process may mount this itself, in namespaces that belong to its own users.
pub(crate) fn is_childs(plan: &Plan, kind: &MountKind) -> bool {
    let owns = |kind| !plan.namespaces.is_new(NamespaceType::User) || plan.namespaces.is_new(kind);
    match kind {
        MountKind::Bind { .. } | MountKind::Foreign { .. } => false,
        MountKind::Proc => owns(NamespaceType::Pid),
        MountKind::Sysfs => owns(NamespaceType::Network),
        MountKind::Mqueue => owns(NamespaceType::Ipc),
        MountKind::Tmpfs | MountKind::Devpts | MountKind::Cgroup => true,
    }
}

/// What was made, and what isn't quite as wished.
pub(super) struct Mounts {
    pub(super) parcels: Vec<Parcel>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn assemble(proof: &SingleThread, plan: &Plan, users: Option<BorrowedFd<'_>>) -> Step<Mounts> {
    let mut made = Mounts { parcels: Vec::new(), warnings: Vec::new() };
    if !plan.masked_paths.is_empty() {
        made.parcels.push(Parcel { tag: NULL_NODE, content: null_node()? });
        made.parcels.push(Parcel { tag: EMPTY_DIRECTORY, content: empty_directory()? });
    }
    made.parcels.extend(label_parcel(&plan.process)?);
    for (index, wanted) in plan.mounts.iter().enumerate() {
        if is_childs(plan, &wanted.kind) {
            continue;
        }
        let content = match &wanted.kind {
            MountKind::Bind { source, recursive, idmap } => {
                let (tree, warning) = bind(wanted, source, *recursive, users.filter(|_| *idmap))?;
                made.warnings.extend(warning);
                tree
            }
            MountKind::Foreign { fstype } => file_system(fstype, wanted)?,
            MountKind::Proc if plan.namespaces.is_apart(NamespaceType::Pid) => joined_proc(proof, wanted)?,
            MountKind::Proc => file_system("proc", wanted)?,
            MountKind::Sysfs => file_system("sysfs", wanted)?,
            MountKind::Mqueue => file_system("mqueue", wanted)?,
            MountKind::Tmpfs | MountKind::Devpts | MountKind::Cgroup => continue,
        };
        let tag = u16::try_from(index).ok().and_then(|index| index.checked_add(FIRST_MOUNT));
        let tag = tag
            .filter(|tag| *tag < FIRST_DEVICE)
            .ok_or_else(|| Setback::request("there are too many mounts"))?;
        made.parcels.push(Parcel { tag, content });
    }
    Ok(made)
}

/// The host's `/proc`, if the process is to execute under a label.
pub(super) fn label_parcel(process: &ProcessPlan) -> Step<Option<Parcel>> {
    if !process.tuning.has_labels() {
        return Ok(None);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let content = rustix::fs::open("/proc", flags, Mode::empty())
        .map_err(|error| Setback::host("cannot open the host's `/proc`", error))?;
    Ok(Some(Parcel { tag: HOST_PROC, content }))
}

/// The `/proc` of the PID namespace this process has joined: only its children are in it, so one of them mounts.
fn joined_proc(proof: &SingleThread, wanted: &MountPlan) -> Step<OwnedFd> {
    made_by_child(proof, || file_system("proc", wanted))
}

fn null_node() -> Step<OwnedFd> {
    let failed = |error: std::io::Error| Setback::host("cannot use the host's `/dev/null`", error);
    let node =
        mount::clone_tree(rustix::fs::CWD, "/dev/null", false).map_err(|error| failed(error.into()))?;
    // It covers what nobody may read: be sure that it is what it is called (CVE-2025-31133).
    let stat = root::stat(&node).map_err(|error| failed(error.into()))?;
    if stat.kind != root::FileKind::CharDevice || stat.node != (1, 3) {
        return Err(Setback::host("the host's `/dev/null` isn't the null device", Errno::INVAL));
    }
    Ok(node)
}

fn empty_directory() -> Step<OwnedFd> {
    let attributes = attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    FileSystem::open("tmpfs")
        .and_then(|fs| fs.string("mode", "0555"))
        .and_then(|fs| fs.string("size", "4096"))
        .and_then(|fs| fs.mount(attributes))
        .map_err(|error| cannot_mount("tmpfs", error))
}

fn bind(
    wanted: &MountPlan,
    source: &Path,
    recursive: bool,
    users: Option<BorrowedFd<'_>>,
) -> Step<(OwnedFd, Option<String>)> {
    let about = || format!("cannot mount `{}` on `{}`", source.display(), wanted.target);
    let tree = mount::clone_tree(rustix::fs::CWD, source, recursive).map_err(|error| {
        let setback = Setback::host(about(), error);
        if error == Errno::NOENT { setback.hint("the source of a bind mount must exist") } else { setback }
    })?;
    let private =
        MountChange { propagation: propagation::PRIVATE, recursive: true, ..MountChange::default() };
    let failed = |error: std::io::Error| Setback::host(about(), error);
    if wanted.propagation != propagation::SHARED && wanted.propagation != propagation::SLAVE {
        mount::change_mount(tree.as_fd(), c"", &private).map_err(failed)?;
    }
    let warning = users.and_then(|users| map_ids(&tree, recursive, users)).map(|error| {
        format!(
            "the owners of files in `{}` can't be mapped for the container ({error}): inside they belong to nobody",
            source.display()
        )
    });
    shape(&tree, wanted).map_err(failed)?;
    Ok((tree, warning))
}

/// Maps the ids where the file system can do that; else gives the reason. One that can't is mounted as it is: its files
/// then belong to nobody inside, which gives the container less and never more.
fn map_ids(tree: &OwnedFd, recursive: bool, users: BorrowedFd<'_>) -> Option<std::io::Error> {
    let change = MountChange { idmap: Some(users), recursive, ..MountChange::default() };
    let error = mount::change_mount(tree.as_fd(), c"", &change).err()?;
    // Something mounted below may be what refuses.
    let top = MountChange { recursive: false, ..change };
    if recursive && mount::change_mount(tree.as_fd(), c"", &top).is_ok() { None } else { Some(error) }
}

/// Attributes and propagation as wished.
pub(crate) fn shape(mount: &OwnedFd, wanted: &MountPlan) -> std::io::Result<()> {
    let top =
        MountChange { set: wanted.set, clear: clearing(wanted.set, wanted.clear), ..MountChange::default() };
    if top.set | top.clear != 0 {
        mount::change_mount(mount.as_fd(), c"", &top)?;
    }
    let tree = MountChange {
        set: wanted.tree_set,
        clear: clearing(wanted.tree_set, wanted.tree_clear),
        recursive: true,
        ..MountChange::default()
    };
    if tree.set | tree.clear != 0 {
        mount::change_mount(mount.as_fd(), c"", &tree)?;
    }
    if wanted.propagation != 0 {
        let change = MountChange {
            propagation: wanted.propagation,
            recursive: wanted.propagation_of_tree,
            ..MountChange::default()
        };
        mount::change_mount(mount.as_fd(), c"", &change)?;
    }
    Ok(())
}

/// An access-time mode can only be set by clearing the whole field.
fn clearing(set: u64, clear: u64) -> u64 {
    if (set | clear) & attribute::ATIME != 0 { clear | attribute::ATIME } else { clear }
}

/// A file system of its own with the options wished.
pub(crate) fn file_system(fstype: &str, wanted: &MountPlan) -> Step<OwnedFd> {
    let make = || {
        let mut fs = FileSystem::open(fstype)?;
        if !wanted.source.is_empty() {
            fs = fs.string("source", &wanted.source)?;
        }
        for option in &wanted.data {
            fs = fs.option(option)?;
        }
        fs.mount(wanted.set)
    };
    make().map_err(|error| cannot_mount(&wanted.target, error))
}

pub(crate) fn cannot_mount(target: &str, error: mount::MountError) -> Setback {
    let setback = Setback::host(format!("cannot mount `{target}`"), error.errno);
    Setback { because: Some(error.to_string()), ..setback }
}
