//! The known holes of container runtimes, as attacks that must fail: `docs/runtime-holes.md` lists them by number.
//!
//! Each case recreates the shape of an exploit that worked against some runtime: an image, an archive, a volume or a
//! process inside that does what the attacker did. That the shapes can succeed at all is shown by
//! `a_container_whose_user_asked_for_it_may_do_what_others_may_not`, where the same probes get through.

mod archives;
mod confinement;
mod descriptors;
mod identities;
mod mounts;
mod system_calls;

use haven_tests::{Archive, House, ImageConfig, Layer};
use std::path::PathBuf;

/// Loads an image of busybox, the probe and one more layer, as an attacker would publish it.
fn load_hostile(house: &House, name: &str, config: ImageConfig, layer: Layer) -> haven_tests::Answer {
    let archive = Archive::new(name, config).layer(base()).layer(layer);
    let path = house.stage().path(&format!("{}.tar", name.replace(':', "-")));
    archive.write(&path);
    house.haven("load -i").arg(path.display().to_string()).run()
}

fn base() -> Layer {
    let read =
        |path: PathBuf| std::fs::read(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    let mut layer = Layer::new()
        .directory("bin/", 0o755)
        .file("bin/busybox", 0o755, read("/bin/busybox".into()))
        .file("probe", 0o755, read(haven_tests::probe()));
    for applet in [
        "sh", "ls", "cat", "echo", "ln", "mv", "mkdir", "touch", "grep", "stat", "sleep", "true", "find",
        "rm",
    ] {
        layer = layer.symlink(&format!("bin/{applet}"), "busybox");
    }
    layer
}

/// A directory of the host that no attack may touch; gives it and what it holds at the moment.
fn bait(house: &House) -> (PathBuf, impl Fn() -> Vec<String>) {
    let directory = house.stage().path("bait");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("secret"), "of the host").expect("a file");
    let look = directory.clone();
    let content = move || {
        let mut names: Vec<String> = std::fs::read_dir(&look)
            .expect("the bait is still there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(std::fs::read_to_string(look.join("secret")).expect("the secret"), "of the host");
        names
    };
    (directory, content)
}
