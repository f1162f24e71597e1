//! The Merkle tree of RFC 6962, section 2: hashes, roots, and the two kinds of proof.
//!
//! Leaves and inner nodes are hashed with different prefixes, so that neither passes for the other. The tree over n leaves
//! splits at the largest power of two below n; a [`Frontier`] keeps the roots of its full subtrees and is all that
//! appending needs. Proofs are checked as RFC 9162, sections 2.1.3.2 and 2.1.4.2, describe it.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// The hash of a leaf that holds `data`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(data);
    hasher.finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The root of a tree without leaves.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A growing tree: the roots of its full subtrees, the largest (leftmost) first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// `None` when a tree of that size has another number of full subtrees.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    pub fn push(&mut self, leaf: Hash) {
        let mut merged = leaf;
        let mut rest = self.size;
        while rest & 1 == 1 {
            // A set bit of the size is a peak: `new` and this function keep it so.
            let Some(left) = self.peaks.pop() else { break };
            merged = node_hash(&left, &merged);
            rest >>= 1;
        }
        self.peaks.push(merged);
        self.size += 1;
    }

    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The root over these leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf);
    }
    frontier.root()
}

/// The largest power of two below `n`; `n` is at least 2.
fn split(n: usize) -> usize {
    1 << (usize::BITS - 1 - (n - 1).leading_zeros())
}

/// The audit path of leaf `index` in the tree over `leaves`, from the leaf upwards. `None` when there is no such leaf.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut leaves, mut index, mut path) = (leaves, index, Vec::new());
    while leaves.len() > 1 {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if index < left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            index -= left.len();
            leaves = right;
        }
    }
    path.reverse();
    Some(path)
}

/// The proof that the tree over the first `old` leaves is the beginning of the tree over all of them. `None` when there
/// are fewer leaves, or `old` is 0 (every tree continues the empty one).
pub fn consistency_proof(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    if old == 0 || old > leaves.len() {
        return None;
    }
    let (mut leaves, mut old, mut path) = (leaves, old, Vec::new());
    // Whether the old tree is, in this subtree, complete from its beginning: its root is then known to who checks.
    let mut whole = true;
    while old < leaves.len() {
        let (left, right) = leaves.split_at(split(leaves.len()));
        if old <= left.len() {
            path.push(root(right));
            leaves = left;
        } else {
            path.push(root(left));
            old -= left.len();
            leaves = right;
            whole = false;
        }
    }
    if !whole {
        path.push(root(leaves));
    }
    path.reverse();
    Some(path)
}

/// Whether `proof` shows that `leaf` is the one with number `index` in the tree of that size and root.
pub fn includes(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree `(old, old_root)` is the beginning of the tree `(new, new_root)`.
pub fn continues(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty_root();
    }
    let mut hashes = proof.iter();
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // A complete old tree is itself the first node: its root is not repeated in the proof.
    let first = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            of_old = node_hash(sibling, &of_old);
            of_new = node_hash(sibling, &of_new);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_le_bytes())).collect()
    }

    /// The definition of RFC 6962, section 2.1, word for word.
    fn naive_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [one] => *one,
            more => {
                let mut k = 1;
                while k * 2 < more.len() {
                    k *= 2;
                }
                node_hash(&naive_root(&more[..k]), &naive_root(&more[k..]))
            }
        }
    }

    fn hex(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn known_trees_have_known_roots() {
        // The tree that Certificate Transparency's implementations test with.
        let inputs: [&[u8]; 8] = [
            b"",
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let leaves: Vec<Hash> = inputs.iter().map(|data| leaf_hash(data)).collect();
        assert_eq!(hex(root(&[])), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(
            hex(root(&leaves[..1])),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        assert_eq!(hex(root(&leaves)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }

    #[test]
    fn a_frontier_has_the_root_of_the_definition() {
        for n in 0..70 {
            assert_eq!(root(&leaves(n)), naive_root(&leaves(n)), "{n}");
        }
    }

    #[test]
    fn every_leaf_of_every_tree_is_proven_and_no_other() {
        for n in 1..40 {
            let leaves = leaves(n);
            let head = root(&leaves);
            for index in 0..n {
                let proof = inclusion_proof(&leaves, index).unwrap();
                let (at, size) = (index as u64, n as u64);
                assert!(includes(&leaves[index], at, size, &proof, &head), "{index} of {n}");
                assert!(!includes(&leaf_hash(b"other"), at, size, &proof, &head));
                assert!(!includes(&leaves[index], at + 1, size, &proof, &head) || n == 1);
                let mut longer = proof.clone();
                longer.push(head);
                assert!(!includes(&leaves[index], at, size, &longer, &head));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!includes(&leaves[index], at, size, shorter, &head));
                }
            }
            assert!(inclusion_proof(&leaves, n).is_none());
        }
    }

    #[test]
    fn every_beginning_of_every_tree_is_proven_and_no_other() {
        for n in 1..40 {
            let all = leaves(n);
            let head = root(&all);
            for old in 1..=n {
                let old_root = root(&all[..old]);
                let proof = consistency_proof(&all, old).unwrap();
                assert!(continues(old as u64, &old_root, n as u64, &head, &proof), "{old} of {n}");
                assert!(!continues(old as u64, &leaf_hash(b"other"), n as u64, &head, &proof));
                assert!(!continues(old as u64, &old_root, n as u64, &leaf_hash(b"other"), &proof));
                let mut longer = proof.clone();
                longer.push(head);
                assert!(!continues(old as u64, &old_root, n as u64, &head, &longer));
                for place in 0..proof.len() {
                    let mut altered = proof.clone();
                    altered[place][3] ^= 1;
                    assert!(!continues(old as u64, &old_root, n as u64, &head, &altered));
                }
            }
            assert!(continues(0, &empty_root(), n as u64, &head, &[]));
            assert!(consistency_proof(&all, n + 1).is_none() && consistency_proof(&all, 0).is_none());
        }
    }

    #[test]
    fn proofs_of_nonsense_are_refused_without_a_panic() {
        let hash = leaf_hash(b"x");
        let many = vec![hash; 200];
        for (index, size) in [(0, 0), (u64::MAX, u64::MAX), (u64::MAX - 1, u64::MAX), (5, 3)] {
            assert!(!includes(&hash, index, size, &many, &hash));
            assert!(!continues(index, &hash, size, &hash, &many));
            assert!(!continues(index, &hash, size, &leaf_hash(b"y"), &[]));
        }
        assert!(Frontier::new(3, vec![hash]).is_none());
    }
}
