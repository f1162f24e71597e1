//! `unsafe` stands in haven-sys alone, so that an audit of it is one afternoon.
//!
//! The compiler's `unsafe_code = "deny"` says the same, but an `allow` beside the code would silence it.

use super::Finding;
use crate::rust_source::{code_only, has_word};
use crate::tree::Tree;

const ROOM: &str = "haven-sys";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| file.room() != Some(ROOM)) {
        for (index, line) in code_only(&file.text).lines().enumerate() {
            if has_word(line, "unsafe") || has_word(line, "unsafe_code") {
                findings.push(Finding::new(
                    format!("{}:{}", file.path, index + 1),
                    "`unsafe` outside haven-sys",
                    "give haven-sys a safe function that does this and keeps the invariant, and call that",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found_in_code_and_not_in_prose() {
        let tree = Tree::of(&[
            ("crates/haven-sys/src/lib.rs", "unsafe { f() }"),
            (
                "crates/haven/src/main.rs",
                "// unsafe\nlet s = \"unsafe\";\nunsafe { f() }\n#![allow(unsafe_code)]\n",
            ),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["crates/haven/src/main.rs:3", "crates/haven/src/main.rs:4"]);
    }
}
