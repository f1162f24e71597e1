//! The links of all signed-in people: one per session and server, made when first needed, used by many requests at once,
//! closed when unused, when their session ends, or to make room.
//!
//! Without a pool each request signs in anew: 20 ms, and an entry in the server's security log. The pool knows no
//! passwords: who asks for a link says how to make one, and is asked only when there is none.

use crate::link::{Link, ServerAddress};
use crate::problem::{Attempt, Problem, ProblemKind};
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Names a session; opens nothing.
pub type SessionKey = [u8; 32];

#[derive(Debug, Clone, Copy)]
pub struct PoolOptions {
    /// Most links of one session: one per server somebody works on.
    pub per_session: usize,
    /// Most links in all.
    pub in_all: usize,
    /// A link that isn't used for so long is closed.
    pub idle: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { per_session: 8, in_all: 2_000, idle: Duration::from_secs(60) }
    }
}

type Place = (SessionKey, ServerAddress);

struct Slot {
    /// Held while a link is made, so that ten requests at once sign in once.
    link: Arc<tokio::sync::Mutex<Option<Arc<Link>>>>,
    used: Instant,
}

pub struct Pool {
    options: PoolOptions,
    slots: Mutex<HashMap<Place, Slot>>,
}

impl Pool {
    pub fn new(options: PoolOptions) -> Self {
        Self { options, slots: Mutex::new(HashMap::new()) }
    }

    /// The link of a session to a server; made by `make` when there is none that works.
    pub async fn link<F, M>(
        &self,
        session: SessionKey,
        server: &ServerAddress,
        now: Instant,
        make: M,
    ) -> Attempt<Arc<Link>>
    where
        F: Future<Output = Attempt<Arc<Link>>>,
        M: FnOnce() -> F,
    {
        let slot = self.slot(session, server, now)?;
        let mut held = slot.lock().await;
        if let Some(link) = held.as_ref().filter(|link| !link.is_broken()) {
            return Ok(Arc::clone(link));
        }
        *held = None;
        let made = make().await;
        if let Ok(link) = &made {
            // The session may have ended meanwhile: then this link is nobody's.
            if !self.has(&slot, session, server) {
                link.close();
                return Err(Problem::new(ProblemKind::Cancelled).because("the session was signed out"));
            }
            *held = Some(Arc::clone(link));
        }
        made
    }

    /// Ends all links of a session at once, with whatever is under way: it was signed out.
    pub fn close_session(&self, session: SessionKey) {
        let mut slots = self.slots();
        let places: Vec<Place> = slots.keys().filter(|(of, _)| *of == session).cloned().collect();
        for place in places {
            if let Some(slot) = slots.remove(&place) {
                end(&slot);
            }
        }
    }

    /// Closes what hasn't been used for long; to be called now and then. What is in use stays.
    pub fn sweep(&self, now: Instant) {
        let idle = self.options.idle;
        self.slots().retain(|_, slot| now.saturating_duration_since(slot.used) < idle || in_use(slot));
    }

    /// How many links there are.
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slot(
        &self,
        session: SessionKey,
        server: &ServerAddress,
        now: Instant,
    ) -> Attempt<Arc<tokio::sync::Mutex<Option<Arc<Link>>>>> {
        let mut slots = self.slots();
        let place = (session, server.clone());
        if let Some(slot) = slots.get_mut(&place) {
            slot.used = now;
            return Ok(Arc::clone(&slot.link));
        }
        let own = slots.keys().filter(|(of, _)| *of == session).count();
        if own >= self.options.per_session {
            make_room(&mut slots, |(of, _)| *of == session)?;
        }
        if slots.len() >= self.options.in_all {
            make_room(&mut slots, |_| true)?;
        }
        let link = Arc::new(tokio::sync::Mutex::new(None));
        slots.insert(place, Slot { link: Arc::clone(&link), used: now });
        Ok(link)
    }

    fn has(
        &self,
        link: &Arc<tokio::sync::Mutex<Option<Arc<Link>>>>,
        session: SessionKey,
        server: &ServerAddress,
    ) -> bool {
        self.slots().get(&(session, server.clone())).is_some_and(|slot| Arc::ptr_eq(&slot.link, link))
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<Place, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("links", &self.len()).finish_non_exhaustive()
    }
}

/// Closes the one that has been unused for longest.
fn make_room(slots: &mut HashMap<Place, Slot>, among: impl Fn(&Place) -> bool) -> Attempt<()> {
    let unused = slots.iter().filter(|(place, slot)| among(place) && !in_use(slot));
    let oldest = unused.min_by_key(|(_, slot)| slot.used).map(|(place, _)| place.clone());
    match oldest {
        Some(place) => {
            slots.remove(&place);
            Ok(())
        }
        None => Err(Problem::new(ProblemKind::Busy).because("all links to file servers are in use")),
    }
}

/// Somebody waits for it, or works with it.
fn in_use(slot: &Slot) -> bool {
    match slot.link.try_lock() {
        Ok(held) => held.as_ref().is_some_and(|link| Arc::strong_count(link) > 1 && !link.is_broken()),
        Err(_) => true,
    }
}

fn end(slot: &Slot) {
    // One that is just being made finds its slot gone.
    if let Ok(held) = slot.link.try_lock()
        && let Some(link) = held.as_ref()
    {
        link.close();
    }
}
