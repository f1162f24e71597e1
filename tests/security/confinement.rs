//! What a container can use up or reach by default.

use haven_tests::{BUSYBOX, House, probe};

#[test]
fn a_fork_bomb_is_contained_by_default() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    let answer = house.haven("run --rm").args([BUSYBOX, "/probe", "forks", "20000"]).run();
    let made: u32 = answer.stdout.trim().parse().unwrap_or_else(|_| panic!("{}", answer.story()));
    assert!(made < 20000, "made {made} processes");
    house.haven("run --rm").args([BUSYBOX, "true"]).succeeds();
}

#[test]
fn services_of_the_host_are_not_reachable_from_a_container() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    let _server = house.host(&format!("{} serve 9999 private", probe().display())).start();
    haven_tests::eventually("the host's service answers the host", || {
        house.host(&format!("{} get 192.0.2.1 9999", probe().display())).run().stdout.contains("private")
    });
    let answer = house.haven("run --rm").args([BUSYBOX, "/probe", "get", "192.0.2.1", "9999"]).run();
    answer.says_not("private");
    let gateway = house
        .haven("run --rm")
        .args([BUSYBOX, "sh", "-c", "/bin/busybox ip route | /bin/busybox awk '/default/ { print $3 }'"])
        .succeeds();
    house.haven("run --rm").args([BUSYBOX, "/probe", "get", &gateway, "9999"]).run().says_not("private");
}

#[test]
fn the_engines_socket_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::open();
    let mode = std::fs::metadata(house.socket()).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    if !house.is_peer() {
        for root in [house.data_root(), house.run_root()] {
            let mode = std::fs::metadata(&root).expect("the directory is there").permissions().mode();
            assert_eq!(mode & 0o066, 0, "{}: {mode:o}", root.display());
        }
    }
}
