//! The record that is appended to. One process at a time holds it, one thread appends.
//!
//! An append is a single write of the records and the signed head over them, then `fdatasync`; it returns when both are
//! on disk. When the write fails (a full disk), the file is cut back to what it was and the caller is told: a change
//! whose intent is not recorded must not be made.

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::directory::{Directory, write_slot};
use crate::limits::{LINE_BYTES, OPEN_INTENTS};
use crate::merkle::{Frontier, leaf_hash};
use crate::opening::{Opening, Refusal, find_records, read_tail, set_aside};
use crate::segment::{Header, head_line};
use crate::{Effect, Ending, Entry, Moment, Object, PublicKey, Record, Signer, Stage};
use haven_spec::{Failure, Outcome};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How large things may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After so many bytes a new segment is begun.
    pub segment_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20 }
    }
}

/// The most records of one append.
const BATCH: usize = 1024;

/// An open record.
#[derive(Debug)]
pub struct Log {
    pub(crate) directory: Directory,
    _lock: File,
    signer: Signer,
    limits: Limits,
    file: File,
    /// How many bytes of the file count.
    length: u64,
    frontier: Frontier,
    head: SignedCheckpoint,
    pub(crate) open: BTreeSet<u64>,
    slots: [File; 2],
    turn: usize,
    /// The file could not be cut back after a failed write; nothing is appended behind what may stand there.
    broken: bool,
}

impl Log {
    /// Opens the record in `directory`, or begins one; `name` becomes its origin then (like `example.org/haven`).
    /// A damaged record is refused.
    pub fn open(directory: &Path, name: &str, limits: Limits, now: &Moment) -> Outcome<(Self, Opening)> {
        Ok(open(directory, name, limits, now)?)
    }

    /// As [`Log::open`]; a damaged record is set aside, and a new one begun that says so.
    pub fn open_anyway(
        directory: &Path,
        name: &str,
        limits: Limits,
        now: &Moment,
    ) -> Outcome<(Self, Opening)> {
        let why = match open(directory, name, limits, now) {
            Err(Refusal::Damaged(failure)) => failure,
            other => return Ok(other?),
        };
        let aside = set_aside(directory, now)?;
        let (mut log, mut opening) = open(directory, name, limits, now)?;
        log.note(
            Entry {
                client: "audit".into(),
                action: "audit.set-aside".into(),
                objects: vec![Object::new("record", aside.display().to_string())],
                reason: Some(why.one_line()),
                ..Entry::default()
            },
            now,
        )?;
        opening.set_aside = Some((aside, why));
        Ok((log, opening))
    }

    /// Records that a change is about to be made. Only then make it, and then [`Log::end`] it.
    pub fn begin(&mut self, change: Entry, now: &Moment) -> Outcome<u64> {
        if self.open.len() >= OPEN_INTENTS {
            return Err(Failure::conflict(format!("{OPEN_INTENTS} recorded changes wait for their ending")));
        }
        self.append(vec![Stage::Intent(change.within_limits())], now)
    }

    /// Records what came of the change with this sequence.
    pub fn end(&mut self, of: u64, ending: Ending, now: &Moment) -> Outcome<u64> {
        if !self.open.contains(&of) {
            return Err(Failure::internal(format!("record {of} is no change that waits for its ending")));
        }
        self.append(vec![Stage::Ended { of, ending: ending.within_limits() }], now)
    }

    /// Records something that has happened.
    pub fn note(&mut self, event: Entry, now: &Moment) -> Outcome<u64> {
        self.append(vec![Stage::Noted(event.within_limits())], now)
    }

    /// Records several things that have happened, at the cost of few flushes. Returns the last one's sequence.
    pub fn note_all(&mut self, events: Vec<Entry>, now: &Moment) -> Outcome<Option<u64>> {
        let mut last = None;
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let batch = events.by_ref().take(BATCH).map(|event| Stage::Noted(event.within_limits()));
            last = Some(self.append(batch.collect(), now)?);
        }
        Ok(last)
    }

    /// What the record is now: what to keep elsewhere.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.head
    }

    pub fn public_key(&self) -> &PublicKey {
        self.signer.public()
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Appends at least one record; returns the last one's sequence.
    fn append(&mut self, stages: Vec<Stage>, now: &Moment) -> Outcome<u64> {
        if self.broken {
            return Err(Failure::host("the audit record can't be appended to since a write failed")
                .hint("see the log for the first failure, repair the disk, and restart the daemon"));
        }
        if self.length >= self.limits.segment_bytes {
            self.begin_segment()?;
        }
        let mut frontier = self.frontier.clone();
        let mut open = self.open.clone();
        let mut bytes = Vec::with_capacity(1024);
        for stage in stages {
            let sequence = frontier.size();
            match &stage {
                Stage::Intent(_) => {
                    open.insert(sequence);
                }
                Stage::Ended { of, .. } => {
                    open.remove(of);
                }
                Stage::Noted(_) => {}
            }
            let start = bytes.len();
            let record = Record { sequence, at: now.clone(), stage };
            serde_json::to_writer(&mut bytes, &record)
                .map_err(|e| Failure::internal("cannot write a record as JSON").because(e))?;
            if bytes.len() - start > LINE_BYTES {
                return Err(Failure::invalid(format!("a record of more than {LINE_BYTES} bytes"))
                    .hint("say less in one change"));
            }
            frontier.push(leaf_hash(&bytes[start..]));
            bytes.push(b'\n');
        }
        let head = self.sign(&frontier);
        bytes.extend_from_slice(head_line(&head).as_bytes());
        self.write(&bytes)?;
        self.length += bytes.len() as u64;
        (self.frontier, self.open) = (frontier, open);
        self.keep(head);
        Ok(self.frontier.size() - 1)
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        let written = self.file.write_all_at(bytes, self.length).and_then(|()| self.file.sync_data());
        let Err(e) = written else { return Ok(()) };
        self.broken = self.file.set_len(self.length).and_then(|()| self.file.sync_data()).is_err();
        let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let failure = Failure::host("cannot append to the audit record").because(e);
        Err(if full {
            failure.hint("make room on the disk; nothing is changed that can't be recorded")
        } else {
            failure
        })
    }

    fn sign(&self, frontier: &Frontier) -> SignedCheckpoint {
        sign(&self.signer, frontier)
    }

    /// Makes `head` the newest, and leaves it beside the record. That file is a convenience and a second witness: the
    /// segment holds the same head, so a write that fails here takes nothing away.
    fn keep(&mut self, head: SignedCheckpoint) {
        drop(write_slot(&self.slots[self.turn], &head.to_string()));
        self.turn = 1 - self.turn;
        self.head = head;
    }

    /// Begins the next segment; a segment that holds no record yet is long enough.
    fn begin_segment(&mut self) -> Outcome<()> {
        let (file, length) = make_segment(&self.directory, &self.signer, &self.frontier, &self.open)?;
        (self.file, self.length) = (file, length);
        Ok(())
    }
}

fn sign(signer: &Signer, frontier: &Frontier) -> SignedCheckpoint {
    let origin = signer.public().name().to_owned();
    Checkpoint { origin, size: frontier.size(), root: frontier.root() }.sign(signer)
}

/// Makes a segment that holds what the tree is, and no record.
fn make_segment(
    directory: &Directory,
    signer: &Signer,
    frontier: &Frontier,
    open: &BTreeSet<u64>,
) -> Outcome<(File, u64)> {
    let header = Header::new(signer.public().name(), frontier, open.iter().copied().collect());
    let mut bytes =
        header.line().map_err(|e| Failure::internal("cannot write a segment's header").because(e))?;
    bytes.extend_from_slice(head_line(&sign(signer, frontier)).as_bytes());
    let path = directory.segment_path(frontier.size());
    directory.write_whole(&path, 0o600, &bytes)?;
    Ok((open_segment(&path)?, bytes.len() as u64))
}

fn open_segment(path: &Path) -> Outcome<File> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|e| Failure::host(format!("cannot open the segment `{}`", path.display())).because(e))
}

fn open(path: &Path, name: &str, limits: Limits, now: &Moment) -> Result<(Log, Opening), Refusal> {
    let directory = Directory::new(path);
    directory.make()?;
    let lock = directory.lock()?;
    let parts = directory.parts()?;
    let damaged = |why: &str| {
        Refusal::Damaged(
            Failure::host("the audit record is damaged").because(format!("`{}`: {why}", path.display())),
        )
    };
    let signer = match directory.signer() {
        Ok(Some(signer)) => signer,
        Ok(None) if parts.is_empty() => directory.make_key(name)?,
        Ok(None) => return Err(damaged("its key is gone")),
        Err(e) => return Err(Refusal::Damaged(e)),
    };
    let newest = directory.newest_checkpoint(signer.public());
    let mut opening =
        Opening { created: parts.is_empty(), cut_bytes: 0, unfinished: Vec::new(), set_aside: None };
    let Some(last) = parts.last() else {
        if newest.is_some_and(|newest| newest.size() > 0) {
            return Err(damaged("its segments are gone"));
        }
        let frontier = Frontier::default();
        let (file, length) = make_segment(&directory, &signer, &frontier, &BTreeSet::new())?;
        let head = sign(&signer, &frontier);
        let slots = directory.slots()?;
        let mut log = Log {
            directory,
            _lock: lock,
            signer,
            limits,
            file,
            length,
            frontier,
            head: head.clone(),
            open: BTreeSet::new(),
            slots,
            turn: 0,
            broken: false,
        };
        log.keep(head);
        return Ok((log, opening));
    };
    if last.archived {
        return Err(damaged("its last segment is archived"));
    }
    let tail = read_tail(last, signer.public(), newest.as_ref())?;
    opening.unfinished = find_records(&parts, &tail.open)?;
    let mut log = Log {
        slots: directory.slots()?,
        directory,
        _lock: lock,
        signer,
        limits,
        file: open_segment(&last.path)?,
        length: tail.length as u64,
        frontier: tail.frontier,
        head: tail.head.clone(),
        open: tail.open,
        turn: 0,
        broken: false,
    };
    log.keep(tail.head);
    if !tail.rest.is_empty() {
        opening.cut_bytes = tail.rest.len();
        log.cut(&tail.rest, now)?;
    }
    Ok((log, opening))
}

impl Log {
    /// Cuts off what a crash left behind the last head, and records that and what it was.
    fn cut(&mut self, rest: &[u8], now: &Moment) -> Outcome<()> {
        self.file
            .set_len(self.length)
            .map_err(|e| Failure::host("cannot cut off the torn end of the audit record").because(e))?;
        let event = Entry {
            client: "audit".into(),
            action: "audit.repair".into(),
            objects: vec![Object::new("record", self.signer.public().name())],
            before: Some(String::from_utf8_lossy(rest).into_owned().into()),
            reason: Some(format!(
                "{} bytes of an append that was interrupted stood behind the last signed head",
                rest.len()
            )),
            ..Entry::default()
        };
        self.note(event, now).map(drop)
    }

    /// Ends every change that was found without an ending, with the same words.
    pub fn end_unfinished(&mut self, why: &str, now: &Moment) -> Outcome<()> {
        let open: Vec<u64> = self.open.iter().copied().collect();
        for batch in open.chunks(BATCH) {
            let ending = Ending { result: Effect::Unknown, detail: Some(why.to_owned()), after: None };
            let stages =
                batch.iter().map(|of| Stage::Ended { of: *of, ending: ending.clone().within_limits() });
            self.append(stages.collect(), now)?;
        }
        Ok(())
    }
}
