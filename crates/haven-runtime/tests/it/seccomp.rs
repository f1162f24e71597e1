//! A compiled filter in the kernel's hands. A filter holds for the thread that installs it, so each test gives up a
//! thread.

use haven_runtime::capability::CapabilitySet;
use haven_runtime::oci::{Seccomp, SeccompAction, Syscall};
use haven_runtime::seccomp::{compile, default_profile};
use rustix::io::Errno;
use std::process::Command;

fn filtered<T: Send + 'static>(profile: &Seccomp, inside: impl FnOnce() -> T + Send + 'static) -> T {
    let program = compile(profile).unwrap();
    std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        haven_sys::process::install_seccomp_filter(&program.bytes(), program.flags).unwrap();
        inside()
    })
    .join()
    .unwrap()
}

#[test]
fn under_the_default_profile_programs_run_and_namespaces_stay_closed() {
    let (unshared, mounted, ran) = filtered(&default_profile(CapabilitySet::DEFAULT), || {
        let flags = rustix::mount::MountFlags::empty();
        (
            rustix::mount::unmount("/nowhere", rustix::mount::UnmountFlags::DETACH),
            rustix::mount::mount("none", "/nowhere", "tmpfs", flags, None),
            Command::new("sh").args(["-c", "ls /proc/self >/dev/null && unshare -U true"]).output(),
        )
    });
    assert_eq!(unshared, Err(Errno::PERM));
    assert_eq!(mounted, Err(Errno::PERM));
    let ran = ran.unwrap();
    assert!(!ran.status.success());
    assert!(
        String::from_utf8_lossy(&ran.stderr).contains("unshare failed: Operation not permitted"),
        "{ran:?}"
    );
}

#[test]
fn with_the_capability_the_call_gets_through_to_the_kernel() {
    let unmounted = filtered(&default_profile(CapabilitySet::KNOWN), || {
        rustix::mount::unmount("/nowhere", rustix::mount::UnmountFlags::DETACH)
    });
    assert_eq!(unmounted, Err(Errno::NOENT));
}

#[test]
fn a_rules_own_error_number_is_what_the_program_sees() {
    let profile = Seccomp {
        default_action: SeccompAction::Allow,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: Vec::new(),
        listener_path: String::new(),
        listener_metadata: String::new(),
        syscalls: vec![Syscall {
            names: vec!["getcwd".into()],
            action: SeccompAction::Errno,
            errno_ret: Some(77),
            args: Vec::new(),
        }],
    };
    let answer = filtered(&profile, || rustix::process::getcwd(Vec::new()));
    assert_eq!(answer.map_err(Errno::raw_os_error), Err(77));
}
