//! Nothing in the repository tells where or by whom it was written: no path of a developer's machine, no registry
//! or host of a private network, no key.
//!
//! The paths are found out and not listed: the work tree's own, and cargo's and the user's homes.

use super::Finding;
use crate::tree::Tree;
use std::path::Path;

/// Host names that exist in somebody's network only.
const PRIVATE_SUFFIXES: &[&str] = &[".internal", ".intranet", ".corp", ".lan", ".local", ".home.arpa"];

/// Where crates and packages may be said to come from.
const PUBLIC_REGISTRIES: &[&str] = &["github.com/rust-lang/crates.io-index", "registry.npmjs.org"];

/// Paths that mean this machine.
pub(crate) fn of_this_machine(root: &Path) -> Vec<String> {
    let mut words = vec![root.display().to_string()];
    for variable in ["CARGO_HOME", "RUSTUP_HOME"] {
        words.extend(std::env::var(variable).ok());
    }
    // Root's home is the same everywhere and stands in many images; a person's home is telling.
    words.extend(std::env::var("HOME").ok().filter(|home| home != "/root"));
    words.retain(|word| word.len() > "/a/b".len());
    words
}

pub(crate) fn check(tree: &Tree, machine: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            let place = || format!("{}:{}", file.path, index + 1);
            if let Some(word) = machine.iter().find(|word| line.contains(word.as_str())) {
                findings.push(Finding::new(
                    place(),
                    format!("a path of this machine: `{word}`"),
                    "make it relative to the repository, or ask for it at run time",
                ));
            }
            if let Some(host) = hosts(line).find(|host| is_private(host)) {
                findings.push(Finding::new(
                    place(),
                    format!("a host of a private network: `{host}`"),
                    "use example.org, or take it from configuration",
                ));
            }
            let begins_key = line.contains("-----BEGIN") && line.contains("PRIVATE KEY-----");
            if begins_key && !line.contains('"') {
                findings.push(Finding::new(place(), "a private key", "make one in the test that needs it"));
            }
        }
        if let Some(source) = foreign_registry(&file.path, &file.text) {
            findings.push(Finding::new(
                &file.path,
                format!("packages from `{source}`"),
                "lock against the public registry: others have to be able to build this",
            ));
        }
    }
    findings
}

/// The host names of the URLs in a line.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").map(|(at, mark)| {
        let rest = &line[at + mark.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))).unwrap_or(rest.len());
        &rest[..end]
    })
}

fn is_private(host: &str) -> bool {
    PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix)) && host != "host.docker.internal"
}

/// A source in a lock file that isn't one of the public registries.
fn foreign_registry(path: &str, text: &str) -> Option<String> {
    let key = match path.rsplit('/').next() {
        Some("Cargo.lock") => "source = \"",
        Some("package-lock.json") => "\"resolved\": \"",
        _ => return None,
    };
    let sources = text.lines().filter_map(|line| line.trim().strip_prefix(key));
    sources
        .map(|source| source.trim_end_matches(['"', ',']))
        .find(|source| !PUBLIC_REGISTRIES.iter().any(|public| source.contains(public)))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        check(&tree, &["/srv/someone/haven".into()]).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn a_path_of_the_machine_is_found() {
        assert_eq!(
            problems("a.md", "see /srv/someone/haven/x"),
            ["a path of this machine: `/srv/someone/haven`"]
        );
    }

    #[test]
    fn a_private_host_is_found_and_a_public_one_passes() {
        let url = format!("https{}git.example.corp/x", "://");
        assert_eq!(problems("a.md", &url), ["a host of a private network: `git.example.corp`"]);
        assert!(problems("a.md", "https://doc.rust-lang.org/ http://127.0.0.1:80").is_empty());
    }

    #[test]
    fn a_lock_file_against_another_registry_is_found() {
        let lock = "source = \"registry+https://crates.example.org/index\"\n";
        assert_eq!(
            problems("Cargo.lock", lock),
            ["packages from `registry+https://crates.example.org/index`"]
        );
        let public = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        assert!(problems("Cargo.lock", public).is_empty());
    }

    #[test]
    fn a_private_key_is_found() {
        assert_eq!(problems("a.pem", &format!("-----BEGIN {} KEY-----", "PRIVATE")), ["a private key"]);
    }
}
