//! User namespaces: who a container's users are on the host.

use haven_tests::{BUSYBOX, House};

/// The host's first id and the number of ids, of a container's own map.
fn map(house: &House, name: &str, file: &str) -> (u64, u64) {
    let line = house.haven(&format!("exec {name} cat /proc/self/{file}")).succeeds();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.len(), 3, "{line}");
    assert_eq!(numbers[0], 0, "{line}");
    (numbers[1], numbers[2])
}

#[test]
fn every_container_has_ids_of_its_own() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    let names = ["one", "two", "three"];
    for name in names {
        house.detached(&format!("--name {name}"), "sleep 1000");
    }
    for file in ["uid_map", "gid_map"] {
        let mut maps: Vec<(u64, u64)> = names.iter().map(|name| map(&house, name, file)).collect();
        maps.sort_unstable();
        for (first, count) in &maps {
            assert!(*first >= 65536 && *count == 65536, "{maps:?}");
        }
        assert!(maps.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{maps:?}");
    }
}

#[test]
fn root_inside_is_nobody_to_the_host() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    house.detached("--name box", "sleep 1000");
    let pid = house.inspect("box", "{{.State.Pid}}");
    let status = house.host(&format!("cat /proc/{pid}/status")).succeeds();
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    assert!(uid.is_some_and(|uid| uid >= 65536), "{status}");
}

#[test]
fn a_set_user_id_program_gives_nothing() {
    let house = House::open();
    let script =
        "cp /bin/busybox /tmp/id; chmod 4755 /tmp/id; exec /bin/busybox su app -s /bin/sh -c '/tmp/id id -u'";
    let said =
        house.haven("run --rm --security-opt no-new-privileges").args([BUSYBOX, "sh", "-c", script]).run();
    assert!(!said.stdout.lines().any(|line| line == "0"), "{}", said.story());
}

#[test]
fn capabilities_are_few_and_none_are_inherited() {
    let house = House::open();
    let bits = |text: &str, set: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{set}:"))).unwrap_or_default();
        u64::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("{text}"))
    };
    // CVE-2022-29162: inheritable capabilities make a program with file capabilities stronger than meant.
    const DOCKERS: u64 = 0xa804_25fb;
    let root = house.haven("run --rm").args([BUSYBOX, "/probe", "caps"]).succeeds();
    assert_eq!(bits(&root, "CapInh"), 0, "{root}");
    assert_eq!(bits(&root, "CapAmb"), 0, "{root}");
    assert_eq!(bits(&root, "CapEff") & !DOCKERS, 0, "{root}");
    assert_eq!(bits(&root, "CapBnd") & !DOCKERS, 0, "{root}");
    assert!(root.contains("Seccomp:\t2"), "{root}");
    let user = house.haven("run --rm --user 1000").args([BUSYBOX, "/probe", "caps"]).succeeds();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(bits(&user, set), 0, "{set}: {user}");
    }
    let none = house.haven("run --rm --cap-drop ALL").args([BUSYBOX, "/probe", "caps"]).succeeds();
    assert_eq!(bits(&none, "CapBnd"), 0, "{none}");
    if !house.is_peer() {
        assert!(root.contains("NoNewPrivs:\t1"), "{root}");
    }
}

#[test]
fn other_processes_and_the_hosts_are_not_seen() {
    let house = House::open();
    house.detached("--name other", "sleep 5544");
    let list = house.haven("run --rm").args([BUSYBOX, "ps"]).succeeds();
    assert!(!list.contains("5544") && list.lines().count() <= 3, "{list}");
    let first = house.haven("run --rm").args([BUSYBOX, "sh", "-c", "echo $$"]).succeeds();
    assert_eq!(first, "1");
}
