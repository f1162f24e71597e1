//! Signals to a process that can't be mistaken for another: by its descriptor, pidfd_send_signal(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Sends signal `number`, real-time ones included (`rustix` knows only the named ones). The kernel refuses numbers
/// that are none.
pub fn send_signal(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    // SAFETY: passes three numbers and a null pointer, which the call documents as "no siginfo"; touches no memory
    // of ours.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            number,
            std::ptr::null::<libc::siginfo_t>(),
            0_u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
