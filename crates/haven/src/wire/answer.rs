//! An answer: its head, and its body still to be read.

use super::body::BodyReader;
use super::head::Head;
use crate::template::Value;
use haven_spec::{Failure, Outcome};
use std::io::Read;

/// Longest document read into memory. Streams (logs, archives) have no limit.
const DOCUMENT_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: BodyReader,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    /// The whole body in memory.
    pub(crate) fn bytes(&mut self) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.body)
            .take(DOCUMENT_LIMIT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::host("cannot read the daemon's answer").because(error))?;
        if bytes.len() as u64 > DOCUMENT_LIMIT_BYTES {
            return Err(Failure::host(format!(
                "the daemon's answer is longer than {DOCUMENT_LIMIT_BYTES} bytes"
            )));
        }
        Ok(bytes)
    }

    /// The body as JSON; an empty one is `null`.
    pub(crate) fn document(&mut self) -> Outcome<Value> {
        let bytes = self.bytes()?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::internal("the daemon's answer is not valid JSON").because(error))
    }
}
