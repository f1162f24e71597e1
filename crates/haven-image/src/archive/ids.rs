//! Owners as a container sees them, and as they lie on the disk.

use haven_spec::{Failure, Outcome};

/// Shown on either side for an owner that has no number there, as the kernel does.
const NOBODY: u32 = 65_534;

/// `count` ids from 0 in the container are `first` and following on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdShift {
    first: u32,
    count: u32,
}

impl IdShift {
    pub fn new(first: u32, count: u32) -> Outcome<Self> {
        match first.checked_add(count) {
            Some(_) if count > 0 => Ok(Self { first, count }),
            _ => Err(Failure::invalid(format!("{count} ids from {first} on are no range of ids"))),
        }
    }

    pub(crate) fn to_disk(self, id: u32) -> Outcome<u32> {
        if id < self.count {
            Ok(self.first + id)
        } else {
            Err(Failure::invalid(format!(
                "its owner {id} has no number on the host: there are {} ids",
                self.count
            )))
        }
    }

    pub(crate) fn in_container(self, id: u32) -> u32 {
        id.checked_sub(self.first).filter(|id| *id < self.count).unwrap_or(NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_moved_there_and_back_within_their_range() {
        let ids = IdShift::new(100_000, 65_536).unwrap();
        assert_eq!(ids.to_disk(0).unwrap(), 100_000);
        assert_eq!(ids.to_disk(65_535).unwrap(), 165_535);
        assert!(ids.to_disk(65_536).is_err());
        assert_eq!(ids.in_container(165_535), 65_535);
        assert_eq!(ids.in_container(165_536), NOBODY);
        assert_eq!(ids.in_container(0), NOBODY);
        assert!(IdShift::new(u32::MAX, 1).is_err());
        assert!(IdShift::new(0, 0).is_err());
    }
}
