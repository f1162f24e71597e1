//! `--init`: a first process that passes signals on to the command and reaps what is orphaned.
//!
//! It is this very process, which stays behind while a child goes on to become the command; its file is the sealed copy,
//! so there is nothing to find or to overwrite in the image.

use haven_sys::{descriptor, process, signal};
use rustix::process::{Pid, WaitOptions, wait};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Reaps until the command ends, in a process that has blocked all signals; gives the status to end with.
pub(super) fn reap(command: Pid) -> i32 {
    if descriptor::close_all_but(&[]).is_err() {
        return super::FAILED;
    }
    let _cosmetic = rustix::thread::set_name(c"haven-init");
    // Passing signals on to another user's process is all it has rights for.
    let kill = CapabilitySet::KILL;
    let sets = CapabilitySets { effective: kill, permitted: kill, inheritable: CapabilitySet::empty() };
    if rustix::thread::set_capabilities(None, sets).is_err()
        || process::signal_on_parent_death(signal::KILL).is_err()
    {
        return super::FAILED;
    }
    loop {
        match signal::wait_any() {
            Ok(signal::CHLD) => {
                while let Ok(Some((ended, status))) = wait(WaitOptions::NOHANG) {
                    if ended == command {
                        let by_signal = status.terminating_signal().map(|number| 128 + number);
                        return status.exit_status().or(by_signal).unwrap_or(super::FAILED);
                    }
                }
            }
            Ok(number) => {
                let _gone = signal::send(command, number);
            }
            Err(_) => {}
        }
    }
}
