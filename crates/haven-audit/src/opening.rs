//! Taking a record up again: what its last segment holds, what a crash left behind it, and what is wrong with it.
//!
//! An append is one write that ends with a signed head. What follows the last head was torn off by a crash before anybody
//! was told that it is recorded: it is cut off and reported. Anything else that does not fit is damage, and damage is
//! never written over: [`crate::Log::open`] refuses, and [`set_aside`] keeps all of it under another name.

use crate::checkpoint::SignedCheckpoint;
use crate::directory::{Directory, Part, read_segment};
use crate::limits::OPEN_INTENTS;
use crate::merkle::{Frontier, leaf_hash};
use crate::segment::{self, Line, lines};
use crate::{Moment, PublicKey, Record, Stage};
use haven_spec::{Failure, Outcome};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What there was to tell when a record was opened.
#[derive(Debug)]
pub struct Opening {
    /// There was no record before.
    pub created: bool,
    /// How many bytes of an append that a crash interrupted were cut off.
    pub cut_bytes: usize,
    /// Intents without an ending: what was done of them is not known. Whoever finds out ends them.
    pub unfinished: Vec<Record>,
    /// Where a damaged record was put, by [`crate::Log::open_anyway`], and what was wrong with it.
    pub set_aside: Option<(PathBuf, Failure)>,
}

/// Why a record can't be taken up.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not as it was written.
    Damaged(Failure),
    Other(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Damaged(failure) | Refusal::Other(failure) => failure,
        }
    }
}

/// The last segment, as far as heads vouch for it.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) frontier: Frontier,
    pub(crate) head: SignedCheckpoint,
    /// How many of its bytes count.
    pub(crate) length: usize,
    /// What follows them.
    pub(crate) rest: Vec<u8>,
    /// Intents without an ending, of this and earlier segments.
    pub(crate) open: BTreeSet<u64>,
}

/// Reads the last segment. `newest` is what the checkpoint beside it says.
pub(crate) fn read_tail(
    part: &Part,
    key: &PublicKey,
    newest: Option<&SignedCheckpoint>,
) -> Result<Tail, Refusal> {
    let bytes = read_segment(&part.path)?;
    let damaged = |why: String| {
        Refusal::Damaged(
            Failure::host("the audit record is damaged")
                .because(format!("`{}`: {why}", part.path.display()))
                .hint("`haven audit verify` tells where"),
        )
    };
    let mut all = lines(&bytes);
    let Some(Line::Header(header)) = all.next().map(|placed| placed.line) else {
        return Err(damaged("it does not begin with a header".into()));
    };
    if header.first != part.first || header.origin != key.name() || header.open.len() > OPEN_INTENTS {
        return Err(damaged("its header is another segment's".into()));
    }
    let frontier = header.frontier().ok_or_else(|| damaged("its header holds no tree".into()))?;
    let mut open: BTreeSet<u64> = header.open.iter().copied().collect();
    let mut vouched: Option<Tail> = None;
    let mut growing = frontier;
    for placed in all {
        match placed.line {
            Line::Record(leaf) => {
                // Another sequence than this one does not fit the head that follows, if one does.
                let record = segment::record(leaf).filter(|record| record.sequence == growing.size());
                growing.push(leaf_hash(leaf));
                match record.map(|record| (record.sequence, record.stage)) {
                    Some((sequence, Stage::Intent(_))) => {
                        open.insert(sequence);
                    }
                    Some((_, Stage::Ended { of, .. })) => {
                        open.remove(&of);
                    }
                    _ => {}
                }
            }
            Line::Head { size, root, signature } => {
                if size != growing.size() || root != growing.root() {
                    return Err(damaged(format!(
                        "what stands before the head for {size} records is not what was signed"
                    )));
                }
                let head = SignedCheckpoint::assemble(size, root, *signature, key)
                    .ok_or_else(|| damaged(format!("the head for {size} records has a wrong signature")))?;
                vouched = Some(Tail {
                    frontier: growing.clone(),
                    head,
                    length: placed.end,
                    rest: Vec::new(),
                    open: open.clone(),
                });
            }
            Line::Header(_) | Line::Nonsense => {
                if vouched.is_none() {
                    return Err(damaged("no signed head follows its header".into()));
                }
            }
        }
    }
    let mut tail = vouched.ok_or_else(|| damaged("it holds no signed head".into()))?;
    if let Some(newest) = newest
        && newest.size() > tail.head.size()
    {
        return Err(damaged(format!(
            "it ends after {} records, and a signed checkpoint says that there were {}",
            tail.head.size(),
            newest.size()
        )));
    }
    tail.rest = bytes[tail.length..].to_vec();
    Ok(tail)
}

/// The records with these sequences, from whichever segments hold them.
pub(crate) fn find_records(parts: &[Part], wanted: &BTreeSet<u64>) -> Outcome<Vec<Record>> {
    let mut found = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let end = parts.get(index + 1).map_or(u64::MAX, |next| next.first);
        if part.archived || part.first >= end || wanted.range(part.first..end).next().is_none() {
            continue;
        }
        let bytes = read_segment(&part.path)?;
        found.extend(lines(&bytes).filter_map(|placed| match placed.line {
            Line::Record(leaf) => segment::record(leaf).filter(|record| wanted.contains(&record.sequence)),
            _ => None,
        }));
    }
    Ok(found)
}

/// Puts everything of a record beside it, as `<directory>.damaged-<time>`, so that a new one can begin. Nothing is lost.
pub fn set_aside(directory: &Path, now: &Moment) -> Outcome<PathBuf> {
    let from = Directory::new(directory);
    let _lock = from.lock()?;
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = now.wall.strftime("%Y%m%dT%H%M%S%.9fZ");
    let to = directory.with_file_name(format!("{name}.damaged-{stamp}"));
    std::fs::rename(directory, &to).map_err(|e| {
        Failure::host(format!("cannot put the damaged audit record aside as `{}`", to.display())).because(e)
    })?;
    Ok(to)
}
