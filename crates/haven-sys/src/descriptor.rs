//! The table of descriptors as a whole: close_range(2), and descriptors by number.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Marks every descriptor from `first` on to be closed at the next exec.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: only changes a flag of descriptors, which stay open.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) })
}

/// Closes every descriptor of this process from 3 on but those given, which move to 3, 4, …; gives them back in
/// order.
///
/// For a process just forked, whose inherited values nobody will use or drop any more: it runs its own code and then
/// exits or executes (see [`crate::process::fork`]).
pub fn keep_only<const N: usize>(kept: [OwnedFd; N]) -> io::Result<[OwnedFd; N]> {
    // First out of the way, so that no target number is occupied by one of them; the moved ones stay close-on-exec.
    let top = i32::try_from(N).unwrap_or(i32::MAX - 3) + 3;
    let mut moved = Vec::with_capacity(N);
    for fd in kept {
        moved.push(rustix::io::fcntl_dupfd_cloexec(&fd, top)?);
    }
    let mut numbers = Vec::with_capacity(N);
    for (target, fd) in (3..).zip(&moved) {
        // SAFETY: dup3 replaces whatever had the target number, which by this function's contract nobody uses again.
        check(unsafe { libc::syscall(libc::SYS_dup3, fd.as_raw_fd(), target, libc::O_CLOEXEC) })?;
        numbers.push(target);
    }
    std::mem::forget(moved);
    // Everything above the kept ones belongs to inherited values nobody uses again (this function's contract), and to
    // `moved`, which was forgotten above.
    close_range(top.unsigned_abs(), u32::MAX)?;
    let owned: Vec<OwnedFd> = numbers
        .into_iter()
        // SAFETY: the numbers were just made by dup3 and have no other owner.
        .map(|number: RawFd| unsafe { OwnedFd::from_raw_fd(number) })
        .collect();
    owned.try_into().map_err(|_| io::Error::other("a descriptor was lost"))
}

/// Makes `kept` the descriptors 3, 4, … across the coming exec, whatever has those numbers now; all from there on are
/// closed by it.
///
/// For a process about to execute, as [`keep_only`]: nobody uses what had the numbers again.
pub fn pass_on(kept: &[OwnedFd]) -> io::Result<()> {
    let top = i32::try_from(kept.len()).unwrap_or(i32::MAX - 3) + 3;
    // First out of the way, so that no target number is occupied by one of them.
    let moved: Vec<OwnedFd> =
        kept.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, top)).collect::<Result<_, _>>()?;
    for (target, fd) in (3..).zip(&moved) {
        // SAFETY: dup3 replaces whatever had the target number, which by this function's contract nobody uses again.
        check(unsafe { libc::syscall(libc::SYS_dup3, fd.as_raw_fd(), target, 0) })?;
    }
    close_on_exec_from(top.unsigned_abs())
}

/// A copy of the descriptor with this number that this process was started with. One it opened itself is none: those
/// close on exec, and what came over an exec doesn't.
pub fn copy_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: only asks for a flag; a number that isn't open is an error.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    if flags & libc::FD_CLOEXEC != 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: makes a new descriptor; the number is only read, and one that isn't open is an error.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Makes 0, 1 or 2 a copy of `fd`, open across exec.
pub fn set_standard(number: StandardStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: replaces a standard stream, which the standard library never owns.
    check(unsafe { libc::syscall(libc::SYS_dup3, fd.as_raw_fd(), number as RawFd, 0) })
}

/// Closes every descriptor of this process from 3 on but those given, which keep their numbers. For a process that was
/// just forked, as [`keep_only`].
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut numbers: Vec<u32> = kept
        .iter()
        .filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok())
        .filter(|number| *number > 2)
        .collect();
    numbers.sort_unstable();
    let mut first = 3;
    for number in numbers {
        if number > first {
            close_range(first, number - 1)?;
        }
        first = number + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: by the contract of the public functions nobody uses the descriptors in the range again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// A standard stream's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum StandardStream {
    Input = 0,
    Output = 1,
    Error = 2,
}

impl StandardStream {
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Error];
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
