//! Checking a record with the public key alone: a copy of the directory on another machine will do.
//!
//! Every line is hashed and every head compared with the tree. Of the signatures only the last of each segment is checked
//! at first: it covers everything before it. When anything is wrong, all are, to tell where it begins.

use crate::directory::{Directory, read_leaves, read_segment};
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::segment::{Line, lines, record};
use crate::{PublicKey, SignedCheckpoint};
use haven_spec::Outcome;
use std::fmt;
use std::path::Path;

/// Something that is not as it was written. Entries are told by their sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What was signed when there were `to` records is not what stands here; up to `from` it is.
    Altered { from: u64, to: u64 },
    /// Another entry, or none that can be read, stands where this one belongs.
    Misplaced { expected: u64, found: Option<u64> },
    /// These are not here, and nothing stands for them.
    Missing { from: u64, to: u64 },
    /// The head after so many records was not signed with this key.
    ForgedHead { size: u64 },
    /// A segment's first lines are not what belongs there.
    Header { segment: u64 },
    /// A line that is nothing.
    Nonsense { after: u64 },
    /// A checkpoint says that there were more records than are here.
    Truncated { kept: u64, present: u64 },
    /// A checkpoint is of another history: what stands here was rewritten since, or it is another record.
    Rewritten { kept: u64 },
    /// These follow the last signed head, and not as the end of the last segment.
    Unsigned { from: u64, to: u64 },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { from, to } if to - from <= 1 => write!(f, "record {from} was altered"),
            Self::Altered { from, to } => {
                write!(f, "records {from} to {} are not as they were signed", to - 1)
            }
            Self::Misplaced { expected, found: Some(found) } => {
                write!(f, "record {found} stands where record {expected} belongs")
            }
            Self::Misplaced { expected, found: None } => write!(f, "record {expected} can't be read"),
            Self::Missing { from, to } if to - from <= 1 => write!(f, "record {from} is missing"),
            Self::Missing { from, to } => write!(f, "records {from} to {} are missing", to - 1),
            Self::ForgedHead { size } => {
                write!(f, "the head after {size} records was not signed with this key")
            }
            Self::Header { segment } => {
                write!(f, "the segment that begins with record {segment} has another beginning")
            }
            Self::Nonsense { after } => write!(f, "what follows record {after} is no line of a record"),
            Self::Truncated { kept, present } => {
                write!(f, "there were {kept} records when a checkpoint was signed, and {present} are here")
            }
            Self::Rewritten { kept } => {
                write!(f, "a checkpoint after {kept} records is of another history than this one")
            }
            Self::Unsigned { from, to } => write!(f, "records {from} to {} are under no head", to - 1),
        }
    }
}

/// What was checked, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub origin: String,
    /// How many records there are, archived ones included.
    pub records: u64,
    /// How many of them are archived: of those only the hashes were checked.
    pub archived: u64,
    pub segments: usize,
    /// The last head that is as it was signed.
    pub checkpoint: Option<SignedCheckpoint>,
    /// How many checkpoints from elsewhere were compared.
    pub kept: usize,
    /// Bytes behind the last head: an append that is under way, or that a crash interrupted.
    pub unfinished_bytes: usize,
    pub findings: Vec<Finding>,
}

impl Verification {
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty()
    }

    /// What this does not show, in sentences for a person.
    pub fn caveats(&self) -> Vec<String> {
        let mut caveats = Vec::new();
        if self.kept == 0 {
            caveats.push(
                "no checkpoint that was kept elsewhere was given: this shows that the record is whole, not that it is the one \
                 that was written. Whoever holds the signing key (root on its host) could have written another, or cut it"
                    .to_owned(),
            );
        } else {
            caveats.push(
                "what was recorded after the newest checkpoint kept elsewhere could have been rewritten by whoever holds the \
                 signing key (root on its host)"
                    .to_owned(),
            );
        }
        if self.archived > 0 {
            caveats.push(format!(
                "{} records are archived: their hashes fit; compare the archived segments' SHA-256 with the records \
                 `audit.archive`",
                self.archived
            ));
        }
        caveats
    }
}

/// Checks the record in `directory` against `key` and against checkpoints that were kept elsewhere.
pub fn verify(directory: &Path, key: &PublicKey, kept: &[SignedCheckpoint]) -> Outcome<Verification> {
    let quick = Walk::new(key, false).over(directory, kept)?;
    if quick.is_intact() { Ok(quick) } else { Walk::new(key, true).over(directory, kept) }
}

/// The most findings that are told; one is enough to distrust a record.
const FINDINGS: usize = 100;

struct Walk<'k> {
    key: &'k PublicKey,
    every_signature: bool,
    frontier: Frontier,
    /// How many records a good head covered.
    vouched: u64,
    /// Roots can't be compared after the first that does not fit.
    diverged: bool,
    result: Verification,
    /// Checkpoints to compare, by size, and whether they were kept elsewhere.
    kept: Vec<(u64, Hash)>,
}

impl<'k> Walk<'k> {
    fn new(key: &'k PublicKey, every_signature: bool) -> Self {
        let result = Verification {
            origin: key.name().to_owned(),
            records: 0,
            archived: 0,
            segments: 0,
            checkpoint: None,
            kept: 0,
            unfinished_bytes: 0,
            findings: Vec::new(),
        };
        Self {
            key,
            every_signature,
            frontier: Frontier::default(),
            vouched: 0,
            diverged: false,
            result,
            kept: Vec::new(),
        }
    }

    fn over(mut self, directory: &Path, kept: &[SignedCheckpoint]) -> Outcome<Verification> {
        let directory = Directory::new(directory);
        // First the checkpoints, then the segments: a record in use only grows meanwhile.
        let beside = directory.newest_checkpoint(self.key);
        let mut checkpoints: Vec<_> =
            kept.iter().chain(&beside).map(|kept| (kept.size(), kept.root())).collect();
        checkpoints.sort_unstable();
        checkpoints.dedup();
        checkpoints.reverse();
        self.kept = checkpoints;
        self.result.kept = kept.len();
        self.compare_kept();
        let parts = directory.parts()?;
        for (index, part) in parts.iter().enumerate() {
            let here = self.frontier.size();
            if part.first > here {
                self.find(Finding::Missing { from: here, to: part.first });
            } else if part.first < here {
                self.find(Finding::Misplaced { expected: here, found: Some(part.first) });
            }
            if part.archived {
                for leaf in read_leaves(&part.path)? {
                    self.push(leaf);
                    self.result.archived += 1;
                }
            } else {
                self.segment(&read_segment(&part.path)?, part.first, index + 1 == parts.len());
                self.result.segments += 1;
            }
        }
        self.result.records = self.frontier.size();
        for (size, _) in std::mem::take(&mut self.kept) {
            self.find(Finding::Truncated { kept: size, present: self.result.records });
        }
        Ok(self.result)
    }

    fn segment(&mut self, bytes: &[u8], first: u64, is_last: bool) {
        let mut all = lines(bytes).peekable();
        match all.next().map(|placed| placed.line) {
            Some(Line::Header(header)) => self.header(&header, first),
            _ => self.find(Finding::Header { segment: first }),
        }
        let mut end_of_heads = 0;
        let last_head = lines(bytes).rev().find(|placed| matches!(placed.line, Line::Head { .. }));
        let last_head = last_head.map_or(0, |placed| placed.end);
        let mut torn = false;
        for placed in all {
            // Behind the last head of the last segment anything may stand: it was never acknowledged.
            if is_last && placed.end > last_head {
                torn = true;
                break;
            }
            match placed.line {
                Line::Record(leaf) => {
                    let expected = self.frontier.size();
                    let found = record(leaf).map(|record| record.sequence);
                    if found != Some(expected) && !self.diverged {
                        self.find(Finding::Misplaced { expected, found });
                    }
                    self.push(leaf_hash(leaf));
                }
                Line::Head { size, root, signature } => {
                    end_of_heads = placed.end;
                    self.head(size, root, *signature, self.every_signature || placed.end == last_head);
                }
                Line::Header(_) | Line::Nonsense => {
                    self.find(Finding::Nonsense { after: self.frontier.size() });
                }
            }
        }
        let rest = bytes.len() - end_of_heads;
        if is_last {
            self.result.unfinished_bytes = rest;
        } else if rest > 0 && !torn {
            let to = self.frontier.size();
            if to > self.vouched {
                self.find(Finding::Unsigned { from: self.vouched, to });
            } else {
                self.find(Finding::Nonsense { after: to });
            }
        }
    }

    fn header(&mut self, header: &crate::segment::Header, first: u64) {
        let frontier = header.frontier().filter(|frontier| frontier.size() == first);
        let Some(frontier) = frontier.filter(|_| header.origin == self.key.name()) else {
            self.find(Finding::Header { segment: first });
            return;
        };
        if frontier == self.frontier {
            return;
        }
        if frontier.size() == self.frontier.size() {
            if !self.diverged {
                self.find(Finding::Header { segment: first });
            }
            return;
        }
        // Records are missing before it: what follows can still be held to its own heads.
        self.vouched = frontier.size();
        self.kept.retain(|(size, _)| *size >= frontier.size());
        self.frontier = frontier;
        self.diverged = false;
    }

    fn head(&mut self, size: u64, root: Hash, signature: [u8; 64], check: bool) {
        let present = self.frontier.size();
        let fits = size == present && root == self.frontier.root();
        if !fits && !self.diverged {
            self.diverged = true;
            self.find(Finding::Altered { from: self.vouched, to: present.max(size) });
        }
        if !check {
            if fits {
                self.vouched = present;
            }
            return;
        }
        match SignedCheckpoint::assemble(size, root, signature, self.key) {
            Some(head) if fits => {
                self.vouched = present;
                self.result.checkpoint = Some(head);
            }
            Some(_) => {}
            None => self.find(Finding::ForgedHead { size }),
        }
    }

    fn push(&mut self, leaf: Hash) {
        self.frontier.push(leaf);
        self.compare_kept();
    }

    fn compare_kept(&mut self) {
        while let Some((size, root)) = self.kept.pop_if(|(size, _)| *size <= self.frontier.size()) {
            // What was altered earlier is told already, and makes every later root another one.
            let differs = size == self.frontier.size() && root != self.frontier.root();
            if differs && !self.diverged {
                self.find(Finding::Rewritten { kept: size });
            }
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.result.findings.len() < FINDINGS {
            self.result.findings.push(finding);
        }
    }
}
