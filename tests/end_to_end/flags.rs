//! Flags of `run`: what a container is given.

use haven_tests::{BUSYBOX, House};

fn run(house: &House, flags: &str, script: &str) -> String {
    house.haven(&format!("run --rm {flags}")).args([BUSYBOX, "sh", "-c", script]).succeeds()
}

#[test]
fn environment_directory_and_names_are_as_asked() {
    let house = House::open();
    assert_eq!(run(&house, "--env A=1 --env B=two", "echo $A $B"), "1 two");
    assert_eq!(
        house
            .haven("run --rm --env FROM_HERE")
            .args([BUSYBOX, "sh", "-c", "echo $FROM_HERE"])
            .env("FROM_HERE", "yes")
            .succeeds(),
        "yes"
    );
    let file = house.stage().path("env");
    std::fs::write(&file, "# comment\nC=3\nD=with space\n").expect("a file");
    assert_eq!(run(&house, &format!("--env-file {}", file.display()), "echo $C $D"), "3 with space");
    assert_eq!(run(&house, "--workdir /made/for/it", "pwd"), "/made/for/it");
    assert_eq!(run(&house, "--hostname inner", "hostname; cat /etc/hostname"), "inner\ninner");
    assert_eq!(run(&house, "--network none", "echo $HOME $PATH").split(' ').next(), Some("/root"));
}

#[test]
fn the_host_name_is_the_short_id_by_default() {
    let house = House::open();
    let id = house.detached("--name box", "sleep 1000");
    assert_eq!(house.haven("exec box hostname").succeeds(), &id[..12]);
}

#[test]
fn a_user_is_found_in_the_images_own_files() {
    let house = House::open();
    assert_eq!(run(&house, "--user app", "id -u; id -g; echo $HOME"), "1000\n1000\n/home/app");
    assert_eq!(run(&house, "--user app", "id -G"), "1000 2000");
    assert_eq!(run(&house, "--user 1234:4321", "id -u; id -g"), "1234\n4321");
    assert_eq!(run(&house, "--user app:extra", "id -g"), "2000");
    assert_eq!(
        run(&house, "--user 1000 --group-add 55", "id -G").split(' ').filter(|group| *group == "55").count(),
        1
    );
    house.haven("run --rm --user nobody-here").args([BUSYBOX, "true"]).exits(125).says("nobody-here");
}

#[test]
fn entrypoint_and_command_replace_the_images() {
    let house = House::open();
    assert_eq!(house.haven("run --rm --entrypoint echo").args([BUSYBOX, "a", "b"]).succeeds(), "a b");
    assert_eq!(
        house.haven("run --rm -i").arg(BUSYBOX).input("echo the default is a shell\n").exits(0).stdout,
        "the default is a shell\n"
    );
}

#[test]
fn hosts_and_resolver_files_are_written() {
    let house = House::open();
    let hosts = run(&house, "--add-host friend:192.0.2.9 --hostname inner", "cat /etc/hosts");
    assert!(
        hosts.contains("127.0.0.1\tlocalhost")
            && hosts.contains("192.0.2.9\tfriend")
            && hosts.contains("inner"),
        "{hosts}"
    );
    let resolver =
        run(&house, "--dns 192.0.2.53 --dns-search example.org --dns-option ndots:2", "cat /etc/resolv.conf");
    assert!(
        resolver.contains("192.0.2.53")
            && resolver.contains("search example.org")
            && resolver.contains("ndots:2"),
        "{resolver}"
    );
}

#[test]
fn kernel_settings_and_devices_are_given() {
    let house = House::open();
    assert_eq!(
        run(
            &house,
            "--sysctl net.ipv4.ip_unprivileged_port_start=0",
            "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
        ),
        "0"
    );
    house.haven("run --rm --sysctl kernel.sysrq=1").args([BUSYBOX, "true"]).exits(125);
    assert_eq!(run(&house, "--device /dev/null:/dev/hole", "echo x > /dev/hole && echo fine"), "fine");
    assert_eq!(run(&house, "--shm-size 32m", "df -k /dev/shm | tail -n 1 | awk '{print $2}'"), "32768");
}

#[test]
fn files_for_scripts_are_written() {
    let house = House::open();
    let file = house.stage().path("cid");
    let id = house.haven(&format!("run -d --cidfile {}", file.display())).args([BUSYBOX, "true"]).succeeds();
    assert_eq!(std::fs::read_to_string(&file).expect("the file is there"), id);
    house.haven(&format!("run -d --cidfile {}", file.display())).args([BUSYBOX, "true"]).exits(125);
    let labels = house.stage().path("labels");
    std::fs::write(&labels, "one=1\ntwo=2\n").expect("a file");
    house
        .haven(&format!("create --name labelled --label-file {}", labels.display()))
        .args([BUSYBOX, "true"])
        .succeeds();
    assert_eq!(house.inspect("labelled", "{{.Config.Labels.two}}"), "2");
}

#[test]
fn contradictory_flags_are_refused() {
    let house = House::open();
    house.haven("run -d --rm --restart always").args([BUSYBOX, "true"]).exits(125);
    house
        .haven("run --rm --network no-such-network")
        .args([BUSYBOX, "true"])
        .exits(125)
        .says("no-such-network");
    house.haven("run --rm -v relative/path:/x").args([BUSYBOX, "true"]).exits(125);
    house.haven("run --rm -v /tmp:relative").args([BUSYBOX, "true"]).exits(125);
    house.haven("run --rm -p nonsense").args([BUSYBOX, "true"]).exits(125);
    house.haven("run --rm --cpus 0.5 --cpu-quota 1000").args([BUSYBOX, "true"]).exits(125);
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let house = House::open();
    house.haven("run --rm --pull never no-such-image:1 true").exits(125).says("no-such-image:1");
}
