//! Signals as something to read: blocked for the process and taken from a descriptor, so that a `poll` loop sees them
//! between two reads and no handler ever runs. signalfd(2).

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Signals blocked for the calling thread and the threads it starts later, and queued here instead.
#[derive(Debug)]
pub struct SignalQueue {
    descriptor: OwnedFd,
    before: libc::sigset_t,
}

impl SignalQueue {
    /// Blocks `signals` and opens the queue. Call it before starting threads: others keep their own mask.
    pub fn block(signals: &[i32]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is writable memory of the right type; sigemptyset initialises all of it before sigaddset and
        // the later calls read it. sigaddset refuses numbers out of range without touching the set.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                libc::sigaddset(set.as_mut_ptr(), *signal);
            }
        }
        // SAFETY: both pointers are valid for the whole call, `set` was initialised above, and `before` is filled
        // when the call succeeds, which is checked before it is assumed so.
        let error = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // SAFETY: pthread_sigmask succeeded, so it wrote the old mask.
        let before = unsafe { before.assume_init() };
        // SAFETY: `set` is initialised and valid for the call; -1 asks for a new descriptor.
        let raw = unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if raw < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd returned a new descriptor that nothing else owns.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(Self { descriptor, before })
    }

    /// The next signal's number, or `None` when none waits.
    pub fn next(&self) -> io::Result<Option<i32>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
        // SAFETY: the kernel writes at most the given length into `info`, which is that long.
        let count = unsafe {
            libc::read(
                self.descriptor.as_raw_fd(),
                info.as_mut_ptr().cast(),
                size_of::<libc::signalfd_siginfo>(),
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        }
        if usize::try_from(count) != Ok(size_of::<libc::signalfd_siginfo>()) {
            return Ok(None);
        }
        // SAFETY: the read filled the whole structure, and every bit pattern of it is valid.
        let info = unsafe { info.assume_init() };
        Ok(i32::try_from(info.ssi_signo).ok())
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for SignalQueue {
    /// Restores the mask of the thread that drops it; signals that still wait are then delivered as usual.
    fn drop(&mut self) {
        // SAFETY: `before` is the mask an earlier pthread_sigmask wrote; a null third argument asks for nothing back.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_from_the_queue() {
        let queue = SignalQueue::block(&[libc::SIGUSR2]).unwrap();
        assert_eq!(queue.next().unwrap(), None);
        // SAFETY: raises a signal this very thread has blocked.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR2) };
        assert_eq!(queue.next().unwrap(), Some(libc::SIGUSR2));
        assert_eq!(queue.next().unwrap(), None);
    }
}
