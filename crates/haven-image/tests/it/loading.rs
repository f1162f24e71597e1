//! Loading: every layout of an archive comes to the same image.

use crate::archive::{Image, LAYOUT, blob_path, descriptor, docker_manifest, gzip, index, sha256, zstd};
use crate::scratch::{Scratch, run};
use crate::store::{leftovers, load, load_one, open, refusal, save};
use crate::tarball::{Entry, Tarball};
use haven_image::archive::AbsoluteNames;
use haven_image::{LoadOptions, Platform, Progress};
use haven_sys::root::{FileKind, Root};
use serde_json::json;

/// The image is there, whole, with its two layers unpacked.
fn check(scratch: &Scratch, name: &str, archive: &[u8], image: &Image) {
    let store = open(scratch, name);
    let loaded = load_one(&store, archive);
    assert_eq!(loaded.id, image.id(), "{name}");
    assert_eq!(loaded.layers, image.layers.iter().map(|layer| sha256(layer)).collect::<Vec<_>>(), "{name}");
    assert_eq!(store.config_bytes(&loaded.id).unwrap(), image.document(), "{name}");
    assert_eq!(loaded.size_bytes, 3000 + 4 + 4, "{name}");
    let lower = Root::open(store.layer_path(&loaded.layers[0]).unwrap()).unwrap();
    let upper = Root::open(store.layer_path(&loaded.layers[1]).unwrap()).unwrap();
    assert_eq!(lower.lstat("etc/name").unwrap().size, 4, "{name}");
    assert_eq!(upper.lstat("gone").unwrap().kind, FileKind::CharDevice, "{name}");
    assert_eq!(store.verify(&loaded.id).unwrap().differences, [], "{name}");
    assert_eq!(leftovers(&scratch.path().join(name)), [2, 2, 0, 0], "{name}");
}

#[test]
fn every_layout_and_compression_comes_to_the_same_image() {
    let scratch = Scratch::new();
    let image = Image::small("same");
    let docker = image.docker(&["app:1"]);
    let several_members = |bytes: &[u8]| {
        let (first, rest) = bytes.split_at(bytes.len() / 3);
        [gzip(first), gzip(b""), gzip(rest)].concat()
    };
    let several_frames = |bytes: &[u8]| {
        let (first, rest) = bytes.split_at(bytes.len() / 3);
        let skippable = b"\x53\x2a\x4d\x18\x05\0\0\0later";
        [skippable, &zstd(first)[..], skippable, &zstd(rest), skippable].concat()
    };
    for (name, archive) in [
        ("docker", docker.clone()),
        ("docker-gzip", gzip(&docker)),
        ("docker-zstd", zstd(&docker)),
        ("docker-members", several_members(&docker)),
        ("docker-frames", several_frames(&docker)),
        ("oci", image.oci(Some("app:1"), "", <[u8]>::to_vec)),
        ("oci-gzip", image.oci(Some("app:1"), "+gzip", gzip)),
        ("oci-zstd", image.oci(Some("app:1"), "+zstd", zstd)),
        ("oci-members", image.oci(Some("app:1"), "+gzip", several_members)),
        ("oci-frames", image.oci(Some("app:1"), "+zstd", several_frames)),
        ("oci-in-gzip", gzip(&image.oci(Some("app:1"), "+zstd", zstd))),
    ] {
        check(&scratch, name, &archive, &image);
    }
}

#[test]
fn entries_may_come_in_any_order_and_as_links() {
    let scratch = Scratch::new();
    let image = Image::small("link");
    let config = image.document();
    let entries = ["0/layer.tar".to_owned(), "./1/layer.tar".to_owned()];
    let manifest = docker_manifest(&[("config", &["app:1"], &entries)]);
    let first = Tarball::new()
        .file("manifest.json", &manifest)
        .file("config", &config)
        .symlink("0/layer.tar", "../shared/lower")
        .file("shared/lower", &image.layers[0])
        .hard_link("1/layer.tar", "shared/upper")
        .file("shared/upper", &gzip(&image.layers[1]))
        .finish();
    check(&scratch, "links", &first, &image);
    let twice = Tarball::new()
        .file("0/layer.tar", &image.layers[1])
        .file("0/layer.tar", &image.layers[0])
        .file("1/layer.tar", &image.layers[1])
        .file("config", b"{\"old\": true}")
        .file("config", &config)
        .file("manifest.json", &manifest)
        .finish();
    check(&scratch, "twice", &twice, &image);
    let circle = Tarball::new()
        .symlink("0/layer.tar", "layer2.tar")
        .symlink("0/layer2.tar", "layer.tar")
        .file("config", &config)
        .file("manifest.json", &manifest)
        .finish();
    assert!(refusal(&open(&scratch, "circle"), &circle).contains("in a circle"));
}

#[test]
fn other_programs_archives_are_loaded() {
    let scratch = Scratch::new();
    let image = Image::small("tool");
    let source = scratch.path().join("source.tar");
    std::fs::write(&source, image.docker(&["app:1"])).unwrap();
    let from = format!("docker-archive:{}", source.display());
    let policy = scratch.path().join("policy.json");
    std::fs::write(&policy, b"{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}").unwrap();
    let policy = policy.to_str().unwrap();
    for (name, format) in [("skopeo-oci", "oci-archive"), ("skopeo-docker", "docker-archive")] {
        let target = scratch.path().join(name.to_owned() + ".tar");
        let to = format!("{format}:{}:app:1", target.display());
        run("skopeo", &["--policy", policy, "copy", "--quiet", &from, &to]);
        let archive = std::fs::read(&target).unwrap();
        let store = open(&scratch, name);
        let loaded = load_one(&store, &archive);
        assert_eq!(loaded.tags[0].familiar(), "app:1");
        assert_eq!(loaded.layers, image.layers.iter().map(|layer| sha256(layer)).collect::<Vec<_>>());
    }
    // And it reads ours.
    let store = open(&scratch, "ours");
    let loaded = load_one(&store, &image.docker(&["app:1"]));
    let saved = scratch.path().join("saved.tar");
    std::fs::write(&saved, save(&store, &["app:1"])).unwrap();
    let says =
        run("skopeo", &["--policy", policy, "inspect", &format!("docker-archive:{}", saved.display())]);
    let says: serde_json::Value = serde_json::from_slice(&says).unwrap();
    assert_eq!(says["Layers"], json!(loaded.layers));
    let layout = scratch.dir("layout");
    run("tar", &["-C", layout.to_str().unwrap(), "-xf", saved.to_str().unwrap()]);
    let says =
        run("skopeo", &["--policy", policy, "inspect", "--raw", &format!("oci:{}:1", layout.display())]);
    let says: serde_json::Value = serde_json::from_slice(&says).unwrap();
    assert_eq!(says["config"]["digest"], json!(loaded.id));
}

#[test]
fn of_several_machines_the_right_one_is_chosen() {
    let scratch = Scratch::new();
    let mine = Image::small("mine");
    let mut other = Image::small("else");
    other.config["architecture"] = json!("s390x");
    let (archive, mine_manifest) = mine.oci_blobs(Tarball::new(), "+gzip", gzip);
    let (archive, other_manifest) = other.oci_blobs(archive, "+gzip", gzip);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let with = |bytes: &[u8], architecture: &str| {
        let mut descriptor = descriptor(media_type, bytes);
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
        descriptor
    };
    let host = Platform::host().architecture;
    let attestation = b"{\"not\":\"an image\"}";
    let mut unknown = with(attestation, "unknown");
    unknown["platform"]["os"] = json!("unknown");
    let both = [unknown, with(&other_manifest, "s390x"), with(&mine_manifest, &host)];
    let nested = index(&both);
    let mut named = descriptor("application/vnd.oci.image.index.v1+json", &nested);
    named["annotations"] = json!({ "io.containerd.image.name": "docker.io/library/app:1" });
    let archive = archive.file(&blob_path(attestation), attestation).file(&blob_path(&nested), &nested);
    let blobs = archive.cut();
    let with_index = |index: &[u8]| {
        let tail = Tarball::new().file("oci-layout", LAYOUT).file("index.json", index).finish();
        [blobs.clone(), tail].concat()
    };
    let in_index = with_index(&index(std::slice::from_ref(&named)));
    check(&scratch, "nested", &in_index, &mine);
    check(&scratch, "flat", &with_index(&index(&both)), &mine);
    let store = open(&scratch, "asked");
    let options =
        LoadOptions { platform: Some(Platform::parse("linux/s390x").unwrap()), ..LoadOptions::default() };
    let loaded = store.load(&*in_index, &options, &mut |_| ()).unwrap();
    assert_eq!((loaded[0].image.id.clone(), loaded[0].tags[0].familiar()), (other.id(), "app:1".to_owned()));
    // None fits.
    let only = with_index(&index(&[with(&other_manifest, "s390x"), with(&other_manifest, "ppc64le")]));
    assert!(refusal(&store, &only).contains("only for linux/s390x, linux/ppc64le"));
    // The limit of indexes in indexes.
    let mut inner = named;
    let mut all = blobs.clone();
    for _ in 0..5 {
        let document = index(&[inner]);
        all.extend(Tarball::new().file(&blob_path(&document), &document).cut());
        inner = descriptor("application/vnd.oci.image.index.v1+json", &document);
    }
    all.extend(Tarball::new().file("index.json", &index(&[inner])).finish());
    assert!(refusal(&store, &all).contains("nested deeper"));
}

#[test]
fn an_archive_of_several_images_is_loaded_whole_or_not_at_all() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let (one, two) = (Image::small("one!"), Image::small("two!"));
    let entries = |image: &Image, name: &str| -> Vec<String> {
        (0..image.layers.len()).map(|number| format!("{name}{number}.tar")).collect()
    };
    let archive = |broken: bool| {
        let mut archive = Tarball::new();
        for (image, name) in [(&one, "one"), (&two, "two")] {
            for (entry, layer) in entries(image, name).iter().zip(&image.layers) {
                archive = archive.file(entry, layer);
            }
        }
        let config = if broken { b"{}".to_vec() } else { two.document() };
        archive
            .file("one.json", &one.document())
            .file("two.json", &config)
            .file(
                "manifest.json",
                &docker_manifest(&[
                    ("one.json", &["a:1", "a:2", "b:1"], &entries(&one, "one")),
                    ("two.json", &[], &entries(&two, "two")),
                ]),
            )
            .finish()
    };
    assert!(refusal(&store, &archive(true)).contains("two.json"));
    assert_eq!(store.images().len(), 0);
    assert_eq!(leftovers(&scratch.path().join("store")), [0; 4]);
    let loaded = load(&store, &archive(false)).unwrap();
    assert_eq!(loaded.len(), 2);
    assert_eq!(loaded[0].tags.len(), 3);
    assert!(loaded[1].image.is_dangling());
    // They share the upper layer.
    assert_eq!(leftovers(&scratch.path().join("store")), [3, 3, 0, 0]);
    assert_eq!(store.usage().layers_bytes, 3000 + 8 + 8);
}

#[test]
fn loading_again_moves_names_and_unpacks_nothing_twice() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let (one, two) = (Image::small("one!"), Image::small("two!"));
    load_one(&store, &one.oci(Some("app:1"), "+gzip", gzip));
    let again = load(&store, &one.oci(Some("app:1"), "+gzip", gzip)).unwrap();
    assert!(again[0].known && again[0].moved.is_empty());
    let mut known = 0;
    let archive = two.oci(Some("app:1"), "+gzip", gzip);
    let loaded = store
        .load(&*archive, &LoadOptions::default(), &mut |progress| {
            known += i32::from(matches!(progress, Progress::Known { .. }));
        })
        .unwrap();
    assert_eq!(known, 1, "the upper layer is the same");
    assert_eq!(loaded[0].moved, [(loaded[0].tags[0].clone(), one.id())]);
    assert!(store.get(&one.id()).unwrap().tags.is_empty());
    let tag = &store.tags()[0];
    assert_eq!((tag.image.clone(), tag.before[0].image.clone()), (two.id(), one.id()));
}

#[test]
fn an_archive_that_is_no_image_is_explained() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let explain = |archive: &[u8]| {
        let failure = load(&store, archive).unwrap_err();
        format!("{} / {}", failure.one_line(), failure.advice().unwrap_or_default())
    };
    assert!(explain(&Tarball::new().dir("etc").file("etc/passwd", b"x").finish()).contains("haven import"));
    assert!(explain(&Tarball::new().file("repositories", b"{}").finish()).contains("older than 1.10"));
    assert!(explain(b"").contains("it is empty"));
    assert!(explain(b"hello").contains("truncated"));
    assert!(explain(&[b'x'; 2000]).contains("checksum"));
    assert!(explain(b"\xfd7zXZ\0rest").contains("xz -d"));
    assert!(explain(b"BZh9rest").contains("bzip2 -d"));
    assert!(explain(&Tarball::new().file("manifest.json", b"[]").finish()).contains("no image in it"));
    assert!(
        explain(&Tarball::new().file("manifest.json", b"{\"a\":1}").finish())
            .contains("`manifest.json` can't be read")
    );
    assert_eq!(leftovers(&scratch.path().join("store")), [0; 4]);
}

#[test]
fn a_part_no_image_needs_may_be_broken() {
    let scratch = Scratch::new();
    let image = Image::small("junk");
    let mut archive = Tarball::new()
        .file("readme.gz", b"\x1f\x8b not gzip at all")
        .file("other.tar", &Tarball::new().file("../evil", b"x").finish())
        .file("big.xz", b"\xfd7zXZ\0")
        .file("noise", &[0xff; 5000])
        .entry(Entry { path: "device", typeflag: b'3', device: (1, 3), ..Entry::default() })
        .cut();
    archive.extend(image.docker(&["app:1"]));
    check(&scratch, "junk", &archive, &image);
}

#[test]
fn absolute_names_in_layers_are_taken_only_when_asked() {
    let scratch = Scratch::new();
    let store = open(&scratch, "store");
    let image = Image::of(&[Tarball::new().file("/app/run", b"x").finish()]);
    let archive = image.docker(&["app:1"]);
    assert!(refusal(&store, &archive).contains("entry `/app/run`: its path is absolute"));
    let options = LoadOptions { absolute_names: AbsoluteNames::FromTop, ..LoadOptions::default() };
    store.load(&*archive, &options, &mut |_| ()).unwrap();
    assert!(store.verify(&image.id()).unwrap().differences.is_empty());
}

#[test]
fn layers_are_unpacked_side_by_side_however_many_at_once() {
    let scratch = Scratch::new();
    let noise = |salt: u32| -> Vec<u8> {
        (0..6_000_000_u32).map(|n| ((n + salt).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    };
    let layers: Vec<Vec<u8>> = (0..6)
        .map(|number| Tarball::new().file(&format!("noise{number}"), &noise(number)).finish())
        .collect();
    let image = Image::of(&layers);
    let archive = image.oci(None, "+gzip", gzip);
    for parallel in [1, 2, 6, 50] {
        let store = open(&scratch, &format!("store{parallel}"));
        let options = LoadOptions { parallel_layers: Some(parallel), ..LoadOptions::default() };
        let loaded = store.load(&*archive, &options, &mut |_| ()).unwrap();
        assert_eq!(loaded[0].image.layers.len(), 6);
        assert_eq!(store.verify(&image.id()).unwrap().differences, []);
        assert_eq!(leftovers(&scratch.path().join(format!("store{parallel}"))), [6, 6, 0, 0]);
    }
}
