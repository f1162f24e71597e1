//! Events: what happened, to what, when. A bounded ring keeps the last ones for `since`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;

/// How many events are kept for `events --since`; Docker keeps 256.
const RING_LIMIT: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventObject {
    Container,
    Image,
    Volume,
    Network,
    Link,
    Daemon,
}

impl EventObject {
    /// Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Link => "link",
            Self::Daemon => "daemon",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Event {
    pub object: EventObject,
    /// Docker's word: `create`, `start`, `die`, `exec_start: ls`, ….
    pub action: String,
    /// The id (containers) or name (volumes).
    pub id: String,
    pub attributes: BTreeMap<String, String>,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
}

/// Where events are told and heard.
#[derive(Debug)]
pub struct EventLog {
    ring: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { ring: Mutex::default(), sender: broadcast::channel(RING_LIMIT).0 }
    }
}

impl EventLog {
    /// Tells everybody who listens.
    pub fn tell(&self, event: Event) {
        let event = Arc::new(event);
        let mut ring = self.ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if ring.len() == RING_LIMIT {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(&event));
        // Nobody listening is no error. Sent under the lock so that `listen` misses and repeats nothing.
        drop(self.sender.send(event));
    }

    /// The kept events, oldest first, and everything from then on.
    pub fn listen(&self) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let ring = self.ring.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (ring.iter().cloned().collect(), self.sender.subscribe())
    }
}
