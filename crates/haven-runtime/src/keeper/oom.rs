//! Whether the kernel's out-of-memory killer struck in the control group.
//!
//! `memory.events` (v2) and `memory.oom_control` (v1) both have a line `oom_kill N`.

use std::os::fd::OwnedFd;

pub(super) fn struck(counter: &OwnedFd) -> bool {
    let mut buffer = [0; 512];
    let Ok(count) = rustix::io::pread(counter, &mut buffer, 0) else { return false };
    kills_in(&buffer[..count]) > 0
}

fn kills_in(text: &[u8]) -> u64 {
    String::from_utf8_lossy(text)
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_counters_are_read() {
        assert_eq!(kills_in(b"low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n"), 2);
        assert_eq!(kills_in(b"oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"), 0);
        assert_eq!(kills_in(b""), 0);
    }
}
