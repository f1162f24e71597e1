//! `cp` both ways, `diff`, `commit`, `export`.

use haven_tests::{BUSYBOX, House};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn files_and_trees_are_copied_both_ways_running_and_stopped() {
    let house = House::open();
    let here = house.stage().path("tree");
    fs::create_dir_all(here.join("sub")).expect("a tree");
    fs::write(here.join("sub/file"), "content").expect("a file");
    fs::set_permissions(here.join("sub/file"), fs::Permissions::from_mode(0o751)).expect("a mode");
    house.detached("--name running", "sleep 1000");
    house.haven("create --name stopped").args([BUSYBOX, "true"]).succeeds();
    for name in ["running", "stopped"] {
        house.haven("cp").args([here.to_str().expect("UTF-8"), &format!("{name}:/tmp")]).succeeds();
        let back = house.stage().path(&format!("back-{name}"));
        house.haven("cp").args([&format!("{name}:/tmp/tree"), back.to_str().expect("UTF-8")]).succeeds();
        assert_eq!(fs::read_to_string(back.join("sub/file")).expect("it came back"), "content");
        let mode = fs::metadata(back.join("sub/file")).expect("it came back").mode();
        assert_eq!(mode & 0o777, 0o751);
    }
    assert_eq!(house.haven("exec running stat -c %a /tmp/tree/sub/file").succeeds(), "751");
}

#[test]
fn an_archive_can_be_streamed_in_and_out() {
    let house = House::open();
    house.detached("--name box", "sleep 1000");
    let out = house.haven("cp box:/data -").exits(0);
    assert!(out.stdout.contains("data/seed") && out.stdout.contains("from the image"));
    let archive = house.stage().path("in.tar");
    let script = format!("cd /etc && tar cf {} hostname && exit 0", archive.display());
    std::process::Command::new("sh").args(["-c", &script]).status().expect("tar runs");
    house.haven("cp - box:/tmp").input(fs::read(&archive).expect("the archive")).succeeds();
    house.haven("exec box test -e /tmp/hostname").succeeds();
}

#[test]
fn copying_what_is_not_there_is_a_clear_error() {
    let house = House::open();
    house.haven("create --name box").args([BUSYBOX, "true"]).succeeds();
    let to = house.stage().path("x").display().to_string();
    house.haven("cp box:/no/such").arg(&to).exits(1).says("/no/such");
    house.haven("cp nobody:/etc").arg(&to).exits(1).says("nobody");
    let from = house.stage().path("haven.toml").display().to_string();
    house.haven("cp").arg(&from).arg("box:/no/such/directory/").exits(1);
}

#[test]
fn copying_follows_no_link_out_of_the_container() {
    let house = House::open();
    let secret = house.stage().path("secret");
    fs::write(&secret, "the host's").expect("a file");
    house.detached(
        "--name trap",
        &format!(
            "ln -s {} /link; ln -s / /root-link; mkdir -p {}; sleep 1000",
            secret.display(),
            house.stage().directory().display()
        ),
    );
    haven_tests::eventually("the links are there", || {
        house.haven("exec trap test -L /root-link").run().code == 0
    });
    // Following the link ends inside the container, where no such file is.
    let to = house.stage().path("stolen");
    house.haven("cp -L trap:/link").arg(to.to_str().expect("UTF-8")).fails();
    assert!(!to.exists());
    // Writing through it lands inside as well.
    let own = house.stage().path("own");
    fs::write(&own, "ours").expect("a file");
    house.haven("cp").args([own.to_str().expect("UTF-8"), "trap:/link"]).run();
    assert_eq!(fs::read_to_string(&secret).expect("the host's file"), "the host's");
}

#[test]
fn diff_tells_what_was_added_changed_and_deleted() {
    let house = House::open();
    house
        .haven("run --name changed")
        .args([
            BUSYBOX,
            "sh",
            "-c",
            "echo x > /new; echo y >> /etc/group; rm /data/seed; mkdir /dir; touch /dir/in",
        ])
        .succeeds();
    let mut lines: Vec<String> = house.haven("diff changed").succeeds().lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["A /dir", "A /dir/in", "A /new", "C /data", "C /etc", "C /etc/group", "D /data/seed"]);
}

#[test]
fn commit_makes_an_image_of_what_was_changed() {
    let house = House::open();
    house
        .haven("run --name base")
        .args([BUSYBOX, "sh", "-c", "echo committed > /made; rm /data/seed"])
        .succeeds();
    let id = house
        .haven("commit --message why --change")
        .arg("CMD [\"cat\", \"/made\"]")
        .args(["base", "made:one"])
        .succeeds();
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(house.haven("run --rm made:one").succeeds(), "committed");
    house.haven("run --rm made:one test -e /data/seed").exits(1);
    house.haven("run --rm made:one test -e /bin/busybox").exits(0);
}

#[test]
fn export_gives_the_whole_tree() {
    let house = House::open();
    house.haven("run --name out").args([BUSYBOX, "sh", "-c", "echo z > /exported"]).succeeds();
    let path = house.stage().path("out.tar");
    house.haven("export -o").arg(path.to_str().expect("UTF-8")).arg("out").succeeds();
    let list = std::process::Command::new("tar").arg("tf").arg(&path).output().expect("tar runs");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.lines().any(|line| line == "exported") && list.contains("bin/busybox"), "{list}");
    house.haven("import").args([path.to_str().expect("UTF-8"), "again:1"]).succeeds();
    assert_eq!(house.haven("run --rm again:1 cat /exported").succeeds(), "z");
}
