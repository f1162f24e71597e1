//! Everything mounted on the container's root file system, by handle, before it becomes the root.

use super::copy_up;
use super::independent;
use super::parcels::Parcels;
use super::rootfs;
use crate::assembler::dev::{all_devices, dev_is_bound, is_dev};
use crate::assembler::mounts::{
    DEV, EMPTY_DIRECTORY, FIRST_DEVICE, FIRST_MOUNT, HOST_PROC, LANDLOCK, NULL_NODE, ROOT, cannot_mount,
    file_system, is_childs, shape,
};
use crate::cgroup::Version;
use crate::machine::Machine;
use crate::oci::NamespaceType;
use crate::plan::{MountKind, MountPlan, Plan};
use crate::setback::{Setback, Step};
use haven_sys::mount::{self, FileSystem, MountChange, attribute, propagation};
use haven_sys::process::{self, NewNamespaces, SingleThread};
use haven_sys::root::{FileKind, Follow, Handle, PathError, Root};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// What later steps need of what was mounted.
pub(super) struct Made {
    /// The container's terminals, as a directory.
    pub(super) terminals: Option<Root>,
    /// Its `/proc`, as it was before anything covered it.
    pub(super) proc: Option<OwnedFd>,
    pub(super) ruleset: Option<OwnedFd>,
    /// The host's `/proc`, when the process gets a label there.
    pub(super) host_proc: Option<OwnedFd>,
}

/// Links whose targets are mounted on would send a mount elsewhere (CVE-2023-27561, CVE-2026-41579).
const NEVER_LINKS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// Mounts everything, and makes the container's file system the root.
pub(super) fn assemble(
    proof: &SingleThread,
    machine: &Machine,
    plan: &Plan,
    parcels: &mut Parcels<'_>,
) -> Step<Made> {
    let root_mount = parcels.need(ROOT, "/")?;
    rootfs::attach(&root_mount)?;
    let copy = root_mount.try_clone().map_err(|error| Setback::host("cannot copy a descriptor", error))?;
    let root = as_root(copy)?;
    let mut made = Made { terminals: None, proc: None, ruleset: None, host_proc: None };
    let mut delayed = None;
    for (index, wanted) in plan.mounts.iter().enumerate() {
        let mount = match &wanted.kind {
            MountKind::Cgroup if can_wait(plan, index) => {
                delayed = Some(wanted);
                continue;
            }
            MountKind::Cgroup => {
                enter_group_namespace(proof, plan, parcels)?;
                mount_cgroup(machine, &root, wanted)?;
                continue;
            }
            MountKind::Tmpfs if is_dev(wanted) => renewed(plan, wanted, parcels.need(DEV, "/dev")?),
            kind if is_childs(plan, kind) => make(wanted)?,
            _ => {
                let tag = FIRST_MOUNT + u16::try_from(index).unwrap_or(0);
                renewed(plan, wanted, parcels.need(tag, &wanted.target)?)
            }
        };
        if wanted.copy_up && wanted.kind == MountKind::Tmpfs {
            copy_up::fill(&root, &wanted.target, &mount)?;
        }
        put(&root, wanted, &mount)?;
        if plan.independent.is_some() {
            propagate(&mount, wanted, propagation::UNBINDABLE)
                .map_err(|error| Setback::host(format!("cannot mount `{}`", wanted.target), error))?;
        }
        match wanted.kind {
            MountKind::Proc => made.proc = Some(uncovered(&mount)?),
            MountKind::Devpts => made.terminals = Some(as_root(mount)?),
            _ => {}
        }
    }
    put_devices(plan, &root, parcels)?;
    for path in &plan.readonly_paths {
        make_readonly(&root, path)?;
    }
    if !plan.masked_paths.is_empty() {
        let mut null = Cover { mount: parcels.need(NULL_NODE, "/dev/null")?, attached: false };
        let mut empty = Cover { mount: parcels.need(EMPTY_DIRECTORY, "tmpfs")?, attached: false };
        for path in &plan.masked_paths {
            mask(&root, path, &mut null, &mut empty)?;
        }
    }
    made.ruleset = parcels.take(LANDLOCK)?;
    made.host_proc = parcels.take(HOST_PROC)?;
    enter_group_namespace(proof, plan, parcels)?;
    if let Some(wanted) = delayed {
        mount_cgroup(machine, &root, wanted)?;
    }
    if let Some(independent) = &plan.independent {
        independent::run_hooks("createContainer", &independent.create_container, independent)?;
    }
    rootfs::change(plan, &root_mount)?;
    Ok(made)
}

/// Whether the control groups can be mounted last, while the group is being made: when nothing is mounted, masked or
/// made read-only below or above them afterwards.
fn can_wait(plan: &Plan, index: usize) -> bool {
    let Some(wanted) = plan.mounts.get(index) else { return false };
    let meets = |path: &str| {
        path.starts_with(&wanted.target) || wanted.target.starts_with(path.trim_end_matches('/'))
    };
    let later = plan.mounts[index + 1..].iter().map(|mount| mount.target.as_str());
    let paths = plan.readonly_paths.iter().chain(&plan.masked_paths).map(String::as_str);
    !later.chain(paths).any(meets)
}

/// The namespace's root is the group this process is in, so it is made once it is there.
fn enter_group_namespace(proof: &SingleThread, plan: &Plan, parcels: &mut Parcels<'_>) -> Step<()> {
    if parcels.wait_for_group()? && plan.namespaces.is_new(NamespaceType::Cgroup) {
        process::unshare(proof, NewNamespaces::CGROUP)
            .map_err(|error| Setback::host("cannot make a cgroup namespace", error))?;
    }
    Ok(())
}

/// The same mount, made now. The kernel lists mounts as they were made and not as they were attached (since 6.8), and
/// other engines' users expect the document's order; Haven's own containers do without. Only a mount that is attached
/// here can be copied, so it is, to the host's tree, and goes with it. Where that fails the order is all that is lost.
fn renewed(plan: &Plan, wanted: &MountPlan, mount: OwnedFd) -> OwnedFd {
    let copy = || {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let spot = rustix::fs::open("/sys", flags, Mode::empty()).ok()?;
        // One that must not be bound can't be copied either; it becomes so again in its place.
        propagate(&mount, wanted, propagation::PRIVATE).ok()?;
        mount::attach(&mount, &spot).ok()?;
        mount::clone_tree(&mount, "", true).ok()
    };
    let is_directory = haven_sys::root::stat(&mount).is_ok_and(|stat| stat.kind == FileKind::Directory);
    if plan.independent.is_none() || !is_directory {
        return mount;
    }
    copy().unwrap_or(mount)
}

/// Changes how a mount propagates that must not be bound.
fn propagate(mount: &OwnedFd, wanted: &MountPlan, propagation: u64) -> std::io::Result<()> {
    if wanted.propagation != propagation::UNBINDABLE {
        return Ok(());
    }
    let change = MountChange { propagation, recursive: wanted.propagation_of_tree, ..MountChange::default() };
    mount::change_mount(mount.as_fd(), c"", &change)
}

/// A second mount of the same, which nothing will be mounted on.
fn uncovered(mount: &OwnedFd) -> Step<OwnedFd> {
    mount::clone_tree(mount, "", false).map_err(|error| Setback::host("cannot hold on to `/proc`", error))
}

fn as_root(mount: OwnedFd) -> Step<Root> {
    Root::from_fd(mount).map_err(|error| Setback::host("cannot open a mount", error))
}

/// The file systems that belong to this process's namespaces.
fn make(wanted: &MountPlan) -> Step<OwnedFd> {
    let fstype = match &wanted.kind {
        MountKind::Proc => "proc",
        MountKind::Sysfs => "sysfs",
        MountKind::Tmpfs => "tmpfs",
        MountKind::Mqueue => "mqueue",
        MountKind::Devpts => "devpts",
        _ => {
            return Err(Setback::host(format!("the mount for `{}` is missing", wanted.target), Errno::NOENT));
        }
    };
    file_system(fstype, wanted)
}

/// Attaches `mount` where the plan wants it; a missing target is made.
fn put(root: &Root, wanted: &MountPlan, mount: &OwnedFd) -> Step<()> {
    let failed = |error: std::io::Error| Setback::host(format!("cannot mount `{}`", wanted.target), error);
    let kind = haven_sys::root::stat(mount).map_err(|error| failed(error.into()))?.kind;
    let target = find_target(root, &wanted.target, kind == FileKind::Directory)?;
    mount::attach(mount, &target).map_err(|error| failed(error.into()))?;
    if !matches!(wanted.kind, MountKind::Bind { .. }) {
        // A bind mount got its shape from the assembler, with the host's rights.
        let rest = MountPlan { set: if is_dev(wanted) { wanted.set } else { 0 }, ..wanted.clone() };
        shape(mount, &rest).map_err(failed)?;
    }
    Ok(())
}

fn find_target(root: &Root, path: &str, directory: bool) -> Step<OwnedFd> {
    let failed =
        |error: PathError| Setback::host(format!("cannot make the mount point `{path}` in the image"), error);
    let plain = path.trim_end_matches('/');
    if NEVER_LINKS.contains(&plain) {
        match root.lstat(plain) {
            Ok(stat) if stat.kind == FileKind::Directory => {}
            Ok(_) => {
                return Err(Setback::request(format!(
                    "the image's `{plain}` isn't a directory; nothing is mounted on it"
                ))
                .hint("use an image whose /proc, /sys and /dev are directories"));
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if directory {
        root.mkdir_all(path, 0o755).map(OwnedFd::from).map_err(failed)
    } else {
        root.file_target(path, 0o644).map(OwnedFd::from).map_err(failed)
    }
}

/// Devices that aren't in a `/dev` of the runtime's making, and that `/dev`'s links when it has none.
fn put_devices(plan: &Plan, root: &Root, parcels: &mut Parcels<'_>) -> Step<()> {
    if plan.mounts.iter().any(is_dev) && plan.devices.iter().all(|device| device.path.starts_with("/dev/")) {
        return Ok(());
    }
    for (index, device) in all_devices(plan).iter().enumerate() {
        let tag = FIRST_DEVICE + u16::try_from(index).unwrap_or(0);
        let Some(node) = parcels.take(tag)? else { continue };
        let target = find_target(root, &device.path, false)?;
        mount::attach(&node, &target)
            .map_err(|error| Setback::host(format!("cannot mount the device `{}`", device.path), error))?;
    }
    let made = plan.mounts.iter().any(is_dev);
    if !made && !dev_is_bound(plan) {
        let dev = root.mkdir_all("/dev", 0o755);
        let links = [
            ("fd", "/proc/self/fd"),
            ("stdin", "/proc/self/fd/0"),
            ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"),
        ];
        for (name, target) in links {
            match dev.as_ref().map(|dev| dev.symlink(target, name)) {
                Ok(Err(error)) if error.errno() != Errno::EXIST => {
                    return Err(Setback::host(format!("cannot make `/dev/{name}`"), error));
                }
                Ok(_) => {}
                Err(error) => return Err(Setback::host("cannot open `/dev`", error.clone())),
            }
        }
    }
    Ok(())
}

/// Puts the process's terminal on `/dev/console`: the device itself, not a path to it (CVE-2025-52565).
pub(super) fn put_console(root: &Root, console: &OwnedFd) -> Step<()> {
    let failed = |error: std::io::Error| Setback::host("cannot mount `/dev/console`", error);
    let mount = mount::clone_tree(console, "", false).map_err(|error| failed(error.into()))?;
    let target = root.file_target("/dev/console", 0o600).map_err(|error| failed(error.into()))?;
    mount::attach(&mount, &target).map_err(|error| failed(error.into()))
}

fn make_readonly(root: &Root, path: &str) -> Step<()> {
    let failed = |error: std::io::Error| Setback::host(format!("cannot make `{path}` read-only"), error);
    let target = match root.resolve(path, Follow::Yes) {
        Ok(target) => target,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    };
    let copy = mount::clone_tree(&target, "", true).map_err(|error| failed(error.into()))?;
    let change = MountChange { set: attribute::RDONLY, recursive: true, ..MountChange::default() };
    mount::change_mount(copy.as_fd(), c"", &change).map_err(failed)?;
    mount::attach(&copy, &target).map_err(|error| failed(error.into()))
}

/// A mount to be put over several places. The kernel copies only what is in this namespace: the first place gets the
/// mount itself, the others copies.
struct Cover {
    mount: OwnedFd,
    attached: bool,
}

impl Cover {
    fn put(&mut self, target: &Handle) -> rustix::io::Result<()> {
        if self.attached {
            return mount::attach(mount::clone_tree(&self.mount, "", false)?, target);
        }
        self.attached = true;
        mount::attach(&self.mount, target)
    }
}

fn mask(root: &Root, path: &str, null: &mut Cover, empty: &mut Cover) -> Step<()> {
    let failed = |error: std::io::Error| Setback::host(format!("cannot mask `{path}`"), error);
    let target: Handle = match root.resolve(path, Follow::Yes) {
        Ok(target) => target,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(failed(error.into())),
    };
    let is_directory = target.stat().map_err(|error| failed(error.into()))?.kind == FileKind::Directory;
    let cover = if is_directory { empty } else { null };
    cover.put(&target).map_err(|error| failed(error.into()))
}

fn is_absent(error: &PathError) -> bool {
    matches!(error.errno(), Errno::NOENT | Errno::NOTDIR)
}

/// The control groups as this process's cgroup namespace shows them. v2 is one file system; v1 is a directory with one
/// for each hierarchy, and links from each controller to the hierarchy it shares with others.
fn mount_cgroup(machine: &Machine, root: &Root, wanted: &MountPlan) -> Step<()> {
    let target = find_target(root, &wanted.target, true)?;
    let failed = |error: Errno| Setback::host(format!("cannot mount `{}`", wanted.target), error);
    let attributes = wanted.set;
    let layout = machine.groups()?;
    if layout.version() == Version::Unified {
        let mount = FileSystem::open("cgroup2")
            .and_then(|fs| fs.string("source", "cgroup"))
            .and_then(|fs| fs.mount(attributes))
            .map_err(|error| cannot_mount(&wanted.target, error))?;
        return mount::attach(&mount, &target).map_err(failed);
    }
    let top = FileSystem::open("tmpfs")
        .and_then(|fs| fs.string("source", "cgroup"))
        .and_then(|fs| fs.string("mode", "0755"))
        .and_then(|fs| fs.mount(attributes & !attribute::RDONLY))
        .map_err(|error| cannot_mount(&wanted.target, error))?;
    mount::attach(&top, &target).map_err(failed)?;
    let inside = as_root(top.try_clone().map_err(|error| Setback::host("cannot copy a descriptor", error))?)?;
    for (place, controllers) in layout.mount_points() {
        let Some(name) = place.file_name() else { continue };
        let cannot = |error: PathError| Setback::host(format!("cannot fill `{}`", wanted.target), error);
        inside.top().mkdir(name, 0o755).map_err(cannot)?;
        let directory = inside.top().open_dir(name).map_err(cannot)?;
        let unified = controllers.is_empty() || name == "unified";
        let mut fs = FileSystem::open(if unified { "cgroup2" } else { "cgroup" })
            .and_then(|fs| fs.string("source", "cgroup"))
            .map_err(|error| cannot_mount(&wanted.target, error))?;
        if !unified {
            for controller in controllers {
                let set = match controller.strip_prefix("name=") {
                    Some(named) => fs.flag("none").and_then(|fs| fs.string("name", named)),
                    None => fs.flag(controller),
                };
                fs = set.map_err(|error| cannot_mount(&wanted.target, error))?;
            }
        }
        let mount = fs.mount(attributes).map_err(|error| cannot_mount(&wanted.target, error))?;
        mount::attach(&mount, &directory).map_err(failed)?;
        for controller in controllers.iter().filter(|controller| name != controller.as_str()) {
            if !controller.starts_with("name=") && controllers.len() > 1 {
                inside.top().symlink(name, controller).map_err(cannot)?;
            }
        }
    }
    let change = MountChange { set: attributes & attribute::RDONLY, ..MountChange::default() };
    mount::change_mount(top.as_fd(), c"", &change)
        .map_err(|error| Setback::host(format!("cannot make `{}` read-only", wanted.target), error))
}
