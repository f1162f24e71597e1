//! Unpacking: what well-formed archives become, and what hostile ones don't.

use crate::scratch::{Scratch, run};
use crate::tarball::{Entry, Tarball};
use haven_image::Limits;
use haven_image::archive::{AbsoluteNames, ExtractOptions, IdShift, Mode, extract_into};
use haven_sys::root::{Dir, FileKind, Follow, Root, Time};
use std::io::Read as _;

fn layer() -> ExtractOptions {
    ExtractOptions { mode: Mode::Layer, devices: true, ..ExtractOptions::default() }
}

/// Unpacks as a layer into a new directory.
fn unpack(scratch: &Scratch, archive: &[u8]) -> Root {
    let root = scratch.root("tree");
    extract_into(root.top(), archive, &layer()).unwrap();
    root
}

fn refusal(archive: &[u8], options: &ExtractOptions) -> String {
    let scratch = Scratch::new();
    let top = scratch.top("tree");
    let failure = extract_into(&top, archive, options).unwrap_err();
    failure.one_line()
}

fn read(root: &Root, path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    root.open_file(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn xattr(root: &Root, path: &str, name: &str) -> Option<Vec<u8>> {
    root.resolve(path, Follow::No).unwrap().xattr(name).unwrap()
}

#[test]
fn every_kind_of_entry_becomes_what_it_says() {
    let scratch = Scratch::new();
    let long = "long/".repeat(50) + "name";
    let archive = Tarball::new()
        .entry(Entry { path: "./", typeflag: b'5', mode: 0o750, uid: 7, gid: 8, ..Entry::default() })
        .dir("etc/")
        .entry(Entry {
            path: "etc/passwd",
            content: b"root",
            mode: 0o4755,
            uid: 1000,
            gid: 65_537,
            ..Entry::default()
        })
        .hard_link("etc/again", "etc/passwd")
        .symlink("etc/link", "/etc/passwd")
        .entry(Entry { path: "null", typeflag: b'3', mode: 0o666, device: (1, 3), ..Entry::default() })
        .entry(Entry { path: "disk", typeflag: b'4', mode: 0o660, device: (259, 70_000), ..Entry::default() })
        .entry(Entry { path: "pipe", typeflag: b'6', mode: 0o622, ..Entry::default() })
        .entry(Entry { path: "big-owner", uid: 4_294_967_294, gid: 4_294_967_294, ..Entry::default() })
        .entry(Entry {
            path: "short",
            pax: &[("path", long.as_bytes()), ("mtime", b"1600000000.123456789")],
            ..Entry::default()
        })
        .entry(Entry { path: "old-dir/", typeflag: 0, mode: 0o700, ..Entry::default() })
        .finish();
    let root = unpack(&scratch, &archive);
    let top = root.lstat("/").unwrap();
    assert_eq!((top.mode, top.uid, top.gid, top.modified.seconds), (0o750, 7, 8, 1_700_000_000));
    let passwd = root.lstat("etc/passwd").unwrap();
    assert_eq!((passwd.mode, passwd.uid, passwd.gid, passwd.links), (0o4755, 1000, 65_537, 2));
    assert_eq!(root.lstat("etc/again").unwrap().inode, passwd.inode);
    assert_eq!(root.read_link("etc/link").unwrap(), "/etc/passwd");
    assert_eq!(root.lstat("etc/link").unwrap().modified.seconds, 1_700_000_000);
    let null = root.lstat("null").unwrap();
    assert_eq!((null.kind, null.node, null.mode), (FileKind::CharDevice, (1, 3), 0o666));
    assert_eq!(root.lstat("disk").unwrap().node, (259, 70_000));
    assert_eq!(root.lstat("pipe").unwrap().kind, FileKind::Fifo);
    assert_eq!(root.lstat("big-owner").unwrap().uid, 4_294_967_294);
    assert_eq!(
        root.lstat(&long).unwrap().modified,
        Time { seconds: 1_600_000_000, nanoseconds: 123_456_789 }
    );
    let implied = root.lstat("long").unwrap();
    assert_eq!((implied.mode, implied.uid, implied.modified), (0o755, 0, Time::default()));
    let old = root.lstat("old-dir").unwrap();
    assert_eq!((old.kind, old.mode), (FileKind::Directory, 0o700));
    assert_eq!(root.lstat("etc").unwrap().modified.seconds, 1_700_000_000);
}

#[test]
fn whiteouts_become_overlays_own() {
    let scratch = Scratch::new();
    let archive = Tarball::new()
        .dir("a")
        .file("a/.wh.gone", b"")
        .file("b/.wh..wh..opq", b"")
        .file("b/new", b"x")
        .file(".wh..wh.plnk", b"")
        // In this order, and in the other: what is in the layer itself stays, and hides what is below.
        .file(".wh.c", b"")
        .file("c/file", b"x")
        .dir("d")
        .file(".wh.d", b"")
        .file("e", b"x")
        .file(".wh.e", b"")
        .file(".wh.f", b"")
        .dir("f")
        .finish();
    let root = unpack(&scratch, &archive);
    let gone = root.lstat("a/gone").unwrap();
    assert_eq!((gone.kind, gone.node), (FileKind::CharDevice, (0, 0)));
    for (path, opaque) in [("a", false), ("b", true), ("c", true), ("d", true), ("f", true)] {
        assert_eq!(xattr(&root, path, "trusted.overlay.opaque").is_some(), opaque, "{path}");
    }
    assert_eq!(read(&root, "e"), b"x");
    assert_eq!(read(&root, "c/file"), b"x");
    assert!(root.lstat(".wh..wh.plnk").unwrap_err().is_not_found());
    // Elsewhere such names mean nothing.
    let plain = scratch.root("plain");
    extract_into(plain.top(), &*archive, &ExtractOptions::default()).unwrap();
    assert_eq!(plain.lstat("a/.wh.gone").unwrap().kind, FileKind::Regular);
}

#[test]
fn the_last_of_several_entries_with_one_name_wins() {
    let scratch = Scratch::new();
    let archive = Tarball::new()
        .file("a", b"first")
        .file("a", b"second")
        .file("b", b"file")
        .dir("b")
        .file("b/inside", b"x")
        .dir("c")
        .file("c/deep/inside", b"x")
        .file("c", b"file now")
        .dir("d")
        .file("d/keep", b"x")
        .entry(Entry { path: "d", typeflag: b'5', mode: 0o700, ..Entry::default() })
        .symlink("e", "a")
        .file("e", b"not through the link")
        .file("f", b"x")
        .hard_link("g", "f")
        .hard_link("g", "f")
        .finish();
    let root = unpack(&scratch, &archive);
    assert_eq!(read(&root, "a"), b"second");
    assert_eq!(read(&root, "b/inside"), b"x");
    assert_eq!(read(&root, "c"), b"file now");
    assert_eq!(read(&root, "d/keep"), b"x");
    assert_eq!(root.lstat("d").unwrap().mode, 0o700);
    assert_eq!(read(&root, "e"), b"not through the link");
    assert_eq!(root.lstat("f").unwrap().links, 2);
}

#[test]
fn extended_attributes_are_kept_but_not_overlays() {
    let scratch = Scratch::new();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let pax: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.user.note", b"a=b"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
    ];
    let archive = Tarball::new()
        .entry(Entry { path: "ping", mode: 0o755, uid: 5, pax, ..Entry::default() })
        .entry(Entry { path: "dir", typeflag: b'5', mode: 0o755, pax: &pax[1..], ..Entry::default() })
        .finish();
    let root = unpack(&scratch, &archive);
    assert_eq!(xattr(&root, "ping", "security.capability").as_deref(), Some(&capability[..]));
    for path in ["ping", "dir"] {
        assert_eq!(xattr(&root, path, "user.note").as_deref(), Some(&b"a=b"[..]));
        assert_eq!(xattr(&root, path, "trusted.overlay.redirect"), None);
        assert_eq!(xattr(&root, path, "user.overlay.opaque"), None);
    }
}

/// What GNU tar writes in each of its formats comes out as it went in.
#[test]
fn archives_by_gnu_tar_are_read_in_every_format() {
    let scratch = Scratch::new();
    let source = scratch.dir("source");
    let long = "n".repeat(200);
    std::fs::create_dir_all(source.join("d").join(&long)).unwrap();
    std::fs::write(source.join("d").join(&long).join("file"), b"content").unwrap();
    std::os::unix::fs::symlink("t".repeat(300), source.join("link")).unwrap();
    std::fs::hard_link(source.join("d").join(&long).join("file"), source.join("hard")).unwrap();
    let sparse = std::fs::File::create(source.join("sparse")).unwrap();
    let mut expected = vec![0_u8; 3 << 20];
    for piece in 0..9_u8 {
        let at = usize::from(piece) * 300_000 + 5;
        expected[at..at + 4].copy_from_slice(&[piece + 1; 4]);
        std::os::unix::fs::FileExt::write_all_at(&sparse, &[piece + 1; 4], at as u64).unwrap();
    }
    sparse.set_len(3 << 20).unwrap();
    drop(sparse);
    let source_text = source.to_str().unwrap();
    for arguments in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=pax"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
    ] {
        let archive = run("tar", &[&["-C", source_text, "-cf", "-"], arguments, &["."]].concat());
        let name = arguments.concat();
        let root = scratch.root(&name);
        extract_into(root.top(), &*archive, &layer()).unwrap();
        assert_eq!(read(&root, &format!("d/{long}/file")), b"content", "{name}");
        assert_eq!(root.read_link("link").unwrap(), "t".repeat(300).as_str(), "{name}");
        assert_eq!(root.lstat("hard").unwrap().links, 2, "{name}");
        assert!(read(&root, "sparse") == expected, "{name}");
        if name.contains("sparse") {
            assert!(root.lstat("sparse").unwrap().allocated < 1 << 20, "{name}");
        }
        let stat = Root::open(&source).unwrap().lstat("sparse").unwrap();
        assert_eq!(root.lstat("sparse").unwrap().modified.seconds, stat.modified.seconds);
    }
    let archive = run("tar", &["-C", source_text, "-cf", "-", "--format=v7", "sparse"]);
    let root = scratch.root("v7");
    extract_into(root.top(), &*archive, &layer()).unwrap();
    assert!(read(&root, "sparse") == expected);
}

#[test]
fn names_that_lead_out_are_refused_by_name() {
    for (archive, words) in [
        (Tarball::new().file("../evil", b"x"), "entry `../evil`: its path leads upwards"),
        (Tarball::new().file("a/../../evil", b"x"), "leads upwards"),
        (Tarball::new().file("/etc/evil", b"x"), "entry `/etc/evil`: its path is absolute"),
        (
            Tarball::new().symlink("a", "/tmp").file("a/evil", b"x"),
            "entry `a/evil`: a name in its path is a link",
        ),
        (Tarball::new().symlink("a", "..").dir("a/evil"), "a name in its path is a link"),
        (Tarball::new().file("a", b"").file("a/evil", b"x"), "a name in its path is a link or a file"),
        (Tarball::new().hard_link("evil", "../../etc/passwd"), "its link target leads upwards"),
        (Tarball::new().hard_link("evil", "/etc/passwd"), "its link target is absolute"),
        (Tarball::new().symlink("a", "/etc").hard_link("evil", "a/passwd"), "no file of this archive"),
        (Tarball::new().hard_link("evil", "none"), "no file of this archive"),
        (Tarball::new().dir("a").hard_link("evil", "a"), "no file of this archive"),
        (Tarball::new().hard_link("evil", "evil"), "a hard link to itself"),
        (Tarball::new().dir("a").file("a/b", b"").hard_link("a", "a/b"), "no file of this archive"),
        (Tarball::new().file(".wh.", b""), "whiteout that names no file"),
        (Tarball::new().file("a/.wh...", b""), "whiteout that names no file"),
        (Tarball::new().file(".wh.x", b"").hard_link("evil", "x"), "no file of this archive"),
        (Tarball::new().file("", b"x"), "its path is empty"),
        (Tarball::new().file("./", b"x"), "not a directory"),
        (Tarball::new().symlink("empty", ""), "target is not between"),
    ] {
        let message = refusal(&archive.finish(), &layer());
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn nothing_appears_outside_whatever_the_archive_says() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    let archive = Tarball::new()
        .symlink("up", "../outside")
        .symlink("absolute", outside.to_str().unwrap())
        .file("up", b"replaces the link")
        .file("absolute", b"replaces the link")
        .finish();
    unpack(&scratch, &archive);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn absolute_names_can_be_read_from_the_top() {
    let scratch = Scratch::new();
    let root = scratch.root("tree");
    let archive = Tarball::new().file("/app/run", b"x").hard_link("/app/again", "/app/run").finish();
    let options = ExtractOptions { absolute_names: AbsoluteNames::FromTop, ..layer() };
    extract_into(root.top(), &*archive, &options).unwrap();
    assert_eq!(root.lstat("app/again").unwrap().links, 2);
}

#[test]
fn devices_are_refused_where_they_are_not_allowed() {
    let device = |number| {
        Tarball::new().entry(Entry { path: "sda", typeflag: b'4', device: number, ..Entry::default() })
    };
    let plain = ExtractOptions::default();
    assert!(refusal(&device((8, 0)).finish(), &plain).contains("entry `sda`: it is a device node"));
    let zero = Tarball::new().entry(Entry { path: "x", typeflag: b'3', device: (0, 0), ..Entry::default() });
    assert!(refusal(&zero.finish(), &layer()).contains("entry `x`: it is the character device 0:0"));
}

#[test]
fn truncated_and_damaged_archives_are_refused() {
    let good = || Tarball::new().file("a", &[1; 2000]).file("b", &[2; 100]);
    let whole = good().cut();
    for cut in [1, 100, 511, 513, 600, 2047, 2560, 2561, 3583] {
        let message = refusal(&whole[..cut], &ExtractOptions::default());
        assert!(message.contains("truncated"), "{cut}: {message}");
    }
    // Without its end marker, and empty.
    assert!(refusal(&whole, &ExtractOptions::default()).contains("truncated"));
    assert!(refusal(&[], &ExtractOptions::default()).contains("truncated"));
    let mut flipped = good().finish();
    flipped[3] ^= 1;
    assert!(refusal(&flipped, &layer()).contains("checksum"));
    let mut tail = good().cut();
    tail.extend_from_slice(&[0; 512]);
    tail.extend(good().finish());
    assert!(refusal(&tail, &layer()).contains("follows its end marker"));
    let dangling = Tarball::new().entry(Entry {
        path: "pax",
        typeflag: b'x',
        content: b"9 path=a\n",
        ..Entry::default()
    });
    assert!(!refusal(&dangling.finish(), &layer()).is_empty());
}

#[test]
fn limits_hold_at_their_edges() {
    let limits = Limits {
        entries: 3,
        path_bytes: 300,
        depth: 4,
        xattr_bytes: 10,
        xattrs: 2,
        header_bytes: 1000,
        metadata_bytes: 600,
        sparse_pieces: 2,
        content_bytes: 1000,
        ..Limits::default()
    };
    let options = ExtractOptions { limits, ..layer() };
    let accept = |archive: Tarball| {
        let scratch = Scratch::new();
        extract_into(&scratch.top("tree"), &*archive.finish(), &options).unwrap();
    };
    let refuse = |archive: Tarball, words: &str| {
        let message = refusal(&archive.finish(), &options);
        assert!(message.contains(words), "{message}");
    };
    let files =
        |count: usize| (0..count).fold(Tarball::new(), |archive, n| archive.file(&n.to_string(), b""));
    accept(files(3));
    refuse(files(4), "more than the 3 entries");
    let path = |length: usize| "p".repeat(200) + "/" + &"q".repeat(length - 201);
    let named = |length| {
        let path = path(length);
        Tarball::new().entry(Entry { path: "short", pax: &[("path", path.as_bytes())], ..Entry::default() })
    };
    accept(named(300));
    refuse(named(301), "more than the 300 allowed");
    let linked = |length: usize| {
        let link = "l".repeat(length);
        Tarball::new().entry(Entry {
            path: "l",
            typeflag: b'2',
            pax: &[("linkpath", link.as_bytes())],
            ..Entry::default()
        })
    };
    accept(linked(300));
    refuse(linked(301), "not between 1 and 300 bytes");
    accept(Tarball::new().file("a/b/c/d", b""));
    refuse(Tarball::new().file("a/b/c/d/e", b""), "nested 5 directories deep");
    let attribute = |length: usize| {
        Tarball::new()
            .entry(Entry { pax: &[("SCHILY.xattr.user.a", &[b'v'; 11][..length])], ..Entry::default() })
    };
    accept(attribute(10));
    refuse(attribute(11), "more than the 10 allowed");
    let extension = |length: usize| {
        let comment = vec![b'c'; length - "123 comment=\n".len()];
        Tarball::new().entry(Entry { pax: &[("comment", &comment)], ..Entry::default() })
    };
    accept(extension(999));
    refuse(extension(1001), "more than the 1000 allowed");
    let all_names = |length: usize| {
        let (first, second) = (path(300), path(length - 300));
        Tarball::new()
            .entry(Entry { path: "x", pax: &[("path", first.as_bytes())], ..Entry::default() })
            .entry(Entry { path: "y", pax: &[("path", second.as_bytes())], ..Entry::default() })
    };
    accept(all_names(599));
    refuse(all_names(600).file("f", b""), "longer than the 600 bytes");
    accept(Tarball::new().file("a", &[0; 500]).file("b", &[0; 500]));
    refuse(Tarball::new().file("a", &[0; 500]).file("b", &[0; 501]), "larger than the 1000 bytes");
    let sparse = |map: &'static [u8], size: &'static [u8]| {
        let pax: &[(&str, &[u8])] = &[("GNU.sparse.map", map), ("GNU.sparse.size", size)];
        Tarball::new().entry(Entry { content: b"12", pax, ..Entry::default() })
    };
    accept(sparse(b"0,1,5,1", b"100"));
    refuse(sparse(b"0,1,5,1,9,0", b"100"), "more than the 2 pieces");
    refuse(sparse(b"0,1,5,1", b"1001"), "larger than the 1000 bytes");
    refuse(sparse(b"5,1,0,1", b"100"), "contradicts its size");
    refuse(sparse(b"0,1,0,1", b"100"), "contradicts its size");
    refuse(sparse(b"0,1,100,1", b"100"), "contradicts its size");
    refuse(sparse(b"0,1", b"100"), "contradicts its size");
    refuse(sparse(b"0,1,18446744073709551615,1", b"100"), "contradicts its size");
}

#[test]
fn a_million_entries_are_taken_and_one_more_is_refused() {
    // Counted without a file for each: the same two names over and over.
    let one = Tarball::new().dir("d").dir("e").cut();
    let endless = std::io::repeat(0).take(0);
    let archive = Repeat { bytes: one, left: 500_000, at: 0 }.chain(endless);
    let scratch = Scratch::new();
    let end = [0; 1024];
    extract_into(&scratch.top("tree"), archive.chain(&end[..]), &layer()).unwrap();
    let one = Tarball::new().dir("d").dir("e").cut();
    let archive = Repeat { bytes: one, left: 500_001, at: 0 };
    let failure = extract_into(&scratch.top("tree"), archive, &layer()).unwrap_err();
    assert!(failure.one_line().contains("more than the 1000000 entries"), "{}", failure.one_line());
}

struct Repeat {
    bytes: Vec<u8>,
    left: u32,
    at: usize,
}

impl std::io::Read for Repeat {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let take = buffer.len().min(self.bytes.len() - self.at);
        buffer[..take].copy_from_slice(&self.bytes[self.at..self.at + take]);
        self.at += take;
        if self.at == self.bytes.len() {
            self.at = 0;
            self.left -= 1;
        }
        Ok(take)
    }
}

#[test]
fn deep_trees_are_unpacked_with_few_handles() {
    let scratch = Scratch::new();
    let path = |depth: usize| vec!["d"; depth].join("/");
    let mut archive = Tarball::new();
    for depth in [500, 499, 200, 511, 1, 500] {
        let file = format!("{}/file{depth}", path(depth));
        archive = archive.entry(Entry { pax: &[("path", file.as_bytes())], ..Entry::default() });
    }
    let root = unpack(&scratch, &archive.finish());
    for depth in [500, 499, 200, 511, 1] {
        assert_eq!(root.lstat(format!("{}/file{depth}", path(depth))).unwrap().kind, FileKind::Regular);
    }
    assert_eq!(root.lstat(path(300)).unwrap().mode, 0o755);
}

#[test]
fn copying_in_merges_replaces_and_moves_owners() {
    let scratch = Scratch::new();
    let root = scratch.root("container");
    root.mkdir_all("etc/conf.d", 0o755).unwrap();
    root.create_file("etc/old", 0o644).unwrap();
    root.symlink("/etc", "link").unwrap();
    let archive = Tarball::new()
        .dir("etc")
        .entry(Entry { path: "etc/old", uid: 5, content: b"new", ..Entry::default() })
        .file("etc/conf.d/added", b"x")
        .finish();
    let ids = Some(IdShift::new(100_000, 65_536).unwrap());
    extract_into(root.top(), &*archive, &ExtractOptions { ids, ..ExtractOptions::default() }).unwrap();
    assert_eq!(root.lstat("etc/old").unwrap().uid, 100_005);
    assert_eq!(root.lstat("etc/conf.d/added").unwrap().uid, 100_000);
    let forced = ExtractOptions { ids, owner: Some((33, 34)), ..ExtractOptions::default() };
    extract_into(root.top(), &*archive, &forced).unwrap();
    let stat = root.lstat("etc/old").unwrap();
    assert_eq!((stat.uid, stat.gid), (100_033, 100_034));
    let outside_range = Tarball::new().entry(Entry { uid: 65_536, ..Entry::default() }).finish();
    let failure =
        extract_into(root.top(), &*outside_range, &ExtractOptions { ids, ..ExtractOptions::default() });
    assert!(failure.unwrap_err().one_line().contains("has no number on the host"));
    let through = Tarball::new().file("link/evil", b"x").finish();
    assert!(extract_into(root.top(), &*through, &ExtractOptions::default()).is_err());
    let kept = ExtractOptions { keep_kinds: true, ..ExtractOptions::default() };
    let file_on_dir =
        extract_into(root.top(), &*Tarball::new().file("etc", b"x").finish(), &kept).unwrap_err();
    assert!(file_on_dir.one_line().contains("cannot overwrite directory with non-directory"));
    let dir_on_file = extract_into(root.top(), &*Tarball::new().dir("etc/old").finish(), &kept).unwrap_err();
    assert!(dir_on_file.one_line().contains("cannot overwrite non-directory with directory"));
    let _: &Dir = root.top();
}

#[test]
fn a_compressed_archive_is_copied_in_as_well() {
    let scratch = Scratch::new();
    let archive = Tarball::new().file("file", &[5; 100_000]).finish();
    let one = |name: &str, bytes: &[u8]| {
        let root = scratch.root(name);
        extract_into(root.top(), bytes, &ExtractOptions::default()).map(|_| read(&root, "file").len())
    };
    let (gzip, zstd) = (crate::archive::gzip(&archive), crate::archive::zstd(&archive));
    assert_eq!(one("gzip", &gzip).unwrap(), 100_000);
    assert_eq!(one("zstd", &zstd).unwrap(), 100_000);
    assert!(one("cut", &gzip[..gzip.len() - 20]).unwrap_err().one_line().contains("truncated"));
    assert!(one("xz", b"\xfd7zXZ\0").unwrap_err().one_line().contains("xz"));
    let bomb = crate::archive::zstd(&Tarball::new().file("zeros", &vec![0; 4 << 20]).finish());
    let limits = Limits { ratio: 50, ratio_free_bytes: 1 << 20, ..Limits::default() };
    let options = ExtractOptions { limits, ..ExtractOptions::default() };
    let failure = extract_into(&scratch.top("bomb"), &*bomb, &options).unwrap_err();
    assert!(failure.one_line().contains("looks like a bomb"), "{}", failure.one_line());
}
