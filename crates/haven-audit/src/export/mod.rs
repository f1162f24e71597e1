//! The record in other systems' words: syslog (RFC 5424) and OCSF.

mod ocsf;
mod syslog;

use crate::{Change, SignedCheckpoint};
use haven_spec::{Failure, Outcome};
use std::io::Write;

/// Whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// RFC 5424, one message a line.
    Rfc5424,
    /// Open Cybersecurity Schema Framework 1.3, API Activity, one JSON object a line.
    Ocsf,
    /// Haven's own, one JSON object a line.
    Json,
}

impl ExportFormat {
    pub fn parse(text: &str) -> Outcome<Self> {
        match text {
            "rfc5424" | "syslog" => Ok(Self::Rfc5424),
            "ocsf" => Ok(Self::Ocsf),
            "json" => Ok(Self::Json),
            _ => Err(Failure::invalid(format!("`{}` is not an export format", text.escape_debug()))
                .hint("rfc5424, ocsf or json")),
        }
    }
}

/// Where the record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub host: String,
    pub version: String,
    pub pid: u32,
}

/// Writes one change as one line.
pub fn write_change(
    to: &mut dyn Write,
    change: &Change,
    format: ExportFormat,
    origin: &Origin,
) -> Outcome<()> {
    let line = match format {
        ExportFormat::Rfc5424 => syslog::change(change, origin),
        ExportFormat::Ocsf => ocsf::change(change, origin).to_string(),
        ExportFormat::Json => serde_json::to_string(change)
            .map_err(|e| Failure::internal("cannot write a record as JSON").because(e))?,
    };
    writeln!(to, "{line}").map_err(|e| Failure::host("cannot write the exported record").because(e))
}

/// Sends a checkpoint as one syslog message (without a line feed: for a datagram), so that it is kept where the host's
/// root can't reach it. The note in the message is whole: what [`SignedCheckpoint::open`] reads, line feeds as `\n`.
pub fn send_checkpoint(
    to: &mut dyn Write,
    checkpoint: &SignedCheckpoint,
    now: jiff::Timestamp,
    origin: &Origin,
) -> Outcome<()> {
    let message = syslog::checkpoint(checkpoint, now, origin);
    to.write_all(message.as_bytes())
        .and_then(|()| to.flush())
        .map_err(|e| Failure::host("cannot send a checkpoint to syslog").because(e))
}
