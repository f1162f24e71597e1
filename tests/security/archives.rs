//! Holes 10, 11 and 15: archives that write where they shouldn't, when they are loaded, imported or copied.

use crate::{bait, base, load_hostile};
use haven_tests::{Archive, House, ImageConfig, Layer};

#[test]
fn an_entry_that_points_out_of_the_root_is_refused_or_kept_inside() {
    let house = House::open();
    let (bait, content) = bait(&house);
    let outside = bait.display().to_string();
    let up = "../../../../../../../../../..";
    let cases: Vec<(&str, Layer)> = vec![
        ("dots", Layer::new().file(&format!("{up}{outside}/evil"), 0o644, "x")),
        ("absolute", Layer::new().file(&format!("{outside}/evil"), 0o644, "x")),
        ("through-link", Layer::new().symlink("out", &outside).file("out/evil", 0o644, "x")),
        (
            "through-relative-link",
            Layer::new().symlink("out", &format!("{up}{outside}")).file("out/evil", 0o644, "x"),
        ),
        ("over-link", Layer::new().symlink("evil", &format!("{outside}/secret")).file("evil", 0o644, "x")),
        (
            "hard-link-out",
            Layer::new().hard_link("mine", &format!("{outside}/secret")).file("mine", 0o644, "x"),
        ),
        ("hard-link-dots", Layer::new().hard_link("mine", &format!("{up}{outside}/secret"))),
        (
            "hard-link-through-link",
            Layer::new().symlink("out", &outside).hard_link("mine", "out/secret").file("mine", 0o644, "x"),
        ),
        ("whiteout", Layer::new().symlink("out", &outside).file("out/.wh.secret", 0o644, "")),
        ("opaque", Layer::new().symlink("out", &outside).file("out/.wh..wh..opq", 0o644, "")),
        ("whiteout-dots", Layer::new().file(".wh...", 0o644, "")),
        (
            "directory-over-link",
            Layer::new().symlink("out", &outside).directory("out/", 0o777).file("out/evil", 0o644, "x"),
        ),
        ("link-to-root", Layer::new().symlink("r", "/").file(&format!("r{outside}/evil"), 0o644, "x")),
        ("mode-through-link", Layer::new().symlink("out", &outside).directory("out/.", 0o777)),
    ];
    for (name, layer) in cases {
        let image = format!("hostile:{name}");
        let loaded = load_hostile(&house, &image, ImageConfig::default(), layer);
        if loaded.code == 0 {
            house.haven("run --rm").args([&image, "/bin/sh", "-c", "touch /out/evil /mine; ls -la /"]).run();
        } else {
            assert!(!loaded.stderr.trim().is_empty(), "{name}: {}", loaded.story());
        }
        assert_eq!(content(), ["secret"], "{name}");
    }
}

#[test]
fn a_link_in_one_layer_does_not_lead_the_next_one_out() {
    let house = House::open();
    let (bait, content) = bait(&house);
    let path = house.stage().path("two.tar");
    Archive::new("layers:two", ImageConfig::default())
        .layer(base())
        .layer(Layer::new().symlink("out", &bait.display().to_string()))
        .layer(Layer::new().file("out/evil", 0o644, "x").file("out/.wh.secret", 0o644, ""))
        .write(&path);
    if house.haven("load -i").arg(path.display().to_string()).run().code == 0 {
        house.haven("run --rm layers:two /bin/ls /out/").run();
    }
    assert_eq!(content(), ["secret"]);
}

#[test]
fn a_device_in_an_image_cannot_be_used() {
    let house = House::open();
    let numbers = |path: &str| {
        use std::os::unix::fs::MetadataExt;
        let device = std::fs::metadata(path).map(|metadata| metadata.dev()).unwrap_or_default();
        let number = |bits: u64| u32::try_from(bits).expect("device numbers are 32 bits");
        (number(device >> 8 & 0xfff), number(device & 0xff))
    };
    // The disk the host's root lies on, and kernel memory.
    let layer = Layer::new()
        .device("disk", tar::EntryType::Block, numbers("/"))
        .device("mem", tar::EntryType::Char, (1, 1))
        .device("kmsg", tar::EntryType::Char, (1, 11));
    if load_hostile(&house, "devices:1", ImageConfig::default(), layer).code != 0 {
        return;
    }
    for device in ["/disk", "/mem", "/kmsg"] {
        let answer = house
            .haven("run --rm devices:1 /bin/sh -c")
            .arg(format!("cat < {device} | head -c 1 | wc -c"))
            .run();
        assert!(!answer.stdout.lines().any(|line| line == "1"), "{device}: {}", answer.story());
    }
    let made =
        house.haven("run --rm devices:1 /bin/sh -c").arg("/bin/busybox mknod /d b 8 0 && cat /d").run();
    assert_ne!(made.code, 0, "{}", made.story());
}

#[test]
fn an_archive_copied_into_a_container_stays_inside() {
    // CVE-2018-15664: the path was resolved, then swapped for a link, then used.
    let house = House::open();
    let (bait, content) = bait(&house);
    let swap = format!(
        "mkdir /a; ln -s {} /link; while :; do mv /a /c; mv /link /a; mv /a /link; mv /c /a; done",
        bait.display()
    );
    house.detached("--name swapper", &swap);
    let file = house.stage().path("payload");
    std::fs::write(&file, "x").expect("a file");
    for _ in 0..40 {
        house.haven("cp").args([file.to_str().expect("UTF-8"), "swapper:/a/"]).run();
        assert_eq!(content(), ["secret"]);
        let out = house.haven("cp swapper:/a -").run();
        assert!(!out.stdout.contains("of the host"), "{}", out.story());
    }
}

#[test]
fn an_imported_tree_is_extracted_like_a_layer() {
    let house = House::open();
    let (bait, content) = bait(&house);
    let archive = Layer::new()
        .symlink("out", &bait.display().to_string())
        .file("out/evil", 0o644, "x")
        .file("../evil", 0o644, "x");
    let path = house.stage().path("import.tar");
    std::fs::write(&path, archive.bytes()).expect("a file");
    house.haven("import").args([path.to_str().expect("UTF-8"), "imported:1"]).run();
    assert_eq!(content(), ["secret"]);
    assert!(!house.stage().path("evil").exists());
}
