//! Holes 3 to 9: mounts, masks, the terminal and cgroups, where the image or a shared volume controls the names.

use crate::{bait, load_hostile};
use haven_tests::{BUSYBOX, House, ImageConfig, Layer};

/// What must hold of any container, however its image looks; false when the container was refused, which is fine too.
fn proc_is_real(house: &House, image: &str) -> bool {
    let answer = house.haven("run --rm").args([image, "/bin/sh", "-c", "cat /proc/mounts; echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sysrq-trigger; cat /proc/self/status"]).run();
    if !answer.stdout.contains("NoNewPrivs") {
        return false;
    }
    assert!(answer.stdout.lines().any(|line| line.starts_with("proc /proc proc ")), "{}", answer.story());
    true
}

#[test]
fn an_image_whose_proc_sys_or_dev_is_a_link_gets_no_mount_elsewhere() {
    // CVE-2023-27561, CVE-2019-19921, CVE-2026-41579.
    let house = House::open();
    let (bait, content) = bait(&house);
    let target = bait.display().to_string();
    for (name, link) in [
        ("proc", target.as_str()),
        ("sys", &target),
        ("dev", &target),
        ("proc", "tmp"),
        ("dev", "/tmp"),
        ("sys", "../../../.."),
    ] {
        let image = format!("linked-{name}:{}", link.len());
        let layer = Layer::new().directory("tmp/", 0o1777).symlink(name, link);
        if load_hostile(&house, &image, ImageConfig::default(), layer).code == 0 {
            proc_is_real(&house, &image);
            house.haven("run --rm -t").args([&image, "/bin/sh", "-c", "touch /dev/x /proc/x /sys/x"]).run();
        }
        assert_eq!(content(), ["secret"], "{name} -> {link}");
        let mounts = house.host("cat /proc/self/mountinfo").succeeds();
        assert!(!mounts.contains(&target), "{mounts}");
    }
}

#[test]
fn a_volume_over_dev_cannot_redirect_masks_or_the_terminal() {
    // CVE-2025-31133 and CVE-2025-52565: `null` and `console` in a /dev the attacker fills.
    let house = House::open();
    let fill = "rm -rf /v/*; ln -s /proc/sys/kernel/core_pattern /v/null; ln -s /proc/sys/kernel/core_pattern /v/console; mkdir -p /v/pts; ln -s /proc/sys/kernel/core_pattern /v/pts/0; ln -s /proc/sysrq-trigger /v/ptmx";
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a kernel setting");
    for flags in ["", "-t"] {
        house.haven("run --rm -v evil:/v").args([BUSYBOX, "sh", "-c", fill]).succeeds();
        let script = "echo gotcha > /proc/sys/kernel/core_pattern; head -c 10 /proc/kcore | wc -c; ls -l /proc/kcore /proc/sys/kernel/core_pattern";
        house.haven(&format!("run --rm {flags} -v evil:/dev")).args([BUSYBOX, "sh", "-c", script]).run();
        assert_eq!(
            std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a kernel setting"),
            pattern
        );
    }
}

#[test]
fn a_volume_may_not_cover_proc() {
    // CVE-2019-16884: with a false /proc, what is written there has no effect and masks are not applied.
    let house = House::open();
    for target in ["/proc", "/proc/self", "/proc/sys"] {
        let answer = house
            .haven(&format!("run --rm -v cover:{target}"))
            .args([BUSYBOX, "sh", "-c", "grep -c NoNewPrivs /proc/self/status"])
            .run();
        assert!(answer.code != 0, "{target}: {}", answer.story());
    }
}

#[test]
fn a_target_that_is_a_link_is_made_inside_the_root() {
    // CVE-2017-1002101 and its like: `-v x:/data/sub` where the image has /data -> a directory of the host.
    let house = House::open();
    let (bait, content) = bait(&house);
    let layer = Layer::new()
        .symlink("data", &bait.display().to_string())
        .symlink("up", "../../../../../../../..")
        .symlink("dir", "data");
    load_hostile(
        &house,
        "targets:1",
        ImageConfig { volumes: vec!["/data/declared".into()], ..ImageConfig::default() },
        layer,
    );
    for target in [
        "/data/made".to_owned(),
        "/dir/made".to_owned(),
        format!("/up{}/made", bait.display()),
        "/data/secret".to_owned(),
    ] {
        house
            .haven(&format!("run --rm -v vol:{target}"))
            .args(["targets:1", "/bin/sh", "-c", "touch /data/x /dir/y"])
            .run();
        house.haven(&format!("run --rm --tmpfs {target}")).args(["targets:1", "/bin/true"]).run();
        house.haven(&format!("run --rm --workdir {target}")).args(["targets:1", "/bin/true"]).run();
    }
    assert_eq!(content(), ["secret"]);
}

#[test]
fn a_target_swapped_while_containers_start_never_leaves_the_root() {
    // CVE-2021-30465, CVE-2024-45310: one container swaps a directory of a shared volume for a link while others start
    // with a mount below it.
    let house = House::open();
    let (bait, content) = bait(&house);
    let swap = format!(
        "mkdir -p /v/a/b; ln -s {} /v/link; while :; do mv /v/a /v/c; mv /v/link /v/a; mv /v/a /v/link; mv /v/c /v/a; done",
        bait.display()
    );
    house.detached("--name swapper -v shared:/v", &swap);
    for _ in 0..25 {
        house
            .haven("run --rm -v shared:/v -v other:/v/a/b/made")
            .args([BUSYBOX, "sh", "-c", "touch /v/a/b/made/x"])
            .run();
        assert_eq!(content(), ["secret"]);
    }
}

#[test]
fn cgroups_are_read_only_and_release_agents_out_of_reach() {
    // CVE-2022-0492: a writable cgroup v1 hierarchy runs any program of the host on release.
    let house = House::open();
    let script = "cat /proc/self/cgroup; find /sys/fs/cgroup -name release_agent | while read f; do echo /x > $f && echo WROTE; done; find /sys/fs/cgroup -type d | while read d; do mkdir $d/x && echo MADE; done; mount -t cgroup -o memory none /tmp && echo MOUNTED";
    let answer = house.haven("run --rm").args([BUSYBOX, "sh", "-c", script]).run();
    if house.is_peer() {
        return; // it shares the cgroup namespace on hosts with version 1
    }
    let answer = answer.says_not("WROTE").says_not("MADE").says_not("MOUNTED");
    // Its own cgroup is the root of what it sees.
    let paths: Vec<&str> = answer.stdout.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    assert!(!paths.is_empty() && paths.iter().all(|path| *path == "/"), "{}", answer.story());
}

#[test]
fn kernel_files_are_masked_or_read_only() {
    let house = House::open();
    let script = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/latency_stats /proc/sched_debug; do head -c 1 $f 2>/dev/null | wc -c | grep -q 0 || echo READ $f; done
        for d in /proc/acpi /proc/scsi /sys/firmware; do test -d $d && ls -A $d; done
        for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/vm/overcommit_memory /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/kernel/uevent_helper /sys/module/printk/parameters/time; do (echo x > $f) 2>/dev/null && echo WROTE $f; done; echo over";
    let said = house.haven("run --rm").args([BUSYBOX, "sh", "-c", script]).succeeds();
    assert_eq!(said, "over");
}

#[test]
fn nothing_of_a_container_is_mounted_on_the_host() {
    let house = House::open();
    let before = house.host("cat /proc/self/mountinfo").succeeds();
    house.detached("--name box -v vol:/v --tmpfs /t", "sleep 1000");
    let during = house.host("cat /proc/self/mountinfo").succeeds();
    if !house.is_peer() {
        assert_eq!(during, before);
    }
}
