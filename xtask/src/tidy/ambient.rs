//! Nothing below floor 4 reads the environment by itself: what a room does depends on its arguments alone, so that
//! a test can say everything and an operator finds every setting in one file.

use super::Finding;
use crate::rust_source::code_only;
use crate::tree::Tree;

/// Rooms on floors 0 to 3.
const ROOMS: &[&str] = &[
    "haven-spec",
    "haven-sys",
    "haven-runtime",
    "haven-image",
    "haven-network",
    "haven-audit",
    "haven-identity",
    "haven-files",
    "haven-engine",
];

/// The one program below floor 4: the OCI runtime command, whose interface, runc's, includes the environment.
const PROGRAM: &str = "crates/haven-runtime/src/command/";

const READS: &[&str] = &[
    "env::var(",
    "env::var_os(",
    "env::vars(",
    "env::vars_os(",
    "env::home_dir(",
    "env::current_dir(",
    "env::temp_dir(",
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in
        tree.rust().filter(|file| !file.is_test() && file.room().is_some_and(|room| ROOMS.contains(&room)))
    {
        if file.path.starts_with(PROGRAM) {
            continue;
        }
        let code = code_only(&file.text);
        // Unit tests stand at the end of a file and may ask for a temporary directory.
        let product = code.split("#[cfg(test)]").next().unwrap_or_default();
        for (index, line) in product.lines().enumerate() {
            if let Some(read) = READS.iter().find(|read| line.contains(**read)) {
                findings.push(Finding::new(
                    format!("{}:{}", file.path, index + 1),
                    format!("reads the environment (`{}`)", read.trim_end_matches('(')),
                    "take the value as an argument; only the binary reads the environment and the configuration",
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
    fn a_room_that_reads_the_environment_is_found() {
        let tree = Tree::of(&[
            ("crates/haven-image/src/a.rs", "let home = std::env::var(\"HOME\");\n"),
            ("crates/haven-image/src/b.rs", "fn f() {}\n#[cfg(test)]\nmod tests { std::env::temp_dir() }\n"),
            ("crates/haven/src/main.rs", "std::env::var(\"X\")"),
            ("crates/haven-runtime/src/command/mod.rs", "std::env::var(\"X\")"),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["crates/haven-image/src/a.rs:1"]);
    }
}
