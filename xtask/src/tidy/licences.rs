//! Every crate in the tree has a licence that `deny.toml` allows. `cargo deny check` reads the same file; this
//! holds its licence and source rules where that tool isn't installed.

use super::Finding;
use crate::metadata::Metadata;
use crate::tree::Tree;

const LIST: &str = "deny.toml";

/// The one place crates may come from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check(metadata: &Metadata, tree: &Tree) -> Vec<Finding> {
    let text = tree.text(LIST).unwrap_or_default();
    let allowed = quoted_list(text, "allow = [");
    if allowed.is_empty() {
        return vec![Finding::new(LIST, "allows no licence", "restore `allow = [...]` under `[licenses]`")];
    }
    let mut findings = Vec::new();
    for package in metadata.third_parties() {
        let licence = package.license.as_deref().unwrap_or("none declared");
        let excepted = text.contains(&format!("{{ crate = \"{}\",", package.name));
        if !satisfied(licence, &allowed) && !excepted {
            findings.push(Finding::new(
                format!("{} {}", package.name, package.version),
                format!("its licence `{licence}` isn't allowed"),
                format!("use another crate; a new licence needs a row in {LIST} and a reason beside it"),
            ));
        }
        if package.source.as_deref() != Some(REGISTRY) {
            findings.push(Finding::new(
                format!("{} {}", package.name, package.version),
                format!(
                    "comes from `{}`",
                    package.source.as_deref().unwrap_or("a path outside the workspace")
                ),
                "use a release on crates.io: what can move or vanish can't be built again",
            ));
        }
    }
    findings
}

/// The strings of a TOML array that begins with `head`, up to its closing bracket.
fn quoted_list(text: &str, head: &str) -> Vec<String> {
    let Some((_, rest)) = text.split_once(head) else { return Vec::new() };
    let body: Vec<&str> = rest.lines().map(|line| line.split('#').next().unwrap_or_default()).collect();
    let body = body.join("\n");
    let inside = body.split(']').next().unwrap_or_default();
    inside.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be fulfilled with `allowed` alone.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    // Cargo's old spelling of OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let fulfilled = either(&tokens, &mut at, allowed);
    fulfilled && at == tokens.len()
}

fn either(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut fulfilled = both(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        fulfilled |= both(tokens, at, allowed);
    }
    fulfilled
}

fn both(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut fulfilled = single(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        fulfilled &= single(tokens, at, allowed);
    }
    fulfilled
}

fn single(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(token) = tokens.get(*at) else { return false };
    *at += 1;
    if *token == "(" {
        let fulfilled = either(tokens, at, allowed);
        let closed = tokens.get(*at) == Some(&")");
        *at += 1;
        return fulfilled && closed;
    }
    let mut name = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        name = format!("{name} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Vec<String> {
        quoted_list(
            "[licenses]\nallow = [\n \"MIT\", # short \"GPL-3.0\"\n \"Apache-2.0\",\n]\nx = [\"GPL-2.0\"]",
            "allow = [",
        )
    }

    #[test]
    fn an_expression_is_fulfilled_only_by_what_is_allowed() {
        assert_eq!(allowed(), ["MIT", "Apache-2.0"]);
        for good in ["MIT", "MIT OR GPL-3.0", "MIT/Apache-2.0", "(GPL-3.0 OR MIT) AND Apache-2.0"] {
            assert!(satisfied(good, &allowed()), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0 WITH LLVM-exception", "(MIT", "MIT MIT"] {
            assert!(!satisfied(bad, &allowed()), "{bad}");
        }
    }

    #[test]
    fn a_forbidden_licence_and_a_foreign_source_are_found() {
        let mut metadata = Metadata::of(&[("haven", &[]), ("viral", &[])]);
        metadata.workspace_members = vec!["haven".into()];
        metadata.packages[1].license = Some("GPL-3.0-or-later".into());
        metadata.packages[1].source = Some("git+https://example.org/viral".into());
        let tree = Tree::of(&[(LIST, "allow = [\"MIT\"]\n")]);
        let findings = check(&metadata, &tree);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }
}
