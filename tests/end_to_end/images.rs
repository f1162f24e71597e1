//! Images: load, save, import, tag, list, history, remove.

use haven_tests::{BUSYBOX, House, Options, SINGLE, busybox_archive, single_archive};
use serde_json::Value;
use std::process::Command;

#[test]
fn an_archive_loads_plain_and_compressed() {
    let house = House::open();
    let plain = busybox_archive();
    for (program, suffix) in [("gzip", "gz"), ("zstd", "zst")] {
        if suffix == "zst" && house.is_peer() {
            continue;
        }
        let packed = house.stage().path(&format!("image.tar.{suffix}"));
        let script = format!("{program} -c {} > {}", plain.display(), packed.display());
        assert!(Command::new("sh").args(["-c", &script]).status().is_ok_and(|status| status.success()));
        house.haven("rmi --force").arg(BUSYBOX).succeeds();
        house.haven("load -i").arg(packed.display().to_string()).exits(0).says(BUSYBOX);
        house.haven("run --rm").args([BUSYBOX, "true"]).succeeds();
    }
    let bytes = std::fs::read(&plain).expect("the archive");
    house.haven("load").input(bytes).exits(0).says(BUSYBOX);
}

#[test]
fn an_image_of_one_file_runs() {
    let house = House::open_with(Options { images: vec![single_archive()], ..Options::default() });
    assert_eq!(house.haven("run --rm").arg(SINGLE).succeeds(), "hello from a container");
}

#[test]
fn a_saved_image_loads_again_with_its_names() {
    let house = House::open();
    house.haven("tag").args([BUSYBOX, "other:name"]).succeeds();
    let id = house.haven("inspect --format {{.Id}} other:name").succeeds();
    let path = house.stage().path("saved.tar");
    house.haven("save -o").arg(path.to_str().expect("UTF-8")).args([BUSYBOX, "other:name"]).succeeds();
    house.haven("rmi").args([BUSYBOX, "other:name"]).succeeds();
    assert_eq!(house.haven("images --quiet").succeeds(), "");
    house.haven("load -i").arg(path.to_str().expect("UTF-8")).exits(0).says("other:name");
    assert_eq!(house.haven("inspect --format {{.Id}} other:name").succeeds(), id);
    house.haven("run --rm other:name true").succeeds();
}

#[test]
fn a_saved_image_loads_into_another_engines_tools() {
    let house = House::open();
    let path = house.stage().path("saved.tar");
    house.haven("save -o").arg(path.to_str().expect("UTF-8")).arg(BUSYBOX).succeeds();
    let out = Command::new("skopeo")
        .args(["inspect", "--config"])
        .arg(format!("docker-archive:{}", path.display()))
        .output()
        .expect("skopeo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let config: Value = serde_json::from_slice(&out.stdout).expect("a document");
    assert_eq!(config["config"]["Cmd"][0], "sh");
}

#[test]
fn an_oci_archive_loads() {
    let house = House::open();
    if house.is_peer() {
        return;
    }
    let path = house.stage().path("oci.tar");
    let made = Command::new("skopeo")
        .args(["copy", "--quiet"])
        .arg(format!("docker-archive:{}", busybox_archive().display()))
        .arg(format!("oci-archive:{}:fromoci:1", path.display()))
        .output()
        .expect("skopeo runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    house.haven("load -i").arg(path.to_str().expect("UTF-8")).exits(0);
    house.haven("run --rm fromoci:1 true").succeeds();
}

#[test]
fn a_root_file_system_is_imported() {
    let house = House::open();
    let tree = house.stage().path("tree.tar");
    let script = format!(
        "mkdir -p {d}/bin && cp /bin/busybox {d}/bin/ && tar -C {d} -cf {t} .",
        d = house.stage().path("t").display(),
        t = tree.display()
    );
    assert!(Command::new("sh").args(["-c", &script]).status().is_ok_and(|status| status.success()));
    house
        .haven("import --change")
        .arg("CMD [\"/bin/busybox\", \"echo\", \"imported\"]")
        .args([tree.to_str().expect("UTF-8"), "mine:1"])
        .succeeds();
    assert_eq!(house.haven("run --rm mine:1").succeeds(), "imported");
    house.haven("import - piped:1").input(std::fs::read(&tree).expect("the archive")).succeeds();
    assert_eq!(house.haven("run --rm piped:1 /bin/busybox echo yes").succeeds(), "yes");
}

#[test]
fn images_are_listed_tagged_and_told() {
    let house = House::open();
    house.haven("tag").args([BUSYBOX, "registry.example.org/team/app:v1"]).succeeds();
    let table = house.haven("images").succeeds();
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(head, ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]);
    assert!(table.contains("registry.example.org/team/app"), "{table}");
    let listed = house.haven("images --format {{.Repository}}:{{.Tag}} busybox").succeeds();
    assert_eq!(listed, BUSYBOX);
    let history = house.haven("history --format {{.CreatedBy}} --no-trunc").arg(BUSYBOX).succeeds();
    assert_eq!(history, "haven-tests");
    house.haven("tag no-such:1 x:1").exits(1).says("no-such:1");
    house.haven("tag").args([BUSYBOX, "Not/A-Name:UP!"]).fails();
}

#[test]
fn an_image_goes_with_its_last_name_and_not_while_it_is_used() {
    let house = House::open();
    house.haven("tag").args([BUSYBOX, "second:name"]).succeeds();
    house.haven("rmi").arg(BUSYBOX).exits(0).says("Untagged").says_not("Deleted");
    house.haven("create --name user second:name true").succeeds();
    house.haven("rmi second:name").exits(1).says("conflict");
    house.haven("rm user").succeeds();
    house.haven("rmi second:name").exits(0).says("Deleted");
    assert_eq!(house.haven("images --quiet").succeeds(), "");
    house.haven("rmi second:name").exits(1).says("second:name");
}

#[test]
fn a_broken_archive_is_refused_and_leaves_nothing() {
    let house = House::open();
    let whole = std::fs::read(busybox_archive()).expect("the archive");
    house.haven("rmi").arg(BUSYBOX).succeeds();
    let cut = &whole[..whole.len() / 2];
    let mut flipped = whole.clone();
    // In the middle of the layer's content.
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    let cases: [(&str, &[u8]); 4] =
        [("cut", cut), ("flipped", &flipped), ("noise", b"this is no archive"), ("empty", b"")];
    for (name, bytes) in cases {
        let path = house.stage().path(name);
        std::fs::write(&path, bytes).expect("a file");
        let answer = house.haven("load -i").arg(path.to_str().expect("UTF-8")).run();
        assert!(answer.code != 0 || house.is_peer(), "{name}: {}", answer.story());
    }
    assert_eq!(house.haven("images --all --quiet").succeeds(), "");
}
