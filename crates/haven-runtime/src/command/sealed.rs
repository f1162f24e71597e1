//! Running from a file no container can write (CVE-2019-5736).
//!
//! The process that becomes a container's is this very program until its last step; through `/proc/PID/exe` a
//! container could get hold of the program's file and write its own code into it. So before anything of a container is
//! touched the program executes itself again from a mount of its file that exists nowhere and can't be written. That
//! costs two system calls and an exec, where a copy in memory would cost the program's size each time.

use haven_spec::{Failure, Outcome};
use haven_sys::mount::{self, MountChange, attribute};
use rustix::fs::{Mode, OFlags, SealFlags, StatVfsMountFlags};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// Tells the second execution that it is one; a third would go on for ever.
const MARK: &str = "HAVEN_OCI_SEALED";

/// Returns when this program runs from a file that can't be written, possibly in a second execution of this process.
pub(super) fn ensure() -> Outcome<()> {
    let failed = |what: &str, error: std::io::Error| Failure::host(format!("cannot {what}")).because(error);
    let program = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed("open this program's file", errno.into()))?;
    if is_sealed(&program) {
        return Ok(());
    }
    if std::env::var_os(MARK).is_some() {
        return Err(Failure::host("this program's file could not be protected against containers")
            .hint("the kernel must let mounts be made read-only"));
    }
    let copy = mount::clone_tree(&program, "", false)
        .map_err(|errno| failed("mount this program's file apart", errno.into()))?;
    let change = MountChange { set: attribute::RDONLY, ..MountChange::default() };
    mount::change_mount(copy.as_fd(), c"", &change)
        .map_err(|error| failed("protect this program's file", error))?;
    let text = |bytes: Vec<u8>| {
        CString::new(bytes).map_err(|error| Failure::internal("an argument has a zero byte").because(error))
    };
    let arguments: Vec<CString> =
        std::env::args_os().map(|one| text(one.into_vec())).collect::<Outcome<_>>()?;
    let mut environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| text([name.into_vec(), value.into_vec()].join(&b'=')))
        .collect::<Outcome<_>>()?;
    environment.push(text(format!("{MARK}=1").into_bytes())?);
    let error = haven_sys::process::execute_file(copy.as_fd(), &arguments, &environment);
    Err(failed("execute this program from a protected file", error))
}

/// A sealed copy in memory, or a file on a mount that can't be written.
fn is_sealed(program: &OwnedFd) -> bool {
    let sealed = rustix::fs::fcntl_get_seals(program).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
    sealed || rustix::fs::fstatvfs(program).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY))
}
