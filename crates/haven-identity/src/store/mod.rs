//! Where sessions are kept: one interface, one table of promises, and a back end for each way of running.
//!
//! A store holds sealed rows and counters and knows no secret. It forgets a row at the end of its lifetime by itself,
//! tells the rows of one person, and answers an atomic "the first to claim this". What it can't do: read a row, or
//! make one that opens.

mod embedded;
mod redis;

pub use embedded::EmbeddedStore;
pub use redis::{Endpoint, RedisConfig, RedisStore, RedisTls, Topology};

use crate::facts::User;
use crate::moment::Moment;
use crate::seal;
use haven_spec::{Failure, Outcome};
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

/// A call that is under way.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send + 'a>>;

/// Longest row.
pub const ROW_LIMIT: usize = 1 << 20;

/// The name of a row: a hash of the session's id, so that who reads the store doesn't learn ids. May be logged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle([u8; 32]);

impl Handle {
    pub(crate) fn of(sid: &[u8; 16]) -> Self {
        Self(seal::digest(&[b"bargate/sid", sid]))
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// As `Display` writes it.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refused = || Failure::invalid("this names no session").hint("take it from the list of sessions");
        if text.len() != 64 || !text.is_ascii() {
            return Err(refused());
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whose rows: a hash of the folded name, so that keys in a store have one length and no grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner([u8; 32]);

impl Owner {
    pub fn of(user: &User) -> Self {
        Self(seal::digest(&[b"bargate/owner", user.folded().as_bytes()]))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Names a counter or something to be claimed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark([u8; 32]);

impl Mark {
    /// Of a purpose and what distinguishes this one.
    pub(crate) fn of(purpose: &str, parts: &[&[u8]]) -> Self {
        let mut all = vec![purpose.as_bytes()];
        all.extend_from_slice(parts);
        Self(seal::digest(&all))
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A row that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub bytes: Vec<u8>,
    /// How long the store keeps it if nobody touches it.
    pub left: Duration,
}

/// How often something happened lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// This time included.
    pub so_far: u64,
    /// Until it is forgotten.
    pub left: Duration,
}

/// What a back end promises; `tests/store.rs` holds each back end to it.
pub trait Store: Send + Sync {
    /// Keeps a new row for `lifetime`.
    fn put<'a>(
        &'a self,
        handle: Handle,
        owner: Owner,
        bytes: Vec<u8>,
        lifetime: Duration,
        now: Moment,
    ) -> Task<'a, ()>;

    /// The row, unless its lifetime is over.
    fn find(&self, handle: Handle, now: Moment) -> Task<'_, Option<Row>>;

    /// Gives a row another `lifetime` from now; `false` when there is none.
    fn touch(&self, handle: Handle, lifetime: Duration, now: Moment) -> Task<'_, bool>;

    /// Replaces the bytes of a row, whose lifetime stays; `false` when there is none.
    fn replace<'a>(&'a self, handle: Handle, bytes: Vec<u8>, now: Moment) -> Task<'a, bool>;

    /// Forgets a row, durably; `false` when it was not there or not of this owner.
    fn remove(&self, handle: Handle, owner: Owner, now: Moment) -> Task<'_, bool>;

    /// All rows of one person, in no order.
    fn owned_by(&self, owner: Owner, now: Moment) -> Task<'_, Vec<(Handle, Row)>>;

    /// Forgets all rows of one person, durably; how many they were.
    fn remove_owned_by(&self, owner: Owner, now: Moment) -> Task<'_, usize>;

    /// Counts one more; the count is forgotten a `window` after its first.
    fn count(&self, mark: Mark, window: Duration, now: Moment) -> Task<'_, Count>;

    /// Takes one back; a count that was forgotten stays forgotten.
    fn uncount(&self, mark: Mark, now: Moment) -> Task<'_, ()>;

    /// Forgets a count.
    fn clear(&self, mark: Mark) -> Task<'_, ()>;

    /// `true` for the first to claim it within `lifetime`.
    fn claim(&self, mark: Mark, lifetime: Duration, now: Moment) -> Task<'_, bool>;

    /// Keeps something of a person without end, in place of what was there under this name.
    fn keep<'a>(&'a self, owner: Owner, name: &'static str, bytes: Vec<u8>) -> Task<'a, ()>;

    /// What was kept.
    fn kept(&self, owner: Owner, name: &'static str) -> Task<'_, Option<Vec<u8>>>;

    /// Forgets what was kept; `false` when there was nothing.
    fn discard(&self, owner: Owner, name: &'static str) -> Task<'_, bool>;
}

/// The rule of every back end: a hostile or careless caller can't fill it with one row.
pub(crate) fn check_length(bytes: &[u8]) -> Outcome<()> {
    if bytes.len() > ROW_LIMIT {
        return Err(Failure::internal(format!("a row of {} bytes is longer than {ROW_LIMIT}", bytes.len())));
    }
    Ok(())
}
