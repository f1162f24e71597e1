//! A crate uses only crates on lower floors, as the table in ARCHITECTURE.md has them.
//!
//! The table is the declaration and this check reads it; no second list exists. A crate that isn't in the table
//! may not exist. `xtask` and `haven-tests` stand outside the house: they see Haven as its users do.

use super::Finding;
use crate::metadata::Metadata;
use crate::tree::Tree;
use std::collections::BTreeMap;

const TABLE: &str = "ARCHITECTURE.md";

/// Crates that are no rooms, and which rooms they may use all the same.
const OUTSIDE: &[(&str, &[&str])] = &[("xtask", &[]), ("haven-tests", &[]), ("haven-bench", &[])];

pub(crate) fn check(metadata: &Metadata, tree: &Tree) -> Vec<Finding> {
    let floors = match table(tree) {
        Ok(floors) => floors,
        Err(finding) => return vec![finding],
    };
    let mut findings = Vec::new();
    for room in metadata.rooms() {
        if let Some((_, allowed)) = OUTSIDE.iter().find(|(name, _)| *name == room.name) {
            for used in &room.dependencies {
                if floors.contains_key(&used.name) && !allowed.contains(&used.name.as_str()) {
                    findings.push(Finding::new(
                        &room.name,
                        format!("uses the room `{}`", used.name),
                        "go through the `haven` binary, as users do; what only a room can see is tested in that room",
                    ));
                }
            }
            continue;
        }
        let Some(floor) = floors.get(&room.name) else {
            findings.push(Finding::new(
                &room.name,
                format!("stands on no floor of {TABLE}"),
                "give it a row there (floor, what it is, what it must not know), or put its content into the room it belongs to",
            ));
            continue;
        };
        for used in &room.dependencies {
            let Some(other) = floors.get(&used.name) else { continue };
            if other >= floor {
                findings.push(Finding::new(
                    &room.name,
                    format!("floor {floor} uses `{}` on floor {other}", used.name),
                    "move the shared part down to a floor both may use, or let the higher room pass it in as an argument or a trait",
                ));
            }
        }
    }
    findings
}

/// Crate → floor, from the rows `| 2 | `haven-image` | … |`.
fn table(tree: &Tree) -> Result<BTreeMap<String, u8>, Finding> {
    let text = tree.text(TABLE).unwrap_or_default();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let floor: u8 = cells.next()?.parse().ok()?;
        let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((name.to_owned(), floor))
    });
    let floors: BTreeMap<String, u8> = rows.collect();
    if floors.is_empty() {
        return Err(Finding::new(
            TABLE,
            "has no table of floors",
            "restore the table under `Rooms and floors`: this check reads it",
        ));
    }
    Ok(floors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURE: &str = "| floor | crate | what |\n|---|---|---|\n| 0 | `haven-spec` | ids |\n| 2 | `haven-image` | x |\n| 2 | `haven-runtime` | x |\n| 5 | `haven` | x |\n";

    fn problems(rooms: &[(&str, &[&str])]) -> Vec<String> {
        let tree = Tree::of(&[(TABLE, ARCHITECTURE)]);
        check(&Metadata::of(rooms), &tree).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn using_a_lower_floor_is_allowed() {
        assert!(
            problems(&[("haven-image", &["haven-spec", "serde"]), ("haven", &["haven-image"])]).is_empty()
        );
    }

    #[test]
    fn using_the_same_or_a_higher_floor_is_found() {
        assert_eq!(
            problems(&[("haven-image", &["haven-runtime"])]),
            ["floor 2 uses `haven-runtime` on floor 2"]
        );
        assert_eq!(problems(&[("haven-spec", &["haven"])]), ["floor 0 uses `haven` on floor 5"]);
    }

    #[test]
    fn a_crate_on_no_floor_is_found() {
        assert_eq!(problems(&[("haven-utils", &[])]), ["stands on no floor of ARCHITECTURE.md"]);
    }

    #[test]
    fn tests_that_reach_into_a_room_are_found() {
        assert_eq!(problems(&[("haven-tests", &["haven-image"])]), ["uses the room `haven-image`"]);
    }

    #[test]
    fn a_missing_table_is_found() {
        assert_eq!(check(&Metadata::of(&[]), &Tree::of(&[])).len(), 1);
    }
}
