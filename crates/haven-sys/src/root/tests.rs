//! Every promise of the module, on a directory of its own that is gone afterwards.

use super::{Dir, FileKind, Follow, Root, Time, Times, set_owner, set_times, set_xattr, xattr, xattr_names};
use rustix::io::Errno;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A new directory under the system's temporary one, removed when dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> (Self, Root) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("haven-root-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("outside")).unwrap();
        std::fs::write(path.join("outside/secret"), "secret").unwrap();
        std::fs::create_dir(path.join("root")).unwrap();
        let root = Root::open(path.join("root")).unwrap();
        (Self { path }, root)
    }

    fn outside(&self) -> PathBuf {
        self.path.join("outside")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let parent = Root::open(self.path.parent().unwrap()).unwrap();
        parent.top().remove_all(self.path.file_name().unwrap()).unwrap();
    }
}

fn write(root: &Root, path: &str, content: &str) {
    root.create_file(path, 0o644).unwrap().write_all(content.as_bytes()).unwrap();
}

fn read(root: &Root, path: &str) -> String {
    let mut text = String::new();
    root.open_file(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn links_and_dotdot_stay_inside_the_root() {
    let (scratch, root) = Scratch::new();
    root.symlink(scratch.outside(), "absolute").unwrap();
    root.symlink("../../../../../outside", "relative").unwrap();
    for path in ["absolute/secret", "relative/secret", "../outside/secret", "/../../outside/secret"] {
        assert_eq!(root.open_file(path).unwrap_err().errno(), Errno::NOENT, "{path}");
    }
    write(&root, "inside", "inside");
    root.symlink("/inside", "link").unwrap();
    assert_eq!(read(&root, "link"), "inside");
    assert_eq!(read(&root, "/../../inside"), "inside");
}

#[test]
fn magic_links_are_refused() {
    let root = Root::open("/proc").unwrap();
    assert_eq!(root.open_dir("self/root").unwrap_err().errno(), Errno::LOOP);
    assert_eq!(root.open_dir("self/cwd").unwrap_err().errno(), Errno::LOOP);
}

#[test]
fn a_name_is_one_name() {
    let (_scratch, root) = Scratch::new();
    for name in ["", ".", "..", "a/b", "/", "a/"] {
        assert_eq!(root.top().mkdir(name, 0o755).unwrap_err().errno(), Errno::INVAL, "{name:?}");
        assert_eq!(root.top().remove_all(name).unwrap_err().errno(), Errno::INVAL, "{name:?}");
    }
    for path in ["", "/", "..", "a/..", "."] {
        assert_eq!(root.open_parent(path).unwrap_err().errno(), Errno::INVAL, "{path:?}");
    }
    assert_eq!(root.top().mkdir("a\0b", 0o755).unwrap_err().errno(), Errno::INVAL);
}

#[test]
fn a_directory_never_follows_a_link() {
    let (scratch, root) = Scratch::new();
    root.symlink(scratch.outside(), "out").unwrap();
    let top = root.top();
    assert!(matches!(top.open_dir("out").unwrap_err().errno(), Errno::NOTDIR | Errno::LOOP));
    assert!(top.open_beneath("out").is_err());
    assert!(top.open_beneath("../outside").is_err());
    assert!(top.open_beneath("/").is_err());
    assert_eq!(top.open_file("out").unwrap_err().errno(), Errno::LOOP);
    assert_eq!(top.create_file("out", 0o644).unwrap_err().errno(), Errno::EXIST);
    top.remove_all("out").unwrap();
    assert!(scratch.outside().join("secret").exists());
}

#[test]
fn missing_directories_are_made_inside_even_through_dangling_links() {
    let (scratch, root) = Scratch::new();
    root.mkdir_all("a/b/c", 0o750).unwrap();
    assert_eq!(root.stat("a/b/c").unwrap().mode, 0o750);
    root.mkdir_all("a/b/c", 0o755).unwrap();
    root.symlink("/run", "a/run").unwrap();
    root.mkdir_all("a/run/lock", 0o755).unwrap();
    assert_eq!(root.lstat("run/lock").unwrap().kind, FileKind::Directory);
    root.symlink("../../../escape/x", "a/up").unwrap();
    root.mkdir_all("/a/up/y", 0o755).unwrap();
    assert_eq!(root.lstat("escape/x/y").unwrap().kind, FileKind::Directory);
    assert!(!scratch.path.join("escape").exists());
    root.symlink("loop", "loop").unwrap();
    assert_eq!(root.mkdir_all("loop/x", 0o755).unwrap_err().errno(), Errno::LOOP);
    write(&root, "file", "");
    assert_eq!(root.mkdir_all("file/x", 0o755).unwrap_err().errno(), Errno::NOTDIR);
    root.mkdir_all("/", 0o755).unwrap();
    root.mkdir_all("", 0o755).unwrap();
}

#[test]
fn a_dangling_link_is_expanded_only_so_often() {
    let (_scratch, root) = Scratch::new();
    for step in 0..60 {
        root.symlink(format!("/link{}", step + 1), format!("link{step}")).unwrap();
    }
    assert_eq!(root.mkdir_all("link0", 0o755).unwrap_err().errno(), Errno::LOOP);
    root.mkdir_all("link30", 0o755).unwrap();
    assert_eq!(root.lstat("link60").unwrap().kind, FileKind::Directory);
}

#[test]
fn a_mount_target_is_made_with_what_is_above_it() {
    let (_scratch, root) = Scratch::new();
    root.symlink("/run", "var-run").unwrap();
    let handle = root.file_target("var-run/app.sock", 0o644).unwrap();
    assert_eq!(handle.stat().unwrap().kind, FileKind::Regular);
    assert_eq!(root.file_target("run/app.sock", 0o644).unwrap().stat().unwrap(), handle.stat().unwrap());
    root.symlink("../etc/real", "run/conf").unwrap();
    root.file_target("run/conf", 0o600).unwrap();
    assert_eq!(root.lstat("etc/real").unwrap().mode, 0o600);
}

#[test]
fn attributes_are_changed_on_the_link_not_on_its_target() {
    let (scratch, root) = Scratch::new();
    let secret = scratch.outside().join("secret");
    let before = Root::open(scratch.outside()).unwrap().lstat("secret").unwrap();
    root.symlink(&secret, "link").unwrap();
    let link = root.top().handle("link").unwrap();
    let when = Time { seconds: 1_000_000_000, nanoseconds: 123_456_789 };
    link.set_owner(1234, 4_294_967_294).unwrap();
    link.set_times(Times { accessed: None, modified: Some(when) }).unwrap();
    root.top().set_owner("link", 1235, 4_294_967_294).unwrap();
    let now = root.lstat("link").unwrap();
    assert_eq!((now.uid, now.gid, now.modified), (1235, 4_294_967_294, when));
    assert!(link.set_mode(0o777).is_err());
    assert_eq!(link.read_link().unwrap(), secret.as_os_str());
    assert_eq!(Root::open(scratch.outside()).unwrap().lstat("secret").unwrap(), before);
    assert_eq!(root.top().set_owner("link", u32::MAX, 0).unwrap_err().errno(), Errno::INVAL);
}

#[test]
fn extended_attributes_are_set_read_and_listed_by_handle_and_by_descriptor() {
    let (_scratch, root) = Scratch::new();
    write(&root, "file", "x");
    let file = root.open_file("file").unwrap();
    let long = vec![7; 2000];
    set_xattr(&file, "user.long", &long).unwrap();
    let handle = root.resolve("file", Follow::No).unwrap();
    handle.set_xattr("trusted.short", b"").unwrap();
    assert_eq!(handle.xattr("user.long").unwrap(), Some(long.clone()));
    assert_eq!(xattr(&file, "trusted.short").unwrap(), Some(vec![]));
    assert_eq!(xattr(&file, "user.none").unwrap(), None);
    let mut names = xattr_names(&file).unwrap();
    names.sort();
    assert_eq!(names, ["trusted.short", "user.long"]);
    assert_eq!(handle.xattr_names().unwrap().len(), 2);
    super::clear_xattr(&file, "user.long").unwrap();
    super::clear_xattr(&file, "user.long").unwrap();
    assert_eq!(handle.xattr_names().unwrap(), ["trusted.short"]);
    // Overlay's own attribute on a link is what a link can carry.
    root.symlink("nowhere", "link").unwrap();
    root.top().handle("link").unwrap().set_xattr("trusted.link", b"1").unwrap();
    assert_eq!(root.resolve("link", Follow::No).unwrap().xattr("trusted.link").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn owners_times_and_modes_are_kept_to_the_last_bit() {
    let (_scratch, root) = Scratch::new();
    write(&root, "file", "");
    let file = root.open_file("file").unwrap();
    let modified = Time { seconds: -1, nanoseconds: 999_999_999 };
    set_owner(&file, 4_294_967_294, 65_536).unwrap();
    super::set_mode(&file, 0o7755).unwrap();
    set_times(&file, Times { accessed: Some(Time::default()), modified: Some(modified) }).unwrap();
    let stat = root.lstat("file").unwrap();
    assert_eq!((stat.uid, stat.gid, stat.mode), (4_294_967_294, 65_536, 0o7755));
    assert_eq!((stat.accessed, stat.modified), (Time::default(), modified));
}

#[test]
fn devices_fifos_and_hard_links_are_what_was_asked_for() {
    let (_scratch, root) = Scratch::new();
    root.mknod("null", FileKind::CharDevice, 0o600, (1, 3)).unwrap();
    root.mknod("fifo", FileKind::Fifo, 0o600, (0, 0)).unwrap();
    let null = root.lstat("null").unwrap();
    assert_eq!((null.kind, null.node), (FileKind::CharDevice, (1, 3)));
    // Neither is waited for nor opened as a file.
    assert_eq!(root.open_file("fifo").unwrap_err().errno(), Errno::INVAL);
    assert_eq!(root.top().open_file("null").unwrap_err().errno(), Errno::INVAL);
    root.resolve("null", Follow::No).unwrap().set_mode(0o666).unwrap();
    assert_eq!(root.lstat("null").unwrap().mode, 0o666);
    write(&root, "one", "content");
    root.hardlink("one", "two").unwrap();
    assert_eq!(root.lstat("two").unwrap().links, 2);
    root.symlink("one", "soft").unwrap();
    root.hardlink("soft", "hard-to-soft").unwrap();
    assert_eq!(root.lstat("hard-to-soft").unwrap().kind, FileKind::Symlink);
}

#[test]
fn a_tree_of_any_depth_is_removed_with_few_descriptors() {
    let (_scratch, root) = Scratch::new();
    root.top().mkdir("tree", 0o755).unwrap();
    let mut dir = root.open_dir("tree").unwrap();
    for level in 0..3000 {
        dir.create_file(format!("file{level}"), 0o644).unwrap();
        dir.mkdir("d", 0o755).unwrap();
        dir = dir.open_dir("d").unwrap();
    }
    let handle = root.resolve("tree", Follow::No).unwrap();
    root.remove_all("tree").unwrap();
    assert!(root.lstat("tree").unwrap_err().is_not_found());
    assert_eq!(handle.stat().unwrap().links, 0);
    root.remove_all("tree").unwrap();
}

#[test]
fn a_wide_directory_lists_every_name_once() {
    let (_scratch, root) = Scratch::new();
    root.top().mkdir("wide", 0o755).unwrap();
    let dir: Dir = root.open_dir("wide").unwrap();
    for number in 0..2000 {
        dir.mknod(format!("{number:0>200}"), FileKind::Regular, 0o644, (0, 0)).unwrap();
    }
    let mut names: Vec<_> = dir.entries().unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 2000);
    assert_eq!(dir.entries().unwrap().len(), 2000);
}

#[test]
fn the_error_names_the_call_and_the_path() {
    let (_scratch, root) = Scratch::new();
    let error = root.open_file("no/such").unwrap_err();
    assert_eq!(error.to_string(), "openat2 `no/such`: No such file or directory (os error 2)");
    assert_eq!(std::io::Error::from(error).raw_os_error(), Some(2));
}

#[test]
fn swapping_a_directory_for_a_link_never_leads_outside() {
    let (scratch, root) = Scratch::new();
    root.mkdir_all("a/dir", 0o755).unwrap();
    write(&root, "a/dir/secret", "inside");
    root.symlink(scratch.outside(), "a/link").unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let a = root.open_dir("a").unwrap();
            while !stop.load(Ordering::Relaxed) {
                a.rename("dir", &a, "spare").unwrap();
                a.rename("link", &a, "dir").unwrap();
                a.rename("dir", &a, "link").unwrap();
                a.rename("spare", &a, "dir").unwrap();
            }
        });
        for _ in 0..20_000 {
            if let Ok(mut file) = root.open_file("a/dir/secret") {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, "inside");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
