//! The daemon's own messages: one line each on standard error, as text or JSON.

use super::configuration::LogSettings;
use tracing_subscriber::filter::LevelFilter;

pub(super) fn start(settings: &LogSettings) {
    let base = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(LevelFilter::from_level(settings.level))
        .with_target(false)
        .with_ansi(false);
    // Only a second call in one process fails, and there is none.
    let started = if settings.json { base.json().try_init() } else { base.try_init() };
    drop(started);
}
