//! The house rules no compiler holds. Each check is a pure function from what was read to what it found, so that
//! its tests need only a few lines of text; a finding always says the cure.

mod ambient;
mod dependencies;
mod floors;
mod foreign_words;
mod headers;
mod licences;
mod paths;
mod promises;
mod sizes;
mod unsafety;

use crate::metadata::Metadata;
use crate::tree::Tree;
use std::path::{Path, PathBuf};

/// A rule broken at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `file`, `file:line` or the name of a crate.
    pub(crate) place: String,
    pub(crate) problem: String,
    pub(crate) cure: String,
}

impl Finding {
    fn new(place: impl Into<String>, problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), cure: cure.into() }
    }
}

/// Runs every check on the workspace this program was built from.
pub(crate) fn run(with_sizes: bool) -> Result<(), String> {
    let root = root();
    let tree = Tree::read(&root).map_err(|error| format!("cannot read the work tree: {error}"))?;
    let metadata = Metadata::read(&root)?;

    let checks: [(&str, Vec<Finding>); 9] = [
        ("floors", floors::check(&metadata, &tree)),
        ("dependencies", dependencies::check(&metadata)),
        ("licences", licences::check(&metadata, &tree)),
        ("unsafe", unsafety::check(&tree)),
        ("headers", headers::check(&tree)),
        ("paths", paths::check(&tree)),
        ("ambient", ambient::check(&tree)),
        ("foreign words", foreign_words::check(&tree, &foreign_words::of_this_machine(&root))),
        ("promises", promises::check(&tree)),
    ];

    let mut broken = 0;
    for (name, findings) in &checks {
        for Finding { place, problem, cure } in findings {
            crate::complain(&format!("error[{name}]: {place}: {problem}\n  cure: {cure}"));
        }
        broken += findings.len();
    }
    if with_sizes {
        for line in sizes::report(&tree) {
            crate::say(&line);
        }
    }
    if broken > 0 {
        return Err(format!("tidy: {broken} {} broken", if broken == 1 { "rule is" } else { "rules are" }));
    }
    let names: Vec<&str> = checks.iter().map(|(name, _)| *name).collect();
    crate::say(&format!("tidy: {} files, {} hold", tree.files.len(), names.join(", ")));
    Ok(())
}

/// The workspace's directory: where cargo runs this from, or where it was built.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest.parent().map_or_else(|| manifest.clone(), Path::to_path_buf)
}
