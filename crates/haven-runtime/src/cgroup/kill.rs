//! Ending every process of a group, also one that forks faster than a list can be read.

use super::freezer::wait_until;
use super::group::Group;
use haven_spec::{Failure, Outcome, Signal};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal as RawSignal, pidfd_open, pidfd_send_signal};
use std::time::{Duration, Instant};

impl Group {
    /// Kills every process in the group and below, and waits until they are gone (or only their parent's reaping is
    /// missing), up to `patience`.
    pub fn kill_all(&self, patience: Duration) -> Outcome<()> {
        let deadline = Instant::now() + patience;
        // The kernel's own way holds against forks. It reaches what is in the v2 hierarchy.
        let by_kernel = match self.unified() {
            Some(directory) => match directory.write_raw("cgroup.kill", "1") {
                Ok(()) => true,
                Err(Errno::NOENT) => false,
                Err(errno) => return Err(directory.write_failure("cgroup.kill", "1", errno)),
            },
            None => false,
        };
        // A process frozen by v1 dies only once it is thawed.
        if by_kernel && let Some(directory) = self.v1("freezer") {
            directory.write("freezer.state", "THAWED")?;
        }
        let gone = wait_until(deadline, || {
            let left = self.living()?;
            if !left.is_empty() {
                self.kill_round(&left, by_kernel)?;
            }
            Ok(left.is_empty())
        })?;
        if gone {
            return Ok(());
        }
        let left: Vec<String> =
            self.living()?.iter().take(8).map(|pid| pid.as_raw_nonzero().to_string()).collect();
        Err(Failure::host(format!("processes of the control group `{}` outlive being killed", self.path()))
            .because(format!("still there: {}", left.join(", ")))
            .hint("a process in state D (see `ps`) ends once the disk or network file system it waits for answers"))
    }

    /// Kills what is listed. Without the kernel's own way the group is frozen meanwhile, so that nothing forks and no
    /// number is given to another process between the list and the kill.
    fn kill_round(&self, listed: &[Pid], by_kernel: bool) -> Outcome<()> {
        if by_kernel {
            return send_all(listed, RawSignal::KILL);
        }
        // When it can't be frozen, killing without is still right, only slower.
        let frozen = self.freeze(Duration::from_millis(200)).is_ok();
        let sent = self.living().and_then(|pids| send_all(&pids, RawSignal::KILL));
        if frozen {
            self.thaw()?;
        }
        sent
    }

    /// Sends a signal to every process in the group and below. Those that fork meanwhile may be missed: for killing,
    /// use [`Self::kill_all`].
    pub fn signal_all(&self, signal: Signal) -> Outcome<()> {
        let raw = RawSignal::from_named_raw(signal.number())
            .ok_or_else(|| Failure::unsupported(format!("cannot send {signal} to a whole group")))?;
        send_all(&self.living()?, raw)
    }

    /// The processes that aren't zombies waiting for their parent.
    fn living(&self) -> Outcome<Vec<Pid>> {
        let mut pids = self.processes()?;
        pids.retain(|pid| !is_zombie(*pid));
        Ok(pids)
    }
}

/// Through a pidfd, and only if the process is still there.
fn send_all(pids: &[Pid], signal: RawSignal) -> Outcome<()> {
    for pid in pids {
        let sent = pidfd_open(*pid, PidfdFlags::empty()).and_then(|fd| pidfd_send_signal(&fd, signal));
        match sent {
            Ok(()) | Err(Errno::SRCH | Errno::INVAL) => {}
            Err(errno) => {
                return Err(Failure::host(format!(
                    "cannot send signal {} to process {}",
                    signal.as_raw(),
                    pid.as_raw_nonzero()
                ))
                .because(std::io::Error::from(errno)));
            }
        }
    }
    Ok(())
}

/// Ended, but for its parent's asking. The state comes after the command's name, which is in parentheses and may hold
/// some; a first thread that ended before the others looks like a zombie with threads.
fn is_zombie(pid: Pid) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) else {
        return true;
    };
    let Some((_, rest)) = text.rsplit_once(')') else { return false };
    let mut fields = rest.split_ascii_whitespace();
    let ended = matches!(fields.next(), Some("Z" | "X"));
    let threads = fields.nth(16).and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
    ended && threads <= 1
}
