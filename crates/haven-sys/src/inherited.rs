//! Descriptors that whoever started this process left open for it.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over descriptor `number`, which must be open; from then on it is closed on exec. To be called at most once
/// for a number, and never for one this process opened itself: that one has an owner.
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_SETFD changes a flag of an open descriptor and fails for one that isn't open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, as the call above has shown, and nobody else in this process owns it: that is
    // the caller's promise.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
