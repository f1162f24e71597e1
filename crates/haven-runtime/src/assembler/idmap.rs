//! Maps of ids: written for a user namespace, and read to find the host's id of a container's.

use super::write_proc;
use crate::oci::IdMapping;
use crate::setback::{Setback, Step};
use std::fmt::Write as _;

/// Writes `uid_map` or `gid_map` of the process, which has just got its user namespace.
pub(super) fn write(pid: u32, file: &str, map: &[IdMapping]) -> Step<()> {
    let mut text = String::new();
    for entry in map {
        let _infallible = writeln!(text, "{} {} {}", entry.container_id, entry.host_id, entry.size);
    }
    write_proc(pid, file, &text)
}

/// The host's id of the container's `id`; without a map they are the same.
pub(super) fn host_id(map: &[IdMapping], id: u32) -> Step<u32> {
    if map.is_empty() {
        return Ok(id);
    }
    map.iter()
        .find_map(|entry| {
            let offset = id.checked_sub(entry.container_id).filter(|offset| *offset < entry.size)?;
            entry.host_id.checked_add(offset)
        })
        .ok_or_else(|| Setback::request(format!("id {id} isn't among the container's ids")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_their_range_and_refused_outside() {
        let map = [
            IdMapping { container_id: 0, host_id: 100_000, size: 1000 },
            IdMapping { container_id: 5000, host_id: 300, size: 1 },
        ];
        assert_eq!(host_id(&map, 0).unwrap(), 100_000);
        assert_eq!(host_id(&map, 999).unwrap(), 100_999);
        assert_eq!(host_id(&map, 5000).unwrap(), 300);
        assert!(host_id(&map, 1000).is_err());
        assert_eq!(host_id(&[], 7).unwrap(), 7);
    }
}
