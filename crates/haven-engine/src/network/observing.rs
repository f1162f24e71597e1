//! Observation: for a while somebody may do what no link permits, and all of it is counted as links it would need.

use super::end::LinkEnd;
use super::subject::Subject;
use crate::caller::Caller;
use crate::clock;
use crate::drafts;
use crate::event::EventObject;
use crate::recording::changed;
use crate::shared::Shared;
use crate::view::ObservationView;
use haven_network::Identity;
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An observation is a hole: nobody forgets it for longer.
const LONGEST_NS: i64 = 31 * 24 * 3600 * 1_000_000_000;
const OBSERVED_LIMIT: usize = 1024;
const CLOCK_DOUBT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ObservationRecord {
    subject: Subject,
    identity: Identity,
    since_ns: i64,
    until_ns: i64,
    by: Option<u32>,
}

/// Who is observed.
#[derive(Debug, Default)]
pub(crate) struct Observations {
    all: Mutex<BTreeMap<Subject, ObservationRecord>>,
    changed: tokio::sync::Notify,
}

impl Observations {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Subject, ObservationRecord>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn includes(&self, subject: &Subject) -> bool {
        self.lock().contains_key(subject)
    }
}

/// At the daemon's start: those whose time is not over.
pub(crate) fn restore(shared: &Shared) -> Outcome<()> {
    let now_ns = clock::now_ns();
    let mut all = shared.observations.lock();
    for record in shared.records.observations()? {
        if record.until_ns <= now_ns || !shared.numbers().hold_as(&record.subject, record.identity) {
            shared.records.delete_observation(&record.subject.to_string())?;
            continue;
        }
        all.insert(record.subject.clone(), record);
    }
    shared.network.restore_observed(all.values().map(|record| record.identity));
    Ok(())
}

fn tell_kernel(shared: &Shared, all: &BTreeMap<Subject, ObservationRecord>) -> Outcome<()> {
    shared.network.observe(&all.values().map(|record| record.identity).collect())
}

fn tell(shared: &Shared, action: &str, subject: &Subject) {
    let attributes = BTreeMap::from([("from".to_owned(), subject.to_string())]);
    shared.tell(EventObject::Link, action, &subject.to_string(), attributes);
}

/// Begins, or goes on for longer or shorter. Blocking.
pub(crate) fn begin(shared: &Shared, who: &str, span_ns: i64, by: Option<u32>) -> Outcome<ObservationView> {
    if !(1..=LONGEST_NS).contains(&span_ns) {
        return Err(
            Failure::invalid("the time to observe is not between a moment and 31 days").hint("--for 24h")
        );
    }
    let LinkEnd::Subject(subject) = LinkEnd::resolve(shared, who)? else {
        return Err(Failure::invalid(format!("`{who}` cannot be observed"))
            .hint("a container or an application, whose connections are its own"));
    };
    if matches!(subject, Subject::Network(_)) {
        return Err(Failure::invalid(format!("`{subject}` cannot be observed as a whole"))
            .hint("observe its containers or applications"));
    }
    let mut all = shared.observations.lock();
    let now_ns = clock::now_ns();
    let known = all.get(&subject).cloned();
    if known.is_none() && all.len() >= OBSERVED_LIMIT {
        return Err(Failure::conflict(format!("{OBSERVED_LIMIT} are observed already")));
    }
    let record = match &known {
        Some(record) => ObservationRecord { until_ns: now_ns + span_ns, by, ..record.clone() },
        None => ObservationRecord {
            identity: shared.numbers().hold(&subject)?,
            subject: subject.clone(),
            since_ns: now_ns,
            until_ns: now_ns + span_ns,
            by,
        },
    };
    // On record before it holds: a crash must not leave a hole that nobody closes.
    let mut after = all.clone();
    after.insert(subject.clone(), record.clone());
    let begun = shared
        .records
        .put_observation(&subject.to_string(), &record)
        .and_then(|()| tell_kernel(shared, &after));
    if let Err(failure) = begun {
        if known.is_none() {
            shared.records.delete_observation(&subject.to_string())?;
            shared.numbers().release(&subject);
        }
        return Err(failure);
    }
    *all = after;
    drop(all);
    tell(shared, "observe", &subject);
    shared.observations.changed.notify_one();
    Ok(view(&record))
}

/// Blocking.
pub(crate) fn end(shared: &Shared, who: &str) -> Outcome<()> {
    let named = shared.observations.lock().keys().find(|s| s.to_string() == who || s.name() == who).cloned();
    match named {
        Some(subject) => end_of(shared, &subject),
        None => Err(Failure::not_found(format!("`{who}` is not observed")).hint("haven observe")),
    }
}

fn end_of(shared: &Shared, subject: &Subject) -> Outcome<()> {
    let mut all = shared.observations.lock();
    let mut after = all.clone();
    if after.remove(subject).is_none() {
        return Ok(());
    }
    tell_kernel(shared, &after)?;
    *all = after;
    shared.records.delete_observation(&subject.to_string())?;
    shared.numbers().release(subject);
    drop(all);
    tell(shared, "observe_end", subject);
    Ok(())
}

fn view(record: &ObservationRecord) -> ObservationView {
    ObservationView {
        subject: record.subject.clone(),
        since_ns: record.since_ns,
        until_ns: record.until_ns,
        by: record.by,
    }
}

pub(crate) fn list(shared: &Shared) -> Vec<ObservationView> {
    shared.observations.lock().values().map(view).collect()
}

/// Ends every observation at its time, for as long as the engine lives.
pub(crate) async fn expire(shared: std::sync::Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let now_ns = clock::now_ns();
        let over =
            shared.observations.lock().values().find(|r| r.until_ns <= now_ns).map(|r| r.subject.clone());
        if let Some(subject) = over {
            let worker = Arc::clone(&shared);
            let ended = crate::container::task::blocking(move || {
                let caller = Caller::own("expiry");
                let draft = drafts::observed(&caller, &subject.to_string(), "observe.end", 0);
                changed(&worker, &caller, draft, || end_of(&worker, &subject))
            });
            if let Err(failure) = ended.await {
                tracing::error!(error = %failure.one_line(), "cannot end an observation that is over; it is tried again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            continue;
        }
        let next_ns = shared.observations.lock().values().map(|record| record.until_ns).min();
        let pause = next_ns.map_or(CLOCK_DOUBT, |at| {
            Duration::from_nanos(u64::try_from(at.saturating_sub(now_ns)).unwrap_or(0)).min(CLOCK_DOUBT)
        });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.observations.changed.notified() => {}
        }
    }
}
