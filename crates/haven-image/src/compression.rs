//! Compressed streams: told by their first bytes, opened in one pass, watched for bombs.
//!
//! Both formats may consist of several parts in a row (gzip members, zstd frames, skippable ones between them): all
//! of them are the content.

use crate::chunk::{ChunkReader, ChunkWriter, Pool, queue};
use crate::io_failure::into_io;
use crate::limits::Limits;
use haven_spec::Failure;
use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::thread::{Scope, ScopedJoinHandle};

/// The largest window a zstd frame may ask for, as a power of two: 128 MiB, as the zstd program allows.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Bytes needed to tell.
pub(crate) const MAGIC_BYTES: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    /// Known and not supported.
    Foreign(&'static str),
}

impl Compression {
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Foreign("bzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Foreign("xz"),
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Foreign("lz4"),
            _ => Self::None,
        }
    }

    pub(crate) fn unsupported(name: &str) -> Failure {
        Failure::unsupported(format!("it is compressed with {name}"))
            .hint(format!("decompress it with `{name} -d` first, or compress with gzip or zstd"))
    }
}

/// Opens `source`, whatever it is packed with, to be read by the same thread.
pub(crate) fn open<R: Read>(mut source: R, limits: &Limits) -> io::Result<Opened<R>> {
    let start = read_start(&mut source, MAGIC_BYTES)?;
    let compression = Compression::of(&start);
    let source = Count { source: Cursor::new(start).chain(source), bytes: 0 };
    let source = BufReader::with_capacity(BUFFER_BYTES, source);
    let guard = (limits.ratio, limits.ratio_free_bytes);
    let stream = match compression {
        Compression::None => Stream::Plain(source),
        Compression::Gzip => Stream::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(source))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Stream::Zstd(Box::new(decoder))
        }
        Compression::Foreign(name) => return Err(into_io(Compression::unsupported(name))),
    };
    Ok(Opened { stream, guard, written: 0 })
}

/// Up to `most` bytes, however the source hands them out.
pub(crate) fn read_start(source: &mut impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(most);
    source.take(most as u64).read_to_end(&mut start)?;
    Ok(start)
}

const BUFFER_BYTES: usize = 64 << 10;

type Source<R> = BufReader<Count<Chain<Cursor<Vec<u8>>, R>>>;

/// A stream that has been opened by [`open`].
pub(crate) struct Opened<R: Read> {
    stream: Stream<R>,
    guard: (u64, u64),
    written: u64,
}

enum Stream<R: Read> {
    Plain(Source<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Source<R>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Source<R>>>),
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, taken) = match &mut self.stream {
            Stream::Plain(source) => return source.read(buffer),
            Stream::Gzip(decoder) => (decoder.read(buffer)?, decoder.get_ref().get_ref().bytes),
            Stream::Zstd(decoder) => {
                (decoder.read(buffer).map_err(damaged)?, decoder.get_ref().get_ref().bytes)
            }
        };
        self.written += count as u64;
        watch(self.written, taken, self.guard)?;
        Ok(count)
    }
}

pub(crate) struct Count<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Count<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Opens `source` in a thread of its own: the content comes out of the reader, the compressed side's digest out of
/// the handle once the content has been read to its end.
pub(crate) fn inflate<'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: ChunkReader,
    compression: Compression,
    limits: &Limits,
    pool: &Pool,
) -> (ChunkReader, ScopedJoinHandle<'scope, Option<[u8; 32]>>) {
    let (mut writer, reader) = queue(pool);
    let guard = (limits.ratio, limits.ratio_free_bytes);
    let handle = scope.spawn(move || {
        let mut hashing = HashingReader { source, hasher: Sha256::new() };
        match copy_out(&mut hashing, compression, guard, &mut writer) {
            Ok(()) => {
                // The rest, if a decoder left any, belongs to the digest.
                while hashing.fill_buf().is_ok_and(|rest| !rest.is_empty()) {
                    let length = hashing.fill_buf().map_or(0, <[u8]>::len);
                    hashing.consume(length);
                }
                writer.finish().ok()?;
                Some(hashing.hasher.finalize().into())
            }
            Err(error) => {
                writer.fail(error);
                None
            }
        }
    });
    (reader, handle)
}

fn copy_out(
    source: &mut HashingReader,
    compression: Compression,
    guard: (u64, u64),
    writer: &mut ChunkWriter,
) -> io::Result<()> {
    let mut written = 0_u64;
    match compression {
        Compression::Gzip => {
            let mut decoder = flate2::bufread::MultiGzDecoder::new(source);
            loop {
                let mut counting = Count { source: &mut decoder, bytes: 0 };
                let more = writer.read_from(&mut counting)?;
                written += counting.bytes;
                watch(written, decoder.get_ref().source.received(), guard)?;
                if !more {
                    return Ok(());
                }
            }
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            loop {
                let mut counting = Count { source: &mut decoder, bytes: 0 };
                let more = writer.read_from(&mut counting).map_err(damaged)?;
                written += counting.bytes;
                watch(written, decoder.get_ref().source.received(), guard)?;
                if !more {
                    return Ok(());
                }
            }
        }
        Compression::None => {
            while writer.read_from(source)? {}
            Ok(())
        }
        Compression::Foreign(name) => Err(into_io(Compression::unsupported(name))),
    }
}

/// The zstd library reports damage without a kind of its own.
fn damaged(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::Other && !error.get_ref().is_some_and(|inner| inner.is::<Failure>()) {
        io::Error::new(io::ErrorKind::InvalidData, error)
    } else {
        error
    }
}

fn watch(written: u64, read: u64, (ratio, free): (u64, u64)) -> io::Result<()> {
    if written > free && written > read.saturating_mul(ratio) {
        return Err(into_io(
            Failure::invalid(format!(
                "its content is more than {ratio} times larger than its compressed form: it looks like a bomb"
            ))
            .hint("decompress it yourself, if you trust it, and use the plain archive"),
        ));
    }
    Ok(())
}

/// Hashes what is consumed.
struct HashingReader {
    source: ChunkReader,
    hasher: Sha256,
}

impl BufRead for HashingReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.source.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(bytes) = self.source.fill_buf() {
            self.hasher.update(&bytes[..amount]);
        }
        self.source.consume(amount);
    }
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let take = available.len().min(buffer.len());
        buffer[..take].copy_from_slice(&available[..take]);
        self.consume(take);
        Ok(take)
    }
}
