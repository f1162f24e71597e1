//! Where an entry belongs: its path, judged and brought into one form.

use super::AbsoluteNames;
use crate::limits::Limits;
use haven_spec::{Failure, Outcome};

/// Names joined by single slashes, none of them `.` or `..`; empty for the top itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(Vec<u8>);

impl Place {
    /// Reads a path as it stands in an archive. `what` is `path` or `link target`.
    pub(crate) fn parse(path: &[u8], what: &str, absolute: AbsoluteNames, limits: &Limits) -> Outcome<Self> {
        if path.len() > limits.path_bytes {
            return Err(Failure::invalid(format!(
                "its {what} has {} bytes, more than the {} allowed",
                path.len(),
                limits.path_bytes
            )));
        }
        if path.contains(&0) {
            return Err(Failure::invalid(format!("its {what} contains a NUL")));
        }
        if path.is_empty() {
            return Err(Failure::invalid(format!("its {what} is empty")));
        }
        if path.starts_with(b"/") && absolute == AbsoluteNames::Refuse {
            return Err(Failure::invalid(format!("its {what} is absolute"))
                .hint("an archive's names have to be relative to the root file system it makes"));
        }
        let mut place = Vec::with_capacity(path.len());
        let mut depth = 0;
        for name in path.split(|b| *b == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(Failure::invalid(format!("its {what} leads upwards with `..`"))),
                name if name.len() > 255 => {
                    return Err(Failure::invalid(format!("its {what} has a name of more than 255 bytes")));
                }
                name => {
                    if depth > 0 {
                        place.push(b'/');
                    }
                    place.extend_from_slice(name);
                }
            }
            depth += 1;
        }
        if depth > limits.depth {
            return Err(Failure::invalid(format!(
                "its {what} is nested {depth} directories deep, more than the {} allowed",
                limits.depth
            )));
        }
        Ok(Self(place))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn is_top(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory it is in, and its name there. The top has an empty name.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        }
    }

    /// Another name in the same directory.
    pub(crate) fn beside(&self, name: &[u8]) -> Self {
        let (parent, _) = self.split();
        Self(join(parent, name))
    }

    /// The directory it is in.
    pub(crate) fn parent(&self) -> Self {
        Self(self.split().0.to_vec())
    }

    pub(crate) fn from_clean(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() || parent.ends_with(b"/") {
        [parent, name].concat()
    } else {
        [parent, b"/", name].concat()
    }
}

/// Keys of a sorted map that lie below `path`: from the first to, but not including, the second.
pub(crate) fn below(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    ([path, b"/"].concat(), [path, b"0"].concat()) // `0` is the byte after `/`
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Outcome<Place> {
        let limits = Limits { path_bytes: 300, depth: 3, ..Limits::default() };
        Place::parse(path.as_bytes(), "path", AbsoluteNames::Refuse, &limits)
    }

    #[test]
    fn paths_take_one_form() {
        for (path, place) in [("a/b", "a/b"), ("./a//b/", "a/b"), (".", ""), ("./", ""), ("a/./b", "a/b")] {
            assert_eq!(parse(path).unwrap().bytes(), place.as_bytes(), "{path}");
        }
        let from_root = Place::parse(b"//a/b", "path", AbsoluteNames::FromTop, &Limits::default()).unwrap();
        assert_eq!(from_root.bytes(), b"a/b");
        assert_eq!(from_root.split(), (&b"a"[..], &b"b"[..]));
    }

    #[test]
    fn paths_that_leave_or_outgrow_the_tree_are_refused() {
        let (name_255, name_256) = ("a".repeat(255), "a".repeat(256));
        assert!(parse(&name_255).is_ok());
        assert!(parse(&format!("{name_255}/{}", "b".repeat(44))).is_ok());
        assert!(parse("a/b/c").is_ok());
        let too_long = format!("{name_255}/{}", "b".repeat(45));
        for path in ["..", "../a", "a/..", "a/../b", "/a", "/", "", "a/b/c/d", "a\0b", &name_256, &too_long] {
            assert!(parse(path).is_err(), "{path:?}");
        }
    }
}
