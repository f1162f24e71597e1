//! Reading a container's log back: JSON lines as the keeper writes them (Docker's `json-file` form), across
//! rotated files, optionally following until the container ends.
//!
//! The files are `<id>-json.log` (newest), `.1`, `.2`, … (older). The reader holds descriptors, so a rotation
//! under it loses nothing: at the end of a rotated file it goes on with the next newer one, found by inode.

use crate::request::{LogLine, LogQuery, OutputKind};
use crate::view::ContainerView;
use haven_spec::{Failure, Outcome};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify;
use serde::Deserialize;
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// A record longer than this is not one the keeper wrote (it splits lines at 16 KiB).
const RECORD_LIMIT_BYTES: usize = 1024 * 1024;
/// Batches under way between the file and a slow client.
const BATCHES: usize = 8;
/// How long a follower sleeps at most before it looks whether the container still lives.
const FOLLOW_POLL_MS: i64 = 250;

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Log lines in batches; dropping it ends the reading.
#[derive(Debug)]
pub struct LogReader {
    batches: mpsc::Receiver<Outcome<Vec<LogLine>>>,
}

impl LogReader {
    /// Reads the log whose newest file is `newest`, while `view` says whether more can come.
    pub(crate) fn open(newest: PathBuf, query: LogQuery, view: watch::Receiver<Arc<ContainerView>>) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES);
        // A thread of its own: a follower lives as long as its container and must not hold one of the pool's.
        let reading = Reading { newest, query, view, sender: sender.clone() };
        let spawned = std::thread::Builder::new().name("log-reader".into()).spawn(move || reading.run());
        if let Err(error) = spawned {
            let failure = Failure::host("cannot start reading the log").because(error);
            drop(sender.try_send(Err(failure)));
        }
        Self { batches }
    }

    /// The next lines, oldest first; `None` at the end.
    pub async fn next(&mut self) -> Option<Outcome<Vec<LogLine>>> {
        self.batches.recv().await
    }
}

struct Reading {
    newest: PathBuf,
    query: LogQuery,
    view: watch::Receiver<Arc<ContainerView>>,
    sender: mpsc::Sender<Outcome<Vec<LogLine>>>,
}

/// Why reading stopped before the end.
enum Stop {
    /// The receiver went, or `until` was passed.
    Done,
    Failed(Failure),
}

impl Reading {
    fn run(self) {
        if let Err(Stop::Failed(failure)) = self.read() {
            drop(self.sender.blocking_send(Err(failure)));
        }
    }

    fn read(&self) -> Result<(), Stop> {
        // Watch before the first look, so that nothing written in between is missed.
        let watcher = if self.query.follow { Some(self.watcher()?) } else { None };
        let mut files = open_files(&self.newest).map_err(|e| self.failed(e))?;
        let skip_to = match self.query.tail {
            Some(lines) => tail_start(&files, lines).map_err(|e| self.failed(e))?,
            None => (0, 0),
        };
        let mut carry = Vec::new();
        for (index, file) in files.iter_mut().enumerate().skip(skip_to.0) {
            if index == skip_to.0 {
                file.seek(SeekFrom::Start(skip_to.1)).map_err(|e| self.failed(e))?;
            }
            self.drain(file, &mut carry)?;
        }
        let Some(watcher) = watcher else { return Ok(()) };
        let mut current = files.pop();
        loop {
            // Asked before draining: what was written before it ended is then certainly seen.
            let alive = self.may_grow();
            if current.is_none() {
                current = File::open(&self.newest).ok();
            }
            if let Some(file) = &mut current {
                self.drain(file, &mut carry)?;
                if let Some(next) = next_file(&self.newest, file).map_err(|e| self.failed(e))? {
                    self.drain(file, &mut carry)?;
                    current = Some(next);
                    continue;
                }
            }
            if !alive || self.sender.is_closed() {
                return Ok(());
            }
            if self.query.until_ns.is_some_and(|until| until <= now_ns()) {
                return Ok(());
            }
            watcher.wait();
        }
    }

    fn may_grow(&self) -> bool {
        use haven_spec::ContainerState::{Created, Paused, Restarting, Running};
        // A sender that is gone means the container was removed.
        self.view.has_changed().is_ok()
            && matches!(
                self.view.borrow().state,
                Created | Running { .. } | Paused { .. } | Restarting { .. }
            )
    }

    fn watcher(&self) -> Result<Watcher, Stop> {
        let parent = self.newest.parent().unwrap_or(Path::new("/"));
        Watcher::new(parent).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: std::io::Error) -> Stop {
        Stop::Failed(Failure::host(format!("cannot read the log `{}`", self.newest.display())).because(error))
    }

    /// Sends every whole record up to the present end of `file`; a partial one stays in `carry`.
    fn drain(&self, file: &mut File, carry: &mut Vec<u8>) -> Result<(), Stop> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = file.read(&mut chunk).map_err(|e| self.failed(e))?;
            if count == 0 {
                return Ok(());
            }
            carry.extend_from_slice(&chunk[..count]);
            let Some(end) = carry.iter().rposition(|b| *b == b'\n') else {
                if carry.len() > RECORD_LIMIT_BYTES {
                    carry.clear();
                }
                continue;
            };
            let mut batch = Vec::new();
            let mut done = false;
            for raw in carry[..end].split(|b| *b == b'\n') {
                // A line that is no record (a torn write after a crash) is skipped.
                let Ok(record) = serde_json::from_slice::<Record<'_>>(raw) else { continue };
                match self.accept(&record) {
                    Accept::Yes(line) => batch.push(line),
                    Accept::No => {}
                    Accept::End => {
                        done = true;
                        break;
                    }
                }
            }
            carry.drain(..=end);
            if !batch.is_empty() && self.sender.blocking_send(Ok(batch)).is_err() {
                return Err(Stop::Done);
            }
            if done {
                return Err(Stop::Done);
            }
        }
    }

    fn accept(&self, record: &Record<'_>) -> Accept {
        let kind = if record.stream == "stderr" { OutputKind::Stderr } else { OutputKind::Stdout };
        let wanted = match kind {
            OutputKind::Stdout => self.query.stdout,
            OutputKind::Stderr => self.query.stderr,
        };
        let time_ns = parse_time_ns(&record.time);
        if self.query.until_ns.is_some_and(|until| time_ns > until) {
            return Accept::End;
        }
        if !wanted || self.query.since_ns.is_some_and(|since| time_ns < since) {
            return Accept::No;
        }
        Accept::Yes(LogLine { kind, time_ns, text: record.log.as_bytes().to_vec() })
    }
}

enum Accept {
    Yes(LogLine),
    No,
    End,
}

fn now_ns() -> i64 {
    crate::clock::now_ns()
}

fn parse_time_ns(text: &str) -> i64 {
    let parsed = text.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_nanosecond);
    i64::try_from(parsed).unwrap_or(0)
}

fn rotated(newest: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return newest.to_path_buf();
    }
    let mut name = newest.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// All files of the log that exist, oldest first.
fn open_files(newest: &Path) -> std::io::Result<Vec<File>> {
    // Opened newest first: a rotation in between then shows a file twice, never skips one.
    let mut files: Vec<File> = Vec::new();
    let mut seen: Vec<u64> = Vec::new();
    for number in 0.. {
        match File::open(rotated(newest, number)) {
            Ok(file) => {
                let inode = file.metadata()?.ino();
                if !seen.contains(&inode) {
                    seen.push(inode);
                    files.push(file);
                }
            }
            // Between two renames of a rotation the newest is absent for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && number == 0 => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    files.reverse();
    Ok(files)
}

/// Where the last `lines` records begin: index of the file and offset in it.
fn tail_start(files: &[File], lines: u64) -> std::io::Result<(usize, u64)> {
    let mut left = lines;
    for (index, file) in files.iter().enumerate().rev() {
        let mut end = file.metadata()?.len();
        if left == 0 {
            return Ok((index, end));
        }
        let mut block = vec![0; CHUNK_BYTES];
        let mut last = true;
        while end > 0 {
            let start = end.saturating_sub(CHUNK_BYTES as u64);
            let length = usize::try_from(end - start).unwrap_or(CHUNK_BYTES);
            file.read_exact_at(&mut block[..length], start)?;
            let mut upto = length;
            while let Some(at) = block[..upto].iter().rposition(|b| *b == b'\n') {
                upto = at;
                // The newline that ends the very last record begins nothing.
                if last && start + at as u64 + 1 == file.metadata()?.len() {
                    last = false;
                    continue;
                }
                last = false;
                left -= 1;
                if left == 0 {
                    return Ok((index, start + at as u64 + 1));
                }
            }
            end = start;
        }
        // The record at the file's beginning.
        if file.metadata()?.len() > 0 {
            left -= 1;
            if left == 0 {
                return Ok((index, 0));
            }
        }
    }
    Ok((0, 0))
}

/// The file that came after `current`, when `current` has been rotated away.
fn next_file(newest: &Path, current: &File) -> std::io::Result<Option<File>> {
    let inode = current.metadata()?.ino();
    let mut newer: Option<File> = None;
    for number in 0.. {
        match File::open(rotated(newest, number)) {
            Ok(file) if file.metadata()?.ino() == inode => return Ok(newer),
            Ok(file) => newer = Some(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && number == 0 => {}
            // Ours was rotated out altogether: the oldest one left follows it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(newer),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Tells when something in the log's directory changes.
struct Watcher(std::os::fd::OwnedFd);

impl Watcher {
    fn new(directory: &Path) -> std::io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&fd, directory, flags)?;
        Ok(Self(fd))
    }

    fn wait(&self) {
        let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: FOLLOW_POLL_MS * 1_000_000 };
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        if rustix::event::poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            let mut discard = [0_u8; 4096];
            while rustix::io::read(&self.0, &mut discard).is_ok_and(|count| count > 0) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::task::tests_support::view;
    use std::fs;
    use std::io::Write;

    struct Fixture {
        directory: PathBuf,
        newest: PathBuf,
    }

    impl Fixture {
        fn new(name: &str) -> Self {
            let directory = std::env::temp_dir().join(format!("haven-log-{name}-{}", std::process::id()));
            fs::create_dir_all(&directory).unwrap();
            Self { newest: directory.join("x-json.log"), directory }
        }

        fn append(&self, numbers: std::ops::Range<u32>) {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.newest).unwrap();
            for number in numbers {
                let stream = if number % 2 == 0 { "stdout" } else { "stderr" };
                writeln!(
                    file,
                    r#"{{"log":"line {number}\n","stream":"{stream}","time":"2026-01-01T00:00:{:02}.5Z"}}"#,
                    number % 60
                )
                .unwrap();
            }
        }

        fn rotate(&self) {
            let name = |n: u32| rotated(&self.newest, n);
            drop(fs::rename(name(1), name(2)));
            fs::rename(name(0), name(1)).unwrap();
        }

        fn read(&self, query: LogQuery) -> Vec<String> {
            let (_keep, receiver) = watch::channel(view(false));
            let mut reader = LogReader::open(self.newest.clone(), query, receiver);
            let mut lines = Vec::new();
            while let Some(batch) = reader.batches.blocking_recv() {
                lines.extend(
                    batch
                        .unwrap()
                        .into_iter()
                        .map(|line| String::from_utf8(line.text).unwrap().trim().to_owned()),
                );
            }
            lines
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.directory));
        }
    }

    const ALL: LogQuery =
        LogQuery { stdout: true, stderr: true, follow: false, since_ns: None, until_ns: None, tail: None };

    #[test]
    fn lines_come_in_order_across_rotated_files() {
        let fixture = Fixture::new("order");
        fixture.append(0..10);
        fixture.rotate();
        fixture.append(10..20);
        fixture.rotate();
        fixture.append(20..25);
        let lines = fixture.read(ALL);
        assert_eq!(lines, (0..25).map(|n| format!("line {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn the_tail_is_counted_across_rotated_files() {
        let fixture = Fixture::new("tail");
        fixture.append(0..10);
        fixture.rotate();
        fixture.append(10..12);
        for (tail, first) in [(0, 12), (1, 11), (2, 10), (3, 9), (12, 0), (100, 0)] {
            let lines = fixture.read(LogQuery { tail: Some(tail), ..ALL });
            assert_eq!(lines, (first..12).map(|n| format!("line {n}")).collect::<Vec<_>>(), "tail {tail}");
        }
    }

    #[test]
    fn streams_and_times_choose_lines() {
        let fixture = Fixture::new("choose");
        fixture.append(0..10);
        assert_eq!(fixture.read(LogQuery { stderr: false, ..ALL }).len(), 5);
        let at = |second: i64| Some(1_767_225_600_000_000_000 + second * 1_000_000_000);
        let lines = fixture.read(LogQuery { since_ns: at(3), until_ns: at(6), ..ALL });
        assert_eq!(lines, ["line 3", "line 4", "line 5"]);
    }

    #[test]
    fn a_torn_line_is_skipped_and_the_rest_is_read() {
        let fixture = Fixture::new("torn");
        fixture.append(0..2);
        let mut file = fs::OpenOptions::new().append(true).open(&fixture.newest).unwrap();
        file.write_all(b"{\"log\":\"half\n\x00\xff garbage\n").unwrap();
        fixture.append(2..3);
        assert_eq!(fixture.read(ALL), ["line 0", "line 1", "line 2"]);
    }

    #[test]
    fn a_follower_sees_everything_through_rotations_until_the_container_ends() {
        let fixture = Fixture::new("follow");
        fixture.append(0..5);
        let (state, receiver) = watch::channel(view(true));
        let mut reader = LogReader::open(fixture.newest.clone(), LogQuery { follow: true, ..ALL }, receiver);
        let reading = std::thread::spawn(move || {
            let mut count = 0;
            while let Some(batch) = reader.batches.blocking_recv() {
                count += batch.unwrap().len();
            }
            count
        });
        for round in 1..20 {
            fixture.append(round * 5..round * 5 + 5);
            if round % 5 == 0 {
                fixture.rotate();
                std::thread::sleep(std::time::Duration::from_millis(30));
            }
        }
        state.send_replace(view(false));
        assert_eq!(reading.join().unwrap(), 100);
    }
}
