//! The change of root: the container's file system becomes `/`, and the host's is gone.

use crate::plan::Plan;
use crate::setback::{Setback, Step};
use haven_sys::mount::{self, MountChange, attribute, propagation};
use haven_sys::root::Root;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{fchdir, pivot_root};
use std::os::fd::{AsFd, OwnedFd};

/// Attaches the detached root file system over this namespace's `/`, where nothing has to exist for it and nobody else
/// sees it. The current root stays the host's until [`change`].
pub(super) fn attach(root: &OwnedFd) -> Step<()> {
    // Nothing done from here on shows on the host; what the host mounts later may still show here until the change.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| Setback::host("cannot separate the mounts from the host's", error))?;
    let top = rustix::fs::open(
        "/",
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|error| Setback::host("cannot open the host's root", error))?;
    mount::attach(root, &top).map_err(|error| Setback::host("cannot attach the root file system", error))
}

/// Makes the attached file system the root and lets go of the host's.
pub(super) fn change(plan: &Plan, root: &OwnedFd) -> Step<()> {
    let failed = |what: &'static str| move |error: rustix::io::Errno| Setback::host(what, error);
    // pivot_root(2) wants private mounts above both roots.
    mount_change("/", MountPropagationFlags::PRIVATE)
        .map_err(failed("cannot make the host's root private"))?;
    fchdir(root).map_err(failed("cannot enter the root file system"))?;
    if plan.independent.as_ref().is_some_and(|own| own.no_pivot) {
        // A root on a RAM disk can't be pivoted away from; it stays below, where no path leads.
        rustix::process::chroot(".").map_err(failed("cannot change the root"))?;
        return finish(plan);
    }
    pivot_root(".", ".").map_err(failed("cannot change the root"))?;
    // Both roots lie on "/" now, the host's on top; taken away, it isn't reachable by any path.
    mount_change(".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(failed("cannot separate the host's mounts"))?;
    mount::detach(".").map_err(failed("cannot let go of the host's root"))?;
    finish(plan)
}

fn finish(plan: &Plan) -> Step<()> {
    rustix::process::chdir("/").map_err(|error| Setback::host("cannot enter the new root", error))?;
    if plan.root_propagation != propagation::PRIVATE {
        let change =
            MountChange { propagation: plan.root_propagation, recursive: true, ..MountChange::default() };
        mount::change_mount(rustix::fs::CWD, c"/", &change)
            .map_err(|error| Setback::host("cannot set how mounts propagate", error))?;
    }
    Ok(())
}

/// The root file system itself can't be written any more; what is mounted on it can, unless said otherwise.
pub(super) fn make_readonly(root: &Root) -> Step<()> {
    let change = MountChange { set: attribute::RDONLY, ..MountChange::default() };
    mount::change_mount(root.as_fd(), c"", &change)
        .map_err(|error| Setback::host("cannot make the root file system read-only", error))
}
