//! Volumes, bind mounts, memory, and images that try to send them elsewhere.

use crate::fixture::Place;
use haven_runtime::Launch;
use haven_runtime::oci::Mount;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

fn bind(launch: &mut Launch, source: &Path, target: &str, options: &[&str]) {
    launch.spec.mounts.push(Mount {
        destination: target.into(),
        source: source.to_str().unwrap().into(),
        kind: "bind".into(),
        options: options.iter().map(|option| (*option).to_owned()).chain(["rbind".to_owned()]).collect(),
        ..Mount::default()
    });
}

#[test]
fn owners_on_a_volume_are_the_same_inside_and_on_disk() {
    let place = Place::new("volume");
    let volume = place.top.join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("old"), "x").unwrap();
    chown(volume.join("old"), Some(1000), Some(1001)).unwrap();
    let mut launch = place.shell("stat -c %u:%g /data /data/old; echo y > /data/new; chown 7:8 /data/new");
    bind(&mut launch, &volume, "/data", &["rw"]);
    let ended = place.run(&launch);
    assert_eq!(ended.text(), "0:0\n1000:1001\n");
    let new = std::fs::metadata(volume.join("new")).unwrap();
    assert_eq!((new.uid(), new.gid()), (7, 8));
}

#[test]
fn a_single_file_is_mounted_and_read_only_means_it() {
    let place = Place::new("file");
    let file = place.top.join("hosts");
    std::fs::write(&file, "127.0.0.1 me\n").unwrap();
    let mut launch = place.shell("cat /etc/hosts; echo x > /etc/hosts; cat /new/dir/hosts");
    bind(&mut launch, &file, "/etc/hosts", &["ro"]);
    bind(&mut launch, &file, "/new/dir/hosts", &[]);
    let text = place.run(&launch).text();
    assert_eq!(text.matches("127.0.0.1 me").count(), 2, "{text}");
    assert!(text.contains("Read-only file system"), "{text}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "127.0.0.1 me\n");
}

#[test]
fn memory_is_sized_and_may_begin_with_a_copy() {
    let place = Place::new("tmpfs");
    let mut launch = place
        .shell("cat /etc/passwd | head -n 1; cat /proc/mounts | grep ' /scratch '; touch /etc/x && echo ok");
    launch.spec.mounts.push(Mount {
        destination: "/scratch".into(),
        kind: "tmpfs".into(),
        source: "tmpfs".into(),
        options: vec!["size=64k".into(), "nosuid".into(), "mode=1777".into()],
        ..Mount::default()
    });
    launch.spec.mounts.push(Mount {
        destination: "/etc".into(),
        kind: "tmpfs".into(),
        source: "tmpfs".into(),
        options: vec!["tmpcopyup".into()],
        ..Mount::default()
    });
    let text = place.run(&launch).text();
    assert!(text.starts_with("root:x:0:0"), "{text}");
    assert!(text.contains("size=64k") && text.contains("nosuid"), "{text}");
    assert!(text.ends_with("ok\n"), "{text}");
}

#[test]
fn an_image_cannot_send_a_mount_outside_by_links_or_dots() {
    let place = Place::new("hostile");
    let image = place.top.join("image");
    let volume = place.top.join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("here"), "x").unwrap();
    let outside = place.top.join("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, image.join("absolute")).unwrap();
    symlink("../../../../../../../../..", image.join("up")).unwrap();
    symlink(format!("../../../../../../../..{}", outside.display()), image.join("relative")).unwrap();
    let targets = ["/absolute", "/up/made", "/relative/deep", "/a/../../../b", "/up/etc/up2/../c"];
    let found = ["/absolute", "/made", "/relative/deep", "/b", "/etc/c"];
    let script: Vec<String> = found.iter().map(|place| format!("cat {place}/here")).collect();
    let mut launch = place.shell(&format!("{}; true", script.join("; ")));
    for target in targets {
        bind(&mut launch, &volume, target, &[]);
    }
    let ended = place.run(&launch);
    assert_eq!(ended.exit.code, 0);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "nothing was made outside");
    assert_eq!(ended.text(), "xxxxx", "each lies where a process inside finds it");
}

#[test]
fn an_image_whose_proc_sys_or_dev_is_a_link_is_refused() {
    for name in ["proc", "sys", "dev"] {
        let place = Place::new("linked");
        let image = place.top.join("image");
        std::fs::remove_dir(image.join(name)).unwrap();
        symlink("/etc", image.join(name)).unwrap();
        let launched = place.spawner.launch(&place.shell("true")).unwrap();
        let failure = launched.keeper.start().unwrap_err();
        let line = failure.one_line();
        assert!(line.contains(&format!("the image's `/{name}` isn't a directory")), "{line}");
    }
}

#[test]
fn a_null_device_of_the_images_own_masks_nothing_and_breaks_nothing() {
    let place = Place::new("null");
    let image = place.top.join("image");
    std::fs::write(image.join("dev/null"), "not a device").unwrap();
    let mut launch = place.shell("stat -c %t:%T /proc/timer_list /dev/null");
    launch.spec.mounts.retain(|mount| mount.destination != "/dev");
    let ended = place.run(&launch);
    assert_eq!(ended.text(), "1:3\n1:3\n");
}

#[test]
fn a_bound_dev_is_left_as_it_is() {
    let place = Place::new("bounddev");
    let mut launch = place.shell("test -c /dev/null && echo device");
    launch.spec.mounts.retain(|mount| !mount.destination.starts_with("/dev"));
    bind(&mut launch, Path::new("/dev"), "/dev", &[]);
    assert_eq!(place.run(&launch).text(), "device\n");
}
