//! Archives made to do harm, and hosts that fail: an error that names the entry, and nothing left behind.

use crate::archive::{Image, LAYOUT, blob_path, descriptor, docker_manifest, gzip, index, sha256, zstd};
use crate::scratch::Scratch;
use crate::store::{clock, leftovers, load, load_one, open, refusal};
use crate::tarball::{Entry, Tarball};
use haven_image::{Limits, LoadOptions, Store};
use serde_json::json;
use std::io::Read as _;
use std::process::Command;

fn refused(archive: &[u8], words: &[&str]) {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let message = refusal(&store, archive);
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
    assert_eq!(store.images().len(), 0);
    assert_eq!(leftovers(&scratch.path().join("store")), [0; 4], "{message}");
}

fn with_layer(layer: Vec<u8>) -> Image {
    Image::of(&[Tarball::new().file("fine", b"x").finish(), layer])
}

#[test]
fn hostile_layers_are_refused_with_the_entry_named() {
    for (layer, words) in [
        (Tarball::new().file("../evil", b"x").finish(), "entry `../evil`: its path leads upwards"),
        (Tarball::new().file("/evil", b"x").finish(), "entry `/evil`: its path is absolute"),
        (
            Tarball::new().symlink("a", "/etc").file("a/evil", b"x").finish(),
            "entry `a/evil`: a name in its path is a link",
        ),
        (
            Tarball::new().hard_link("evil", "../../etc/shadow").finish(),
            "entry `evil`: its link target leads upwards",
        ),
        (
            Tarball::new().hard_link("evil", "etc/shadow").finish(),
            "entry `evil`: it is a hard link to `etc/shadow`",
        ),
        (
            Tarball::new()
                .entry(Entry { path: "d", typeflag: b'3', device: (0, 0), ..Entry::default() })
                .finish(),
            "entry `d`: it is the character device 0:0",
        ),
        (
            Tarball::new().entry(Entry { path: "x", typeflag: b'Z', ..Entry::default() }).finish(),
            "entry `x`: its type `Z`",
        ),
    ] {
        refused(
            &with_layer(layer.clone()).docker(&["app:1"]),
            &[words, &format!("entry `{:064}/layer.tar`", 1)],
        );
        let blob = blob_path(&gzip(&layer));
        refused(&with_layer(layer).oci(None, "+gzip", gzip), &[words, &blob]);
    }
}

#[test]
fn what_is_not_what_it_says_is_refused() {
    let image = Image::small("good");
    let config = image.document();
    let layers = ["a.tar".to_owned(), "b.tar".to_owned()];
    let docker = |manifest: &[u8]| {
        Tarball::new()
            .file("a.tar", &image.layers[0])
            .file("b.tar", &image.layers[1])
            .file("config.json", &config)
            .file(&format!("{}.json", "0".repeat(64)), &config)
            .file("plain.txt", b"hello")
            .file("manifest.json", manifest)
            .finish()
    };
    let manifest = |config: &str, layers: &[String]| docker_manifest(&[(config, &["app:1"], layers)]);
    let swapped = [layers[1].clone(), layers[0].clone()];
    refused(&docker(&manifest("config.json", &swapped)), &["entry `b.tar`: its content has the digest"]);
    refused(&docker(&manifest("config.json", &layers[..1])), &["2 layers, its manifest of 1"]);
    refused(&docker(&manifest("none.json", &layers)), &["`none.json` is missing"]);
    refused(
        &docker(&manifest("a.tar", &layers)),
        &["`a.tar` is missing from the archive, or is no JSON document"],
    );
    let missing = ["a.tar".to_owned(), "none.tar".to_owned()];
    refused(&docker(&manifest("config.json", &missing)), &["`none.tar` is missing"]);
    let text = ["a.tar".to_owned(), "plain.txt".to_owned()];
    refused(&docker(&manifest("config.json", &text)), &["entry `plain.txt`: it is not a layer"]);
    refused(&docker(&manifest(&format!("{}.json", "0".repeat(64)), &layers)), &["has the digest"]);
    let bad_tag = docker_manifest(&[("config.json", &["Not A Tag"], &layers)]);
    refused(&docker(&bad_tag), &["invalid reference format: `Not A Tag`"]);
}

#[test]
fn wrong_digests_sizes_and_media_types_in_a_layout_are_refused() {
    let image = Image::small("good");
    let (blobs, manifest) = image.oci_blobs(Tarball::new(), "+gzip", gzip);
    let blobs = blobs.file("oci-layout", LAYOUT).cut();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let with = |documents: &[(&str, &[u8])], descriptor: serde_json::Value| {
        let mut archive = Tarball::new();
        for (path, bytes) in documents {
            archive = archive.file(path, bytes);
        }
        [blobs.clone(), archive.file("index.json", &index(&[descriptor])).finish()].concat()
    };
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut document: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        change(&mut document);
        let bytes = serde_json::to_vec(&document).unwrap();
        with(&[(&blob_path(&bytes), &bytes)], descriptor(media_type, &bytes))
    };
    // A blob under another's name.
    let replaced = with(&[(&blob_path(&manifest), b"{\"other\":1}")], descriptor(media_type, &manifest));
    refused(&replaced, &["has the digest", &blob_path(&manifest)]);
    let layer = gzip(&image.layers[0]);
    let other_layer = gzip(&Tarball::new().file("evil", b"x").finish());
    let replaced = with(&[(&blob_path(&layer), &other_layer)], descriptor(media_type, &manifest));
    refused(&replaced, &["has the digest", &blob_path(&layer)]);
    let mut short = descriptor(media_type, &manifest);
    short["size"] = json!(1);
    refused(&with(&[], short), &["its descriptor says 1"]);
    refused(&changed(&|m| m["layers"][0]["size"] = json!(7)), &["its descriptor says 7"]);
    refused(
        &changed(&|m| m["layers"][0]["mediaType"] = json!("text/html")),
        &["media type `text/html`", "a layer"],
    );
    refused(
        &changed(&|m| m["config"]["mediaType"] = json!("text/html")),
        &["media type `text/html`", "configuration"],
    );
    refused(&with(&[], descriptor("text/html", &manifest)), &["media type `text/html`", "manifest or index"]);
    refused(&changed(&|m| m["layers"] = json!([])), &["2 layers, its manifest of 0"]);
    refused(&changed(&|m| m["config"]["digest"] = json!(sha256(b"x"))), &["is missing"]);
    refused(&changed(&|m| m["config"]["digest"] = json!("md5:x")), &["can't be read"]);
    refused(&with(&[], descriptor(media_type, b"nowhere")), &["is missing"]);
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let mut image = Image::small("arch");
    image.config["architecture"] = json!("s390x");
    refused(&image.docker(&["app:1"]), &["image `app:1`: it is for linux/s390x"]);
    refused(&image.oci(Some("app:1"), "", <[u8]>::to_vec), &["it is for linux/s390x"]);
    let mut image = Image::small("syst");
    image.config["os"] = json!("windows");
    refused(&image.docker(&["app:1"]), &["it is for windows/"]);
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let limits =
        Limits { ratio: 50, ratio_free_bytes: 1 << 20, content_bytes: 64 << 20, ..Limits::default() };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    let zeros = vec![0; 40 << 20];
    let bomb = with_layer(Tarball::new().file("zeros", &zeros).finish());
    for archive in [
        bomb.oci(None, "+gzip", gzip),
        bomb.oci(None, "+zstd", zstd),
        gzip(&bomb.docker(&[])),
        zstd(&bomb.docker(&[])),
        // A bomb in a bomb.
        gzip(&bomb.oci(None, "+zstd", zstd)),
    ] {
        let message = store.load(&*archive, &options, &mut |_| ()).unwrap_err().one_line();
        assert!(message.contains("looks like a bomb"), "{message}");
        assert_eq!(leftovers(&scratch.path().join("store")), [0; 4]);
    }
    // The same content without compression is what it is.
    store.load(&*bomb.docker(&[]), &options, &mut |_| ()).unwrap();
    let sparse: &[(&str, &[u8])] = &[("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", b"9000000000000")];
    let sparse =
        with_layer(Tarball::new().entry(Entry { content: b"x", pax: sparse, ..Entry::default() }).finish());
    let message = store.load(&*sparse.docker(&[]), &options, &mut |_| ()).unwrap_err().one_line();
    assert!(message.contains("larger than the 67108864 bytes allowed"), "{message}");
}

#[test]
fn limits_on_documents_layers_and_images_hold_at_their_edges() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let image = Image::small("many");
    let archive = image.docker(&["app:1"]);
    let manifest_bytes = 64 + image.document().len() as u64;
    let with = |limits| store.load(&*archive, &LoadOptions { limits, ..LoadOptions::default() }, &mut |_| ());
    with(Limits { layers: 2, images: 1, ..Limits::default() }).unwrap();
    let message = with(Limits { layers: 1, ..Limits::default() }).unwrap_err().one_line();
    assert!(message.contains("more than the 1 layers"), "{message}");
    let message = with(Limits { images: 0, ..Limits::default() }).unwrap_err().one_line();
    assert!(message.contains("more than the 0 images"), "{message}");
    let message = with(Limits { document_bytes: 10, ..Limits::default() }).unwrap_err().one_line();
    assert!(message.contains("neither a `manifest.json`"), "{message}");
    let message =
        with(Limits { documents_bytes: manifest_bytes, ..Limits::default() }).unwrap_err().one_line();
    assert!(
        message.contains("neither a `manifest.json`") || message.contains("larger than allowed"),
        "{message}"
    );
    let message = with(Limits { entries: 5, ..Limits::default() }).unwrap_err().one_line();
    assert!(message.contains("more than the 5 entries"), "{message}");
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let image = Image::small("cut!");
    for archive in [image.docker(&["app:1"]), gzip(&image.docker(&["app:1"])), image.oci(None, "+zstd", zstd)]
    {
        let scratch = Scratch::new();
        let store = open(&scratch, "store");
        // Up to the end marker; a gzip stream has none and needs its last byte.
        let whole = archive.len() - if archive[0] == 0x1f { 0 } else { 1024 };
        for cut in (0..whole).step_by(97).chain([whole - 1]) {
            let message = refusal(&store, &archive[..cut]);
            assert!(!message.is_empty());
        }
        assert_eq!(leftovers(&scratch.path().join("store")), [0; 4]);
        load_one(&store, &archive);
    }
}

/// Flipped bits, dropped and doubled stretches, in every layout: no panic, no hang, nothing left, and whatever is
/// accepted is the image that was meant.
#[test]
fn damaged_archives_are_refused_or_mean_the_same() {
    let image = Image::small("fuzz");
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    let archives = [
        image.docker(&["app:1"]),
        gzip(&image.docker(&["app:1"])),
        image.oci(Some("app:1"), "+gzip", gzip),
        zstd(&image.oci(Some("app:1"), "", <[u8]>::to_vec)),
    ];
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut rounds = 0;
    while std::time::Instant::now() < until && rounds < 4000 {
        let mut archive = archives[rounds % archives.len()].clone();
        for _ in 0..=next(3) {
            let at = next(archive.len());
            match next(4) {
                0 | 1 => archive[at] ^= 1 << next(8),
                2 => {
                    let end = (at + next(600)).min(archive.len());
                    archive.drain(at..end);
                }
                _ => {
                    let end = (at + 512).min(archive.len());
                    let stretch = archive[at..end].to_vec();
                    archive.splice(at..at, stretch);
                }
            }
            if archive.is_empty() {
                break;
            }
        }
        if let Ok(loaded) = load(&store, &archive) {
            for one in loaded {
                assert!(store.verify(&one.image.id).unwrap().differences.is_empty());
                store
                    .remove(
                        one.image.id.as_str(),
                        haven_image::RemoveImage { force: true, ..Default::default() },
                        &|_| false,
                    )
                    .unwrap();
            }
        }
        assert_eq!(leftovers(&scratch.path().join("store")), [0; 4], "round {rounds}");
        rounds += 1;
    }
    assert!(rounds > 50, "only {rounds} rounds");
}

/// Runs one test of this program again in a process of its own, with a variable that says so.
fn again(test: &str, variable: &str, value: &str, prefix: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match prefix {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    command.args(["--exact", test, "--nocapture"]).env(variable, value);
    command
}

#[test]
fn a_full_disk_is_reported_and_leaves_nothing() {
    if let Ok(directory) = std::env::var("HAVEN_TEST_SMALL_DISK") {
        let directory = std::path::PathBuf::from(directory);
        let store = Store::open(&directory.join("store"), clock).unwrap();
        let small = Image::small("fits");
        load_one(&store, &small.docker(&["fits:1"]));
        let free = || {
            let fs = rustix::fs::statvfs(&directory).unwrap();
            fs.f_bavail * fs.f_frsize
        };
        let before = free();
        let noise: Vec<u8> = (0..20_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let large = with_layer(Tarball::new().file("noise", &noise).finish());
        for archive in [large.docker(&["app:1"]), large.oci(None, "+gzip", gzip)] {
            let failure = load(&store, &archive).unwrap_err();
            assert_eq!(failure.kind(), haven_spec::Kind::Host);
            let message = failure.one_line();
            assert!(message.contains("No space left on device") && message.contains("noise"), "{message}");
            assert_eq!(failure.advice(), Some("make room on the disk and try again"));
            assert_eq!(leftovers(&directory.join("store")), [2, 2, 0, 0]);
            assert!(free() + (1 << 20) >= before);
        }
        assert!(store.verify(&small.id()).unwrap().differences.is_empty());
        return;
    }
    let scratch = Scratch::new();
    let small = scratch.dir("small");
    let script = format!("mount -t tmpfs -o size=12m none '{0}' && exec \"$@\"", small.display());
    let status = again(
        "hostile::a_full_disk_is_reported_and_leaves_nothing",
        "HAVEN_TEST_SMALL_DISK",
        small.to_str().unwrap(),
        &["unshare", "--mount", "--propagation", "private", "sh", "-ec", &script, "sh"],
    )
    .status()
    .unwrap();
    assert!(status.success());
}

#[test]
fn a_load_killed_at_any_moment_leaves_a_store_that_opens_clean() {
    let variable = "HAVEN_TEST_LOAD_INTO";
    if let Ok(directory) = std::env::var(variable) {
        let directory = std::path::PathBuf::from(directory);
        let archive = std::fs::read(directory.join("archive")).unwrap();
        let store = Store::open(&directory.join("store"), clock).unwrap();
        loop {
            let loaded = load(&store, &archive).unwrap();
            let how = haven_image::RemoveImage { force: true, ..Default::default() };
            store.remove(loaded[0].image.id.as_str(), how, &|_| false).unwrap();
        }
    }
    let scratch = Scratch::new();
    let mut archive = Tarball::new();
    for number in 0..300 {
        archive = archive.file(&format!("dir{}/file{number}", number % 7), &[1; 3000]);
    }
    let image = with_layer(archive.finish());
    std::fs::write(scratch.path().join("archive"), image.oci(Some("app:1"), "+gzip", gzip)).unwrap();
    let test = "hostile::a_load_killed_at_any_moment_leaves_a_store_that_opens_clean";
    let (mut whole, mut unfinished) = (0, 0);
    for round in 0..25 {
        let mut child = again(test, variable, scratch.path().to_str().unwrap(), &[])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(30 + round * 17 % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(&scratch, "store");
        unfinished += usize::from(!store.findings().is_empty());
        for found in store.findings() {
            assert!(matches!(found, haven_image::Finding::Removed(_)), "{found:?}");
        }
        let images = store.images();
        let layers = images.iter().map(|image| image.layers.len()).sum::<usize>();
        assert_eq!(leftovers(&scratch.path().join("store")), [layers, layers, 0, 0]);
        for image in images {
            whole += 1;
            assert_eq!(store.verify(&image.id).unwrap().differences, []);
        }
        drop(store);
        assert_eq!(open(&scratch, "store").findings(), []);
    }
    assert!(unfinished > 0, "no kill hit a load: {whole} whole images");
}

#[test]
fn a_reader_that_fails_fails_the_load() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let archive = gzip(&Image::small("fail").docker(&["app:1"]));
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the client went away"))
        }
    }
    for cut in [0, 100, archive.len() - 10] {
        let source = archive[..cut].chain(Broken);
        let message = store.load(source, &LoadOptions::default(), &mut |_| ()).unwrap_err().one_line();
        assert!(message.contains("the client went away"), "{message}");
    }
    assert_eq!(leftovers(&scratch.path().join("store")), [0; 4]);
}
