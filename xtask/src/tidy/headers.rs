//! Every Rust file begins with a `//!` header: what it is, why it is built this way, what it does not do.

use super::Finding;
use crate::tree::Tree;

/// A header shorter than this says nothing.
const SHORTEST: usize = 8;

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let headless = tree.rust().filter(|file| {
        let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|said| said.trim().len() < SHORTEST)
    });
    let finding = |path: &str| {
        Finding::new(
            path,
            "has no header",
            "begin it with `//!`: what this is, why it is built this way, what it does not do",
        )
    };
    headless.map(|file| finding(&file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_header_or_with_an_empty_one_is_found() {
        let tree = Tree::of(&[
            ("a.rs", "//! Names people give: containers, volumes.\n"),
            ("b.rs", "use std::fs;\n"),
            ("c.rs", "//!\n//! Late.\n"),
            ("d.md", "no header needed"),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["b.rs", "c.rs"]);
    }
}
