//! The store over time: names, removal, room, what survives, and what is proved.

use crate::archive::{Image, gzip, sha256};
use crate::scratch::Scratch;
use crate::store::{clock, leftovers, load_one, open, save};
use crate::tarball::{Entry, Tarball};
use haven_image::{
    Finding, HistoryEntry, ImageConfig, ImportImage, NewImage, PruneImages, RemoveImage, Removed, Store,
};
use haven_spec::{Digest, Kind, Reference};
use haven_sys::root::{Root, Times, set_xattr};
use std::io::{Read as _, Write as _};

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn unused(_: &Digest) -> bool {
    false
}

fn forced() -> RemoveImage {
    RemoveImage { force: true, ..RemoveImage::default() }
}

#[test]
fn a_saved_image_loads_with_the_same_digests_and_saves_to_the_same_bytes() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let sparse: &[(&str, &[u8])] = &[("GNU.sparse.map", b"100,3,5000,2"), ("GNU.sparse.size", b"100000")];
    // All that makes an archive hard to put together again.
    let odd = Tarball::new()
        .entry(Entry { path: "pax_global", typeflag: b'g', content: b"12 comment=x\n", ..Entry::default() })
        .file("twice", b"the first content is lost from the tree")
        .file("twice", b"second")
        .file("dir/deep/file", b"gone with its directory")
        .file("dir", b"a file now")
        .file("dir", b"")
        .dir("dir")
        .file("dir/deep/file", b"and back")
        .entry(Entry { path: "sparse", content: b"abcde", pax: sparse, ..Entry::default() })
        .file(".wh.removed", b"a whiteout with content")
        .file(".wh..wh.meta", b"content nobody sees")
        .hard_link("linked", "twice")
        .finish();
    let mut untidy = Tarball::new().file("untidy", b"x").cut();
    untidy.extend_from_slice(&[0; 512 * 7]);
    untidy.extend_from_slice(b"something after the end");
    let image = Image::of(&[odd, untidy, Tarball::new().finish(), Tarball::new().file("no-end", b"x").cut()]);
    let loaded = load_one(&store, &image.oci(Some("odd:1"), "+gzip", gzip));
    for (layer, bytes) in loaded.layers.iter().zip(&image.layers) {
        let mut again = Vec::new();
        store.layer_archive(layer).unwrap().read_to_end(&mut again).unwrap();
        assert!(again == *bytes);
    }
    assert_eq!(store.verify(&loaded.id).unwrap().differences, []);
    let saved = save(&store, &["odd:1"]);
    let other = open(&scratch, "other");
    let again = load_one(&other, &saved);
    assert_eq!((&again.id, &again.layers, &again.tags), (&loaded.id, &loaded.layers, &loaded.tags));
    assert!(save(&other, &["odd:1"]) == saved);
}

#[test]
fn several_images_share_their_layers_in_one_archive() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let (one, two) = (Image::small("one!"), Image::small("two!"));
    load_one(&store, &one.docker(&["app:1", "app:2"]));
    load_one(&store, &two.docker(&["app:3", "other:1"]));
    let count = |names: &[&str]| {
        let other = Store::open(&scratch.dir(&names.concat().replace([':', '/'], "-")), clock).unwrap();
        let loaded = crate::store::load(&other, &save(&store, names)).unwrap();
        let tags: usize = loaded.iter().map(|loaded| loaded.tags.len()).sum();
        (loaded.len(), tags)
    };
    assert_eq!(count(&["app:1", "app:3"]), (2, 2));
    // Without a tag, all of the repository's.
    assert_eq!(count(&["app:1", "other"]), (2, 2));
    assert_eq!(count(&[one.id().as_str()]), (1, 0));
    assert_eq!(count(&[one.id().short(), "app:2"]), (1, 1));
    let missing = store.save(&["none".into()], &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    let alone = save(&store, &["app:1"]).len();
    assert!(save(&store, &["app:1", "app:3"]).len() < 2 * alone);
}

#[test]
fn an_image_is_found_by_every_way_of_naming_it() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let image = Image::small("find");
    load_one(&store, &image.oci(Some("example.org/app:1"), "+gzip", gzip));
    let id = image.id();
    let found = store.get(&id).unwrap();
    assert_eq!(found.digests.len(), 1);
    store.tag(id.as_str(), &reference("debian")).unwrap();
    let digest = found.digests[0].to_string();
    for name in [
        "example.org/app:1",
        "debian",
        "debian:latest",
        "docker.io/library/debian:latest",
        id.as_str(),
        id.hex(),
        id.short(),
        &format!("sha256:{}", &id.hex()[..4]),
        &digest,
    ] {
        assert_eq!(store.resolve(name).unwrap().id, id, "{name}");
    }
    for name in
        ["example.org/app", "debian:12", "deadbeef", &"0".repeat(64), &format!("debian@{}", sha256(b"x"))]
    {
        assert_eq!(store.resolve(name).unwrap_err().kind(), Kind::NotFound, "{name}");
    }
    assert_eq!(store.resolve("Debian").unwrap_err().kind(), Kind::Invalid);
    // A name wins over the beginning of an id.
    let short = id.hex()[..6].to_owned();
    let other = Image::small("else");
    load_one(&store, &other.docker(&[&format!("{short}:latest")]));
    assert_eq!(store.resolve(&short).unwrap().id, other.id());
    assert_eq!(store.resolve(&format!("sha256:{short}")).unwrap().id, id);
}

#[test]
fn the_beginning_of_several_ids_is_an_error() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    for number in 0..17 {
        let mut image = Image::small("same");
        image.config["author"] = serde_json::json!(number.to_string());
        load_one(&store, &image.docker(&[]));
    }
    // Of seventeen ids two begin with the same digit.
    let mut firsts: Vec<String> = store.images().iter().map(|image| image.id.hex()[..1].to_owned()).collect();
    firsts.sort();
    let double = firsts.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0].clone();
    let failure = store.resolve(&format!("sha256:{double}")).unwrap_err();
    assert!(failure.one_line().contains("beginning of several"), "{}", failure.one_line());
}

#[test]
fn removing_takes_names_then_images_then_layers() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let directory = scratch.path().join("store");
    let (one, two) = (Image::small("one!"), Image::small("two!"));
    load_one(&store, &one.docker(&["app:1", "app:2", "web:1"]));
    load_one(&store, &two.docker(&["other:1"]));
    assert_eq!(leftovers(&directory), [3, 3, 0, 0]);
    let removed = store.remove("app:1", RemoveImage::default(), &unused).unwrap();
    assert_eq!(removed, [Removed::Untagged(reference("app:1"))]);
    let by_id = store.remove(one.id().as_str(), RemoveImage::default(), &unused).unwrap_err();
    assert_eq!(by_id.kind(), Kind::Conflict);
    assert!(by_id.one_line().contains("multiple repositories"));
    // In use: its last name stays, unless forced; the image stays in any case.
    store.remove("web:1", RemoveImage::default(), &|_| true).unwrap();
    let used = store.remove("app:2", RemoveImage::default(), &|_| true).unwrap_err();
    assert_eq!(used.kind(), Kind::Conflict);
    store.remove("app:2", forced(), &|_| true).unwrap();
    assert!(store.get(&one.id()).unwrap().is_dangling());
    let removed = store.remove(one.id().short(), RemoveImage::default(), &unused).unwrap();
    assert_eq!(removed, [Removed::Deleted(one.id())]);
    // The shared layer is still needed.
    assert_eq!(leftovers(&directory), [2, 2, 0, 0]);
    assert_eq!(store.verify(&two.id()).unwrap().differences, []);
    store.remove("other:1", RemoveImage::default(), &unused).unwrap();
    assert_eq!(leftovers(&directory), [0; 4]);
    assert_eq!(store.remove("other:1", forced(), &unused).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn pruning_takes_what_nothing_needs() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let images: Vec<Image> = ["1111", "2222", "3333", "4444"].map(Image::small).into();
    load_one(&store, &images[0].docker(&[]));
    load_one(&store, &images[1].docker(&[]));
    load_one(&store, &images[2].docker(&["named:1"]));
    load_one(&store, &images[3].docker(&["kept:1"]));
    let in_use = |id: &Digest| *id == images[1].id();
    let report = store.prune(PruneImages::default(), &in_use, &|_| false).unwrap();
    assert_eq!(report.removed, [Removed::Deleted(images[0].id())]);
    assert_eq!(report.freed_bytes, 8);
    let keep = |image: &haven_image::Image| image.tags.contains(&reference("kept:1"));
    let report = store.prune(PruneImages { all: true }, &in_use, &keep).unwrap();
    assert_eq!(report.removed, [Removed::Untagged(reference("named:1")), Removed::Deleted(images[2].id())]);
    assert_eq!(store.images().len(), 2);
    let usage = store.usage();
    assert_eq!(usage.layers_bytes, 3000 + 8 + 8);
    let one = usage.images[&images[1].id()];
    assert_eq!((one.size_bytes, one.shared_bytes, one.unique_bytes), (3008, 3000, 8));
}

#[test]
fn names_remember_what_they_meant() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let (one, two) = (Image::small("one!"), Image::small("two!"));
    load_one(&store, &one.docker(&["app:1"]));
    load_one(&store, &two.docker(&["new:1"]));
    store.tag("new:1", &reference("app:1")).unwrap();
    let tag = store.tags().into_iter().find(|tag| tag.reference == reference("app:1")).unwrap();
    assert_eq!((tag.image, tag.before.len(), tag.before[0].image.clone()), (two.id(), 1, one.id()));
    assert!(tag.before[0].set_at_ns < tag.set_at_ns);
    assert_eq!(store.untag(&reference("app:1")).unwrap(), two.id());
    assert_eq!(store.untag(&reference("app:1")).unwrap_err().kind(), Kind::NotFound);
    let digest = reference(&format!("app@{}", sha256(b"x")));
    assert_eq!(store.tag("new:1", &digest).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(store.tag("none", &reference("x")).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn everything_is_there_after_opening_again() {
    let scratch = Scratch::new();
    let image = Image::small("keep");
    let store = open(&scratch, "store");
    load_one(&store, &image.oci(Some("app:1"), "+gzip", gzip));
    store.tag("app:1", &reference("app:2")).unwrap();
    let before = store.get(&image.id()).unwrap();
    // One process owns it.
    let second = Store::open(&scratch.path().join("store"), clock).err().unwrap();
    assert_eq!(second.kind(), Kind::Conflict);
    drop(store);
    let store = open(&scratch, "store");
    assert_eq!(store.findings(), []);
    let after = store.get(&image.id()).unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    assert_eq!(store.history(&image.id()).unwrap().len(), 2);
}

#[test]
fn what_no_record_speaks_of_is_removed_and_what_is_missing_is_told() {
    let scratch = Scratch::new();
    let image = Image::small("mend");
    let archive = image.docker(&["app:1"]);
    load_one(&open(&scratch, "store"), &archive);
    let directory = scratch.path().join("store");
    let stray = directory.join("layers").join("0".repeat(64)).join("deep");
    std::fs::create_dir_all(&stray).unwrap();
    std::fs::write(stray.join("file"), b"x").unwrap();
    std::fs::create_dir_all(directory.join("staging/7/tree")).unwrap();
    let lost = sha256(&image.layers[0]);
    let gone = Root::open(directory.join("layers")).unwrap();
    gone.remove_all(lost.hex()).unwrap();
    let store = open(&scratch, "store");
    let mut findings = store.findings().to_vec();
    findings.sort_by_key(|finding| format!("{finding:?}"));
    let removed = |path: String| Finding::Removed(path);
    assert_eq!(
        findings,
        [
            Finding::MissingLayer(lost.clone()),
            removed(format!("layers/{}", "0".repeat(64))),
            removed("staging/7".into()),
        ]
    );
    assert_eq!(store.layer_path(&lost).unwrap_err().kind(), Kind::NotFound);
    // Loading again mends it.
    load_one(&store, &archive);
    assert_eq!(store.verify(&image.id()).unwrap().differences, []);
    drop(store);
    assert_eq!(open(&scratch, "store").findings(), []);
}

#[test]
fn verifying_names_every_file_that_differs() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let files = ["content", "mode", "owner", "time", "longer", "missing", "kind", "xattr", "link", "sparse"];
    let sparse: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,1,90000,1"), ("GNU.sparse.size", b"100000")];
    let mut layer = Tarball::new().dir("d");
    for name in &files[..8] {
        layer = layer.file(&format!("d/{name}"), b"same");
    }
    layer = layer.symlink("d/link", "here").entry(Entry {
        path: "d/sparse",
        content: b"ab",
        pax: sparse,
        ..Entry::default()
    });
    let image = Image::of(&[layer.finish()]);
    let loaded = load_one(&store, &image.docker(&["app:1"]));
    let clean = store.verify(&loaded.id).unwrap();
    assert_eq!((clean.layers, clean.files, clean.differences.len()), (1, 12, 0));
    let tree = store.layer_path(&loaded.layers[0]).unwrap();
    let root = Root::open(&tree).unwrap();
    let d = root.open_dir("d").unwrap();
    let keep_time = |name: &str, change: &dyn Fn()| {
        let before = d.lstat(name).unwrap();
        change();
        d.set_times(name, Times { accessed: None, modified: Some(before.modified) }).unwrap();
    };
    let top_before = d.stat().unwrap();
    keep_time("content", &|| std::fs::write(tree.join("d/content"), b"Same").unwrap());
    keep_time("longer", &|| std::fs::write(tree.join("d/longer"), b"same and more").unwrap());
    root.resolve("d/mode", haven_sys::root::Follow::No).unwrap().set_mode(0o600).unwrap();
    d.set_owner("owner", 1, 0).unwrap();
    d.set_times("time", Times { accessed: None, modified: Some(haven_sys::root::Time::default()) }).unwrap();
    d.unlink("missing").unwrap();
    d.unlink("kind").unwrap();
    d.mkdir("kind", 0o644).unwrap();
    set_xattr(d.open_file("xattr").unwrap(), "user.new", b"x").unwrap();
    let link_time = d.lstat("link").unwrap().modified;
    d.unlink("link").unwrap();
    d.symlink("there", "link").unwrap();
    d.set_times("link", Times { accessed: None, modified: Some(link_time) }).unwrap();
    keep_time("sparse", &|| {
        let file = std::fs::OpenOptions::new().write(true).open(tree.join("d/sparse")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"x", 50_000).unwrap();
    });
    d.create_file("added", 0o644).unwrap();
    haven_sys::root::set_times(&d, Times { accessed: None, modified: Some(top_before.modified) }).unwrap();
    let differences = store.verify(&loaded.id).unwrap().differences;
    let said = |path: &str| {
        let about: Vec<&str> =
            differences.iter().filter(|one| one.path == path).map(|one| one.what.as_str()).collect();
        about.join("; ")
    };
    for (path, what) in [
        ("d/content", "has another content"),
        ("d/longer", "has 13 bytes, not 4"),
        ("d/mode", "has the mode 0600, not 0644"),
        ("d/owner", "belongs to 1:0, not 0:0"),
        ("d/time", "has another modification time"),
        ("d/missing", "is missing"),
        ("d/kind", "is another kind of file (Directory, not Regular)"),
        ("d/xattr", "has the extended attribute `user.new`, which is not the image's"),
        ("d/link", "leads to `there`, not `here`"),
        ("d/sparse", "has another content"),
        ("d", "has `added` in it, which is not the image's"),
    ] {
        assert_eq!(said(path), what, "{path}");
    }
    assert_eq!(differences.len(), 11);
    // And what has been changed is not saved under the image's name.
    let failure = store.save(&["app:1".into()], &mut Vec::new(), &mut |_| ()).unwrap_err();
    assert!(failure.one_line().contains("not what was loaded"), "{}", failure.one_line());
}

#[test]
fn a_changed_manifest_doesnt_prove_anything() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let image = Image::small("deny");
    let loaded = load_one(&store, &image.docker(&[]));
    let path = scratch.path().join("store/notes").join(loaded.layers[0].hex()).join("manifest");
    let other = scratch.path().join("store/notes").join(loaded.layers[1].hex()).join("manifest");
    std::fs::copy(other, path).unwrap();
    let failure = store.verify(&loaded.id).unwrap_err();
    assert!(
        failure.one_line().contains("manifest is not the one that was recorded"),
        "{}",
        failure.one_line()
    );
}

#[test]
fn a_root_file_system_becomes_an_image() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let archive = Tarball::new().dir("./").dir("./bin").file("./bin/sh", b"#!").finish();
    let import = |reference: &str, source: &[u8]| {
        let how = ImportImage {
            reference: Some(Reference::parse(reference).unwrap()),
            message: "made by a test".into(),
            changes: vec!["CMD [\"/bin/sh\"]".into(), "ENV A=1".into(), "LABEL x=y".into()],
            created: "2024-01-02T03:04:05Z".into(),
            ..ImportImage::default()
        };
        store.import(source, how, &mut |_| ())
    };
    let plain = import("root:1", &archive).unwrap();
    let packed = import("root:2", &gzip(&archive)).unwrap();
    assert_eq!(plain.id, packed.id);
    assert_eq!(plain.config.config.cmd.as_deref(), Some(&["/bin/sh".to_owned()][..]));
    let line = &store.history(&plain.id).unwrap()[0];
    assert_eq!((line.comment.as_str(), line.size_bytes), ("made by a test", 2));
    assert_eq!(store.images().len(), 1);
    let bad = ImportImage { changes: vec!["RUN x".into()], ..ImportImage::default() };
    assert_eq!(store.import(&*archive, bad, &mut |_| ()).unwrap_err().kind(), Kind::Invalid);
    // No digest vouches for the length: the end marker has to be there.
    let cut = Tarball::new().file("a", b"x").cut();
    assert!(import("root:3", &cut).unwrap_err().one_line().contains("truncated"));
    assert!(import("root:3", &gzip(&archive)[..60]).unwrap_err().one_line().contains("truncated"));
    assert!(import("root:3", b"\xfd7zXZ\0").unwrap_err().one_line().contains("xz"));
    assert!(
        import("root:3", &Tarball::new().file("../x", b"").finish())
            .unwrap_err()
            .one_line()
            .contains("`../x`")
    );
    assert_eq!(leftovers(&scratch.path().join("store")), [1, 1, 0, 0]);
}

#[test]
fn what_a_container_changed_becomes_a_layer() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let base = load_one(&store, &Image::small("base").docker(&["base:1"]));
    let upper = scratch.root("upper");
    upper.mkdir_all("etc", 0o755).unwrap();
    upper.create_file("etc/added", 0o600).unwrap().write_all(b"new").unwrap();
    upper.top().set_owner("etc", 100_000, 100_000).unwrap();
    upper.open_dir("etc").unwrap().set_owner("added", 100_033, 100_033).unwrap();
    upper.mknod("app", haven_sys::root::FileKind::CharDevice, 0, (0, 0)).unwrap();
    let ids = haven_image::archive::IdShift::new(100_000, 65_536).unwrap();
    let layer = store.create_layer_from_upper(&upper, Some(ids)).unwrap();
    assert_eq!((layer.size_bytes(), layer.entries()), (3, 4));
    let diff_id = layer.diff_id().clone();
    let mut config: ImageConfig = (*base.config).clone();
    config.config.cmd = Some(vec!["new".into()]);
    let made = store
        .create_image(NewImage {
            parent: Some(base.id.clone()),
            layers: vec![layer],
            config,
            history: HistoryEntry { created_by: "commit".into(), ..HistoryEntry::default() },
            reference: Some(reference("made:1")),
            comment: "note".into(),
        })
        .unwrap();
    assert_eq!((made.layers.len(), &made.layers[2], made.parent.as_ref()), (3, &diff_id, Some(&base.id)));
    let tree = Root::open(store.layer_path(&diff_id).unwrap()).unwrap();
    assert_eq!(tree.lstat("etc/added").unwrap().uid, 33);
    assert_eq!(store.verify(&made.id).unwrap().differences, []);
    let history = store.history(&made.id).unwrap();
    assert_eq!((history[0].created_by.as_str(), history[0].image.as_ref()), ("commit", Some(&made.id)));
    assert_eq!(history[1].image.as_ref(), Some(&base.id));
    // Its parent stays while it is there, and goes with it when it has lost its name.
    store.untag(&reference("base:1")).unwrap();
    assert_eq!(store.remove(base.id.as_str(), forced(), &unused).unwrap_err().kind(), Kind::Conflict);
    let removed = store.remove("made:1", RemoveImage::default(), &unused).unwrap();
    assert_eq!(removed.last(), Some(&Removed::Deleted(base.id.clone())));
    // A layer nobody takes is gone.
    drop(store.create_layer(&*Tarball::new().file("x", b"y").finish()).unwrap());
    assert_eq!(leftovers(&scratch.path().join("store")), [0; 4]);
}

#[test]
fn readers_never_wait_for_a_load_and_loads_can_run_together() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let known = Image::small("know");
    load_one(&store, &known.docker(&["known:1"]));
    let image = Image::small("slow");
    let archive = image.docker(&["slow:1"]);
    struct Slow<'a> {
        bytes: &'a [u8],
        pause: std::sync::mpsc::Receiver<()>,
    }
    impl std::io::Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            // A byte short of the end, until somebody allows more.
            if self.bytes.len() < 3000 {
                self.pause.recv().unwrap_or_default();
            }
            let take = buffer.len().min(2048);
            self.bytes.read(&mut buffer[..take])
        }
    }
    let (go_on, pause) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let slow = Slow { bytes: &archive, pause };
        let loading =
            scope.spawn(|| store.load(slow, &haven_image::LoadOptions::default(), &mut |_| ()).unwrap());
        for _ in 0..100 {
            assert_eq!(store.resolve("known:1").unwrap().id, known.id());
            assert!(store.resolve("slow:1").is_err());
        }
        // Changes don't wait either.
        store.tag("known:1", &reference("known:2")).unwrap();
        load_one(&store, &image.docker(&["fast:1"]));
        drop(go_on);
        let loaded = loading.join().unwrap();
        assert!(loaded[0].known);
    });
    assert_eq!(store.get(&image.id()).unwrap().tags.len(), 2);
    assert_eq!(leftovers(&scratch.path().join("store")), [3, 3, 0, 0]);
}

#[test]
fn a_database_that_was_being_made_when_the_power_went_is_made_anew() {
    let scratch = Scratch::new();
    std::fs::write(scratch.dir("store").join("images.redb.new"), vec![0; 4096]).unwrap();
    let image = Image::small("anew");
    load_one(&open(&scratch, "store"), &image.docker(&["app:1"]));
    assert_eq!(open(&scratch, "store").images().len(), 1);
    assert!(!scratch.path().join("store/images.redb.new").exists());
}
