//! Where a group is in its hierarchies: one or more plain names below the visible root.

use haven_spec::{ContainerId, Failure, Outcome};
use std::fmt;

/// Deeper groups than this are refused; systemd's own trees stay below ten.
const DEEPEST: usize = 32;

/// The names from the hierarchies' visible root to the group. There is always one, and none is `.`, `..` or has a
/// slash inside: the root itself can't be named, so it can't be limited, killed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupPath {
    ancestors: Vec<String>,
    name: String,
}

impl GroupPath {
    /// Where a container of the engine lives: `haven/ID`.
    pub fn for_container(id: &ContainerId) -> Self {
        Self { ancestors: vec!["haven".to_owned()], name: id.as_str().to_owned() }
    }

    /// Names separated by slashes; leading, trailing and doubled slashes don't matter.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = |why: &str| Failure::invalid(format!("`{text}` is not a control group: {why}"));
        let mut names = Vec::new();
        for name in text.split('/').filter(|name| !name.is_empty()) {
            if name == "." || name == ".." {
                return Err(refuse("it has `.` or `..` in it"));
            }
            if name.len() > 255 || name.chars().any(char::is_control) {
                return Err(refuse("a name is too long or has control characters in it"));
            }
            names.push(name.to_owned());
        }
        if names.len() > DEEPEST {
            return Err(refuse("it is too deep"));
        }
        match names.pop() {
            Some(name) => Ok(Self { ancestors: names, name }),
            None => Err(refuse("it is empty")),
        }
    }

    /// From a document's `cgroupsPath` for the container `id`. A path, absolute or relative, is below the visible
    /// root; empty means `haven/ID`. With `systemd`, `slice:prefix:name` is the group systemd would make for it:
    /// `a-b.slice:docker:1` is `a.slice/a-b.slice/docker-1.scope`.
    pub fn from_oci(path: &str, id: &str, systemd: bool) -> Outcome<Self> {
        if path.is_empty() {
            return if systemd {
                Self::systemd("", "haven", id)
            } else {
                Self::parse(&format!("haven/{id}"))
            };
        }
        let parts: Vec<&str> = path.split(':').collect();
        match parts[..] {
            [slice, prefix, name] if systemd || !path.contains('/') => Self::systemd(slice, prefix, name),
            _ if systemd => Err(Failure::invalid(format!(
                "the control group `{path}` is not of the form `slice:prefix:name`"
            ))
            .hint("leave `--systemd-cgroup` out, or write `cgroupsPath` as systemd wants it")),
            _ => Self::parse(path),
        }
    }

    fn systemd(slice: &str, prefix: &str, name: &str) -> Outcome<Self> {
        let slice = if slice.is_empty() { "system.slice" } else { slice };
        let refuse = || Failure::invalid(format!("`{slice}` is not a systemd slice"));
        let stem = slice.strip_suffix(".slice").ok_or_else(refuse)?;
        let mut names = Vec::new();
        // `-.slice` is the root slice; every dash in another's name is a level.
        if stem != "-" {
            let mut prefix_of_stem = String::new();
            for part in stem.split('-') {
                if part.is_empty() || part.contains('/') {
                    return Err(refuse());
                }
                if !prefix_of_stem.is_empty() {
                    prefix_of_stem.push('-');
                }
                prefix_of_stem.push_str(part);
                names.push(format!("{prefix_of_stem}.slice"));
            }
        }
        names.push(if name.ends_with(".slice") {
            name.to_owned()
        } else if prefix.is_empty() {
            format!("{name}.scope")
        } else {
            format!("{prefix}-{name}.scope")
        });
        let path = Self::parse(&names.join("/"))?;
        if path.ancestors.len() + 1 == names.len() { Ok(path) } else { Err(refuse()) }
    }

    /// The groups above, from the root down.
    pub fn ancestors(&self) -> &[String] {
        &self.ancestors
    }

    /// The group's own name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for GroupPath {
    /// With a leading slash, as `/proc/PID/cgroup` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ancestors.iter().try_for_each(|name| write!(f, "/{name}"))?;
        write!(f, "/{}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_root() {
        assert_eq!(GroupPath::parse("/haven//x/").unwrap().to_string(), "/haven/x");
        for bad in ["", "/", "..", "a/../b", "./a", "a\nb", &"x".repeat(256), &"a/".repeat(33)] {
            assert!(GroupPath::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_documents_path_is_read_as_other_runtimes_read_it() {
        let of = |path: &str, systemd| GroupPath::from_oci(path, "x", systemd).map(|path| path.to_string());
        assert_eq!(of("", false).unwrap(), "/haven/x");
        assert_eq!(of("/docker/abc", false).unwrap(), "/docker/abc");
        assert_eq!(of("a/b", false).unwrap(), "/a/b");
        assert_eq!(of("/k8s/a:b:c", false).unwrap(), "/k8s/a:b:c");
        for systemd in [false, true] {
            assert_eq!(
                of("kube-pod1.slice:cri:abc", systemd).unwrap(),
                "/kube.slice/kube-pod1.slice/cri-abc.scope"
            );
        }
        assert_eq!(of("", true).unwrap(), "/system.slice/haven-x.scope");
        assert_eq!(of(":docker:abc", true).unwrap(), "/system.slice/docker-abc.scope");
        assert_eq!(of("-.slice::abc", true).unwrap(), "/abc.scope");
        assert_eq!(of("machine.slice:libpod:a-b.slice", true).unwrap(), "/machine.slice/a-b.slice");
        for bad in ["a:b:c", "a..slice:b:c/d", "a--b.slice:x:y", "/docker/abc", "../a.slice:b:c"] {
            assert!(of(bad, true).is_err(), "{bad}");
        }
    }
}
