//! How a process is scheduled: processor time and disk time. See sched_setattr(2), ioprio_set(2).

use std::io;

/// sched_attr of sched_setattr(2), its first version.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime_ns: u64,
    pub deadline_ns: u64,
    pub period_ns: u64,
}

/// Schedules the calling thread as `attributes` say.
pub fn set(attributes: &Attributes) -> io::Result<()> {
    let attributes = Attributes { size: 48, ..*attributes };
    // SAFETY: `attributes` is a sched_attr of the size it names and outlives the call; 0 is the calling thread.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
}

/// The class and priority of the calling thread's disk accesses: classes 1 real-time, 2 best-effort, 3 idle.
pub fn set_disk_priority(class: u8, priority: u8) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    const CLASS_SHIFT: u32 = 13;
    let value = libc::c_int::from(class) << CLASS_SHIFT | libc::c_int::from(priority);
    // SAFETY: takes plain numbers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const _: () = assert!(size_of::<Attributes>() == 48, "the size the kernel knows the first version by");
