//! Names in the archives that `cp` exchanges: the last part of a path, and its replacement.

use std::path::{Component, Path, PathBuf};

/// A path's directory and last name, `.` when the path ends in one: then its content is meant, not itself.
pub(crate) fn split_entry(path: &str) -> (String, String) {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            other => parts.push(other),
        }
    }
    let content = path.rsplit('/').next() == Some(".");
    let name = match parts.last() {
        _ if content => ".".to_owned(),
        None => {
            return (
                if absolute { "/" } else { "." }.to_owned(),
                if absolute { "/" } else { "." }.to_owned(),
            );
        }
        Some(_) => parts.pop().unwrap_or_default().to_owned(),
    };
    let directory = parts.join("/");
    let directory = match (absolute, directory.is_empty()) {
        (true, _) => format!("/{directory}"),
        (false, true) => ".".to_owned(),
        (false, false) => directory,
    };
    (directory, name)
}

/// Whether a path can only mean a directory: it ends in `/` or `/.`.
pub(crate) fn wants_directory(path: &str) -> bool {
    path.ends_with('/') || path.rsplit('/').next() == Some(".")
}

/// The first name of every entry, and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renaming {
    pub(crate) old: String,
    pub(crate) new: String,
}

impl Renaming {
    /// `path` with its first name replaced, if it is the old one. `.` and `/` stand before every path.
    pub(crate) fn apply(&self, path: &Path) -> PathBuf {
        let mut parts =
            path.components().filter(|part| !matches!(part, Component::CurDir | Component::RootDir));
        let rest: PathBuf = parts.clone().collect();
        if matches!(self.old.as_str(), "." | "/" | "") {
            return Path::new(&self.new).join(rest);
        }
        match parts.next() {
            Some(Component::Normal(first)) if *first == *self.old => {
                Path::new(&self.new).join(parts.collect::<PathBuf>())
            }
            _ => path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_at_its_last_name() {
        for (path, directory, name) in [
            ("a/b", "a", "b"),
            ("a/b/", "a", "b"),
            ("a/b/.", "a/b", "."),
            ("/a", "/", "a"),
            ("/", "/", "/"),
            ("a", ".", "a"),
            (".", ".", "."),
            ("/a/../b", "/", "b"),
            ("../a", "..", "a"),
        ] {
            assert_eq!(split_entry(path), (directory.to_owned(), name.to_owned()), "{path}");
        }
        assert!(
            wants_directory("a/")
                && wants_directory("a/.")
                && !wants_directory("a/b")
                && !wants_directory("a.")
        );
    }

    #[test]
    fn only_the_first_name_changes() {
        for (old, new, path, expected) in [
            ("etc", "copy", "etc/passwd", "copy/passwd"),
            ("etc", "copy", "etc", "copy"),
            ("etc", "copy", "etcetera/x", "etcetera/x"),
            ("etc", "copy", "./etc/passwd", "copy/passwd"),
            (".", "copy", "./passwd", "copy/passwd"),
            (".", "copy", ".", "copy"),
            ("/", "copy", "/etc", "copy/etc"),
        ] {
            let renaming = Renaming { old: old.into(), new: new.into() };
            assert_eq!(renaming.apply(Path::new(path)), Path::new(expected), "{old} {path}");
        }
    }
}
