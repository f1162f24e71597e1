//! A file, or a range of it, as a stream of pieces in order.
//!
//! Several reads are on their way at once, so that a distant server is as fast as its line; what was asked for and not yet
//! fetched is bounded, so a reader that stops costs a few megabytes and no more. Dropping the stream ends its reads.

use crate::link::Link;
use crate::path::FilePath;
use crate::problem::{Attempt, Problem, ProblemKind};
use crate::share::{Entry, EntryKind, Share};
use smb2::FileReader;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// One read, and how many are under way: 4 MiB, which fills 1 Gbit/s at 30 ms.
const PIECE_BYTES: u64 = 512 << 10;
const AT_ONCE: usize = 8;

pub struct FileStream {
    reader: Arc<FileReader>,
    link: Arc<Link>,
    path: FilePath,
    entry: Entry,
    /// Of the range, what has not been asked for yet.
    left: Range<u64>,
    under_way: VecDeque<(u64, JoinHandle<smb2::Result<Vec<u8>>>)>,
    _place: OwnedSemaphorePermit,
}

impl Share {
    /// Opens a file for reading from `range.start` to `range.end` or its end, whichever comes first.
    pub async fn read(&self, path: &FilePath, range: Range<u64>) -> Attempt<FileStream> {
        let place = self.link().place().await?;
        let text = path.to_string();
        let reader = self.step(path, self.tree().open_file_reader(self.link().connection(), &text)).await?;
        let entry = Entry::of_info(path.name().unwrap_or_default(), reader.info());
        if entry.kind == EntryKind::Folder {
            return Err(Problem::new(ProblemKind::IsAFolder).about(text));
        }
        let end = range.end.min(entry.size_bytes);
        Ok(FileStream {
            reader: Arc::new(reader),
            link: Arc::clone(self.link()),
            path: path.clone(),
            left: range.start.min(end)..end,
            entry,
            under_way: VecDeque::new(),
            _place: place,
        })
    }

    /// A whole small file.
    pub async fn read_whole(&self, path: &FilePath, limit_bytes: u64) -> Attempt<Vec<u8>> {
        let mut stream = self.read(path, 0..u64::MAX).await?;
        if stream.entry().size_bytes > limit_bytes {
            return Err(Problem::new(ProblemKind::Unsupported)
                .because(format!("the file is longer than {limit_bytes} bytes"))
                .about(path.to_string()));
        }
        let mut whole = Vec::new();
        while let Some(piece) = stream.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

impl FileStream {
    /// What the server told of the file when it was opened.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The next piece; none at the end. A file that got shorter meanwhile is a problem: half a file is none.
    pub async fn next(&mut self) -> Attempt<Option<Vec<u8>>> {
        self.ask();
        let Some((length, task)) = self.under_way.front_mut() else { return Ok(None) };
        let length = *length;
        let result = timeout(self.link.patience(), task).await;
        self.under_way.pop_front();
        let named = |problem: Problem| self.link.noticed(problem).about(self.path.to_string());
        let piece = match result {
            Ok(Ok(Ok(piece))) => piece,
            Ok(Ok(Err(error))) => return Err(named(error.into())),
            Ok(Err(_)) => return Err(named(ProblemKind::Cancelled.into())),
            Err(_) => return Err(named(ProblemKind::TooSlow.into())),
        };
        if (piece.len() as u64) < length {
            return Err(named(
                Problem::new(ProblemKind::InUse).because("the file got shorter while it was read"),
            ));
        }
        self.ask();
        Ok(Some(piece))
    }

    /// Sends reads until enough are under way.
    fn ask(&mut self) {
        while self.under_way.len() < AT_ONCE && !self.left.is_empty() {
            let length = PIECE_BYTES.min(self.left.end - self.left.start);
            let offset = self.left.start;
            self.left.start += length;
            let reader = Arc::clone(&self.reader);
            self.under_way
                .push_back((length, tokio::spawn(async move { reader.read_at(offset, length).await })));
        }
    }
}

impl Drop for FileStream {
    fn drop(&mut self) {
        self.under_way.iter().for_each(|(_, task)| task.abort());
    }
}
