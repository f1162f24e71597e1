//! Volumes, bind mounts and memory file systems: content, owners, life.

use haven_tests::{BUSYBOX, House};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[test]
fn a_volume_outlives_its_container_and_is_shared() {
    let house = House::open();
    house.haven("run --rm -v shared:/srv").args([BUSYBOX, "sh", "-c", "echo kept > /srv/file"]).succeeds();
    let read = house.haven("run --rm -v shared:/srv").args([BUSYBOX, "cat", "/srv/file"]).succeeds();
    assert_eq!(read, "kept");
    house.haven("run --rm -v shared:/srv:ro").args([BUSYBOX, "touch", "/srv/x"]).exits(1).says("Read-only");
    assert_eq!(house.haven("volume ls --quiet").succeeds(), "shared");
}

#[test]
fn an_empty_volume_is_filled_from_the_image_once_with_its_owners() {
    let house = House::open();
    let list = house
        .haven("run --rm -v filled:/data")
        .args([BUSYBOX, "sh", "-c", "stat -c '%u:%g %a' /data /data/seed; cat /data/seed"])
        .succeeds();
    assert_eq!(list, "1000:1000 755\n1000:1000 640\nfrom the image");
    house
        .haven("run --rm -v filled:/data")
        .args([BUSYBOX, "sh", "-c", "rm /data/seed; echo own > /data/mine"])
        .succeeds();
    let list = house.haven("run --rm -v filled:/data").args([BUSYBOX, "ls", "/data"]).succeeds();
    assert_eq!(list, "mine");
}

#[test]
fn nocopy_leaves_a_volume_empty() {
    let house = House::open();
    let list = house.haven("run --rm -v bare:/data:nocopy").args([BUSYBOX, "ls", "/data"]).succeeds();
    assert_eq!(list, "");
}

#[test]
fn files_of_a_bind_mount_have_the_same_owner_inside_and_outside() {
    let house = House::open();
    let directory = house.stage().path("bound");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("ours"), "x").expect("a file");
    fs::set_permissions(directory.join("ours"), fs::Permissions::from_mode(0o640)).expect("a mode");
    std::os::unix::fs::chown(directory.join("ours"), Some(1000), Some(2000)).expect("an owner");
    let bind = format!("run --rm -v {}:/mnt", directory.display());
    let seen = house.haven(&bind).args([BUSYBOX, "stat", "-c", "%u:%g %a", "/mnt/ours"]).succeeds();
    assert_eq!(seen, "1000:2000 640");
    house
        .haven(&bind)
        .args([BUSYBOX, "sh", "-c", "touch /mnt/theirs; chown 1234:4321 /mnt/theirs"])
        .succeeds();
    let made = fs::metadata(directory.join("theirs")).expect("it was made");
    assert_eq!((made.uid(), made.gid()), (1234, 4321));
}

#[test]
fn a_process_of_a_user_reads_only_what_that_user_may() {
    let house = House::open();
    let directory = house.stage().path("private");
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("secret"), "x").expect("a file");
    fs::set_permissions(directory.join("secret"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let bind = format!("run --rm --user 1000 -v {}:/mnt", directory.display());
    house.haven(&bind).args([BUSYBOX, "cat", "/mnt/secret"]).exits(1).says("Permission denied");
}

#[test]
fn a_missing_source_is_made_for_v_and_refused_for_mount() {
    let house = House::open();
    let missing = house.stage().path("made");
    house.haven(&format!("run --rm -v {}:/mnt", missing.display())).args([BUSYBOX, "true"]).succeeds();
    assert!(missing.is_dir());
    let other = house.stage().path("unmade");
    house
        .haven(&format!("run --rm --mount type=bind,source={},target=/mnt", other.display()))
        .args([BUSYBOX, "true"])
        .exits(125)
        .says("does not exist");
    assert!(!other.exists());
}

#[test]
fn anonymous_volumes_go_with_rm_and_named_ones_stay() {
    let house = House::open();
    house.haven("run --rm -v /anonymous -v named:/n").args([BUSYBOX, "true"]).succeeds();
    assert_eq!(house.haven("volume ls --quiet").succeeds(), "named");
    house.haven("run --name kept -v /anonymous").args([BUSYBOX, "true"]).succeeds();
    house.haven("rm kept").succeeds();
    assert_eq!(house.haven("volume ls --quiet").succeeds().lines().count(), 2);
}

#[test]
fn a_volume_in_use_cannot_be_removed() {
    let house = House::open();
    house.haven("create --name user -v busy:/x").args([BUSYBOX, "true"]).succeeds();
    house.haven("volume rm busy").exits(1).says("in use");
    house.haven("rm user").succeeds();
    house.haven("volume rm busy").succeeds();
    house.haven("volume rm busy").exits(1).says("busy");
}

#[test]
fn volumes_can_be_made_listed_inspected_and_pruned() {
    let house = House::open();
    assert_eq!(house.haven("volume create --label tier=db store").succeeds(), "store");
    assert_eq!(house.haven("volume ls --quiet --filter label=tier=db").succeeds(), "store");
    assert_eq!(house.haven("volume ls --quiet --filter label=tier=web").succeeds(), "");
    let mountpoint = house.haven("volume inspect --format {{.Mountpoint}} store").succeeds();
    assert!(std::path::Path::new(&mountpoint).is_dir(), "{mountpoint}");
    assert_eq!(
        house.haven("volume inspect --format").arg("{{index .Labels \"tier\"}}").arg("store").succeeds(),
        "db"
    );
    let all = if house.is_peer() { "" } else { "--all" };
    house.haven(&format!("volume prune {all} --force")).succeeds();
    assert_eq!(house.haven("volume ls --quiet").succeeds(), "");
}

#[test]
fn volumes_from_another_container_are_its_mounts() {
    let house = House::open();
    house
        .haven("run --name source -v /shared")
        .args([BUSYBOX, "sh", "-c", "echo there > /shared/f"])
        .succeeds();
    let read = house.haven("run --rm --volumes-from source").args([BUSYBOX, "cat", "/shared/f"]).succeeds();
    assert_eq!(read, "there");
}

#[test]
fn a_tmpfs_is_memory_with_a_size() {
    let house = House::open();
    let script = "grep ' /scratch ' /proc/mounts; head -c 2000000 /dev/zero > /scratch/f; stat -c 'size %s' /scratch/f";
    let answer =
        house.haven("run --rm --tmpfs /scratch:size=1m,mode=1777").args([BUSYBOX, "sh", "-c", script]).run();
    answer.says("tmpfs /scratch tmpfs").says("size=1024k").says("size 1048576");
}

#[test]
fn a_read_only_root_still_has_its_volumes_and_tmpfs() {
    let house = House::open();
    house
        .haven("run --rm --read-only --tmpfs /tmp -v vv:/v")
        .args([BUSYBOX, "sh", "-c", "touch /tmp/a /v/b && ! touch /c 2>/dev/null"])
        .succeeds();
}

#[test]
fn a_single_file_can_be_bound() {
    let house = House::open();
    let file = house.stage().path("motd");
    fs::write(&file, "good morning").expect("a file");
    let read = house
        .haven(&format!("run --rm -v {}:/etc/motd:ro", file.display()))
        .args([BUSYBOX, "cat", "/etc/motd"])
        .succeeds();
    assert_eq!(read, "good morning");
}
