//! Making processes: fork, `clone3`, exec, and who is who.
//!
//! A forked child of a process with several threads may do almost nothing (signal-safety(7)); of a process with
//! one thread it may do everything. Haven forks only from processes with one thread, and the token
//! [`SingleThread`] is what the functions here ask for as proof. See clone(2), pidfd_open(2), execve(2).

use rustix::process::Pid;
use std::ffi::{CStr, CString};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The exit status of a child whose code panicked.
pub const PANICKED: i32 = 70;

/// Proof that this process has exactly one thread. Whoever holds it starts none; a fork inherits the proof, since
/// only the calling thread lives on in the child.
#[derive(Debug)]
pub struct SingleThread {
    not_send: PhantomData<*const ()>,
}

impl SingleThread {
    /// Counts this process's threads.
    pub fn prove() -> io::Result<Self> {
        let threads = std::fs::read_dir("/proc/self/task")?.count();
        if threads == 1 {
            Ok(Self { not_send: PhantomData })
        } else {
            Err(io::Error::other(format!(
                "this process has {threads} threads and must have one to fork safely"
            )))
        }
    }
}

/// Runs `child` in a forked process, which exits with what it returns. Nothing of the caller's stack is unwound or
/// dropped in the child.
pub fn fork(_proof: &SingleThread, child: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the process has one thread (`_proof`), so no lock is held by a thread that vanishes in the child; the
    // child never returns into the caller's frames because `run_and_exit` diverges.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => run_and_exit(child),
        pid => Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork returned a negative process id")),
    }
}

/// What a new process gets of its own; the `CLONE_NEW…` flags of clone(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewNamespaces(u64);

impl NewNamespaces {
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    pub const TIME: Self = Self(0x80);
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);

    pub const fn none() -> Self {
        Self(0)
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How [`clone_process`] makes the child.
#[derive(Debug, Default)]
pub struct CloneRequest<'fd> {
    pub namespaces: NewNamespaces,
    /// The child's parent is the caller's parent, not the caller.
    pub sibling: bool,
    /// A directory of the unified hierarchy; the child is born in it, without the grace period of a later move.
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// clone_args of clone(2), up to `cgroup` (kernel 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Runs `child` in a new process made as `request` says, which exits with what it returns; gives its process id (in
/// the caller's namespace) and a descriptor for it.
pub fn clone_process(
    _proof: &SingleThread,
    request: &CloneRequest<'_>,
    child: impl FnOnce() -> i32,
) -> io::Result<(Pid, OwnedFd)> {
    const CLONE_PIDFD: u64 = libc::CLONE_PIDFD as u64;
    const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: CLONE_PIDFD | request.namespaces.0,
        pidfd: &raw mut pidfd as u64,
        // A sibling inherits the caller's exit signal and may not name one.
        exit_signal: if request.sibling { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if request.sibling {
        args.flags |= CLONE_PARENT;
    }
    if let Some(cgroup) = request.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).unwrap_or(u64::MAX);
    }
    // SAFETY: `args` is a properly sized clone_args that outlives the call, and `pidfd` outlives it too. Without
    // CLONE_VM and with a null stack the child runs on a copy of this stack, as after fork; the process has one thread
    // (`_proof`), and the child never returns into the caller's frames because `run_and_exit` diverges.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => run_and_exit(child),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| io::Error::other("clone3 returned an impossible process id"))?;
            // SAFETY: the kernel stored a new descriptor, which nobody else owns, because CLONE_PIDFD was asked for.
            Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
    }
}

fn run_and_exit(child: impl FnOnce() -> i32) -> ! {
    // A panic must not unwind into frames that belong to the parent's work.
    let status = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
    exit_now(status)
}

/// Ends this process at once: no exit handlers, no flushing of what a parent had buffered.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Replaces this process's program; returns only the reason why it couldn't.
pub fn execve(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(arguments), pointers(environment));
    // SAFETY: `path` and every element are NUL-terminated and both lists end with a null pointer; all outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

/// Like [`execve`], with the program behind a descriptor.
pub fn execute_file(program: BorrowedFd<'_>, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(arguments), pointers(environment));
    // SAFETY: the empty path and every element are NUL-terminated and both lists end with a null pointer; all outlive the
    // call, and the descriptor is open for the borrow's life.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    io::Error::last_os_error()
}

/// Takes the namespaces in `namespaces` of its own, for this process, at once.
pub fn unshare(_proof: &SingleThread, namespaces: NewNamespaces) -> io::Result<()> {
    // SAFETY: only namespace flags can be in a `NewNamespaces`, so no descriptor table or memory is unshared.
    check(unsafe { libc::syscall(libc::SYS_unshare, namespaces.0) })
}

/// Joins, all or none, those namespaces of the process behind `pidfd`.
pub fn join_namespaces_of(
    _proof: &SingleThread,
    pidfd: BorrowedFd<'_>,
    namespaces: NewNamespaces,
) -> io::Result<()> {
    // SAFETY: setns takes a descriptor, which is open for the borrow's life, and flags.
    check(unsafe { libc::syscall(libc::SYS_setns, pidfd.as_raw_fd(), namespaces.0) })
}

/// Joins the one namespace behind `namespace`, which must be of `kind`.
pub fn join_namespace(
    _proof: &SingleThread,
    namespace: BorrowedFd<'_>,
    kind: NewNamespaces,
) -> io::Result<()> {
    // SAFETY: as above.
    check(unsafe { libc::syscall(libc::SYS_setns, namespace.as_raw_fd(), kind.0) })
}

/// Makes and opens files as this user and group, with all rights kept: root's would be lost with its number.
/// Undone by [`restore_file_system_ids`].
pub fn set_file_system_ids(_proof: &SingleThread, uid: u32, gid: u32) -> io::Result<()> {
    change_file_system_ids(uid, gid)?;
    let mut sets = rustix::thread::capabilities(None)?;
    sets.effective = sets.permitted;
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Back to this process's effective user and group.
pub fn restore_file_system_ids(_proof: &SingleThread) -> io::Result<()> {
    change_file_system_ids(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

fn change_file_system_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: these calls take plain numbers. They tell the former id and no error, so each is asked again with an id
    // that changes nothing.
    let now = unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
        (libc::syscall(libc::SYS_setfsuid, u32::MAX), libc::syscall(libc::SYS_setfsgid, u32::MAX))
    };
    if now == (i64::from(uid), i64::from(gid)) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}

/// This process and its memory can't be looked into by others of its user, nor through `/proc`, until it executes.
pub fn forbid_inspection() -> io::Result<()> {
    // SAFETY: this prctl takes plain numbers.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

/// Descendants whose parents end become this process's children.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: this prctl takes plain numbers.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

/// The kernel sends `signal` when this process's parent ends; 0: nothing. Changing credentials clears it.
pub fn signal_on_parent_death(signal: i32) -> io::Result<()> {
    // SAFETY: this prctl takes plain numbers.
    check(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) })
}

/// Personality of personality(2), such as `PER_LINUX32`.
pub fn set_personality(persona: u32) -> io::Result<()> {
    // SAFETY: takes a plain number.
    check(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(persona)) })
}

/// A session keyring of its own, anonymous, so that keys of whoever started this process are out of reach.
pub fn join_new_session_keyring() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing is read from memory.
    check(unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    })
}

/// Installs a classic BPF program as this thread's seccomp filter; see seccomp(2). `program` is a sequence of
/// `sock_filter` records in the machine's byte order.
pub fn install_seccomp_filter(program: &[u8], flags: u32) -> io::Result<()> {
    const RECORD: usize = size_of::<libc::sock_filter>();
    if program.is_empty() || !program.len().is_multiple_of(RECORD) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let count =
        u16::try_from(program.len() / RECORD).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let filter = libc::sock_fprog { len: count, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `filter` describes `count` records inside `program`, which outlives the call; the kernel copies them
    // byte by byte (no alignment needed) and doesn't write.
    check(unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
    })
}

/// Restricts this thread by the Landlock rule set; see landlock_restrict_self(2).
pub fn restrict_by_landlock(ruleset: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes a descriptor, open for the borrow's life, and a plain number.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_combine() {
        let both = NewNamespaces::PID.with(NewNamespaces::USER);
        assert!(
            both.has(NewNamespaces::PID) && both.has(NewNamespaces::USER) && !both.has(NewNamespaces::UTS)
        );
        assert_eq!(both.without(NewNamespaces::USER), NewNamespaces::PID);
        assert!(NewNamespaces::none().is_empty());
    }

    #[test]
    fn the_proof_is_refused_to_a_process_with_threads() {
        std::thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || receive.recv());
            assert!(SingleThread::prove().is_err());
            drop(send);
        });
    }
}
