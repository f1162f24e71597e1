//! What the tests run in containers: a static busybox, an image of one single file, a Debian root file system, and a
//! probe that asks the kernel directly. Built once and kept under `target/`, where `make clean` finds them.

use crate::{Archive, ImageConfig, Layer};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The image of [`busybox_archive`].
pub const BUSYBOX: &str = "busybox:test";
/// The image of [`single_archive`].
pub const SINGLE: &str = "single:test";

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// busybox with all its applets, a user `app` (1000) with files of its own in `/data`, and the probe as `/probe`.
pub fn busybox_archive() -> PathBuf {
    made("busybox.tar", &[&probe()], |path| {
        let binary = busybox();
        let list = Command::new(&binary).arg("--list").output().expect("busybox lists its applets");
        let mut layer = Layer::new().directory("bin/", 0o755).file(
            "bin/busybox",
            0o755,
            fs::read(&binary).expect("busybox can be read"),
        );
        for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
            layer = layer.symlink(&format!("bin/{applet}"), "busybox");
        }
        layer = layer
            .directory("etc/", 0o755)
            .file(
                "etc/passwd",
                0o644,
                "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
            )
            .file("etc/group", 0o644, "root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
            .directory("root/", 0o700)
            .directory("home/", 0o755)
            .owned_directory("home/app/", 0o750, (1000, 1000))
            .owned_directory("data/", 0o755, (1000, 1000))
            .owned_file("data/seed", 0o640, (1000, 1000), "from the image\n")
            .file("not-a-program", 0o755, "this is no program\n")
            .file("not-executable", 0o644, "#!/bin/sh\n")
            .file("probe", 0o755, fs::read(probe()).expect("the probe can be read"))
            .directory("tmp/", 0o1777);
        let config =
            ImageConfig { command: vec!["sh".into()], env: vec![PATH.into()], ..ImageConfig::default() };
        Archive::new(BUSYBOX, config).layer(layer).write(path);
    })
}

/// An image of one static file and nothing else: no shell, no directories, no users.
pub fn single_archive() -> PathBuf {
    made("single.tar", &[&probe()], |path| {
        let layer = Layer::new().file("app", 0o755, fs::read(probe()).expect("the probe can be read"));
        let config = ImageConfig {
            entrypoint: vec!["/app".into()],
            command: vec!["hello".into()],
            ..ImageConfig::default()
        };
        Archive::new(SINGLE, config).layer(layer).write(path);
    })
}

/// A Debian root file system as a plain archive, as `haven import` takes it.
pub fn debian_archive() -> PathBuf {
    made("debian-rootfs.tar", &[], |path| {
        let directory = path.with_extension("tree");
        // A tree that was interrupted half-way is made again.
        let _absent = fs::remove_dir_all(&directory);
        let mut debootstrap = Command::new("debootstrap");
        debootstrap.args(["--variant=minbase", "bookworm"]).arg(&directory).args(mirror());
        quietly(&mut debootstrap);
        quietly(
            Command::new("tar")
                .arg("--directory")
                .arg(&directory)
                .args(["--numeric-owner", "--exclude=./var/cache/apt/*", "--create", "--file"])
                .arg(path)
                .arg("."),
        );
        fs::remove_dir_all(&directory).expect("the tree can be removed");
    })
}

/// A small static program that makes single system calls and says what the kernel answered.
pub fn probe() -> PathBuf {
    built(&Path::new(env!("CARGO_MANIFEST_DIR")).join("probe/probe.c"))
}

/// A static program from one file of C.
pub fn built(source: &Path) -> PathBuf {
    let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    made(&name, &[source], |path| {
        quietly(Command::new("cc").args(["-static", "-O1", "-Wall", "-o"]).arg(path).arg(source));
    })
}

/// The file under `target/images`, made when it isn't there or is older than its ingredients (or than this code, when it
/// has any). Several tests may want it at once: each makes one of its own and the last rename wins, which costs time once
/// and needs no lock.
fn made(name: &str, ingredients: &[&Path], make: impl FnOnce(&Path)) -> PathBuf {
    let directory = target().join("images");
    let path = directory.join(name);
    let written = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = [sources.join("src/rootfs.rs"), sources.join("src/archive.rs")];
    let code = if ingredients.is_empty() { &[][..] } else { &code[..] };
    let all: Vec<&Path> = ingredients.iter().copied().chain(code.iter().map(PathBuf::as_path)).collect();
    let fresh = written(&path)
        .is_some_and(|made| all.iter().all(|file| written(file).is_none_or(|time| time < made)));
    if !fresh {
        fs::create_dir_all(&directory).expect("a directory for images");
        let draft = directory.join(format!("{name}.{}", std::process::id()));
        make(&draft);
        fs::rename(&draft, &path).expect("a rename within a directory");
    }
    path
}

/// Cargo's target directory, from where this program lies: `target/<triple>/debug/deps/…`.
pub(crate) fn target() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    let target = program.ancestors().filter(|path| path.join("CACHEDIR.TAG").exists()).last();
    target.expect("this program lies in cargo's target directory").to_owned()
}

fn busybox() -> PathBuf {
    let places = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    places.into_iter().find(|path| path.exists()).expect("busybox-static is installed (`cargo xtask setup`)")
}

/// Where this host itself gets its packages, when it is a Debian.
fn mirror() -> Option<String> {
    let list = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
    let sources = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let words = list
        .lines()
        .filter(|line| line.starts_with("deb "))
        .chain(sources.lines().filter(|line| line.starts_with("URIs:")));
    let mut addresses = words.flat_map(str::split_whitespace).filter(|word| word.starts_with("http"));
    addresses.find(|address| address.contains("debian") && !address.contains("security")).map(str::to_owned)
}

fn quietly(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({})\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
