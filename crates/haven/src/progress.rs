//! Progress for people: one line on standard error that is written over, and only on a terminal.

use crate::console;
use crate::daemon::JsonStream;
use crate::ending::Refusal;
use crate::show;
use crate::template::Value;
use haven_spec::Failure;
use std::time::{Duration, Instant};

/// How often the line is written.
const INTERVAL: Duration = Duration::from_millis(100);
/// Shorter jobs show nothing.
const PATIENCE: Duration = Duration::from_millis(300);
const BAR_COLUMNS: usize = 30;
const NARROW_COLUMNS: usize = 60;

/// One line that is written over.
#[derive(Debug)]
struct Line {
    shown: bool,
    enabled: bool,
    begun: Instant,
    last: Instant,
}

impl Line {
    fn new() -> Self {
        let now = Instant::now();
        Self { shown: false, enabled: console::err_is_terminal(), begun: now, last: now }
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if !self.enabled || now - self.begun < PATIENCE || (self.shown && now - self.last < INTERVAL) {
            return;
        }
        self.last = now;
        self.shown = true;
        let columns = console::columns().unwrap_or(NARROW_COLUMNS).saturating_sub(1);
        let text: String = text().chars().take(columns).collect();
        console::note_part(&format!("\r{text}\x1b[K"));
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            console::note_part("\r\x1b[K");
        }
    }
}

/// Bytes done, of how many if that is known.
#[derive(Debug)]
pub(crate) struct Counter {
    line: Line,
    what: String,
    done: u64,
    total: Option<u64>,
}

impl Counter {
    pub(crate) fn new(what: &str, total: Option<u64>) -> Self {
        Self { line: Line::new(), what: what.to_owned(), done: 0, total }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.done += bytes;
        let (what, done, total) = (&self.what, self.done, self.total);
        self.line.show(|| described(what, done as f64, total.map(|total| total as f64)));
    }

    /// Removes the line.
    pub(crate) fn finish(&mut self) {
        self.line.clear();
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.finish();
    }
}

fn described(what: &str, done: f64, total: Option<f64>) -> String {
    match total.filter(|total| *total > 0.0) {
        None => format!("{what} {}", show::decimal_size(done)),
        Some(total) => {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share between 0 and 1 of a small number"
            )]
            let filled = ((done / total).clamp(0.0, 1.0) * BAR_COLUMNS as f64) as usize;
            let bar = format!("{}{}", "=".repeat(filled), " ".repeat(BAR_COLUMNS - filled));
            format!("{what} [{bar}] {}/{}", show::decimal_size(done), show::decimal_size(total))
        }
    }
}

/// Shows a stream of progress messages: lasting ones on standard output, passing ones on the terminal's line. The
/// daemon's error in the stream is the command's failure.
pub(crate) fn follow(mut stream: JsonStream, quiet: bool) -> Result<(), Refusal> {
    let mut line = Line::new();
    line.enabled &= !quiet;
    while let Some(message) = stream.next() {
        let message = message?;
        if let Some(text) = error_of(&message) {
            line.clear();
            return Err(Failure::host(text).into());
        }
        let text = message.at("stream").as_str();
        if !text.is_empty() {
            line.clear();
            console::print(text)?;
            continue;
        }
        let status = message.at("status").as_str();
        let detail = message.at("progressDetail");
        if detail.at("current").number() > 0 {
            let what = format!("{status} {}", message.at("id").as_str());
            let total = detail.at("total").decimal();
            line.show(|| {
                described(what.trim(), detail.at("current").decimal(), (total > 0.0).then_some(total))
            });
        } else if message.at("id").is_null() && !status.is_empty() {
            line.clear();
            console::line(status)?;
        }
    }
    line.clear();
    Ok(())
}

fn error_of(message: &Value) -> Option<String> {
    let detail = message.path(&["errorDetail", "message"]).as_str();
    let plain = message.at("error").as_str();
    [detail, plain].into_iter().find(|text| !text.is_empty()).map(str::to_owned)
}
