//! Numbers of system calls by name, for each architecture, under the names profiles use.
//!
//! The tables are the `syscalls` crate's, generated from the kernel's own (up to Linux 6.17). Added here: x32, whose
//! numbers are x86_64's with a bit set but for 36 of its own; ARM's private calls; and the second name some calls have
//! in libseccomp's vocabulary.

use super::architecture::Architecture;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// x32's own, from 512 on in this order.
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// The first number of [`X32_OWN`]; ordinary calls stay below.
const X32_OWN_FIRST: u32 = 512;

/// x86_64's calls that x32 never had.
const NOT_X32: [&str; 12] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
    "uretprobe",
];

/// ARM's private calls start here.
const ARM_PRIVATE: u32 = 0x000f_0000;

/// The names of i386's `socketcall`, by its first argument, from 1 on.
const SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The names of i386's `ipc`, by the lower half of its first argument.
const IPC: [(&str, u32); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

type Table = HashMap<&'static str, u32>;

/// The number of a call; x32's with its bit.
pub(super) fn number(architecture: Architecture, name: &str) -> Option<u32> {
    table(architecture).get(name).copied()
}

/// Whether any architecture here has a call of this name.
pub(super) fn is_known(name: &str) -> bool {
    Architecture::runnable_on(Architecture::NATIVE)
        .iter()
        .any(|one| number(*one, name).is_some() || carrier(*one, name).is_some())
}

/// The numbers an architecture gives out of order, apart from the calls that are numbered as the kernel grows.
pub(super) fn apart(architecture: Architecture) -> Option<RangeInclusive<u32>> {
    match architecture {
        Architecture::X32 => {
            let first = X32_OWN_FIRST | Architecture::X32_BIT;
            Some(first..=first + 35)
        }
        Architecture::Arm => Some(ARM_PRIVATE + 1..=ARM_PRIVATE + 5),
        _ => None,
    }
}

/// The older call that carries this one too, and the value of its first argument that says so.
pub(super) fn carrier(architecture: Architecture, name: &str) -> Option<(&'static str, u32)> {
    if architecture != Architecture::X86 {
        return None;
    }
    if let Some(index) = SOCKETCALL.iter().position(|known| *known == name) {
        return Some(("socketcall", u32::try_from(index).ok()? + 1));
    }
    IPC.iter().find(|(known, _)| *known == name).map(|(_, selector)| ("ipc", *selector))
}

fn table(architecture: Architecture) -> &'static Table {
    static X86_64: OnceLock<Table> = OnceLock::new();
    static X86: OnceLock<Table> = OnceLock::new();
    static X32: OnceLock<Table> = OnceLock::new();
    static AARCH64: OnceLock<Table> = OnceLock::new();
    static ARM: OnceLock<Table> = OnceLock::new();
    match architecture {
        Architecture::X86_64 => X86_64.get_or_init(|| {
            syscalls::x86_64::Sysno::iter().map(|call| (call.name(), call.id().unsigned_abs())).collect()
        }),
        Architecture::X86 => X86.get_or_init(|| {
            syscalls::x86::Sysno::iter().map(|call| (call.name(), call.id().unsigned_abs())).collect()
        }),
        Architecture::X32 => X32.get_or_init(x32),
        Architecture::Aarch64 => AARCH64.get_or_init(aarch64),
        Architecture::Arm => ARM.get_or_init(arm),
    }
}

fn x32() -> Table {
    let common = table(Architecture::X86_64).iter().filter(|(name, _)| !NOT_X32.contains(name));
    let own = X32_OWN.iter().zip(X32_OWN_FIRST..);
    common
        .map(|(name, number)| (*name, *number))
        .chain(own.map(|(name, number)| (*name, number)))
        .map(|(name, number)| (name, number | Architecture::X32_BIT))
        .collect()
}

fn aarch64() -> Table {
    let mut table: Table =
        syscalls::aarch64::Sysno::iter().map(|call| (call.name(), call.id().unsigned_abs())).collect();
    second_name(&mut table, "fstatat", "newfstatat");
    table
}

fn arm() -> Table {
    let mut table: Table =
        syscalls::arm::Sysno::iter().map(|call| (call.name(), call.id().unsigned_abs())).collect();
    for (name, number) in [("breakpoint", 1), ("cacheflush", 2), ("usr26", 3), ("usr32", 4), ("set_tls", 5)] {
        table.insert(name, ARM_PRIVATE + number);
    }
    second_name(&mut table, "arm_sync_file_range", "sync_file_range2");
    second_name(&mut table, "arm_fadvise64_64", "fadvise64_64");
    table
}

/// Gives a call that has one of two names the other as well.
fn second_name(table: &mut Table, one: &'static str, other: &'static str) {
    if let Some(number) = table.get(one).or_else(|| table.get(other)).copied() {
        table.insert(one, number);
        table.insert(other, number);
    }
}

/// Every number and name, for tests.
#[cfg(test)]
pub(super) fn all(architecture: Architecture) -> impl Iterator<Item = (&'static str, u32)> {
    table(architecture).iter().map(|(name, number)| (*name, *number))
}
