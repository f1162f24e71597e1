//! Signals for whole processes: dispositions, the mask, waiting. See signal(7).

use std::io;

pub const TERM: i32 = libc::SIGTERM;
pub const KILL: i32 = libc::SIGKILL;
pub const CHLD: i32 = libc::SIGCHLD;

/// What a process without a terminal, whose readers may vanish, doesn't want to die of.
pub const TERMINAL_AND_PIPE: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGPIPE];

/// Every signal back to its default action and none blocked, as a new program expects.
pub fn restore_defaults() -> io::Result<()> {
    for number in 1..=64 {
        if number == libc::SIGKILL || number == libc::SIGSTOP {
            continue;
        }
        set_action(number, libc::SIG_DFL, 0).or_else(|error| {
            // 32 and 33 are the C library's; the kernel would take them, the library doesn't.
            if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) }
        })?;
    }
    set_mask(&empty_set())
}

/// Children that end vanish by themselves: nobody waits for them.
pub fn reap_children_automatically() -> io::Result<()> {
    set_action(libc::SIGCHLD, libc::SIG_IGN, libc::SA_NOCLDWAIT)
}

/// Children that end stay until they are waited for.
pub fn keep_ended_children() -> io::Result<()> {
    set_action(libc::SIGCHLD, libc::SIG_DFL, 0)
}

/// Ignores `number` (like `SIGPIPE`) in this process.
pub fn ignore(number: i32) -> io::Result<()> {
    set_action(number, libc::SIG_IGN, 0)
}

/// Blocks every signal that can be blocked.
pub fn block_all() -> io::Result<()> {
    set_mask(&full_set())
}

/// Waits for any signal of a process that blocks all; gives its number.
pub fn wait_any() -> io::Result<i32> {
    let all = full_set();
    // SAFETY: `all` is an initialised set; a null info pointer is allowed.
    let number = unsafe { libc::sigwaitinfo(&raw const all, std::ptr::null_mut()) };
    if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

/// Sends `number`, which may be a real-time signal, to the process.
pub fn send(process: rustix::process::Pid, number: i32) -> io::Result<()> {
    // SAFETY: takes plain numbers.
    if unsafe { libc::kill(process.as_raw_nonzero().get(), number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn set_action(number: i32, handler: libc::sighandler_t, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: an all-zero sigaction is a valid value (empty mask, default action).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    // SAFETY: `action` is initialised, names no handler function (only SIG_DFL or SIG_IGN), and outlives the call.
    if unsafe { libc::sigaction(number, &raw const action, std::ptr::null_mut()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn set_mask(set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is initialised and outlives the call.
    if unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, std::ptr::null_mut()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn empty_set() -> libc::sigset_t {
    // SAFETY: sigemptyset initialises the set it is given, and all-zero is a valid set to begin with.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        set
    }
}

fn full_set() -> libc::sigset_t {
    // SAFETY: as above with sigfillset.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        set
    }
}
