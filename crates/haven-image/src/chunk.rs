//! Streams between threads: pieces of bytes in a bounded queue, read at the other end as one stream.
//!
//! A writer that must not wait for its reader can be given a file: from when the queue is full the rest of the stream
//! goes there, and the reader takes it from there.
//!
//! A piece may be shared by several readers (one hashes, one unpacks) and goes back to a pool when the last lets go
//! of it, so that a stream of any length costs the same few buffers.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::ops::Deref;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

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
    let waiting = Arc::new(AtomicUsize::new(0));
    let writer = ChunkWriter {
        sender,
        pool: pool.clone(),
        filling: Vec::new(),
        waiting: Arc::clone(&waiting),
        spill_file: None,
        spill: None,
    };
    let reader = ChunkReader::new(receiver, Some(waiting));
    (writer, reader)
}

/// What goes through a queue.
enum Message {
    Chunk(Arc<Chunk>),
    Failed(io::Error),
    /// The rest is in a file.
    Spill(Arc<Spill>),
}

/// The rest of a stream, in a file that grows while it is read.
struct Spill {
    file: File,
    pool: Pool,
    state: Mutex<SpillState>,
    grown: Condvar,
}

#[derive(Default)]
struct SpillState {
    written: u64,
    ended: bool,
    failed: Option<io::Error>,
    reader_left: bool,
}

impl Spill {
    fn change(&self, change: impl FnOnce(&mut SpillState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.grown.notify_all();
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let at = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.reader_left {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            state.written
        };
        self.file.write_all_at(bytes, at)?;
        self.change(|state| state.written = at + bytes.len() as u64);
        Ok(())
    }

    /// The piece at `at`, once it is there; `None` at the end.
    fn read(&self, at: u64) -> io::Result<Option<Arc<Chunk>>> {
        let available = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if state.written > at {
                    break state.written - at;
                }
                if let Some(error) = state.failed.take() {
                    return Err(error);
                }
                if state.ended {
                    return Ok(None);
                }
                state = self.grown.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let mut bytes = self.pool.take();
        let take = usize::try_from(available).map_or(CHUNK_BYTES, |available| available.min(CHUNK_BYTES));
        bytes.resize(take, 0);
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(Some(Arc::new(Chunk { bytes, pool: self.pool.clone() })))
    }
}

/// The end bytes are written to. A reader that is gone shows as `BrokenPipe`.
pub(crate) struct ChunkWriter {
    sender: SyncSender<Message>,
    pool: Pool,
    filling: Vec<u8>,
    /// Pieces in the queue.
    waiting: Arc<AtomicUsize>,
    spill_file: Option<File>,
    spill: Option<Arc<Spill>>,
}

impl ChunkWriter {
    /// From when the queue is full, write to `file` instead of waiting.
    pub(crate) fn spill_into(&mut self, file: File) {
        self.spill_file = Some(file);
    }

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
        match &self.spill {
            Some(spill) => spill.change(|state| state.failed = Some(error)),
            // A reader that is gone doesn't need to know.
            None => drop(self.sender.send(Message::Failed(error))),
        }
    }

    /// Sends what is left; the stream ends here.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        // One place in the queue is left for saying so.
        if self.spill_file.is_some()
            && self.waiting.load(Ordering::Acquire) + 1 >= QUEUE_CHUNKS
            && let Some(file) = self.spill_file.take()
        {
            let spill = Arc::new(Spill {
                file,
                pool: self.pool.clone(),
                state: Mutex::default(),
                grown: Condvar::new(),
            });
            self.sender.send(Message::Spill(Arc::clone(&spill))).map_err(|_| nobody_reads())?;
            self.spill = Some(spill);
        }
        if let Some(spill) = &self.spill {
            let appended = spill.append(&bytes);
            self.pool.give(bytes);
            return appended;
        }
        let chunk = Arc::new(Chunk { bytes, pool: self.pool.clone() });
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.sender.send(Message::Chunk(chunk)).map_err(|_| nobody_reads())
    }
}

impl Drop for ChunkWriter {
    fn drop(&mut self) {
        if let Some(spill) = &self.spill {
            spill.change(|state| state.ended = true);
        }
    }
}

fn nobody_reads() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
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
    receiver: Receiver<Message>,
    /// Counted down as pieces leave the queue; a copy's queue isn't counted.
    waiting: Option<Arc<AtomicUsize>>,
    current: Option<Arc<Chunk>>,
    at: usize,
    copies: Vec<SyncSender<Message>>,
    received: u64,
    spill: Option<(Arc<Spill>, u64)>,
    ended: bool,
}

impl ChunkReader {
    fn new(receiver: Receiver<Message>, waiting: Option<Arc<AtomicUsize>>) -> Self {
        Self {
            receiver,
            waiting,
            current: None,
            at: 0,
            copies: Vec::new(),
            received: 0,
            spill: None,
            ended: false,
        }
    }

    /// A second reader of the same stream, from here on. It has to be read by another thread, or dropped.
    pub(crate) fn copy(&mut self) -> ChunkReader {
        let (sender, receiver) = sync_channel(QUEUE_CHUNKS);
        if let Some(rest) = &self.current {
            // Room in the queue: it is new.
            drop(sender.try_send(Message::Chunk(Arc::clone(rest))));
        }
        self.copies.push(sender);
        Self::new(receiver, None)
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
        let next = match &mut self.spill {
            Some((spill, at)) => {
                let next = spill.read(*at);
                if let Ok(Some(chunk)) = &next {
                    *at += chunk.len() as u64;
                }
                next
            }
            None => match self.receiver.recv() {
                Ok(Message::Chunk(chunk)) => {
                    if let Some(waiting) = &self.waiting {
                        waiting.fetch_sub(1, Ordering::AcqRel);
                    }
                    Ok(Some(chunk))
                }
                Ok(Message::Spill(spill)) => {
                    self.spill = Some((spill, 0));
                    return self.receive();
                }
                Ok(Message::Failed(error)) => Err(error),
                Err(_) => Ok(None),
            },
        };
        match &next {
            Ok(Some(chunk)) => {
                self.received += chunk.len() as u64;
                // A copy that is gone has seen enough.
                self.copies.retain(|copy| copy.send(Message::Chunk(Arc::clone(chunk))).is_ok());
            }
            _ => self.end(),
        }
        next
    }

    fn end(&mut self) {
        self.ended = true;
        self.copies.clear();
    }
}

impl Drop for ChunkReader {
    fn drop(&mut self) {
        let unread = self.receiver.try_iter().find_map(|message| match message {
            Message::Spill(spill) => Some(spill),
            Message::Chunk(_) | Message::Failed(_) => None,
        });
        if let Some(spill) = unread.as_ref().or(self.spill.as_ref().map(|(spill, _)| spill)) {
            spill.change(|state| state.reader_left = true);
        }
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

    #[test]
    fn what_the_queue_cant_take_goes_through_a_file() {
        let path = std::env::temp_dir().join(format!("haven-spill-{}", std::process::id()));
        let make = || {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            file
        };
        let bytes: Vec<u8> =
            (0..12_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let pool = Pool::default();
        let (mut writer, mut reader) = queue(&pool);
        writer.spill_into(make());
        let mut copy = reader.copy();
        // Nobody reads: without the file this would wait for ever.
        writer.write_all(&bytes).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                writer.write_all(b"and the rest").unwrap();
                writer.finish().unwrap();
            });
            let copied =
                scope.spawn(move || std::iter::from_fn(|| copy.next_chunk().unwrap()).map(|c| c.len()).sum());
            let mut all = Vec::new();
            reader.read_to_end(&mut all).unwrap();
            assert!(all.strip_suffix(b"and the rest").unwrap() == bytes);
            let copied: usize = copied.join().unwrap();
            assert_eq!(copied, all.len());
        });
        let (mut writer, mut reader) = queue(&pool);
        writer.spill_into(make());
        writer.write_all(&bytes).unwrap();
        writer.fail(io::Error::other("broken"));
        let mut all = Vec::new();
        assert_eq!(reader.read_to_end(&mut all).unwrap_err().to_string(), "broken");
        let (mut writer, reader) = queue(&pool);
        writer.spill_into(make());
        writer.write_all(&bytes).unwrap();
        drop(reader);
        assert_eq!(writer.write_all(&bytes).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
