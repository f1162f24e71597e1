//! Whether a process is still the one it was: process ids are reused, start times aren't.

use haven_spec::{Failure, Outcome};
use rustix::process::{Pid, PidfdFlags};
use std::os::fd::OwnedFd;

/// When process `pid` started, in clock ticks since boot; `None` when there is no such process.
pub fn process_start_time(pid: u32) -> Outcome<Option<u64>> {
    let path = format!("/proc/{pid}/stat");
    let stat = match std::fs::read(&path) {
        Ok(stat) => stat,
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Failure::host(format!("cannot read `{path}`")).because(error)),
    };
    start_time_in(&stat).map(Some).ok_or_else(|| Failure::internal(format!("cannot understand `{path}`")))
}

/// Field 22 of proc_pid_stat(5). The second field may contain spaces and parentheses, so fields are counted from its
/// last closing parenthesis.
fn start_time_in(stat: &[u8]) -> Option<u64> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A descriptor for the process with this id and start time; `None` when it is gone, whoever has its number now.
pub fn resolve_process(pid: u32, start_time_ticks: u64) -> Outcome<Option<OwnedFd>> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(raw) = raw else {
        return Err(Failure::invalid(format!("`{pid}` is not a process id")));
    };
    let pidfd = match rustix::process::pidfd_open(raw, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        Err(error) => return Err(Failure::host(format!("cannot open process {pid}")).because(error)),
    };
    // The descriptor is taken first: if the number changed hands before, the start time tells; afterwards it can't.
    Ok(process_start_time(pid)?.filter(|ticks| *ticks == start_time_ticks).map(|_| pidfd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_doesnt_confuse_the_start_time() {
        let stat = b"7 (a) b) (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(start_time_in(stat), Some(4711));
        assert_eq!(start_time_in(b"7 (a"), None);
    }

    #[test]
    fn this_process_is_itself_and_not_another() {
        let pid = std::process::id();
        let ticks = process_start_time(pid).unwrap().unwrap();
        assert!(resolve_process(pid, ticks).unwrap().is_some());
        assert!(resolve_process(pid, ticks + 1).unwrap().is_none());
        assert!(process_start_time(u32::MAX / 2).unwrap().is_none());
    }
}
