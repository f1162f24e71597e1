//! Network namespaces, held by descriptors and entered by threads that end with their errand.
//!
//! A thread's namespace is its own; everything else of a process does not notice. Were a thread of the caller to enter
//! a namespace and fail to come back, whatever it did next would happen to the wrong network. So no thread ever comes
//! back: each errand has a thread of its own, which costs some 30 µs and leaves nothing to undo. Sockets that are opened
//! in a namespace stay in it and can be used from anywhere. See network_namespaces(7).

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

/// Address space for an errand's stack; only what is touched becomes memory.
const STACK_BYTES: usize = 1024 * 1024;

/// Runs `work` in the network namespace `netns`.
///
/// Needs `CAP_SYS_ADMIN` in the user namespace that owns `netns`, which root of the host has over all.
pub fn within<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> Result<T, Errno> {
    errand(|| {
        rustix::thread::move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
        Ok(work())
    })
}

/// Makes a network namespace, owned by the caller's user namespace. It goes when the last descriptor, process and
/// mount that holds it does.
pub fn create() -> Result<OwnedFd, Errno> {
    errand(|| {
        // SAFETY: only the network namespace is left, nothing that threads share (UnshareFlags::FILES is what
        // would make this unsound), and this thread ends here.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
        open_own()
    })
}

/// The calling thread's network namespace.
pub fn open_own() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

fn errand<T: Send>(work: impl FnOnce() -> Result<T, Errno> + Send) -> Result<T, Errno> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("netns".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, work)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
        match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(of: BorrowedFd<'_>) -> u64 {
        rustix::fs::fstat(of).unwrap().st_ino
    }

    #[test]
    fn an_errand_in_a_namespace_leaves_the_caller_where_it_was() {
        use rustix::fd::AsFd;
        let Ok(new) = create() else {
            eprintln!("skipped: making a network namespace takes root");
            return;
        };
        let before = open_own().unwrap();
        let inside = within(new.as_fd(), open_own).unwrap().unwrap();
        let after = open_own().unwrap();
        assert_eq!(number(inside.as_fd()), number(new.as_fd()));
        assert_eq!(number(before.as_fd()), number(after.as_fd()));
        assert_ne!(number(before.as_fd()), number(new.as_fd()));
    }
}
