//! The audit record as the engine keeps it: opened with the engine, written ahead of every change.
//!
//! A change whose intent can't be recorded is not made. An ending that can't be recorded is told in the daemon's log, and
//! the intent stays without one, which is true.

use crate::shared::Shared;
use haven_audit::{Actor, Ending, Entry, Limits, Log, Moment, Origin, PublicKey, SignedCheckpoint};
use haven_spec::{Failure, Outcome};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Below the data directory.
const DIRECTORY: &str = "audit";

/// What nobody waits for is written this much later, with whatever else came in the meantime, at the cost of one flush.
const GATHERING: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Audit {
    log: Mutex<Log>,
    boot: String,
    /// What is to be written soon.
    pending: Mutex<Vec<Entry>>,
}

impl Audit {
    /// Blocking.
    pub(crate) fn open(data_root: &Path) -> Outcome<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.trim().to_owned();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let host: String = host.chars().filter(|c| c.is_ascii_graphic() && *c != '+').take(100).collect();
        let name = format!("{}/haven", if host.is_empty() { "localhost" } else { &host });
        let (mut log, opening) =
            Log::open_anyway(&data_root.join(DIRECTORY), &name, Limits::default(), &now(&boot))?;
        if let Some((place, why)) = &opening.set_aside {
            tracing::error!(
                place = %place.display(),
                error = %why.one_line(),
                "the audit record was damaged; it is kept there, and a new one has begun"
            );
        }
        if opening.cut_bytes > 0 {
            tracing::warn!(bytes = opening.cut_bytes, "the audit record ended in the middle of a write");
        }
        for record in &opening.unfinished {
            let action = record.entry().map(|entry| entry.action.as_str()).unwrap_or_default();
            tracing::warn!(sequence = record.sequence, action, "a recorded change was interrupted");
        }
        log.end_unfinished("the daemon ended before it was done, or before that was recorded", &now(&boot))?;
        let audit = Self { log: Mutex::new(log), boot, pending: Mutex::default() };
        if opening.created && opening.set_aside.is_none() {
            audit.note(Entry { client: "daemon".into(), action: "audit.begin".into(), ..Entry::default() });
        }
        Ok(audit)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocking, for a fraction of a millisecond: it is on disk when this returns.
    pub(crate) fn begin(self: &Arc<Self>, change: Entry) -> Outcome<Begun> {
        self.write_pending();
        let sequence = self
            .lock()
            .begin(change, &now(&self.boot))
            .map_err(|failure| failure.context("the change is not made, because it cannot be recorded"))?;
        Ok(Begun { audit: Arc::clone(self), sequence: Some(sequence) })
    }

    /// Something that has happened. Blocking.
    pub(crate) fn note(&self, event: Entry) {
        self.write_pending();
        let action = event.action.clone();
        if let Err(failure) = self.lock().note(event, &now(&self.boot)) {
            tracing::error!(action, error = %failure.one_line(), "what has happened is not in the audit record");
        }
    }

    /// Something that has happened and that nobody waits for: on disk a moment later, in its order. A daemon that is
    /// killed before has not recorded it.
    pub(crate) fn note_soon(self: &Arc<Self>, event: Entry) {
        let first = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            pending.push(event);
            pending.len() == 1
        };
        if first {
            let audit = Arc::clone(self);
            drop(tokio::spawn(async move {
                tokio::time::sleep(GATHERING).await;
                drop(tokio::task::spawn_blocking(move || audit.write_pending()).await);
            }));
        }
    }

    /// Blocking.
    pub(crate) fn write_pending(&self) {
        // The record first, so that nobody writes between taking them and writing them.
        let mut log = self.lock();
        let events = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let count = events.len();
        if let Err(failure) = log.note_all(events, &now(&self.boot)) {
            tracing::error!(count, error = %failure.one_line(), "what has happened is not in the audit record");
        }
    }

    /// Copies older segments to `archive` and removes them here; proofs go on. Blocking.
    fn bound(&self, keep: usize, archive: Option<&Path>) -> Outcome<()> {
        let mut store = |segment: &Path| {
            let Some(archive) = archive else { return Ok(()) };
            let to = archive.join(segment.file_name().unwrap_or_default());
            let copy = || {
                fs::create_dir_all(archive)?;
                fs::copy(segment, &to)?;
                fs::File::open(&to)?.sync_all()?;
                fs::File::open(archive)?.sync_all()
            };
            copy().map_err(|e| {
                Failure::host(format!("cannot archive a segment of the audit record as `{}`", to.display()))
                    .because(e)
            })
        };
        let archived = self.lock().archive(keep, &now(&self.boot), &mut store)?;
        for segment in archived {
            tracing::info!(
                first = segment.first,
                records = segment.records,
                "a segment of the audit record is archived"
            );
        }
        Ok(())
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.lock().directory().to_owned()
    }

    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        self.lock().checkpoint().clone()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        self.lock().public_key().clone()
    }
}

/// A change that is recorded and under way.
#[derive(Debug)]
pub(crate) struct Begun {
    audit: Arc<Audit>,
    sequence: Option<u64>,
}

impl Begun {
    /// Blocking.
    pub(crate) fn end<T>(mut self, outcome: &Outcome<T>) {
        self.finish(match outcome {
            Ok(_) => Ending::applied(),
            Err(failure) => Ending::failed(failure.one_line()),
        });
    }

    fn finish(&mut self, ending: Ending) {
        let Some(sequence) = self.sequence.take() else { return };
        if let Err(failure) = self.audit.lock().end(sequence, ending, &now(&self.audit.boot)) {
            tracing::error!(sequence, error = %failure.one_line(), "how a change ended is not in the audit record");
        }
    }
}

/// Whoever waited for it went away, and with it what would have told the end.
impl Drop for Begun {
    fn drop(&mut self) {
        self.finish(Ending::unknown("nobody waited for the end"));
    }
}

/// How often it is looked whether there are too many segments.
const BOUNDING: Duration = Duration::from_secs(3600);

/// Keeps the record within its bounds, for as long as the engine lives.
pub(crate) async fn keep_bounded(shared: Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let Some(keep) = shared.config.audit_keep_segments else { return };
        let worker = Arc::clone(&shared);
        let bounded = crate::container::task::blocking(move || {
            worker.audit.bound(keep, worker.config.audit_archive.as_deref())
        });
        if let Err(failure) = bounded.await {
            tracing::error!(error = %failure.one_line(), "the audit record is not kept within its bounds; it is tried again");
        }
        drop(shared);
        tokio::time::sleep(BOUNDING).await;
    }
}

/// How often a checkpoint is sent, if anything was recorded meanwhile.
const SENDING: Duration = Duration::from_secs(60);

/// Sends checkpoints to syslog, for as long as the engine lives: what is kept elsewhere holds the record to it.
pub(crate) async fn send_checkpoints(shared: Weak<Shared>) {
    let mut sent = 0;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let Some(path) = shared.config.checkpoint_syslog.clone() else { return };
        let checkpoint = shared.audit.checkpoint();
        drop(shared);
        if checkpoint.size() != sent {
            let size = checkpoint.size();
            let outcome = crate::container::task::blocking(move || send(&path, &checkpoint)).await;
            match outcome {
                Ok(()) => sent = size,
                Err(failure) => {
                    tracing::warn!(error = %failure.one_line(), "a checkpoint was not sent; it is tried again");
                }
            }
        }
        tokio::time::sleep(SENDING).await;
    }
}

fn send(path: &Path, checkpoint: &SignedCheckpoint) -> Outcome<()> {
    let mut message = Vec::new();
    haven_audit::send_checkpoint(&mut message, checkpoint, jiff::Timestamp::now(), &origin())?;
    let socket = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.send_to(&message, path)
    });
    socket.map(drop).map_err(|e| Failure::host(format!("cannot send to `{}`", path.display())).because(e))
}

/// Where exported records say they come from.
pub(crate) fn origin() -> Origin {
    Origin {
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
    }
}

fn now(boot: &str) -> Moment {
    let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(monotonic.tv_sec).unwrap_or(0);
    let rest = u64::try_from(monotonic.tv_nsec).unwrap_or(0);
    Moment {
        wall: jiff::Timestamp::now(),
        monotonic_ns: seconds.saturating_mul(1_000_000_000).saturating_add(rest),
        boot: boot.to_owned(),
    }
}

/// An entry of nobody's yet.
pub(crate) fn no_actor(client: &str, action: &str) -> Entry {
    Entry {
        actor: Actor::default(),
        client: client.to_owned(),
        action: action.to_owned(),
        ..Entry::default()
    }
}

/// When an answer about the record can't be given.
pub(crate) fn unreadable(failure: Failure) -> Failure {
    failure.context("cannot read the audit record")
}
