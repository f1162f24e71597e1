//! A body of JSON documents one after the other: events, statistics, progress.

use crate::template::Value;
use crate::wire::{Answer, BodyReader};
use haven_spec::{Failure, Outcome};
use std::io::{BufReader, Read};

/// Reads documents as they arrive.
pub(crate) struct JsonStream {
    documents: serde_json::StreamDeserializer<'static, serde_json::de::IoRead<ByteWise>, Value>,
}

/// Hands the parser what has arrived instead of waiting for a full buffer.
struct ByteWise(BufReader<BodyReader>);

impl Read for ByteWise {
    fn read(&mut self, space: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(space)
    }
}

impl JsonStream {
    pub(crate) fn new(answer: Answer) -> Self {
        let reader = ByteWise(BufReader::new(answer.body));
        Self { documents: serde_json::Deserializer::from_reader(reader).into_iter() }
    }

    /// The next document; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Outcome<Value>> {
        self.documents.next().map(|read| {
            read.map_err(|error| match error.is_io() || error.is_eof() {
                true => Failure::host("the daemon's stream broke off").because(error),
                false => Failure::internal("the daemon's stream is not valid JSON").because(error),
            })
        })
    }
}
