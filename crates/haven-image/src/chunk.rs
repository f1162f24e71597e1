//! Streams between threads: pieces of bytes in a bounded queue, read at the other end as one stream.
//!
//! A piece may be shared by several readers (one hashes, one unpacks) and goes back to a pool when the last lets go
//! of it, so that a stream of any length costs the same few buffers.

use std::io::{self, BufRead, Read, Write};
use std::ops::Deref;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) const CHUNK_BYTES: usize = 256 << 10;

/// Pieces waiting between two threads.
pub(crate) const QUEUE_CHUNKS: usize = 16;

/// Buffers kept for the next piece.
const POOL_CHUNKS: usize = 64;

#[derive(Clone, Default)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    /// A buffer with room for a piece, and whatever was in it last.
    fn take(&self) -> Vec<u8> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < POOL_CHUNKS && buffer.capacity() >= CHUNK_BYTES {
            free.push(buffer);
        }
    }
}

/// A piece of a stream.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    pool: Pool,
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.pool.give(std::mem::take(&mut self.bytes));
    }
}

/// A queue of pieces.
pub(crate) fn queue(pool: &Pool) -> (ChunkWriter, ChunkReader) {
    let (sender, receiver) = sync_channel(QUEUE_CHUNKS);
    let writer = ChunkWriter { sender, pool: pool.clone(), filling: Vec::new() };
    let reader =
        ChunkReader { receiver, current: None, at: 0, copies: Vec::new(), received: 0, ended: false };
    (writer, reader)
}

/// The end bytes are written to. A reader that is gone shows as `BrokenPipe`.
pub(crate) struct ChunkWriter {
    sender: SyncSender<io::Result<Arc<Chunk>>>,
    pool: Pool,
    filling: Vec<u8>,
}

impl ChunkWriter {
    /// Reads one piece from `source` straight into a buffer; false at its end.
    pub(crate) fn read_from(&mut self, source: &mut dyn Read) -> io::Result<bool> {
        self.flush()?;
        let mut buffer = self.pool.take();
        // Writes zeros only where the buffer has never been filled.
        buffer.resize(CHUNK_BYTES, 0);
        let mut filled = 0;
        while filled < CHUNK_BYTES {
            match source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        buffer.truncate(filled);
        if filled == 0 {
            self.pool.give(buffer);
            return Ok(false);
        }
        self.send(buffer)?;
        Ok(true)
    }

    /// Ends the stream with an error for the reader.
    pub(crate) fn fail(self, error: io::Error) {
        // A reader that is gone doesn't need to know.
        drop(self.sender.send(Err(error)));
    }

    /// Sends what is left; the stream ends here.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let chunk = Arc::new(Chunk { bytes, pool: self.pool.clone() });
        self.sender.send(Ok(chunk)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.filling.capacity() == 0 {
            self.filling = self.pool.take();
            self.filling.clear();
        }
        let take = bytes.len().min(CHUNK_BYTES - self.filling.len());
        self.filling.extend_from_slice(&bytes[..take]);
        if self.filling.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.filling);
        self.send(bytes)
    }
}

/// The end bytes are read from.
pub(crate) struct ChunkReader {
    receiver: Receiver<io::Result<Arc<Chunk>>>,
    current: Option<Arc<Chunk>>,
    at: usize,
    copies: Vec<SyncSender<io::Result<Arc<Chunk>>>>,
    received: u64,
    ended: bool,
}

impl ChunkReader {
    /// A second reader of the same stream, from here on. It has to be read by another thread, or dropped.
    pub(crate) fn copy(&mut self) -> ChunkReader {
        let (sender, receiver) = sync_channel(QUEUE_CHUNKS);
        if let Some(rest) = &self.current {
            // Room in the queue: it is new.
            drop(sender.try_send(Ok(Arc::clone(rest))));
        }
        self.copies.push(sender);
        ChunkReader { receiver, current: None, at: 0, copies: Vec::new(), received: 0, ended: false }
    }

    /// Bytes that have come so far, read or not.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The next whole piece; `None` at the end.
    pub(crate) fn next_chunk(&mut self) -> io::Result<Option<Arc<Chunk>>> {
        if let Some(chunk) = self.current.take() {
            debug_assert_eq!(self.at, 0, "pieces are taken whole");
            return Ok(Some(chunk));
        }
        self.receive()
    }

    fn receive(&mut self) -> io::Result<Option<Arc<Chunk>>> {
        if self.ended {
            return Ok(None);
        }
        match self.receiver.recv() {
            Ok(Ok(chunk)) => {
                self.received += chunk.len() as u64;
                // A copy that is gone has seen enough.
                self.copies.retain(|copy| copy.send(Ok(Arc::clone(&chunk))).is_ok());
                Ok(Some(chunk))
            }
            Ok(Err(error)) => {
                self.end();
                Err(error)
            }
            Err(_) => {
                self.end();
                Ok(None)
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.copies.clear();
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|chunk| self.at >= chunk.len()) {
            self.at = 0;
            self.current = None;
            match self.receive()? {
                Some(chunk) => self.current = Some(chunk),
                None => return Ok(&[]),
            }
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk[self.at..]))
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let take = available.len().min(buffer.len());
        buffer[..take].copy_from_slice(&available[..take]);
        self.consume(take);
        Ok(take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_arrives_whole_at_every_reader_and_buffers_come_back() {
        let pool = Pool::default();
        let (mut writer, mut reader) = queue(&pool);
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        std::thread::scope(|scope| {
            let mut copy = reader.copy();
            let copied = scope.spawn(move || {
                let mut all = Vec::new();
                while let Some(chunk) = copy.next_chunk().unwrap() {
                    all.extend_from_slice(&chunk);
                }
                all
            });
            let sent = bytes.clone();
            scope.spawn(move || {
                writer.write_all(&sent[..1_000_001]).unwrap();
                let mut rest = &sent[1_000_001..];
                while writer.read_from(&mut rest).unwrap() {}
                writer.finish().unwrap();
            });
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            assert!(all == bytes);
            assert!(copied.join().unwrap() == bytes);
        });
        drop(reader);
        assert!(!pool.free.lock().unwrap().is_empty());
    }

    #[test]
    fn an_error_and_a_reader_that_left_are_told() {
        let (writer, mut reader) = queue(&Pool::default());
        writer.fail(io::Error::other("broken"));
        assert_eq!(reader.read(&mut [0; 8]).unwrap_err().to_string(), "broken");
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        let (mut writer, reader) = queue(&Pool::default());
        drop(reader);
        assert_eq!(writer.read_from(&mut &[1_u8][..]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
