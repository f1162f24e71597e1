//! How a container's file system differs from its image: what the overlay's upper directory holds.

use crate::request::{Change, ChangeKind, ContainerSize};
use haven_spec::{Failure, Outcome};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Differences in the order of their paths. `lowers`: the image's layers.
pub(crate) fn list(upper: &Path, lowers: &[PathBuf]) -> Outcome<Vec<Change>> {
    let failed = |e: std::io::Error| Failure::host("cannot compare the container with its image").because(e);
    let mut changes = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(upper.join(&directory)).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = directory.join(entry.file_name());
            let metadata = entry.metadata().map_err(failed)?;
            let whiteout = metadata.file_type().is_char_device() && metadata.rdev() == 0;
            let kind = match (whiteout, in_image(&path, lowers)) {
                (true, true) => ChangeKind::Deleted,
                // Made and deleted again: nothing to tell.
                (true, false) => continue,
                (false, true) => ChangeKind::Modified,
                (false, false) => ChangeKind::Added,
            };
            changes.push(Change { kind, path: format!("/{}", path.to_string_lossy()) });
            if metadata.is_dir() {
                if kind == ChangeKind::Modified && is_opaque(&entry.path()) {
                    changes.extend(hidden(&path, upper, lowers));
                }
                pending.push(path);
            }
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// Whether the image shows something at `path`: the topmost layer that mentions it, or one of its parents, decides.
fn in_image(path: &Path, lowers: &[PathBuf]) -> bool {
    for lower in lowers {
        let mut at = lower.clone();
        let mut hides_lower_ones = false;
        let mut missing = false;
        for part in path.components() {
            at.push(part);
            // Each step is looked at without following links, so nothing outside the layer is ever asked.
            match fs::symlink_metadata(&at) {
                Ok(metadata) if metadata.file_type().is_char_device() && metadata.rdev() == 0 => {
                    return false;
                }
                Ok(metadata) if metadata.is_dir() => hides_lower_ones |= is_opaque(&at),
                Ok(_) if part.as_os_str() != path.file_name().unwrap_or_default() => return false,
                Ok(_) => {}
                Err(_) => {
                    missing = true;
                    break;
                }
            }
        }
        if !missing {
            return true;
        }
        if hides_lower_ones {
            return false;
        }
    }
    false
}

/// What an opaque directory hides of the image, as deletions.
fn hidden(directory: &Path, upper: &Path, lowers: &[PathBuf]) -> Vec<Change> {
    let mut changes = Vec::new();
    for lower in lowers {
        for entry in fs::read_dir(lower.join(directory)).into_iter().flatten().flatten() {
            let path = directory.join(entry.file_name());
            let again = fs::symlink_metadata(upper.join(&path)).is_ok();
            if !again && in_image(&path, lowers) {
                changes
                    .push(Change { kind: ChangeKind::Deleted, path: format!("/{}", path.to_string_lossy()) });
            }
        }
        if is_opaque(&lower.join(directory)) {
            break;
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes.dedup_by(|a, b| a.path == b.path);
    changes
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0_u8; 4];
    rustix::fs::lgetxattr(path, "trusted.overlay.opaque", &mut value)
        .is_ok_and(|count| count == 1 && value[0] == b'y')
}

/// What the container wrote; its image's size is added by who knows it.
pub(crate) fn written_bytes(upper: &Path) -> Outcome<ContainerSize> {
    let used = crate::volume::disk_usage(upper);
    let rw_bytes = used.map_err(|e| Failure::host("cannot measure the container's files").because(e))?;
    Ok(ContainerSize { rw_bytes, rootfs_bytes: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_modified_and_nested_paths_are_told_apart() {
        let base = std::env::temp_dir().join(format!("haven-changes-{}", std::process::id()));
        let (upper, lower) = (base.join("upper"), base.join("lower"));
        fs::create_dir_all(upper.join("etc/new")).unwrap();
        fs::create_dir_all(lower.join("etc")).unwrap();
        fs::write(lower.join("etc/passwd"), "a").unwrap();
        fs::write(upper.join("etc/passwd"), "b").unwrap();
        fs::write(upper.join("etc/new/file"), "c").unwrap();
        let found = list(&upper, std::slice::from_ref(&lower)).unwrap();
        fs::remove_dir_all(&base).unwrap();
        let shown: Vec<_> = found.iter().map(|c| (c.kind, c.path.as_str())).collect();
        assert_eq!(
            shown,
            [
                (ChangeKind::Modified, "/etc"),
                (ChangeKind::Added, "/etc/new"),
                (ChangeKind::Added, "/etc/new/file"),
                (ChangeKind::Modified, "/etc/passwd"),
            ]
        );
    }
}
