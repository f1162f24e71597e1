//! Fast moves between control groups of version 1.
//!
//! Writing to `cgroup.procs` after a pause waits for an RCU grace period, about 11 ms: more than everything else in a
//! start together. The kernel offers to favour such moves (`favordynmods`, 6.0); the setting belongs to a hierarchy but
//! holds for all. So a hierarchy of our own, without controllers and mounted nowhere, asks for it, and leaves the
//! host's mounts as they are. See docs/adr/0007-favour-moves.md.

use crate::cgroup::Version;
use crate::machine::Machine;
use haven_sys::mount::{FileSystem, MountError};
use std::os::fd::OwnedFd;

/// Asks for fast moves for as long as the descriptor lives; `None`: they aren't needed or can't be had, or hold without.
pub(super) fn moves(machine: &Machine) -> Option<OwnedFd> {
    // On version 2 a process is born where it belongs.
    let needed = machine.groups().is_ok_and(|layout| layout.version() != Version::Unified);
    let hierarchy = needed.then(|| ask().ok()).flatten()?;
    // Since 6.18 the kernel never takes the setting back; holding the hierarchy would only show it in every process's
    // list of groups.
    (kernel() < Some((6, 18))).then_some(hierarchy)
}

fn kernel() -> Option<(u32, u32)> {
    let uname = rustix::system::uname();
    let mut numbers = uname.release().to_str().ok()?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn ask() -> Result<OwnedFd, MountError> {
    FileSystem::open("cgroup")?.flag("none")?.string("name", "haven")?.flag("favordynmods")?.mount(0)
}
