//! Holes 1, 2 and 14: what of the runtime shows inside a container. Its program, its descriptors, its directories.

use crate::{bait, load_hostile};
use haven_tests::{BUSYBOX, House, ImageConfig, Layer, eventually};
use std::time::Duration;

#[test]
fn a_container_has_three_descriptors_and_an_exec_too() {
    let house = House::open();
    let only_three = |list: &str| {
        list.lines().all(|line| line.starts_with("0 ") || line.starts_with("1 ") || line.starts_with("2 "))
    };
    let list = house.haven("run --rm").args([BUSYBOX, "/probe", "descriptors"]).succeeds();
    assert!(only_three(&list), "{list}");
    let list = house.haven("run --rm -t").args([BUSYBOX, "/probe", "descriptors"]).succeeds();
    assert!(only_three(&list), "{list}");
    house.detached("--name box", "sleep 1000");
    let list = house.haven("exec box /probe descriptors").succeeds();
    assert!(only_three(&list), "{list}");
}

#[test]
fn a_descriptor_as_working_directory_leads_nowhere() {
    // CVE-2024-21626: `WORKDIR /proc/self/fd/7` was a directory of the host the runtime had open.
    let house = House::open();
    let (bait, content) = bait(&house);
    house.detached("--name box", "sleep 1000");
    let script = format!(
        "cat ../../../../../../../..{0}/secret || cat ../../../../../../..{0}/secret",
        bait.display()
    );
    for number in 0..20 {
        let directory = format!("/proc/self/fd/{number}");
        let run = house
            .haven(&format!("run --rm --workdir {directory}"))
            .args([BUSYBOX, "sh", "-c", &script])
            .run();
        run.says_not("of the host");
        let exec = house.haven(&format!("exec --workdir {directory} box sh -c")).arg(&script).run();
        exec.says_not("of the host");
    }
    for number in [5, 7, 8, 9, 10] {
        let config = ImageConfig { working_dir: format!("/proc/self/fd/{number}"), ..ImageConfig::default() };
        let name = format!("leaky:{number}");
        let loaded = load_hostile(&house, &name, config, Layer::new());
        if loaded.code == 0 {
            house.haven("run --rm").args([&name, "/bin/sh", "-c", &script]).run().says_not("of the host");
        }
    }
    assert_eq!(content(), ["secret"]);
}

#[test]
fn a_working_directory_that_is_a_link_out_stays_inside() {
    let house = House::open();
    let (bait, content) = bait(&house);
    let layer = Layer::new().symlink("out", &bait.display().to_string());
    load_hostile(
        &house,
        "linked:1",
        ImageConfig { working_dir: "/out".into(), ..ImageConfig::default() },
        layer,
    );
    house.haven("run --rm linked:1 /bin/sh -c").arg("cat secret; touch here").run().says_not("of the host");
    assert_eq!(content(), ["secret"]);
}

#[test]
fn the_runtimes_program_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736: a process of the runtime that enters the container shows its program as /proc/N/exe.
    let house = House::open();
    let before = std::fs::read(house.runtime()).expect("the program can be read");
    house.haven("run -d --name trap").args([BUSYBOX, "/probe", "grab-exe", "/probe"]).succeeds();
    eventually("the trap is set", || house.haven("logs trap").run().stdout.contains("waiting"));
    for _ in 0..15 {
        house.haven("exec trap /bin/true").run();
        // The original shape: what is executed is the runtime itself.
        house.haven("exec trap /proc/self/exe").limit(Duration::from_secs(20)).run();
    }
    let seen = house.haven("logs trap").exits(0).says_not("WRITABLE").stdout;
    assert!(seen.contains("waiting"), "{seen}");
    assert_eq!(std::fs::read(house.runtime()).expect("the program can be read"), before);
}

#[test]
fn an_entrypoint_that_is_the_runtimes_program_gets_nothing() {
    let house = House::open();
    let before = std::fs::read(house.runtime()).expect("the program can be read");
    let layer = Layer::new().symlink("entry", "/proc/self/exe").file("script", 0o755, "#!/proc/self/exe\n");
    load_hostile(&house, "selfish:1", ImageConfig::default(), layer);
    for entry in ["/entry", "/script", "/proc/self/exe"] {
        house.haven("run --rm selfish:1").arg(entry).limit(Duration::from_secs(20)).run();
    }
    assert_eq!(std::fs::read(house.runtime()).expect("the program can be read"), before);
}

#[test]
fn an_exec_has_no_more_rights_than_its_container() {
    let house = House::open();
    house.detached("--name box --cap-drop ALL --cap-add CHOWN", "sleep 1000");
    let inside = house.haven("exec box cat /proc/1/status").succeeds();
    let exec = house.haven("exec box cat /proc/self/status").succeeds();
    let rights = |status: &str| -> Vec<String> {
        let wanted =
            ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Groups:"];
        status
            .lines()
            .filter(|line| wanted.iter().any(|word| line.starts_with(word)))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(rights(&exec), rights(&inside));
    for namespace in ["user", "pid", "mnt", "net", "ipc", "uts", "cgroup"] {
        let own = house.haven(&format!("exec box readlink /proc/self/ns/{namespace}")).succeeds();
        let first = house.haven(&format!("exec box readlink /proc/1/ns/{namespace}")).succeeds();
        assert_eq!(own, first, "{namespace}");
    }
}
