//! Names and paths that may go to a server, checked before they do.
//!
//! A [`FilePath`] leads to what is there: nothing in it climbs (`..`), hides (NUL, control characters) or is longer than
//! servers take; names that Windows forbids and other systems have made can be opened. A [`FileName`] is for what is made
//! here: a name that works on every system the file may come to. Separators are `/`; a `\` in a path from outside is
//! refused, since Windows would split there.

use crate::problem::{Attempt, Problem, ProblemKind};
use std::fmt;

/// Longest name in UTF-16 units: NTFS, ReFS and SMB.
const NAME_LIMIT: usize = 255;

/// Longest path in UTF-16 units, of the 32,767 that Windows takes with its own prefix.
const PATH_LIMIT: usize = 32_000;

/// Deepest path.
const DEPTH_LIMIT: usize = 1_000;

/// Windows takes these for devices, with any extension.
const DEVICES: &[&str] = &["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Inside a share, from its root; empty is the root itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FilePath(Vec<String>);

impl FilePath {
    pub fn root() -> Self {
        Self::default()
    }

    /// `a/b c/d.txt`; slashes at the ends don't count.
    pub fn parse(text: &str) -> Attempt<Self> {
        let bad = |why: &str| Problem::new(ProblemKind::BadName).because(why.to_owned()).about(shown(text));
        if text.encode_utf16().count() > PATH_LIMIT {
            return Err(bad("the path is longer than servers take"));
        }
        let parts: Vec<&str> =
            text.trim_matches('/').split('/').filter(|_| !text.trim_matches('/').is_empty()).collect();
        if parts.len() > DEPTH_LIMIT {
            return Err(bad("the path is deeper than 1,000 folders"));
        }
        for part in &parts {
            check_part(part).map_err(bad)?;
        }
        Ok(Self(parts.into_iter().map(str::to_owned).collect()))
    }

    /// Something in this folder that a listing named.
    pub fn child(&self, name: &str) -> Attempt<Self> {
        check_part(name).map_err(|why| Problem::new(ProblemKind::BadName).because(why).about(shown(name)))?;
        let child = Self(self.0.iter().cloned().chain([name.to_owned()]).collect());
        if child.0.len() > DEPTH_LIMIT || child.to_string().encode_utf16().count() > PATH_LIMIT {
            return Err(Problem::new(ProblemKind::BadName)
                .because("the path is longer than servers take")
                .about(shown(name)));
        }
        Ok(child)
    }

    /// Something new in this folder.
    pub fn join(&self, name: &FileName) -> Attempt<Self> {
        self.child(name.as_str())
    }

    /// The folder it is in; none of the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, folder) = self.0.split_last()?;
        Some(Self(folder.to_vec()))
    }

    /// Its last part; none of the root.
    pub fn name(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is `other` or lies in it; servers don't tell letters' case apart, so neither does this.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.len() >= other.0.len()
            && self.0.iter().zip(&other.0).all(|(mine, theirs)| mine.to_lowercase() == theirs.to_lowercase())
    }

    /// Checks that the last part may be made anew.
    pub(crate) fn check_new(&self) -> Attempt<()> {
        match self.name() {
            Some(name) => FileName::parse(name).map(|_| ()),
            None => Err(Problem::new(ProblemKind::Exists).because("it is the root of the share")),
        }
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// A name for something new.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

impl FileName {
    pub fn parse(name: &str) -> Attempt<Self> {
        let bad = |why: &str| Problem::new(ProblemKind::BadName).because(why.to_owned()).about(shown(name));
        check_part(name).map_err(bad)?;
        if name.chars().any(|letter| "<>:\"|?*".contains(letter)) {
            return Err(bad("Windows takes none of < > : \" | ? * in a name"));
        }
        if name.ends_with(['.', ' ']) {
            return Err(bad("Windows cuts a dot or a space off the end of a name"));
        }
        if name.starts_with(' ') {
            return Err(bad("a space at the start of a name is easily overlooked"));
        }
        if is_device(name) {
            return Err(bad("Windows takes this name for a device"));
        }
        if name.chars().any(turns_text) {
            return Err(bad(
                "it has a character that turns the direction of writing, by which endings are faked",
            ));
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What no part of any path may be.
fn check_part(part: &str) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("a part of it is empty");
    }
    if part == "." || part == ".." {
        return Err("`.` and `..` are no names");
    }
    if part.chars().any(|letter| letter == '/' || letter == '\\') {
        return Err("a name has a `/` or `\\` in it");
    }
    if part.chars().any(char::is_control) {
        return Err("a name has a control character in it");
    }
    if part.encode_utf16().count() > NAME_LIMIT {
        return Err("a name is longer than 255 UTF-16 units");
    }
    Ok(())
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    if DEVICES.contains(&stem.as_str()) {
        return true;
    }
    let Some(number) = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt")) else { return false };
    // The superscripts count as digits here.
    matches!(number, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "\u{b9}" | "\u{b2}" | "\u{b3}")
}

fn turns_text(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// For messages: short, and without what would change how a line looks.
fn shown(text: &str) -> String {
    let clean: String = text.chars().filter(|letter| !letter.is_control() && !turns_text(*letter)).collect();
    let mut letters = clean.chars();
    let short: String = letters.by_ref().take(80).collect();
    if letters.next().is_some() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::parse(text).expect("a path")
    }

    #[test]
    fn paths_are_read_and_taken_apart() {
        let plan = path("/a/b c/plän.txt/");
        assert_eq!(plan.to_string(), "a/b c/plän.txt");
        assert_eq!(plan.name(), Some("plän.txt"));
        assert_eq!(plan.parent(), Some(path("a/b c")));
        assert!(path("").is_root() && path("/").is_root());
        assert_eq!(path("").parent(), None);
        assert!(
            plan.is_within(&path("A/B C"))
                && plan.is_within(&path(""))
                && !path("a/bc").is_within(&path("a/b"))
        );
    }

    #[test]
    fn nothing_climbs_hides_or_is_too_long() {
        for bad in ["..", "a/../b", "a/..", "./a", "a//b", "a\0b", "a/b\nc", "a\\b", "..\\..\\x", "\u{7f}"] {
            assert!(FilePath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(FilePath::parse(&"a".repeat(255)).is_ok());
        assert!(FilePath::parse(&"a".repeat(256)).is_err());
        // Units, not letters: each of these takes two.
        assert!(FilePath::parse(&"😀".repeat(127)).is_ok());
        assert!(FilePath::parse(&"😀".repeat(128)).is_err());
        assert!(FilePath::parse(&"a/".repeat(1001)).is_err());
        assert!(FilePath::parse(&format!("{}/", "a".repeat(200)).repeat(160)).is_err());
        assert!(path("a").child("../b").is_err() && path("a").child("").is_err());
    }

    #[test]
    fn what_other_systems_made_can_be_opened_but_not_made() {
        for odd in ["what?.txt", "a:b", "trailing.", "con", "<x>", " x"] {
            assert!(FilePath::parse(odd).is_ok(), "{odd}");
            assert!(FileName::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn names_of_devices_are_no_names() {
        for device in ["CON", "nul.txt", "Com1", "LPT9.tar.gz", "aux .txt", "COM²", "conin$"] {
            assert!(FileName::parse(device).is_err(), "{device}");
        }
        for good in
            ["console", "com10", "com", "null", "aux1", "plan.txt", ".hidden", "日本語", "a.b.c", "é", "😀"]
        {
            assert!(FileName::parse(good).is_ok(), "{good}");
        }
        assert!(FileName::parse("gpj.\u{202e}exe").is_err());
    }
}
