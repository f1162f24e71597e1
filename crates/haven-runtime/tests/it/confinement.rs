//! What every container is confined by, asked from inside.

use crate::fixture::Place;

#[test]
fn its_users_are_a_range_of_their_own() {
    let place = Place::new("uidmap");
    let text = place.says("cat /proc/self/uid_map /proc/self/gid_map");
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(fields, ["0", "1000000", "65536", "0", "1000000", "65536"]);
}

#[test]
fn it_has_all_namespaces_of_its_own() {
    let place = Place::new("namespaces");
    let text = place.says("for n in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$n; done");
    for line in text.lines() {
        let kind = line.split(':').next().unwrap();
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(own.to_str().unwrap(), line, "{kind} is the host's");
    }
    assert_eq!(text.lines().count(), 7);
    assert_eq!(place.says("hostname; echo $$"), "box\n1\n");
}

#[test]
fn its_rights_are_the_default_ones_and_cannot_grow() {
    let place = Place::new("rights");
    let text = place.says("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t00000000a80425fb",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(text.contains(line), "{line} isn't in:\n{text}");
    }
}

#[test]
fn without_no_new_privileges_the_filter_holds_too() {
    let place = Place::new("newprivs");
    let mut launch = place.shell("grep -E '^(CapEff|NoNewPrivs|Seccomp:)' /proc/self/status");
    launch.spec.process.as_mut().unwrap().no_new_privileges = false;
    launch.user = Some("app".into());
    let text = place.run(&launch).text();
    assert!(text.contains("NoNewPrivs:\t0") && text.contains("Seccomp:\t2"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
}

#[test]
fn nothing_of_the_host_is_open() {
    let place = Place::new("descriptors");
    let text = place.says("ls -l /proc/self/fd");
    // Standard streams, and the directory ls itself read.
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("->")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].ends_with("0 -> /dev/null"), "{text}");
    assert!(lines[1].contains("1 -> pipe:") && lines[2].contains("2 -> pipe:"), "{text}");
}

#[test]
fn the_hosts_secrets_are_masked() {
    let place = Place::new("masked");
    assert_eq!(
        place.says("cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c"),
        "0\n"
    );
    assert_eq!(
        place.says("ls /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v : | grep . | wc -l"),
        "0\n"
    );
    assert_eq!(place.says("stat -c %t:%T /proc/timer_list"), "1:3\n");
    assert!(place.says("mkdir /sys/firmware/x 2>&1; true").contains("Read-only"));
}

#[test]
fn what_steers_the_host_is_read_only() {
    let place = Place::new("readonly");
    let text = place.says(
        "for f in /proc/sys/kernel/hostname /sys/x /sys/fs/cgroup/x; do (echo 1 > $f) 2>&1; done; \
         grep -E '^proc /proc/(bus|fs|irq|sys|sysrq-trigger) proc ro,' /proc/mounts",
    );
    assert_eq!(text.lines().filter(|line| line.contains("Read-only file system")).count(), 3, "{text}");
    let exist =
        haven_runtime::defaults::READONLY_PATHS.iter().filter(|path| std::fs::exists(path).unwrap()).count();
    assert_eq!(text.lines().filter(|line| line.starts_with("proc ")).count(), exist, "{text}");
}

#[test]
fn the_root_is_its_own_and_the_hosts_is_gone() {
    let place = Place::new("root");
    let text = place.says("cat /proc/self/mountinfo");
    let top = place.top.to_str().unwrap();
    let roots: Vec<&str> = text.lines().filter(|line| line.split(' ').nth(4) == Some("/")).collect();
    assert_eq!(roots.len(), 1, "{text}");
    assert!(roots[0].contains("- overlay overlay"), "{}", roots[0]);
    for line in text.lines() {
        assert!(!line.split(' ').nth(4).unwrap().contains(top), "{line} is the host's");
        assert!(!line.contains("shared:") && !line.contains("master:"), "{line} is tied to the host");
    }
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!host.contains(&place.name), "a mount of the container shows on the host");
}

#[test]
fn devices_are_the_standard_ones_and_belong_to_its_root() {
    let place = Place::new("devices");
    let text = place.says("cd /dev; stat -c '%n %F %t:%T %a %u:%g' full null random tty urandom zero");
    for (line, name) in
        text.lines().zip(["full 1:7", "null 1:3", "random 1:8", "tty 5:0", "urandom 1:9", "zero 1:5"])
    {
        let (name, numbers) = name.split_once(' ').unwrap();
        assert_eq!(line, format!("{name} character special file {numbers} 666 0:0"));
    }
    assert_eq!(
        place.says("head -c 3 /dev/zero | wc -c; echo x > /dev/null; readlink /dev/stdout"),
        "3\n/proc/self/fd/1\n"
    );
    assert!(place.says("mknod /tmp/x c 1 3 2>&1; true").contains("not permitted"));
    assert_eq!(
        place.says("ls /dev"),
        "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"
    );
}

#[test]
fn file_owners_read_as_on_disk() {
    let place = Place::new("owners");
    let file = place.top.join("image/etc/owned");
    std::fs::write(&file, "x").unwrap();
    std::os::unix::fs::chown(&file, Some(1000), Some(1001)).unwrap();
    let launch = place
        .shell("stat -c %u:%g /etc/passwd /etc/owned; touch /new; chown app:app /new; stat -c %u:%g /new");
    assert_eq!(place.run(&launch).text(), "0:0\n1000:1001\n1000:1001\n");
    let haven_runtime::RootFs::Overlay { upper, .. } = &launch.rootfs else { panic!() };
    let made = std::fs::metadata(upper.join("new")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 1000, "on disk ids are the container's");
}

#[test]
fn a_read_only_root_cannot_be_written_but_memory_can() {
    let place = Place::new("rofs");
    let mut launch = place.shell("touch /x 2>&1; touch /etc/x 2>&1; echo ok > /dev/shm/x; cat /dev/shm/x");
    launch.spec.root.as_mut().unwrap().readonly = true;
    let text = place.run(&launch).text();
    assert_eq!(text.matches("Read-only file system").count(), 2, "{text}");
    assert!(text.ends_with("ok\n"), "{text}");
}

#[test]
fn kernel_parameters_of_its_namespaces_are_set() {
    let place = Place::new("sysctl");
    let mut launch = place.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax");
    let sysctls = &mut launch.spec.linux.as_mut().unwrap().sysctl;
    sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "7".into());
    sysctls.insert("kernel.msgmax".into(), "4711".into());
    assert_eq!(place.run(&launch).text(), "7\n4711\n");
    let mut launch = place.shell("true");
    launch.spec.linux.as_mut().unwrap().sysctl.insert("vm.swappiness".into(), "1".into());
    let failure = place.spawner.launch(&launch).and_then(|launched| launched.keeper.start()).unwrap_err();
    assert!(failure.one_line().contains("vm.swappiness"), "{}", failure.one_line());
}

#[test]
fn limits_are_lowered_and_raising_fails_clearly() {
    let place = Place::new("limits");
    let limit = |soft, hard| haven_runtime::oci::Rlimit { kind: "RLIMIT_NOFILE".into(), soft, hard };
    let mut launch = place.shell("ulimit -Sn; ulimit -Hn");
    launch.spec.process.as_mut().unwrap().rlimits = vec![limit(100, 200)];
    assert_eq!(place.run(&launch).text(), "100\n200\n");
    let mut launch = place.shell("true");
    launch.spec.process.as_mut().unwrap().rlimits = vec![limit(1, u64::MAX - 1)];
    let failure = place.spawner.launch(&launch).and_then(|launched| launched.keeper.start()).unwrap_err();
    assert!(failure.one_line().contains("limit `nofile`"), "{}", failure.one_line());
}

#[test]
fn a_container_cannot_be_traced_into_before_its_command_runs() {
    let place = Place::new("inspect");
    let launched = place.spawner.launch(&place.shell("sleep 100")).unwrap();
    // While it waits it isn't even its own users' to look at: its files in /proc belong to the host's root.
    let owner = |pid: u32| {
        let file = std::fs::metadata(format!("/proc/{pid}/environ")).unwrap();
        std::os::unix::fs::MetadataExt::uid(&file)
    };
    assert_eq!(owner(launched.pid), 0);
    launched.keeper.start().unwrap();
    assert_eq!(owner(launched.pid), 1_000_000);
    let watch = launched.keeper.watch().unwrap();
    crate::fixture::kill(&launched.keeper);
    assert!(matches!(watch.wait().unwrap(), haven_runtime::Settled::Exited(_)));
}
