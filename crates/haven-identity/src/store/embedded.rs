//! The store for one instance: a `redb` file beside it, nothing to install.
//!
//! Rows have a deadline and an index by deadline, so that what has ended is really removed with the writes that follow
//! and needs no walk over all rows. What must not come back after a crash (a sign-out) is synced; a later deadline or a
//! counter is not. Removed rows may lie in free pages of the file until these are used again: without the browser's
//! cookie they open nothing.

use super::{Count, Handle, Mark, Owner, Row, Store, Task, check_length};
use crate::moment::Moment;
use haven_spec::{Failure, Outcome};
use redb::backends::FileBackend;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

type Bytes = &'static [u8];

/// Handle → deadline ‖ owner ‖ row.
const ROWS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("rows");
/// Owner ‖ handle.
const OWNERS: TableDefinition<'_, Bytes, ()> = TableDefinition::new("owners");
/// Deadline ‖ kind ‖ handle or mark.
const DEADLINES: TableDefinition<'_, Bytes, ()> = TableDefinition::new("deadlines");
/// Mark → deadline ‖ count.
const COUNTS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("counts");
/// Owner ‖ name → bytes.
const KEPT: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("kept");

const KIND_ROW: u8 = b'r';
const KIND_COUNT: u8 = b'c';

/// How much that has ended is removed with one write.
const SWEEP: usize = 64;

/// Memory for pages: rows are a kilobyte.
const CACHE_BYTES: usize = 4 << 20;

pub struct EmbeddedStore {
    database: Arc<Database>,
}

impl EmbeddedStore {
    /// Opens or makes the file, which only its owner may read.
    pub fn open(path: &Path) -> Outcome<Self> {
        let cannot = || format!("cannot open the store of sessions `{}`", path.display());
        let hint = "move the file away: a new one is made, and everybody signs in again";
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| Failure::host(cannot()).because(error))?;
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(|error| Failure::host(cannot()).because(error))?;
        let opened = FileBackend::new(file)
            .and_then(|backend| Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend));
        let database = opened.map_err(|error| {
            let hint = if matches!(error, redb::DatabaseError::DatabaseAlreadyOpen) {
                "another instance uses it; several instances share a Redis store"
            } else {
                hint
            };
            Failure::host(cannot()).because(error).hint(hint)
        })?;
        let store = Self { database: Arc::new(database) };
        store
            .change(Durability::Immediate, |transaction| {
                transaction.open_table(ROWS)?;
                transaction.open_table(OWNERS)?;
                transaction.open_table(DEADLINES)?;
                transaction.open_table(COUNTS)?;
                transaction.open_table(KEPT)?;
                Ok(())
            })
            .map_err(|failure| failure.context(cannot()).hint(hint))?;
        Ok(store)
    }

    fn change<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Outcome<T> {
        change(&self.database, durability, work)
    }

    /// A write on a thread that may wait for the disk.
    fn later<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Task<'_, T> {
        let database = Arc::clone(&self.database);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || change(&database, durability, work)).await.map_err(
                |error| Failure::internal("a write to the store of sessions broke off").because(error),
            )?
        })
    }

    /// A read: it finds its pages in memory, and needs no other thread.
    fn now<T: Send + 'static>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    ) -> Task<'_, T> {
        let result =
            self.database.begin_read().map_err(redb::Error::from).and_then(|transaction| work(&transaction));
        Box::pin(async move { result.map_err(broken) })
    }
}

fn broken(error: redb::Error) -> Failure {
    Failure::host("the store of sessions cannot be used").because(error)
}

fn change<T>(
    database: &Database,
    durability: Durability,
    work: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Outcome<T> {
    let run = || {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(durability)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    };
    run().map_err(broken)
}

/// A row's value, taken apart; `None` for a value that no version of this program wrote.
struct Stored<'a> {
    deadline: Moment,
    owner: [u8; 32],
    bytes: &'a [u8],
}

impl<'a> Stored<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let (deadline, rest) = value.split_first_chunk::<8>()?;
        let (owner, bytes) = rest.split_first_chunk::<32>()?;
        Some(Self { deadline: Moment::from_ms(u64::from_be_bytes(*deadline)), owner: *owner, bytes })
    }

    fn row(&self, now: Moment) -> Option<Row> {
        (self.deadline > now).then(|| Row { bytes: self.bytes.to_vec(), left: self.deadline.since(now) })
    }
}

fn stored(deadline: Moment, owner: &[u8; 32], bytes: &[u8]) -> Vec<u8> {
    [&deadline.as_ms().to_be_bytes()[..], owner, bytes].concat()
}

fn deadline_key(deadline: Moment, kind: u8, name: &[u8]) -> Vec<u8> {
    [&deadline.as_ms().to_be_bytes()[..], &[kind], name].concat()
}

fn owner_key(owner: &[u8; 32], handle: &[u8]) -> Vec<u8> {
    [&owner[..], handle].concat()
}

fn kept_key(owner: Owner, name: &str) -> Vec<u8> {
    [&owner.as_bytes()[..], name.as_bytes()].concat()
}

/// Takes a row out of all tables.
fn take_out(transaction: &WriteTransaction, handle: &[u8]) -> Result<bool, redb::Error> {
    let mut rows = transaction.open_table(ROWS)?;
    let Some(value) = rows.remove(handle)?.map(|value| value.value().to_vec()) else { return Ok(false) };
    if let Some(row) = Stored::parse(&value) {
        transaction.open_table(OWNERS)?.remove(owner_key(&row.owner, handle).as_slice())?;
        transaction.open_table(DEADLINES)?.remove(deadline_key(row.deadline, KIND_ROW, handle).as_slice())?;
    }
    Ok(true)
}

/// Puts a row into all tables.
fn put_in(
    transaction: &WriteTransaction,
    handle: &[u8],
    owner: &[u8; 32],
    bytes: &[u8],
    deadline: Moment,
) -> Result<(), redb::Error> {
    transaction.open_table(ROWS)?.insert(handle, stored(deadline, owner, bytes).as_slice())?;
    transaction.open_table(OWNERS)?.insert(owner_key(owner, handle).as_slice(), ())?;
    transaction.open_table(DEADLINES)?.insert(deadline_key(deadline, KIND_ROW, handle).as_slice(), ())?;
    Ok(())
}

/// Removes some of what has ended.
fn sweep(transaction: &WriteTransaction, now: Moment) -> Result<(), redb::Error> {
    let ended: Vec<Vec<u8>> = {
        let deadlines = transaction.open_table(DEADLINES)?;
        let last = now.as_ms().saturating_add(1).to_be_bytes();
        let range = deadlines.range::<&[u8]>(..last.as_slice())?;
        range.take(SWEEP).map(|entry| Ok(entry?.0.value().to_vec())).collect::<Result<_, redb::Error>>()?
    };
    for key in ended {
        transaction.open_table(DEADLINES)?.remove(key.as_slice())?;
        match key.get(8) {
            Some(&KIND_ROW) => drop(take_out(transaction, &key[9..])?),
            Some(&KIND_COUNT) => drop(transaction.open_table(COUNTS)?.remove(&key[9..])?),
            _ => {}
        }
    }
    Ok(())
}

fn parse_count(value: &[u8], now: Moment) -> Option<(Moment, u64)> {
    let (deadline, rest) = value.split_first_chunk::<8>()?;
    let count = rest.first_chunk::<8>()?;
    let deadline = Moment::from_ms(u64::from_be_bytes(*deadline));
    (deadline > now).then_some((deadline, u64::from_be_bytes(*count)))
}

fn stored_count(deadline: Moment, count: u64) -> Vec<u8> {
    [deadline.as_ms().to_be_bytes(), count.to_be_bytes()].concat()
}

/// One more; the first of a window sets when it ends.
fn count_up(
    transaction: &WriteTransaction,
    mark: &[u8],
    window: Duration,
    now: Moment,
) -> Result<Count, redb::Error> {
    let mut counts = transaction.open_table(COUNTS)?;
    let before = counts.get(mark)?.and_then(|value| parse_count(value.value(), now));
    let (deadline, so_far) =
        before.map_or((now.plus(window), 1), |(deadline, count)| (deadline, count.saturating_add(1)));
    counts.insert(mark, stored_count(deadline, so_far).as_slice())?;
    if before.is_none() {
        transaction.open_table(DEADLINES)?.insert(deadline_key(deadline, KIND_COUNT, mark).as_slice(), ())?;
    }
    Ok(Count { so_far, left: deadline.since(now) })
}

/// The handles of one person, also of rows that have ended.
fn handles_of(owners: &impl ReadableTable<Bytes, ()>, owner: Owner) -> Result<Vec<[u8; 32]>, redb::Error> {
    let from = owner_key(owner.as_bytes(), &[]);
    let to = owner_key(owner.as_bytes(), &[0xff; 33]);
    let mut handles = Vec::new();
    for entry in owners.range::<&[u8]>(from.as_slice()..to.as_slice())? {
        let key = entry?.0;
        if let Some(handle) = key.value().get(32..).and_then(|handle| handle.try_into().ok()) {
            handles.push(handle);
        }
    }
    Ok(handles)
}

impl Store for EmbeddedStore {
    fn put<'a>(
        &'a self,
        handle: Handle,
        owner: Owner,
        bytes: Vec<u8>,
        lifetime: Duration,
        now: Moment,
    ) -> Task<'a, ()> {
        if let Err(failure) = check_length(&bytes) {
            return Box::pin(async { Err(failure) });
        }
        self.later(Durability::Immediate, move |transaction| {
            sweep(transaction, now)?;
            take_out(transaction, handle.as_bytes())?;
            put_in(transaction, handle.as_bytes(), owner.as_bytes(), &bytes, now.plus(lifetime))
        })
    }

    fn find(&self, handle: Handle, now: Moment) -> Task<'_, Option<Row>> {
        self.now(move |transaction| {
            let value = transaction.open_table(ROWS)?.get(handle.as_bytes().as_slice())?;
            Ok(value.and_then(|value| Stored::parse(value.value())?.row(now)))
        })
    }

    fn touch(&self, handle: Handle, lifetime: Duration, now: Moment) -> Task<'_, bool> {
        self.later(Durability::None, move |transaction| {
            let name = handle.as_bytes().as_slice();
            let value = transaction.open_table(ROWS)?.get(name)?.map(|value| value.value().to_vec());
            let Some(row) = value.as_deref().and_then(Stored::parse).filter(|row| row.deadline > now) else {
                return Ok(false);
            };
            take_out(transaction, name)?;
            put_in(transaction, name, &row.owner, row.bytes, now.plus(lifetime))?;
            Ok(true)
        })
    }

    fn replace<'a>(&'a self, handle: Handle, bytes: Vec<u8>, now: Moment) -> Task<'a, bool> {
        if let Err(failure) = check_length(&bytes) {
            return Box::pin(async { Err(failure) });
        }
        self.later(Durability::None, move |transaction| {
            let name = handle.as_bytes().as_slice();
            let mut rows = transaction.open_table(ROWS)?;
            let value = rows.get(name)?.map(|value| value.value().to_vec());
            let Some(row) = value.as_deref().and_then(Stored::parse).filter(|row| row.deadline > now) else {
                return Ok(false);
            };
            rows.insert(name, stored(row.deadline, &row.owner, &bytes).as_slice())?;
            Ok(true)
        })
    }

    fn remove(&self, handle: Handle, owner: Owner, now: Moment) -> Task<'_, bool> {
        self.later(Durability::Immediate, move |transaction| {
            sweep(transaction, now)?;
            let name = handle.as_bytes().as_slice();
            let value = transaction.open_table(ROWS)?.get(name)?.map(|value| value.value().to_vec());
            match value.as_deref().and_then(Stored::parse) {
                Some(row) if row.owner == *owner.as_bytes() => take_out(transaction, name),
                _ => Ok(false),
            }
        })
    }

    fn owned_by(&self, owner: Owner, now: Moment) -> Task<'_, Vec<(Handle, Row)>> {
        self.now(move |transaction| {
            let rows = transaction.open_table(ROWS)?;
            let mut found = Vec::new();
            for handle in handles_of(&transaction.open_table(OWNERS)?, owner)? {
                let value = rows.get(handle.as_slice())?;
                if let Some(row) = value.and_then(|value| Stored::parse(value.value())?.row(now)) {
                    found.push((Handle::from_bytes(handle), row));
                }
            }
            Ok(found)
        })
    }

    fn remove_owned_by(&self, owner: Owner, now: Moment) -> Task<'_, usize> {
        self.later(Durability::Immediate, move |transaction| {
            sweep(transaction, now)?;
            let handles = handles_of(&transaction.open_table(OWNERS)?, owner)?;
            for handle in &handles {
                take_out(transaction, handle)?;
            }
            Ok(handles.len())
        })
    }

    fn count(&self, mark: Mark, window: Duration, now: Moment) -> Task<'_, Count> {
        self.later(Durability::None, move |transaction| {
            sweep(transaction, now)?;
            count_up(transaction, mark.as_bytes(), window, now)
        })
    }

    fn uncount(&self, mark: Mark, now: Moment) -> Task<'_, ()> {
        self.later(Durability::None, move |transaction| {
            let mut counts = transaction.open_table(COUNTS)?;
            let name = mark.as_bytes().as_slice();
            let before = counts.get(name)?.and_then(|value| parse_count(value.value(), now));
            if let Some((deadline, count)) = before {
                counts.insert(name, stored_count(deadline, count.saturating_sub(1)).as_slice())?;
            }
            Ok(())
        })
    }

    fn clear(&self, mark: Mark) -> Task<'_, ()> {
        self.later(Durability::None, move |transaction| {
            let mut counts = transaction.open_table(COUNTS)?;
            let value = counts.remove(mark.as_bytes().as_slice())?.map(|value| value.value().to_vec());
            if let Some((deadline, _)) =
                value.as_deref().and_then(|value| parse_count(value, Moment::from_ms(0)))
            {
                let key = deadline_key(deadline, KIND_COUNT, mark.as_bytes());
                transaction.open_table(DEADLINES)?.remove(key.as_slice())?;
            }
            Ok(())
        })
    }

    fn claim(&self, mark: Mark, lifetime: Duration, now: Moment) -> Task<'_, bool> {
        self.later(Durability::Immediate, move |transaction| {
            sweep(transaction, now)?;
            Ok(count_up(transaction, mark.as_bytes(), lifetime, now)?.so_far == 1)
        })
    }

    fn keep<'a>(&'a self, owner: Owner, name: &'static str, bytes: Vec<u8>) -> Task<'a, ()> {
        if let Err(failure) = check_length(&bytes) {
            return Box::pin(async { Err(failure) });
        }
        self.later(Durability::Immediate, move |transaction| {
            transaction.open_table(KEPT)?.insert(kept_key(owner, name).as_slice(), bytes.as_slice())?;
            Ok(())
        })
    }

    fn kept(&self, owner: Owner, name: &'static str) -> Task<'_, Option<Vec<u8>>> {
        self.now(move |transaction| {
            let value = transaction.open_table(KEPT)?.get(kept_key(owner, name).as_slice())?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    fn discard(&self, owner: Owner, name: &'static str) -> Task<'_, bool> {
        self.later(Durability::Immediate, move |transaction| {
            Ok(transaction.open_table(KEPT)?.remove(kept_key(owner, name).as_slice())?.is_some())
        })
    }
}
