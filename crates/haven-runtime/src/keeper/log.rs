//! The log of one container: lines into a file, rotated by size.
//!
//! A log never blocks or ends a container: what the disk refuses is lost and counted. Files are reached through a
//! handle on their directory. An entry is never split over two files, and never left half-written.

use super::encode::{self, Cursor, ENTRY_BYTES, PIECE_BYTES, Tail};
use super::setup::LogFacts;
use haven_sys::region::Region;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;

/// How much is gathered before it is written.
const GATHERED_BYTES: usize = 256 * 1024;

pub(super) struct Log {
    directory: OwnedFd,
    facts: LogFacts,
    file: Option<OwnedFd>,
    file_bytes: u64,
    gathered: Region,
    gathered_bytes: usize,
    gathered_lines: u64,
    lost_lines: u64,
}

/// The unfinished line of one stream.
pub(super) struct Partial {
    stream: &'static str,
    bytes: Region,
    length: usize,
}

impl Partial {
    pub(super) fn new(stream: &'static str) -> io::Result<Self> {
        Ok(Self { stream, bytes: Region::new(PIECE_BYTES)?, length: 0 })
    }

    /// Gives its memory back while it is empty.
    pub(super) fn rest(&mut self) {
        if self.length == 0 {
            self.bytes.release();
        }
    }
}

impl Log {
    pub(super) fn new(directory: OwnedFd, facts: LogFacts) -> io::Result<Self> {
        let mut log = Self {
            directory,
            facts,
            file: None,
            file_bytes: 0,
            gathered: Region::new(GATHERED_BYTES)?,
            gathered_bytes: 0,
            gathered_lines: 0,
            lost_lines: 0,
        };
        log.open();
        Ok(log)
    }

    pub(super) fn lost_lines(&self) -> u64 {
        self.lost_lines
    }

    /// Takes what a stream said at one moment.
    pub(super) fn take(&mut self, partial: &mut Partial, mut bytes: &[u8], now_ns: i64) {
        let tail = Tail::new(partial.stream, now_ns);
        while !bytes.is_empty() {
            let room = PIECE_BYTES - partial.length;
            let window = &bytes[..bytes.len().min(room + 1)];
            match memchr(b'\n', window) {
                Some(end) if partial.length == 0 => {
                    self.add(&bytes[..end], true, &tail);
                    bytes = &bytes[end + 1..];
                }
                Some(end) => {
                    partial.bytes[partial.length..partial.length + end].copy_from_slice(&bytes[..end]);
                    self.add(&partial.bytes[..partial.length + end], true, &tail);
                    partial.length = 0;
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() < room => {
                    partial.bytes[partial.length..partial.length + bytes.len()].copy_from_slice(bytes);
                    partial.length += bytes.len();
                    return;
                }
                None => {
                    // The line is longer than a piece.
                    partial.bytes[partial.length..].copy_from_slice(&bytes[..room]);
                    self.add(&partial.bytes, false, &tail);
                    partial.length = 0;
                    bytes = &bytes[room..];
                }
            }
        }
    }

    /// The stream ended: what it said last may lack a newline.
    pub(super) fn finish(&mut self, partial: &mut Partial, now_ns: i64) {
        if partial.length > 0 {
            let tail = Tail::new(partial.stream, now_ns);
            self.add(&partial.bytes[..partial.length], false, &tail);
            partial.length = 0;
        }
    }

    fn add(&mut self, piece: &[u8], newline: bool, tail: &Tail) {
        if self.gathered_bytes + ENTRY_BYTES > GATHERED_BYTES {
            self.flush();
        }
        if self.facts.max_size_bytes > 0
            && self.file_bytes + self.gathered_bytes as u64 >= self.facts.max_size_bytes
        {
            self.flush();
            self.rotate();
        }
        let mut cursor = Cursor { buffer: &mut self.gathered, length: self.gathered_bytes };
        encode::entry(&mut cursor, piece, newline, tail);
        self.gathered_bytes = cursor.length;
        self.gathered_lines += 1;
    }

    /// Writes what is gathered.
    pub(super) fn flush(&mut self) {
        if self.gathered_bytes == 0 {
            return;
        }
        if self.file.is_none() {
            self.open();
        }
        let whole = &self.gathered[..self.gathered_bytes];
        let written = self.file.as_ref().map_or(0, |file| write_all(file, whole));
        if written == whole.len() {
            self.file_bytes += written as u64;
        } else {
            // Whole entries stay; the torn one and what follows is lost.
            let kept = whole[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines = whole[..kept].iter().filter(|byte| **byte == b'\n').count() as u64;
            self.lost_lines += self.gathered_lines - lines;
            self.file_bytes += kept as u64;
            if let Some(file) = &self.file
                && written > kept
                && rustix::fs::ftruncate(file, self.file_bytes).is_err()
            {
                // The torn entry can't be taken back: begin the next one on a line of its own.
                let _same_reason = rustix::io::write(file, b"\n");
            }
        }
        self.gathered_bytes = 0;
        self.gathered_lines = 0;
    }

    /// Gives memory back that is only needed while something is said.
    pub(super) fn rest(&mut self) {
        self.flush();
        self.gathered.release();
    }

    fn open(&mut self) {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let opened =
            rustix::fs::openat(&self.directory, self.facts.name.as_str(), flags, Mode::from_raw_mode(0o640));
        self.file = opened.ok();
        self.file_bytes = self
            .file
            .as_ref()
            .and_then(|file| rustix::fs::fstat(file).ok())
            .and_then(|stat| u64::try_from(stat.st_size).ok())
            .unwrap_or(0);
    }

    /// `name` → `name.1` → `name.2` …; the oldest goes.
    fn rotate(&mut self) {
        self.file = None;
        let name = self.facts.name.as_str();
        let numbered = |number: u32| if number == 0 { name.to_owned() } else { format!("{name}.{number}") };
        let oldest = self.facts.max_files.saturating_sub(1);
        // What can't be renamed stays and is appended to: better one file too long than lines lost.
        let _missing = rustix::fs::unlinkat(&self.directory, numbered(oldest), rustix::fs::AtFlags::empty());
        for number in (0..oldest).rev() {
            let _missing = rustix::fs::renameat(
                &self.directory,
                numbered(number),
                &self.directory,
                numbered(number + 1),
            );
        }
        self.open();
    }
}

/// How much could be written.
fn write_all(file: &OwnedFd, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(file, &bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => break,
        }
    }
    written
}

/// The first `wanted` in `bytes`, eight at a time: a line's end is what is looked for most.
fn memchr(wanted: u8, bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let pattern = LOW * u64::from(wanted);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let differs = u64::from_le_bytes(*chunk) ^ pattern;
        let zeros = differs.wrapping_sub(LOW) & !differs & (LOW << 7);
        if zeros != 0 {
            return Some(index * 8 + usize::try_from(zeros.trailing_zeros() / 8).unwrap_or(0));
        }
    }
    rest.iter().position(|byte| *byte == wanted).map(|at| chunks.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("haven-log-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn log(&self, max_size_bytes: u64, max_files: u32) -> Log {
            let facts = LogFacts { name: "x-json.log".into(), max_size_bytes, max_files };
            Log::new(OwnedFd::from(std::fs::File::open(&self.0).unwrap()), facts).unwrap()
        }

        fn texts(&self, file: &str) -> Vec<String> {
            let content = std::fs::read_to_string(self.0.join(file)).unwrap_or_default();
            content
                .lines()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["log"]
                        .as_str()
                        .unwrap()
                        .to_owned()
                })
                .collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }

    fn exists(path: &Path) -> bool {
        path.exists()
    }

    #[test]
    fn lines_are_cut_at_newlines_wherever_reads_end() {
        let scratch = Scratch::new("cut");
        let mut log = scratch.log(0, 1);
        let mut partial = Partial::new("stdout").unwrap();
        for part in ["on", "e\ntwo\nth", "", "ree", "\n\nlast"] {
            log.take(&mut partial, part.as_bytes(), 0);
        }
        log.finish(&mut partial, 0);
        log.flush();
        assert_eq!(scratch.texts("x-json.log"), ["one\n", "two\n", "three\n", "\n", "last"]);
    }

    #[test]
    fn a_long_line_is_split_and_only_its_end_has_the_newline() {
        let scratch = Scratch::new("long");
        let mut log = scratch.log(0, 1);
        let mut partial = Partial::new("stderr").unwrap();
        let mut line = vec![b'x'; PIECE_BYTES * 2 + 10];
        line.push(b'\n');
        for chunk in line.chunks(1000) {
            log.take(&mut partial, chunk, 0);
        }
        let mut exact = vec![b'y'; PIECE_BYTES];
        exact.push(b'\n');
        log.take(&mut partial, &exact, 0);
        log.flush();
        let texts = scratch.texts("x-json.log");
        let lengths: Vec<_> = texts.iter().map(String::len).collect();
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, 11, PIECE_BYTES + 1]);
        assert!(texts[2].ends_with('\n') && !texts[0].ends_with('\n'));
    }

    #[test]
    fn files_are_rotated_by_size_and_the_oldest_goes() {
        let scratch = Scratch::new("rotate");
        let mut log = scratch.log(300, 3);
        let mut partial = Partial::new("stdout").unwrap();
        for number in 0..40 {
            log.take(&mut partial, format!("line {number}\n").as_bytes(), 0);
        }
        log.flush();
        let files = ["x-json.log.2", "x-json.log.1", "x-json.log"];
        let all: Vec<String> = files.iter().flat_map(|file| scratch.texts(file)).collect();
        assert!(!exists(&scratch.0.join("x-json.log.3")));
        assert_eq!(all.last().unwrap(), "line 39\n");
        let first: usize = all[0].trim().rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(all.len(), 40 - first, "no line is missing between the files");
        for file in files {
            assert!(std::fs::metadata(scratch.0.join(file)).unwrap().len() <= 300 + 80);
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_loses_lines_and_counts_them() {
        let scratch = Scratch::new("lost");
        let mut log = scratch.log(0, 1);
        log.file = Some(OwnedFd::from(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap()));
        let mut partial = Partial::new("stdout").unwrap();
        log.take(&mut partial, b"a\nb\nc\n", 0);
        log.flush();
        assert_eq!(log.lost_lines(), 3);
    }

    #[test]
    fn the_first_newline_is_found_at_any_place() {
        for length in 0..40 {
            for place in 0..length {
                let mut bytes = vec![b'a'; length];
                bytes[place] = b'\n';
                bytes[length - 1] = b'\n';
                assert_eq!(memchr(b'\n', &bytes), Some(place));
            }
            assert_eq!(memchr(b'\n', &vec![0x8a; length]), None);
        }
    }
}
