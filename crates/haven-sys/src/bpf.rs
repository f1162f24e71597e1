//! bpf(2), as far as device control of v2 control groups needs it: loading a program of that type and putting it in
//! the place of the one a group has.
//!
//! A program stays in force while the group exists, whether its loader lives or not. It is attached so that programs
//! further down are asked too (`BPF_F_ALLOW_MULTI`), as systemd and other runtimes attach theirs.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::io;

// Commands.
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;

const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;

/// More programs on one group than this are not looked at.
const MOST_PROGRAMS: usize = 64;

/// The part of `union bpf_attr` for loading.
#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The part for attaching and detaching.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

/// The part for asking what is attached.
#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    attach_type: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// The part for getting a descriptor by id.
#[repr(C)]
#[derive(Default)]
struct GetById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// # Safety
/// `T` must be the layout the kernel expects for `command`, and every address in it must be valid for what the
/// command does with it until the call returns.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `size_of::<T>()` bytes at a live exclusive reference; the rest is the caller's
    // promise.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(answer).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().unsigned_abs()
}

/// Loads a device program; a refusal carries the verifier's words.
fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let mut name = [0u8; 16];
    name[..13].copy_from_slice(b"haven_devices");
    let license = c"Apache-2.0";
    let attributes = |log: &mut [u8]| Load {
        program_type: TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(program.len()).unwrap_or(u32::MAX),
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).unwrap_or(0),
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        name,
        ..Load::default()
    };
    // SAFETY: `Load` is the prefix of `union bpf_attr` for this command; the program, license and log it points to
    // outlive the call.
    let first = unsafe { bpf(PROG_LOAD, &mut attributes(&mut [])) };
    let fd = match first {
        Ok(fd) => fd,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(error),
        Err(error) => {
            let mut log = vec![0u8; 1 << 16];
            // SAFETY: as above; the log is ours alone.
            match unsafe { bpf(PROG_LOAD, &mut attributes(&mut log)) } {
                Ok(fd) => fd,
                Err(_) => {
                    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
                    let words = String::from_utf8_lossy(&log[..end]);
                    let last = words.trim_end().lines().last().unwrap_or_default().to_owned();
                    return Err(if last.is_empty() { error } else { io::Error::new(error.kind(), last) });
                }
            }
        }
    };
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The ids of the device programs attached to the group itself.
fn attached(group: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0u32; MOST_PROGRAMS];
    let mut query = Query {
        target: raw(group),
        attach_type: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(ids.len()).unwrap_or(0),
        ..Query::default()
    };
    // SAFETY: `Query` is the part of `union bpf_attr` for this command; `ids` has room for `count` ids and outlives the
    // call.
    unsafe { bpf(PROG_QUERY, &mut query) }?;
    ids.truncate(usize::try_from(query.count).unwrap_or(0).min(MOST_PROGRAMS));
    Ok(ids)
}

fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut get = GetById { id, ..GetById::default() };
    // SAFETY: `GetById` is the part of `union bpf_attr` for this command and holds no address.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut get) }?;
    // SAFETY: the kernel just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attributes = Attach {
        target: raw(group),
        program: raw(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI | if replaced.is_some() { REPLACE } else { 0 },
        replaced: replaced.map_or(0, raw),
    };
    // SAFETY: `Attach` is the part of `union bpf_attr` for this command and holds no address.
    unsafe { bpf(PROG_ATTACH, &mut attributes) }.map(drop)
}

fn detach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = Attach {
        target: raw(group),
        program: raw(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: as for attaching.
    unsafe { bpf(PROG_DETACH, &mut attributes) }.map(drop)
}

/// Puts `program` (instructions as the kernel takes them) in force on the v2 group, in place of every device program
/// it has. At no moment is the group without one.
pub fn replace_device_program(group: BorrowedFd<'_>, program: &[u64]) -> io::Result<()> {
    let new = load(program)?;
    let old: Vec<OwnedFd> = attached(group)?.into_iter().filter_map(|id| program_by_id(id).ok()).collect();
    if let [only] = old.as_slice() {
        return attach(group, new.as_fd(), Some(only.as_fd()));
    }
    attach(group, new.as_fd(), None)?;
    for one in &old {
        detach(group, one.as_fd())?;
    }
    Ok(())
}

/// How many device programs the group itself has.
pub fn device_programs(group: BorrowedFd<'_>) -> io::Result<usize> {
    attached(group).map(|ids| ids.len())
}
