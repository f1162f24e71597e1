//! Files and functions that have grown long. A size is a smell to follow and no rule: this reports, it never fails.

use crate::rust_source::{code_only, functions};
use crate::tree::Tree;

const LONG_FILE: usize = 500;
const LONG_FUNCTION: usize = 100;

/// One line each, longest first.
pub(crate) fn report(tree: &Tree) -> Vec<String> {
    let mut long = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        if lines > LONG_FILE {
            long.push((lines, format!("{}: is there a second noun in it?", file.path)));
        }
        for (name, first, lines) in functions(&code_only(&file.text)) {
            if lines > LONG_FUNCTION {
                long.push((lines, format!("{}:{first} `{name}`: which step deserves a name?", file.path)));
            }
        }
    }
    long.sort_by(|a, b| b.cmp(a));
    long.into_iter().map(|(lines, what)| format!("note: {lines} lines in {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_file_and_a_long_function_are_told() {
        let long = format!("fn f() {{\n{}}}\n", "x();\n".repeat(501));
        let report = report(&Tree::of(&[("a.rs", &long), ("b.rs", "fn g() {}\n")]));
        assert_eq!(report.len(), 2, "{report:?}");
    }
}
