//! From mount wishes to host paths: which volume, which directory, with which rights.

use crate::view::{MountKind, MountView};
use crate::volume::Volumes;
use haven_runtime::oci;
use haven_spec::{BindPropagation, Failure, MountSource, MountSpec, Outcome};
use std::path::{Component, Path, PathBuf};

/// Targets that would replace what confines the container.
const RESERVED_TARGETS: &[&str] = &["/", "/proc", "/sys", "/dev"];

/// Refuses what can't be mounted, before anything is made.
pub(crate) fn check(mounts: &[MountSpec]) -> Outcome<()> {
    let mut targets = std::collections::HashSet::new();
    for mount in mounts {
        let target = mount.target.to_string_lossy();
        let clean = clean(&mount.target);
        if !mount.target.is_absolute() {
            return Err(Failure::invalid(format!(
                "invalid mount config: invalid mount path: '{target}' mount path must be absolute"
            )));
        }
        // Anything below /proc as well: a file there that isn't the kernel's takes back what is masked (CVE-2019-16884).
        if RESERVED_TARGETS.iter().any(|reserved| Path::new(reserved) == clean) || clean.starts_with("/proc")
        {
            return Err(Failure::invalid(format!(
                "invalid specification: destination can't be '{}'",
                clean.display()
            )));
        }
        if !targets.insert(clean) {
            return Err(Failure::invalid(format!("Duplicate mount point: {target}")));
        }
        if let MountSource::Bind { path, create, .. } = &mount.source {
            if !path.is_absolute() {
                return Err(Failure::invalid(format!(
                    "invalid mount config: invalid bind source `{}`: it must be absolute",
                    path.display()
                )));
            }
            if !create && !path.exists() {
                return Err(Failure::invalid(format!(
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    path.display()
                )));
            }
        }
    }
    Ok(())
}

/// Without `.`, `..` and doubled slashes; `..` at the root stays at the root.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

fn propagation_word(propagation: BindPropagation) -> &'static str {
    match propagation {
        BindPropagation::Rprivate => "rprivate",
        BindPropagation::Private => "private",
        BindPropagation::Rshared => "rshared",
        BindPropagation::Shared => "shared",
        BindPropagation::Rslave => "rslave",
        BindPropagation::Slave => "slave",
    }
}

/// How a mount is shown.
pub(crate) fn view(mount: &MountSpec, volumes: &Volumes) -> MountView {
    let (kind, name, source, propagation) = match &mount.source {
        MountSource::Bind { path, propagation, .. } => {
            (MountKind::Bind, None, path.clone(), propagation_word(*propagation))
        }
        MountSource::Volume { name, .. } => {
            (MountKind::Volume, Some(name.clone()), volumes.content(name), "")
        }
        MountSource::Tmpfs { .. } => (MountKind::Tmpfs, None, PathBuf::new(), ""),
    };
    MountView {
        kind,
        name,
        source,
        destination: clean(&mount.target),
        read_write: !mount.readonly,
        propagation,
    }
}

/// The bundle's mounts, parents before children. `mapping`: the container's ids, for id-mapped mounts.
pub(crate) fn to_oci(
    mounts: &[MountSpec],
    volumes: &Volumes,
    mapping: Option<oci::IdMapping>,
) -> Outcome<Vec<oci::Mount>> {
    let mut sorted: Vec<&MountSpec> = mounts.iter().collect();
    sorted.sort_by_key(|mount| mount.target.components().count());
    sorted.into_iter().map(|mount| one(mount, volumes, mapping)).collect()
}

fn one(mount: &MountSpec, volumes: &Volumes, mapping: Option<oci::IdMapping>) -> Outcome<oci::Mount> {
    let destination = utf8(&clean(&mount.target))?;
    let access = if mount.readonly { "ro" } else { "rw" };
    let mapped: Vec<oci::IdMapping> = mapping.into_iter().collect();
    let bind = |source: &Path, recursive: bool, propagation: &str| -> Outcome<oci::Mount> {
        let bind = if recursive { "rbind" } else { "bind" };
        Ok(oci::Mount {
            destination: destination.clone(),
            kind: "bind".into(),
            source: utf8(source)?,
            options: vec![bind.into(), access.into(), propagation.into()],
            uid_mappings: mapped.clone(),
            gid_mappings: mapped.clone(),
        })
    };
    match &mount.source {
        MountSource::Bind { path, propagation, create, recursive } => {
            if *create && !path.exists() {
                std::fs::create_dir_all(path).map_err(|error| {
                    Failure::invalid(format!("cannot make the bind source `{}`", path.display()))
                        .because(error)
                })?;
            }
            bind(path, *recursive, propagation_word(*propagation))
        }
        MountSource::Volume { name, subpath, .. } => {
            let mut source = volumes.content(name);
            if let Some(subpath) = subpath {
                // Resolved by the kernel below the volume only: a symlink in it leads nowhere else.
                let root = haven_sys::root::Root::open(&source)
                    .map_err(|e| Failure::host(format!("cannot open volume `{name}`")).because(e))?;
                let found = root
                    .top()
                    .open_beneath(subpath)
                    .and_then(|directory| haven_sys::root::Handle::from_fd(directory.into()))
                    .and_then(|handle| handle.host_path());
                source = PathBuf::from(found.map_err(|e| {
                    Failure::invalid(format!("cannot find `{}` in volume `{name}`", subpath.display()))
                        .because(e)
                })?);
            }
            bind(&source, true, "rprivate")
        }
        MountSource::Tmpfs { size_bytes, mode, options } => {
            let mut given =
                vec!["nosuid".to_owned(), "nodev".to_owned(), "noexec".to_owned(), access.to_owned()];
            for option in options {
                // The user's word replaces the default's opposite.
                let opposite = match option.as_str() {
                    "exec" => "noexec",
                    "suid" => "nosuid",
                    "dev" => "nodev",
                    _ => "",
                };
                given.retain(|default| default != opposite && default != option);
                given.push(option.clone());
            }
            if *size_bytes > 0 {
                given.push(format!("size={size_bytes}"));
            }
            if *mode > 0 {
                given.push(format!("mode={mode:o}"));
            }
            Ok(oci::Mount {
                destination,
                kind: "tmpfs".into(),
                source: "tmpfs".into(),
                options: given,
                ..oci::Mount::default()
            })
        }
    }
}

fn utf8(path: &Path) -> Outcome<String> {
    let text = path.to_str();
    text.map(str::to_owned).ok_or_else(|| Failure::invalid(format!("path `{}` is not UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tmpfs(target: &str) -> MountSpec {
        MountSpec {
            source: MountSource::Tmpfs { size_bytes: 0, mode: 0, options: Vec::new() },
            target: target.into(),
            readonly: false,
        }
    }

    #[test]
    fn targets_that_would_undo_the_confinement_are_refused() {
        for bad in ["/", "/proc", "/proc/sys", "/sys/", "/a/../dev", "relative", "//proc"] {
            assert!(check(&[tmpfs(bad)]).is_err(), "{bad}");
        }
        assert!(check(&[tmpfs("/dev/shm"), tmpfs("/data")]).is_ok());
        assert!(check(&[tmpfs("/data"), tmpfs("/data/")]).is_err());
    }

    #[test]
    fn a_cleaned_path_never_leaves_the_root() {
        assert_eq!(clean(Path::new("/a/../../../b/./c")), Path::new("/b/c"));
    }
}
