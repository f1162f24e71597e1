//! Waiting for something to become true, with a limit and a name for what was waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(20);

/// Waits until `holds`, at most ten seconds; panics with `what` otherwise.
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    within(Duration::from_secs(10), what, holds);
}

/// Waits until `holds`, at most `limit`.
pub fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < limit, "{what}: not after {limit:?}");
        sleep(STEP);
    }
}
