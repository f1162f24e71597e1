//! The container's `/dev`: a file system made outside, with its nodes in it.
//!
//! Nobody in a user namespace can make device nodes, and a file system mounted there shows none. One made with the
//! host's rights can, and its nodes belong to the container's own root, which other runtimes' bound host nodes don't.
//! What may be done with a device is still the control group's to say.

use super::idmap::host_id;
use super::mounts::{DEV, FIRST_DEVICE, cannot_mount};
use crate::link::Parcel;
use crate::oci::Device;
use crate::plan::{MountKind, MountPlan, Plan};
use crate::setback::{Setback, Step};
use haven_sys::mount::{self, FileSystem};
use haven_sys::root::{FileKind, PathError, Root};
use std::os::fd::OwnedFd;

/// Nodes every container has; see the runtime specification's default devices.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Whether this mount is the container's `/dev`, to be made here.
pub(crate) fn is_dev(wanted: &MountPlan) -> bool {
    wanted.kind == MountKind::Tmpfs && wanted.target.trim_end_matches('/') == "/dev" && !wanted.copy_up
}

/// Whether the container's `/dev` is what its image or a bind mount has there.
pub(crate) fn dev_is_bound(plan: &Plan) -> bool {
    plan.mounts.iter().any(|wanted| {
        matches!(wanted.kind, MountKind::Bind { .. }) && wanted.target.trim_end_matches('/') == "/dev"
    })
}

/// `/dev`, and one parcel for each device that lies elsewhere.
pub(super) fn assemble(plan: &Plan) -> Step<Vec<Parcel>> {
    let mut parcels = Vec::new();
    let mut inside = None;
    if let Some(wanted) = plan.mounts.iter().find(|wanted| is_dev(wanted)) {
        let fs = make(plan, wanted)?;
        inside = Some(fs.try_clone().map_err(cannot_fill)?);
        parcels.push(Parcel { tag: DEV, content: fs.into_top().into() });
    }
    let bound = dev_is_bound(plan);
    let mut elsewhere = None;
    for (index, device) in all_devices(plan).iter().enumerate() {
        let below_dev = device.path.strip_prefix("/dev/");
        match (below_dev, &inside) {
            (Some(name), Some(root)) => {
                make_node(plan, root, name, device)?;
                continue;
            }
            // The default nodes of a bound `/dev` are its own affair.
            (Some(_), None) if bound && index >= plan.devices.len() => continue,
            _ => {}
        }
        if elsewhere.is_none() {
            elsewhere = Some(scratch()?);
        }
        let Some(root) = &elsewhere else { continue };
        let name = index.to_string();
        make_node(plan, root, &name, device)?;
        let content = mount::clone_tree(root, &name, false).or_else(|error| {
            // Before 6.15 nothing is copied from what is attached nowhere: the host's own node has to do.
            host_node(device, root, &name)
                .ok_or_else(|| Setback::host(format!("cannot make the device `{}`", device.path), error))
        })?;
        let tag = u16::try_from(index).ok().and_then(|index| index.checked_add(FIRST_DEVICE));
        let tag = tag.ok_or_else(|| Setback::request("there are too many devices"))?;
        parcels.push(Parcel { tag, content });
    }
    Ok(parcels)
}

/// The plan's devices, then the default ones it doesn't have; the order is what parcels' tags refer to.
pub(crate) fn all_devices(plan: &Plan) -> Vec<Device> {
    let mut all = plan.devices.clone();
    for (name, major, minor) in NODES {
        let path = format!("/dev/{name}");
        if !all.iter().any(|device| device.path == path) {
            all.push(Device {
                path,
                kind: "c".into(),
                major: major.into(),
                minor: minor.into(),
                file_mode: Some(0o666),
                uid: None,
                gid: None,
            });
        }
    }
    all
}

fn make(plan: &Plan, wanted: &MountPlan) -> Step<Root> {
    let (uid, gid) = (host_id(&plan.uid_map, 0)?, host_id(&plan.gid_map, 0)?);
    let mount = || {
        let mut fs = FileSystem::open("tmpfs")?
            .string("source", &wanted.source)?
            .string("uid", uid.to_string())?
            .string("gid", gid.to_string())?;
        for option in
            wanted.data.iter().filter(|option| !option.starts_with("uid=") && !option.starts_with("gid="))
        {
            fs = fs.option(option)?;
        }
        fs.mount(wanted.set & !mount::attribute::NODEV & !mount::attribute::RDONLY)
    };
    let mount = mount().map_err(|error| cannot_mount(&wanted.target, error))?;
    let root = Root::from_fd(mount).map_err(cannot_fill)?;
    let fill = || -> Result<(), PathError> {
        for (name, target) in LINKS {
            root.top().symlink(target, name)?;
            root.top().set_owner(name, uid, gid)?;
        }
        if plan.process.terminal {
            drop(root.top().create_file("console", 0o600)?);
            root.top().set_owner("console", uid, gid)?;
        }
        Ok(())
    };
    fill().map_err(cannot_fill)?;
    Ok(root)
}

/// A file system for nodes that are bound from it one by one.
fn scratch() -> Step<Root> {
    let mount =
        FileSystem::open("tmpfs").and_then(|fs| fs.mount(0)).map_err(|error| cannot_mount("tmpfs", error))?;
    Root::from_fd(mount).map_err(cannot_fill)
}

/// The host's node of this path, if it is the same device as the one made as `name`.
fn host_node(device: &Device, made: &Root, name: &str) -> Option<OwnedFd> {
    let node = mount::clone_tree(rustix::fs::CWD, &device.path, false).ok()?;
    let (found, wanted) = (haven_sys::root::stat(&node).ok()?, made.lstat(name).ok()?);
    (found.kind == wanted.kind && found.node == wanted.node).then_some(node)
}

fn make_node(plan: &Plan, root: &Root, path: &str, device: &Device) -> Step<()> {
    let refuse = |why: &str| Setback::request(format!("cannot make the device `{}`: {why}", device.path));
    let kind = match device.kind.as_str() {
        "c" | "u" => FileKind::CharDevice,
        "b" => FileKind::BlockDevice,
        "p" => FileKind::Fifo,
        _ => return Err(refuse("its type isn't `c`, `u`, `b` or `p`")),
    };
    let number = |number: i64| u32::try_from(number).map_err(|_| refuse("its numbers aren't a device's"));
    let numbers = (number(device.major)?, number(device.minor)?);
    let uid = host_id(&plan.uid_map, device.uid.unwrap_or(0))?;
    let gid = host_id(&plan.gid_map, device.gid.unwrap_or(0))?;
    let make = || -> Result<(), PathError> {
        let (parent, name) = match path.rsplit_once('/') {
            Some((parent, name)) => (root.mkdir_all(parent, 0o755)?, name),
            None => (root.top().try_clone()?, path),
        };
        parent.mknod(name, kind, device.file_mode.unwrap_or(0o666) & 0o7777, numbers)?;
        parent.set_owner(name, uid, gid)
    };
    make().map_err(|error| Setback::host(format!("cannot make the device `{}`", device.path), error))
}

fn cannot_fill(error: impl Into<std::io::Error>) -> Setback {
    Setback::host("cannot fill `/dev`", error)
}
