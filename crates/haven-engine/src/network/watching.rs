//! Puts the table right when somebody else has changed it, and says who that was.
//!
//! A thread of its own waits for the kernel's word, because that blocks.

use crate::event::EventObject;
use crate::shared::Shared;
use haven_network::{ForeignChange, Watch};
use haven_spec::{Failure, Outcome};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Two who keep changing the same table must not take the whole machine: after a repair the next waits this long.
const BETWEEN_REPAIRS: Duration = Duration::from_millis(500);

pub(crate) fn start(shared: &Arc<Shared>) -> Outcome<()> {
    let watch = shared.network.watch()?;
    let shared = Arc::downgrade(shared);
    let thread = std::thread::Builder::new().name("firewall-watch".into()).stack_size(256 * 1024);
    thread
        .spawn(move || run(&shared, watch))
        .map(drop)
        .map_err(|e| Failure::host("cannot start a thread").because(e))
}

fn run(shared: &Weak<Shared>, mut watch: Watch) {
    let mut last: Option<Instant> = None;
    loop {
        let change = watch.wait();
        let Some(shared) = shared.upgrade() else { return };
        match change {
            Ok(None) => continue,
            Ok(Some(change)) => {
                if let Some(early) = last.and_then(|last| BETWEEN_REPAIRS.checked_sub(last.elapsed())) {
                    std::thread::sleep(early);
                }
                repair(&shared, &change);
            }
            Err(failure) => {
                tracing::error!(error = %failure.one_line(), "the firewall is not watched for a moment");
                std::thread::sleep(BETWEEN_REPAIRS);
            }
        }
        last = Some(Instant::now());
    }
}

fn repair(shared: &Shared, change: &ForeignChange) {
    let by = match &change.process {
        Some((pid, name)) => format!("{name} ({pid})"),
        None => "an unknown process".to_owned(),
    };
    match shared.network.repair() {
        Ok(repairs) => {
            let anything = repairs.table_rebuilt || repairs.elements_added + repairs.elements_removed > 0;
            tracing::warn!(
                by,
                ?repairs,
                "somebody has changed Haven's firewall table; it is as it should be again"
            );
            if anything {
                let repairs = serde_json::json!({
                    "table_rebuilt": repairs.table_rebuilt,
                    "elements_added": repairs.elements_added,
                    "elements_removed": repairs.elements_removed,
                });
                shared.audit.note(crate::drafts::firewall_repaired(&by, repairs).into_entry());
                let attributes =
                    BTreeMap::from([("by".to_owned(), by), ("type".to_owned(), "firewall".to_owned())]);
                shared.tell(EventObject::Network, "repair", "firewall", attributes);
            }
        }
        Err(failure) => {
            tracing::error!(by, error = %failure.one_line(), "somebody has changed Haven's firewall table, and it cannot be put right");
        }
    }
}
