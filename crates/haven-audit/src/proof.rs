//! Proofs about a record that can be given away: that it holds an entry, and that it only ever grew.
//!
//! Who checks one needs the public key and signed checkpoints, and nothing of the record.

use crate::directory::{Directory, read_leaves, read_segment};
use crate::merkle::{self, Hash, leaf_hash};
use crate::segment::{Line, lines};
use crate::{Checkpoint, Log};
use haven_spec::{Failure, Outcome};

/// That the entry with this number is in the tree of this size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    pub index: u64,
    pub size: u64,
    pub path: Vec<Hash>,
}

impl Inclusion {
    /// Whether the record that `checkpoint` is of holds `line`, the entry's bytes without the line feed.
    pub fn holds(&self, line: &[u8], checkpoint: &Checkpoint) -> bool {
        self.size == checkpoint.size
            && merkle::includes(&leaf_hash(line), self.index, self.size, &self.path, &checkpoint.root)
    }
}

/// That the tree of one size is the beginning of the tree of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consistency {
    pub old: u64,
    pub new: u64,
    pub path: Vec<Hash>,
}

impl Consistency {
    /// Whether nothing that `old` covers was altered when `new` was signed.
    pub fn holds(&self, old: &Checkpoint, new: &Checkpoint) -> bool {
        (self.old, self.new) == (old.size, new.size)
            && old.origin == new.origin
            && merkle::continues(old.size, &old.root, new.size, &new.root, &self.path)
    }
}

impl Log {
    /// The proof that entry `index` is in the record as it is now.
    pub fn prove_inclusion(&self, index: u64) -> Outcome<Inclusion> {
        let leaves = leaves(&self.directory, self.checkpoint().size())?;
        let path = usize::try_from(index).ok().and_then(|index| merkle::inclusion_proof(&leaves, index));
        let size = leaves.len() as u64;
        let path = path.ok_or_else(|| {
            Failure::not_found(format!("no record {index}")).hint(format!("there are {size}, the first is 0"))
        })?;
        Ok(Inclusion { index, size, path })
    }

    /// The proof that the record as it is now continues what it was at `old` entries.
    pub fn prove_consistency(&self, old: u64) -> Outcome<Consistency> {
        let leaves = leaves(&self.directory, self.checkpoint().size())?;
        let new = leaves.len() as u64;
        let path = match usize::try_from(old) {
            Ok(0) => Some(Vec::new()),
            Ok(old) => merkle::consistency_proof(&leaves, old),
            Err(_) => None,
        };
        let path = path.ok_or_else(|| Failure::not_found(format!("no {old} records: there are {new}")))?;
        Ok(Consistency { old, new, path })
    }
}

/// The hashes of the first `size` entries, archived ones included.
pub(crate) fn leaves(directory: &Directory, size: u64) -> Outcome<Vec<Hash>> {
    let mut leaves = Vec::new();
    for part in directory.parts()? {
        if part.first != leaves.len() as u64 {
            break;
        }
        if part.archived {
            leaves.extend(read_leaves(&part.path)?);
        } else {
            leaves.extend(leaves_of(&read_segment(&part.path)?));
        }
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if leaves.len() < size {
        return Err(Failure::host("cannot make a proof: records are missing")
            .hint("`haven audit verify` tells which"));
    }
    leaves.truncate(size);
    Ok(leaves)
}

/// The hashes of a segment's records.
pub(crate) fn leaves_of(bytes: &[u8]) -> Vec<Hash> {
    let leaf = |line| if let Line::Record(leaf) = line { Some(leaf_hash(leaf)) } else { None };
    lines(bytes).filter_map(|placed| leaf(placed.line)).collect()
}
