//! The control groups this machine has: which hierarchies are mounted where, and where we are in them.
//!
//! There are three kinds of machines. v1: one hierarchy for each controller, or few. Unified (v2): one hierarchy for
//! everything. Hybrid: v1 hierarchies hold the controllers, and a v2 one beside them only tracks processes; Haven
//! uses it there for what v2 does better (killing, freezing, events, being born into a group).
//!
//! Read from `/proc/self/mountinfo` and `/proc/self/cgroup`; see cgroups(7). Nothing is assumed about `/sys/fs/cgroup`.

use super::directory::Directory;
use haven_spec::{Failure, Outcome};
use rustix::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Only v1 hierarchies.
    V1,
    /// v1 hierarchies with the controllers, and v2 without.
    Hybrid,
    /// Only v2.
    Unified,
}

/// All mounted hierarchies, open.
#[derive(Debug)]
pub struct Layout {
    version: Version,
    pub(super) hierarchies: Vec<Hierarchy>,
}

/// One mounted hierarchy.
#[derive(Debug)]
pub(super) struct Hierarchy {
    pub(super) unified: bool,
    /// `cpu`, `memory`, …, or `name=systemd`.
    pub(super) controllers: Vec<String>,
    /// Where this process is, relative to what is mounted.
    pub(super) own: String,
    pub(super) root: Directory,
}

/// What the two files say of one hierarchy, before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mounted {
    unified: bool,
    controllers: Vec<String>,
    mount_point: PathBuf,
    own: String,
}

impl Layout {
    /// Reads this process's own mounts and groups.
    pub fn detect() -> Outcome<Self> {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .map_err(|error| Failure::host(format!("cannot read `{path}`")).because(error))
        };
        let mounted = mounted(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
        Self::of_mounts(mounted)
    }

    fn of_mounts(mounted: Vec<Mounted>) -> Outcome<Self> {
        let mut hierarchies = Vec::with_capacity(mounted.len());
        for one in mounted {
            let root = Directory::open(&one.mount_point)?;
            let controllers = if one.unified { controllers(&root)? } else { one.controllers };
            hierarchies.push(Hierarchy { unified: one.unified, controllers, own: one.own, root });
        }
        let v2 = hierarchies.iter().any(|hierarchy| hierarchy.unified);
        let v1 = hierarchies.iter().any(|hierarchy| {
            !hierarchy.unified && hierarchy.controllers.iter().any(|name| !name.starts_with("name="))
        });
        let version = match (v1, v2) {
            (true, true) => Version::Hybrid,
            (true, false) => Version::V1,
            (false, true) => Version::Unified,
            (false, false) => {
                return Err(Failure::host("no control groups are mounted")
                    .hint("mount them: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`"));
            }
        };
        Ok(Self { version, hierarchies })
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Everything it holds open, for a fork that closes the rest.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.hierarchies.iter().map(|hierarchy| hierarchy.root.as_fd())
    }

    /// The controllers that can be used, of all hierarchies.
    pub fn controllers(&self) -> impl Iterator<Item = &str> {
        self.hierarchies
            .iter()
            .flat_map(|hierarchy| &hierarchy.controllers)
            .filter(|name| !name.starts_with("name="))
            .map(String::as_str)
    }

    pub fn has_controller(&self, name: &str) -> bool {
        self.controllers().any(|known| known == name)
    }

    /// Where each hierarchy is mounted, for diagnosis.
    pub fn mount_points(&self) -> impl Iterator<Item = (&Path, &[String])> {
        self.hierarchies.iter().map(|hierarchy| (hierarchy.root.path(), hierarchy.controllers.as_slice()))
    }

    /// Where this process is in the hierarchy of `controller` (`""`: in v2's), below what is mounted.
    pub fn own_group(&self, controller: &str) -> Option<&str> {
        self.hierarchies
            .iter()
            .find(|hierarchy| match controller {
                "" => hierarchy.unified,
                name => hierarchy.controllers.iter().any(|known| known == name),
            })
            .map(|hierarchy| hierarchy.own.as_str())
    }

    /// A layout of directories that only look like hierarchies.
    #[cfg(test)]
    pub(super) fn of_directories(list: &[(&Path, bool, &[&str])]) -> Outcome<Self> {
        Self::of_mounts(
            list.iter()
                .map(|(path, unified, controllers)| Mounted {
                    unified: *unified,
                    controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
                    mount_point: (*path).to_owned(),
                    own: "/".to_owned(),
                })
                .collect(),
        )
    }
}

/// The controllers a v2 group can use.
pub(super) fn controllers(directory: &Directory) -> Outcome<Vec<String>> {
    Ok(directory.read("cgroup.controllers")?.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Joins the mount table with the process's own groups. Each hierarchy once, by its best mount.
fn mounted(mountinfo: &str, own_groups: &str) -> Vec<Mounted> {
    let groups: Vec<(Vec<&str>, &str)> = own_groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
            Some((names.split(',').filter(|name| !name.is_empty()).collect(), path))
        })
        .collect();
    // Per hierarchy: how good the mount is, and the mount.
    let mut found: Vec<(usize, Mounted)> = Vec::new();
    for line in mountinfo.lines() {
        let Some((unified, options, mount_root, mount_point)) = cgroup_mount(line) else { continue };
        let options: Vec<&str> = options.split(',').collect();
        let group = groups.iter().find(|(names, _)| {
            if unified {
                names.is_empty()
            } else {
                !names.is_empty() && names.iter().all(|name| options.contains(name))
            }
        });
        let Some((names, path)) = group else { continue };
        let own = below(path, &mount_root);
        let mounted = Mounted {
            unified,
            controllers: names.iter().map(|name| (*name).to_owned()).collect(),
            mount_point: PathBuf::from(mount_point),
            own: own.clone().unwrap_or_else(|| "/".to_owned()),
        };
        // Best: the whole hierarchy; then a part of it that we are in; the earlier mount wins among equals.
        let quality = if mount_root == "/" { 2 } else { usize::from(own.is_some()) };
        match found
            .iter_mut()
            .find(|(_, known)| known.unified == unified && known.controllers == mounted.controllers)
        {
            Some(known) if known.0 < quality => *known = (quality, mounted),
            Some(_) => {}
            None => found.push((quality, mounted)),
        }
    }
    found.into_iter().map(|(_, mounted)| mounted).collect()
}

/// `path` as seen from `root`; `None` when it isn't below.
fn below(path: &str, root: &str) -> Option<String> {
    if root == "/" {
        return (!path.starts_with("/..")).then(|| path.to_owned());
    }
    match path.strip_prefix(root)? {
        "" => Some("/".to_owned()),
        rest if rest.starts_with('/') => Some(rest.to_owned()),
        _ => None,
    }
}

/// Of a mountinfo line about control groups: whether it is v2, the super block's options, the mounted root, the place.
fn cgroup_mount(line: &str) -> Option<(bool, &str, String, String)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let (mount_root, mount_point) = (left.nth(3)?, left.next()?);
    let mut right = right.split(' ');
    let unified = match right.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options = right.nth(1)?;
    Some((unified, options, unescaped(mount_root), unescaped(mount_point)))
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescaped(text: &str) -> String {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(unified: bool, controllers: &[&str], place: &str, own: &str) -> Mounted {
        Mounted {
            unified,
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            mount_point: place.into(),
            own: own.to_owned(),
        }
    }

    #[test]
    fn a_hybrid_machine_shows_both_kinds() {
        let found = mounted(
            "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
             35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
             40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
            "9:name=systemd:/init\n4:memory:/process_api/41d6\n1:cpu,cpuacct:/\n7:net_cls:/\n0::/x y\n",
        );
        assert_eq!(
            found,
            [
                one(false, &["cpu", "cpuacct"], "/sys/fs/cgroup/cpu,cpuacct", "/"),
                one(false, &["memory"], "/sys/fs/cgroup/memory", "/process_api/41d6"),
                one(false, &["name=systemd"], "/sys/fs/cgroup/systemd", "/init"),
                one(true, &[], "/sys/fs/cgroup/unified", "/x y"),
            ]
        );
    }

    #[test]
    fn inside_a_container_the_mounted_part_is_the_root() {
        let found = mounted(
            "1 2 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
             3 2 0:32 / /host\\040cg/memory rw - cgroup cgroup rw,memory\n\
             4 2 0:33 /docker/abc /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
             5 2 0:33 /docker/ab /mnt/pids rw - cgroup cgroup rw,pids\n",
            "4:memory:/docker/abc\n5:pids:/docker/abc/x\n",
        );
        assert_eq!(
            found,
            [
                one(false, &["memory"], "/host cg/memory", "/docker/abc"),
                one(false, &["pids"], "/sys/fs/cgroup/pids", "/x"),
            ]
        );
    }

    #[test]
    fn odd_lines_are_passed_over() {
        for line in ["", " - ", "1 2 3 - cgroup", "1 2 3 4 5 6 - cgroup x", "x - cgroup2 - -", "\\"] {
            assert!(mounted(line, "0::/\n:\n::\nx").is_empty(), "{line}");
        }
        assert_eq!(unescaped("a\\040b\\\\134\\9\\"), "a b\\\\\\9\\");
    }

    #[test]
    fn this_machine_is_understood() {
        let layout = Layout::detect().unwrap();
        assert!(layout.has_controller("memory") && layout.has_controller("pids"));
        assert!(layout.mount_points().count() >= 1);
        assert!(layout.own_group("memory").is_some_and(|own| own.starts_with('/')));
    }
}
