//! Stopping every process of a group without their noticing, and letting them go on.
//!
//! v2's freezer is used wherever a v2 hierarchy is mounted, hybrid machines included: frozen processes can still be
//! killed and traced. v1's is the fallback; it can stay `FREEZING` for ever when a process forks or waits in the
//! kernel, so it is thawed and tried again.

use super::directory::Directory;
use super::format;
use super::group::Group;
use haven_spec::{Failure, Outcome};
use std::time::{Duration, Instant};

impl Group {
    /// Freezes every process; when that isn't done within `patience`, thaws them and fails.
    pub fn freeze(&self, patience: Duration) -> Outcome<()> {
        let deadline = Instant::now() + patience;
        let done = match (self.unified(), self.v1("freezer")) {
            (Some(directory), _) if directory.has("cgroup.freeze") => {
                directory.write("cgroup.freeze", "1")?;
                wait_until(deadline, || {
                    Ok(format::value_of(&directory.read("cgroup.events")?, "frozen") == Some(1))
                })?
            }
            (_, Some(directory)) => freeze_v1(directory, deadline)?,
            _ => return Err(no_freezer()),
        };
        if done {
            return Ok(());
        }
        self.thaw()?;
        Err(Failure::host(format!("cannot freeze the control group `{}` within {patience:?}", self.path()))
            .hint(
                "a process waits in the kernel (state D in `ps`), often for a disk or a network file system",
            ))
    }

    /// Lets every process go on. Thawing what isn't frozen is no error.
    pub fn thaw(&self) -> Outcome<()> {
        let mut known = false;
        if let Some(directory) = self.unified().filter(|directory| directory.has("cgroup.freeze")) {
            directory.write("cgroup.freeze", "0")?;
            known = true;
        }
        // Also when another runtime froze it by v1's freezer.
        if let Some(directory) = self.v1("freezer") {
            directory.write("freezer.state", "THAWED")?;
            known = true;
        }
        if known { Ok(()) } else { Err(no_freezer()) }
    }

    /// Whether the group is frozen, by whichever freezer.
    pub fn is_frozen(&self) -> Outcome<bool> {
        if let Some(directory) = self.unified()
            && let Some(events) = directory.read_optional("cgroup.events")?
            && format::value_of(&events, "frozen") == Some(1)
        {
            return Ok(true);
        }
        match self.v1("freezer") {
            Some(directory) => {
                Ok(directory.read_optional("freezer.state")?.is_some_and(|state| state.trim() != "THAWED"))
            }
            None => Ok(false),
        }
    }
}

fn no_freezer() -> Failure {
    Failure::host("this machine has no freezer")
        .hint("mount the v2 hierarchy (`mount -t cgroup2 cgroup2 …`) or v1's `freezer`")
}

fn freeze_v1(directory: &Directory, deadline: Instant) -> Outcome<bool> {
    loop {
        directory.write("freezer.state", "FROZEN")?;
        let round = Instant::now() + Duration::from_millis(50);
        if wait_until(deadline.min(round), || Ok(directory.read("freezer.state")?.trim() == "FROZEN"))? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        // A fork in progress can keep it from ever being done: let it finish.
        directory.write("freezer.state", "THAWED")?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Asks at growing intervals; whether the answer was yes before the deadline.
pub(super) fn wait_until(deadline: Instant, mut done: impl FnMut() -> Outcome<bool>) -> Outcome<bool> {
    let mut pause = Duration::from_micros(20);
    loop {
        if done()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}
