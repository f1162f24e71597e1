//! Each entry of PROMISES.md names a test that exists, or says `not yet tested`.
//!
//! An entry is a numbered paragraph; the tests that hold it follow the words `Held by`, in backticks. The table of known
//! holes of runtimes is held in the same way: the last column of each row names the tests.

use super::Finding;
use crate::rust_source::{code_only, function_name};
use crate::tree::Tree;
use std::collections::BTreeSet;

const FILE: &str = "PROMISES.md";
const HOLES: &str = "docs/runtime-holes.md";
const UNTESTED: &str = "not yet tested";
const HELD: &str = "Held by";

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(FILE) else {
        return vec![Finding::new(FILE, "is missing", "restore it: what users may rely on stands there")];
    };
    let known = tests(tree);
    let mut findings = Vec::new();
    let mut expected = 1;
    for (line, number, entry) in entries(text) {
        let place = format!("{FILE}:{line}");
        if number != expected {
            findings.push(Finding::new(
                &place,
                format!("promise {number} follows promise {}", expected - 1),
                "number them without gaps and never reuse a number: people quote them",
            ));
        }
        expected = number + 1;
        let holders = holders(&entry);
        if holders.is_empty() && !entry.contains(UNTESTED) {
            findings.push(Finding::new(
                &place,
                format!("promise {number} names no test"),
                format!("end it with \"{HELD} `name_of_the_test`\" or the words \"{UNTESTED}\""),
            ));
        }
        for holder in holders.iter().filter(|holder| !known.contains(*holder)) {
            findings.push(Finding::new(
                &place,
                format!("promise {number} is held by `{holder}`, which no test is called"),
                "write that test, name the one that replaced it, or say \"not yet tested\"",
            ));
        }
    }
    findings.extend(holes(tree.text(HOLES).unwrap_or_default(), &known));
    findings
}

/// Rows of the table of holes whose last column names no test that exists.
fn holes(text: &str, known: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, .., tests] = cells.as_slice() else { continue };
        if number.parse::<u32>().is_err() {
            continue;
        }
        let mut named = tests.split('`').skip(1).step_by(2).peekable();
        let missing =
            if named.peek().is_none() { Some("none") } else { named.find(|name| !known.contains(*name)) };
        if let Some(missing) = missing {
            findings.push(Finding::new(
                format!("{HOLES}:{}", index + 1),
                format!("hole {number} is closed by no test that exists (`{missing}`)"),
                "name the test in the last column, or write one that recreates the attack",
            ));
        }
    }
    findings
}

/// First line, number and whole text of each numbered entry.
fn entries(text: &str) -> Vec<(usize, u32, String)> {
    let mut found: Vec<(usize, u32, String)> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        let number = line.split_once(". ").and_then(|(digits, _)| digits.parse::<u32>().ok());
        if let Some(number) = number {
            found.push((index + 1, number, line.to_owned()));
            open = true;
        } else if line.starts_with('#') {
            open = false;
        } else if open && let Some((_, _, entry)) = found.last_mut() {
            entry.push(' ');
            entry.push_str(line.trim());
        }
    }
    found
}

/// The names in backticks after the words that announce them.
fn holders(entry: &str) -> Vec<String> {
    let Some((_, after)) = entry.split_once(HELD) else { return Vec::new() };
    after.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Names of all functions that carry a `#[test]` or `#[tokio::test]`.
fn tests(tree: &Tree) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in tree.rust() {
        let mut announced = false;
        for line in code_only(&file.text).lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                announced = true;
            }
            if announced && let Some((name, _)) = function_name(line) {
                names.insert(name);
                announced = false;
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(promises: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (FILE, promises),
            (
                "tests/a.rs",
                "#[test]\nfn it_holds() {}\nfn helper() {}\n#[tokio::test(flavor = \"x\")]\nasync fn it_waits() {}\n",
            ),
        ]);
        check(&tree).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn a_promise_with_a_test_or_an_open_word_passes() {
        let good = "# P\n\n1. It holds.\n   Held by `it_holds`,\n   `it_waits`.\n2. Later. (not yet tested)\n\n## Notes\n\n`nothing`\n";
        assert!(problems(good).is_empty(), "{:?}", problems(good));
    }

    #[test]
    fn a_promise_without_a_test_or_with_an_unknown_one_is_found() {
        assert_eq!(problems("1. It holds.\n"), ["promise 1 names no test"]);
        assert_eq!(
            problems("1. It holds. Held by `helper`.\n"),
            ["promise 1 is held by `helper`, which no test is called"]
        );
    }

    #[test]
    fn a_hole_without_a_test_is_found() {
        let tree = Tree::of(&[
            (FILE, ""),
            ("tests/a.rs", "#[test]\nfn it_holds() {}\n"),
            (
                HOLES,
                "| # | hole | test |\n|---|---|---|\n| 1 | x | `it_holds` |\n| 2 | y | `gone` |\n| 3 | z | – |\n",
            ),
        ]);
        let places: Vec<String> = check(&tree).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["docs/runtime-holes.md:4", "docs/runtime-holes.md:5"]);
    }

    #[test]
    fn a_gap_in_the_numbers_is_found() {
        assert_eq!(
            problems("1. A (not yet tested)\n3. B (not yet tested)\n"),
            ["promise 3 follows promise 1"]
        );
    }
}
