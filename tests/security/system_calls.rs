//! Holes 12 and 13: the filter of system calls, through every entry the processor has.

use haven_tests::{BUSYBOX, House};

fn ask(house: &House, flags: &str, line: &str) -> String {
    house.haven(&format!("run --rm {flags}")).args([BUSYBOX, "/probe"]).args(line.split(' ')).succeeds()
}

#[test]
fn calls_that_change_the_host_are_refused() {
    let house = House::open();
    house.detached("--name box", "sleep 1000");
    for call in [
        "mount",
        "umount2",
        "pivot_root",
        "open_tree",
        "move_mount",
        "fsopen",
        "fsmount",
        "mount_setattr",
        "setns",
        "bpf",
        "perf_event_open",
        "init_module",
        "finit_module",
        "delete_module",
        "kexec_load",
        "reboot",
        "swapon",
        "swapoff",
        "syslog",
        "settimeofday",
        "clock_settime",
        "open_by_handle_at",
        "quotactl",
        "acct",
        "add_key",
        "request_key",
        "keyctl",
        "userfaultfd",
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "kcmp",
    ] {
        let answer = house.haven(&format!("exec box /probe call {call}")).succeeds();
        let refused = ["EPERM", "ENOSYS"].contains(&answer.as_str());
        // dockerd 20.10's profile let io_uring through.
        assert!(refused || house.is_peer() && call.starts_with("io_uring"), "{call}: {answer}");
    }
}

#[test]
fn a_new_user_namespace_is_refused_by_every_call_that_makes_one() {
    let house = House::open();
    const NEWUSER: &str = "0x10000000";
    assert_eq!(ask(&house, "", &format!("call unshare {NEWUSER}")), "EPERM");
    assert_eq!(ask(&house, "", &format!("call clone {NEWUSER}")), "EPERM");
    // What it has in memory can't be filtered, so the whole call does not exist: C libraries then use clone.
    assert_eq!(ask(&house, "", "call clone3 0 0"), "ENOSYS");
}

#[test]
fn a_call_that_does_not_exist_yet_says_so() {
    let house = House::open();
    // C libraries try new calls first and go on only after ENOSYS.
    assert_eq!(ask(&house, "", "call 1023"), "ENOSYS");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_32_bit_and_x32_entries_are_filtered_as_well() {
    let house = House::open();
    // mount, umount2, unshare, keyctl, bpf, io_uring_setup by their i386 numbers.
    for number in [21, 52, 310, 288, 357, 425] {
        let answer = ask(&house, "", &format!("i386 {number} 0x10000000"));
        let refused = ["EPERM", "ENOSYS"].contains(&answer.as_str());
        assert!(refused || house.is_peer() && number == 425, "i386 {number}: {answer}");
    }
    // An ordinary call still works there: getpid.
    assert_eq!(ask(&house, "", "i386 20"), "ok");
    for number in [165, 272, 321, 425] {
        let answer = ask(&house, "", &format!("x32 {number} 0x10000000"));
        assert!(["EPERM", "ENOSYS"].contains(&answer.as_str()), "x32 {number}: {answer}");
    }
}

#[test]
fn a_container_whose_user_asked_for_it_may_do_what_others_may_not() {
    let house = House::open();
    // The probes can tell: without the filter and with all capabilities the same calls reach the kernel.
    assert_eq!(ask(&house, "--security-opt seccomp=unconfined", "call unshare 0x10000000"), "ok");
    if house.is_peer() {
        return; // needs capabilities that root doesn't have on every test machine
    }
    assert_eq!(ask(&house, "--privileged", "call unshare 0x00020000"), "ok");
    let bare = house.haven("run --rm --privileged").args([BUSYBOX, "sh", "-c", "mount -t tmpfs none /mnt 2>/dev/null || { mkdir -p /mnt; mount -t tmpfs none /mnt; }; grep -c ' /mnt tmpfs' /proc/mounts"]).succeeds();
    assert_eq!(bare, "1");
}
