//! How a process ended, as its keeper recorded it.

use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The record a keeper leaves as `exit` in the run directory, and tells its watchers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The exit status, or 128 + the signal's number.
    pub code: i32,
    /// The signal that ended it, when one did.
    pub signal: Option<i32>,
    /// The kernel's out-of-memory killer struck in the control group.
    pub oom_killed: bool,
    /// Nanoseconds since the Unix epoch.
    pub finished_at_ns: i64,
    /// Log lines that could not be written (a full disk).
    pub lost_log_lines: u64,
    /// Why the command was never executed, when it wasn't.
    pub error: Option<String>,
}

/// The record of the container whose run directory this is; `None` while it hasn't ended.
pub fn read_exit(run_dir: &Path) -> Outcome<Option<ExitRecord>> {
    read_record(&run_dir.join("exit"))
}

/// The record of an additional process.
pub fn read_exec_exit(run_dir: &Path, exec_id: &str) -> Outcome<Option<ExitRecord>> {
    read_record(&run_dir.join(format!("exec-{exec_id}.exit")))
}

fn read_record(path: &Path) -> Outcome<Option<ExitRecord>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(
                Failure::host(format!("cannot read the exit record `{}`", path.display())).because(error)
            );
        }
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Failure::internal(format!("cannot understand the exit record `{}`", path.display())).because(error)
    })
}
