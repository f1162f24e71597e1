//! Packing: the archive says what the files are, to us and to GNU tar.

use crate::scratch::{Scratch, run};
use crate::tarball::{Entry, Tarball};
use haven_image::archive::{ExtractOptions, IdShift, Mode, PackOptions, extract_into, pack};
use haven_sys::root::{FileKind, Root, Time, Times};
use std::ffi::OsStr;

fn packed(root: &Root, path: &str, options: &PackOptions) -> Vec<u8> {
    let mut bytes = Vec::new();
    pack(root, OsStr::new(path), &mut bytes, options).unwrap();
    bytes
}

fn top_only() -> PackOptions {
    PackOptions { rename: Some("".into()), ..PackOptions::default() }
}

fn names(archive: &[u8]) -> Vec<String> {
    let scratch = Scratch::new();
    let path = scratch.path().join("a.tar");
    std::fs::write(&path, archive).unwrap();
    let listing = run("tar", &["-tf", path.to_str().unwrap()]);
    String::from_utf8(listing).unwrap().lines().map(str::to_owned).collect()
}

/// A tree with a bit of everything, as a layer would make it.
fn varied(scratch: &Scratch) -> Root {
    let long = "long/".repeat(30) + "name";
    let archive = Tarball::new()
        .dir("./")
        .entry(Entry { path: "dir", typeflag: b'5', mode: 0o2775, gid: 50, ..Entry::default() })
        .entry(Entry {
            path: "dir/file",
            mode: 0o6755,
            uid: 3_000_000,
            content: &[9; 700],
            ..Entry::default()
        })
        .hard_link("dir/hard", "dir/file")
        .symlink("link", &"t".repeat(90))
        .entry(Entry { path: "null", typeflag: b'3', device: (1, 3), ..Entry::default() })
        .entry(Entry { path: "pipe", typeflag: b'6', ..Entry::default() })
        .entry(Entry {
            pax: &[
                ("path", long.as_bytes()),
                ("mtime", b"-5.25"),
                ("SCHILY.xattr.user.x", b"1\0\n2"),
                ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            ],
            ..Entry::default()
        })
        .finish();
    let root = scratch.root("varied");
    extract_into(
        root.top(),
        &*archive,
        &ExtractOptions { devices: true, mode: Mode::Layer, ..ExtractOptions::default() },
    )
    .unwrap();
    root
}

#[test]
fn what_is_packed_unpacks_to_the_same_and_packs_to_the_same_bytes() {
    let scratch = Scratch::new();
    let first = packed(&varied(&scratch), "/", &top_only());
    let again = scratch.root("again");
    let options = ExtractOptions { devices: true, ..ExtractOptions::default() };
    extract_into(again.top(), &*first, &ExtractOptions { mode: Mode::Layer, ..options }).unwrap();
    let second = packed(&again, "/", &top_only());
    assert!(first == second);
    assert_eq!(again.lstat("long").unwrap().modified, Time::default());
    let long = "long/".repeat(30) + "name";
    assert_eq!(again.lstat(&long).unwrap().modified, Time { seconds: -6, nanoseconds: 750_000_000 });
}

#[test]
fn gnu_tar_reads_what_is_packed() {
    let scratch = Scratch::new();
    let root = varied(&scratch);
    let file = scratch.path().join("packed.tar");
    std::fs::write(&file, packed(&root, "/", &top_only())).unwrap();
    let (file, tree) = (file.to_str().unwrap().to_owned(), scratch.path().join("varied"));
    // Silent and successful: it found no difference in mode, owner, time, size, content or links.
    let report = run(
        "tar",
        &["--compare", "--xattrs", "--xattrs-include=*", "-C", tree.to_str().unwrap(), "-f", &file],
    );
    assert_eq!(String::from_utf8_lossy(&report), "");
}

#[test]
fn the_top_entry_is_named_as_asked() {
    let scratch = Scratch::new();
    let root = varied(&scratch);
    assert_eq!(names(&packed(&root, "/dir", &PackOptions::default())), ["dir/", "dir/file", "dir/hard"]);
    let renamed = PackOptions { rename: Some("other".into()), ..PackOptions::default() };
    assert_eq!(names(&packed(&root, "dir/", &renamed)), ["other/", "other/file", "other/hard"]);
    assert_eq!(names(&packed(&root, "dir/.", &PackOptions::default())), ["./", "file", "hard"]);
    assert_eq!(names(&packed(&root, "dir/file", &renamed)), ["other"]);
    let without = PackOptions { leave_out: vec!["file".into()], ..PackOptions::default() };
    assert_eq!(names(&packed(&root, "/dir", &without)), ["dir/", "dir/hard"]);
    let missing = pack(&root, OsStr::new("none"), &mut Vec::new(), &PackOptions::default()).unwrap_err();
    assert_eq!(missing.kind(), haven_spec::Kind::NotFound);
}

#[test]
fn a_link_is_packed_as_a_link_unless_following_is_asked_for() {
    let scratch = Scratch::new();
    let root = scratch.root("tree");
    root.mkdir_all("real", 0o755).unwrap();
    root.create_file("real/file", 0o644).unwrap();
    root.symlink("/real", "link").unwrap();
    assert_eq!(names(&packed(&root, "link", &PackOptions::default())), ["link"]);
    let follow = PackOptions { follow: true, ..PackOptions::default() };
    assert_eq!(names(&packed(&root, "link", &follow)), ["link/", "link/file"]);
}

#[test]
fn an_upper_directorys_marks_become_whiteouts_and_back() {
    let scratch = Scratch::new();
    let layer = ExtractOptions { mode: Mode::Layer, ..ExtractOptions::default() };
    let archive = Tarball::new()
        .file("a/.wh.gone", b"")
        .dir("b")
        .file("b/.wh..wh..opq", b"")
        .file("b/new", b"x")
        .finish();
    let upper = scratch.root("upper");
    extract_into(upper.top(), &*archive, &layer).unwrap();
    let options = PackOptions { whiteouts: true, ..top_only() };
    let bytes = packed(&upper, "/", &options);
    assert_eq!(names(&bytes), ["./", "a/", "a/.wh.gone", "b/", "b/.wh..wh..opq", "b/new"]);
    let again = scratch.root("again");
    extract_into(again.top(), &*bytes, &layer).unwrap();
    assert_eq!(again.lstat("a/gone").unwrap().kind, FileKind::CharDevice);
    assert!(packed(&again, "/", &options) == bytes);
    // An upper directory that points elsewhere can't be packed.
    let file = upper.open_file("b/new").unwrap();
    haven_sys::root::set_xattr(&file, "trusted.overlay.metacopy", b"").unwrap();
    let failure = pack(&upper, OsStr::new("/"), &mut Vec::new(), &options).unwrap_err();
    assert!(failure.one_line().contains("b/new"), "{}", failure.one_line());
}

#[test]
fn owners_are_shown_as_the_container_sees_them() {
    let scratch = Scratch::new();
    let root = scratch.root("tree");
    for (name, uid) in [("inside", 100_007), ("outside", 5)] {
        root.create_file(name, 0o644).unwrap();
        root.top().set_owner(name, uid, uid).unwrap();
        root.top().set_times(name, Times { accessed: None, modified: Some(Time::default()) }).unwrap();
    }
    let ids = Some(IdShift::new(100_000, 65_536).unwrap());
    let bytes = packed(&root, "/", &PackOptions { ids, ..top_only() });
    let again = scratch.root("again");
    extract_into(again.top(), &*bytes, &ExtractOptions::default()).unwrap();
    assert_eq!(again.lstat("inside").unwrap().uid, 7);
    assert_eq!(again.lstat("outside").unwrap().uid, 65_534);
}

#[test]
fn holes_are_packed_as_holes() {
    let scratch = Scratch::new();
    let root = scratch.root("tree");
    let make = |name: &str, size: u64, pieces: &[u64]| {
        let file = root.create_file(name, 0o644).unwrap();
        file.set_len(size).unwrap();
        for at in pieces {
            std::os::unix::fs::FileExt::write_all_at(&file, &[7; 5000], *at).unwrap();
        }
    };
    make("huge", 1 << 40, &[0, 1 << 30, (1 << 40) - 5000]);
    make("tail", 64 << 20, &[4096]);
    make("nothing", 8 << 20, &[]);
    make("small", 100_000, &[]);
    let long = "n".repeat(150);
    make(&long, 64 << 20, &[32 << 20]);
    let bytes = packed(&root, "/", &top_only());
    assert!(bytes.len() < 400_000, "{}", bytes.len());
    let again = scratch.root("again");
    let limits = haven_image::Limits { content_bytes: 2 << 40, ..haven_image::Limits::default() };
    extract_into(again.top(), &*bytes, &ExtractOptions { limits, ..ExtractOptions::default() }).unwrap();
    for name in ["huge", "tail", "nothing", "small", &long] {
        let (one, two) = (root.lstat(name).unwrap(), again.lstat(name).unwrap());
        assert_eq!((one.size, one.modified), (two.size, two.modified), "{name}");
        assert!(two.allocated < 1 << 20, "{name}");
    }
    for name in ["huge", "tail", &long] {
        assert!(packed(&again, name, &top_only()) == packed(&root, name, &top_only()), "{name}");
    }
    // GNU tar unpacks it to the same.
    let (file, theirs) = (scratch.path().join("a.tar"), scratch.dir("theirs"));
    std::fs::write(&file, &bytes).unwrap();
    run("tar", &["-C", theirs.to_str().unwrap(), "-xf", file.to_str().unwrap()]);
    let theirs = Root::open(theirs).unwrap();
    assert_eq!(theirs.lstat("huge").unwrap().size, 1 << 40);
    assert!(packed(&theirs, "tail", &top_only()) == packed(&root, "tail", &top_only()));
    assert!(packed(&theirs, &long, &top_only()) == packed(&root, &long, &top_only()));
}
