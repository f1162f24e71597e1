//! One mount: what kind it is, and its options sorted into the kernel's flags. See mount(8), mount_setattr(2).

use crate::oci;
use haven_spec::{Failure, Outcome};
use haven_sys::mount::attribute::{
    ATIME, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME,
};
use haven_sys::mount::propagation::{PRIVATE, SHARED, SLAVE, UNBINDABLE};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MountKind {
    /// `idmap`: ids on disk are the container's.
    Bind {
        source: PathBuf,
        recursive: bool,
        idmap: bool,
    },
    Proc,
    Sysfs,
    Tmpfs,
    Devpts,
    Mqueue,
    Cgroup,
    /// Any other file system; mounted with the host's rights.
    Foreign {
        fstype: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountPlan {
    /// Absolute, inside the container.
    pub(crate) target: String,
    pub(crate) kind: MountKind,
    /// The source as written, which some file systems show or need.
    pub(crate) source: String,
    /// `MOUNT_ATTR_…` for this mount, and for the whole tree below it.
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) tree_set: u64,
    pub(crate) tree_clear: u64,
    /// `MS_PRIVATE` and so on; 0: as the default is.
    pub(crate) propagation: u64,
    pub(crate) propagation_of_tree: bool,
    /// Flags and `key=value` for the file system itself.
    pub(crate) data: Vec<String>,
    /// A tmpfs begins with a copy of what its target had.
    pub(crate) copy_up: bool,
}

/// Option word, bits to clear, bits to set. Prefixed with `r` they hold for the whole tree.
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", 0, RDONLY),
    ("rw", RDONLY, 0),
    ("nosuid", 0, NOSUID),
    ("suid", NOSUID, 0),
    ("nodev", 0, NODEV),
    ("dev", NODEV, 0),
    ("noexec", 0, NOEXEC),
    ("exec", NOEXEC, 0),
    ("noatime", ATIME, NOATIME),
    ("atime", ATIME, 0),
    ("relatime", ATIME, 0),
    ("norelatime", ATIME, 0),
    ("strictatime", ATIME, STRICTATIME),
    ("nostrictatime", ATIME, 0),
    ("nodiratime", 0, NODIRATIME),
    ("diratime", NODIRATIME, 0),
    ("nosymfollow", 0, NOSYMFOLLOW),
    ("symfollow", NOSYMFOLLOW, 0),
];

const PROPAGATIONS: &[(&str, u64)] =
    &[("private", PRIVATE), ("shared", SHARED), ("slave", SLAVE), ("unbindable", UNBINDABLE)];

/// Words fstab(5) has that mean nothing here.
const IGNORED: &[&str] =
    &["defaults", "bind", "rbind", "auto", "noauto", "user", "nouser", "_netdev", "newinstance"];

/// Beginnings of options that a bind mount doesn't have and is often given.
const MEANT_FOR_A_FILE_SYSTEM: [&str; 5] = ["mode=", "size=", "uid=", "gid=", "nr_inodes="];

impl MountPlan {
    /// `idmap_binds`: bind mounts are id-mapped unless they say otherwise.
    pub(crate) fn of(mount: &oci::Mount, idmap_binds: bool) -> Outcome<Self> {
        let target = &mount.destination;
        let refuse = |why: String| {
            Failure::invalid(format!("cannot mount `{}` on `{target}`", mount.source)).because(why)
        };
        if target.is_empty() {
            return Err(refuse("a mount needs a destination".into()));
        }
        if normal(target) == "/" {
            return Err(refuse("nothing can be mounted over the root itself".into()));
        }
        let is_bind =
            mount.kind == "bind" || mount.options.iter().any(|word| word == "bind" || word == "rbind");
        let recursive = mount.options.iter().any(|word| word == "rbind");
        let mut idmap = idmap_binds;
        let mut plan = Self {
            // A relative destination is relative to the root, as other runtimes take it.
            target: normal(target),
            kind: MountKind::Proc,
            source: mount.source.clone(),
            set: 0,
            clear: 0,
            tree_set: 0,
            tree_clear: 0,
            propagation: 0,
            propagation_of_tree: true,
            data: Vec::new(),
            copy_up: false,
        };
        for word in &mount.options {
            match word.as_str() {
                "idmap" | "ridmap" => idmap = true,
                "noidmap" => idmap = false,
                "tmpcopyup" => plan.copy_up = true,
                other => plan.add_option(other),
            }
        }
        plan.kind = if is_bind {
            if mount.source.is_empty() {
                return Err(refuse("a bind mount needs a source".into()));
            }
            if !mount.uid_mappings.is_empty() && !idmap_binds {
                // Mappings of the mount's own would need a user namespace for it alone.
                idmap = true;
            }
            // Some documents give what a file system of its own would take; as with mount(8), it means nothing here.
            plan.data.retain(|word| !MEANT_FOR_A_FILE_SYSTEM.iter().any(|known| word.starts_with(known)));
            if let Some(word) = plan.data.first() {
                return Err(refuse(format!("a bind mount has no option `{word}`")));
            }
            MountKind::Bind { source: PathBuf::from(&mount.source), recursive, idmap }
        } else {
            match mount.kind.as_str() {
                "proc" => MountKind::Proc,
                "sysfs" => MountKind::Sysfs,
                "tmpfs" => MountKind::Tmpfs,
                "devpts" => MountKind::Devpts,
                "mqueue" => MountKind::Mqueue,
                "cgroup" | "cgroup2" => MountKind::Cgroup,
                "" => return Err(refuse("it has no type and isn't a bind mount".into())),
                other => MountKind::Foreign { fstype: other.to_owned() },
            }
        };
        Ok(plan)
    }

    fn add_option(&mut self, word: &str) {
        if IGNORED.contains(&word) {
            return;
        }
        if let Some((_, clear, set)) = ATTRIBUTES.iter().find(|(name, ..)| *name == word) {
            self.set = self.set & !clear | set;
            self.clear = self.clear & !set | clear;
            return;
        }
        if let Some((_, flag)) = PROPAGATIONS.iter().find(|(name, _)| *name == word) {
            (self.propagation, self.propagation_of_tree) = (*flag, false);
            return;
        }
        if let Some(rest) = word.strip_prefix('r') {
            if let Some((_, clear, set)) = ATTRIBUTES.iter().find(|(name, ..)| *name == rest) {
                self.tree_set = self.tree_set & !clear | set;
                self.tree_clear = self.tree_clear & !set | clear;
                return;
            }
            if let Some((_, flag)) = PROPAGATIONS.iter().find(|(name, _)| *name == rest) {
                (self.propagation, self.propagation_of_tree) = (*flag, true);
                return;
            }
        }
        self.data.push(word.to_owned());
    }
}

/// The path without `.`, `..` and doubled slashes, from the root: `..` here is the document's, not the image's.
fn normal(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// `linux.rootfsPropagation`.
pub(super) fn propagation(word: &str) -> Outcome<u64> {
    if word.is_empty() {
        return Ok(PRIVATE);
    }
    let bare = word.strip_prefix('r').unwrap_or(word);
    PROPAGATIONS
        .iter()
        .find(|(name, _)| *name == bare)
        .map(|(_, flag)| *flag)
        .ok_or_else(|| Failure::invalid(format!("`{word}` isn't a way mounts propagate")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, options: &[&str]) -> oci::Mount {
        oci::Mount {
            destination: "/data".into(),
            kind: kind.into(),
            source: source.into(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
            ..oci::Mount::default()
        }
    }

    #[test]
    fn options_become_flags_and_the_rest_is_the_file_systems() {
        let plan = MountPlan::of(
            &mount("tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=64k", "ro"]),
            true,
        )
        .unwrap();
        assert_eq!(plan.set, NOSUID | STRICTATIME | RDONLY);
        assert_eq!(plan.data, ["mode=755", "size=64k"]);
        assert_eq!(plan.kind, MountKind::Tmpfs);
    }

    #[test]
    fn a_bind_mount_is_told_by_its_option_and_mapped_by_default() {
        let plan = MountPlan::of(&mount("none", "/srv", &["rbind", "ro", "rw", "rslave"]), true).unwrap();
        assert_eq!(plan.kind, MountKind::Bind { source: "/srv".into(), recursive: true, idmap: true });
        assert_eq!((plan.set, plan.clear & RDONLY), (0, RDONLY));
        assert_eq!((plan.propagation, plan.propagation_of_tree), (SLAVE, true));
        let plain = MountPlan::of(&mount("bind", "/srv", &["bind", "noidmap"]), true).unwrap();
        assert_eq!(plain.kind, MountKind::Bind { source: "/srv".into(), recursive: false, idmap: false });
    }

    #[test]
    fn what_cannot_be_mounted_is_refused() {
        assert!(MountPlan::of(&mount("bind", "", &["bind"]), true).is_err());
        assert!(MountPlan::of(&mount("", "/x", &[]), true).is_err());
        assert!(MountPlan::of(&mount("bind", "/x", &["compress=1"]), true).is_err());
        let mut root = mount("tmpfs", "tmpfs", &[]);
        root.destination = "//.".into();
        assert!(MountPlan::of(&root, true).is_err());
        assert!(propagation("sideways").is_err());
        assert_eq!(propagation("rshared").unwrap(), SHARED);
    }
}
