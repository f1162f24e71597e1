//! Where files of a container are touched, nothing resolves a path by name: every runtime's worst holes were a
//! symbolic link swapped in between a look and a use. Those modules hold directories as handles and go through
//! `haven-sys`'s `openat2` resolution; `std::fs` and joined paths are refused there.

use super::Finding;
use crate::rust_source::{code_only, has_word};
use crate::tree::Tree;

/// Modules, as beginnings of paths, and what an attacker controls in each.
const MODULES: &[(&str, &str)] = &[
    ("crates/haven-runtime/src/child", "the image controls every name below the root it enters"),
    ("crates/haven-runtime/src/assembler/rootfs", "the image controls every name below the root"),
    ("crates/haven-runtime/src/assembler/mounts", "the image controls every name below the root"),
    ("crates/haven-image/src/archive", "the archive controls names, links and their order"),
    ("crates/haven-sys/src/root", "this is the resolution everybody else relies on"),
];

const REFUSED: &[&str] = &[
    "std::fs",
    "fs::File",
    "fs::read",
    "fs::write",
    "fs::create_dir",
    "fs::remove",
    "fs::metadata",
    "fs::canonicalize",
    "File::open",
    "File::create",
    "OpenOptions",
];

const CURE: &str = "open it below a directory handle with haven-sys's path resolution; a file of the host's own (never a container's) is opened by the caller and passed in";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !file.is_test()) {
        let Some((_, reason)) = MODULES.iter().find(|(module, _)| file.path.starts_with(module)) else {
            continue;
        };
        let code = code_only(&file.text);
        // Unit tests stand at the end of a file and build their own trees.
        let product = code.split("#[cfg(test)]").next().unwrap_or_default();
        for (index, line) in product.lines().enumerate() {
            // A file that was opened by handle may be used as a `File`.
            let line = &line.replace("std::fs::File", "");
            let refused = REFUSED.iter().find(|word| has_word(line, word)).copied();
            let joined = is_path_join(line).then_some("Path::join");
            if let Some(what) = refused.or(joined) {
                findings.push(Finding::new(
                    format!("{}:{}", file.path, index + 1),
                    format!("`{what}` here, where {reason}"),
                    CURE,
                ));
            }
        }
    }
    findings
}

/// `path.join(x)`: strings are joined with a literal separator, which the blanking leaves as `join(  )`.
fn is_path_join(line: &str) -> bool {
    line.match_indices(".join(").any(|(at, call)| {
        let argument = line[at + call.len()..].trim_start();
        !argument.starts_with(')') && !argument.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_by_name_is_found_where_an_image_controls_it() {
        let tree = Tree::of(&[
            (
                "crates/haven-runtime/src/child.rs",
                "use std::fs::File;\nuse std::fs;\nlet p = root.join(name);\nlet s = words.join(\", \");\n",
            ),
            ("crates/haven-runtime/src/state.rs", "use std::fs;\n"),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["crates/haven-runtime/src/child.rs:2", "crates/haven-runtime/src/child.rs:3"]);
    }
}
