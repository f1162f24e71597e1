//! A file that is being written, piece by piece, with as much under way as the server takes.
//!
//! What is written is the file only when [`FileSink::finish`] has said so: by then the server has it on its disk. A sink
//! that is dropped leaves what came so far; whoever wants all or nothing writes under another name and renames
//! ([`Share::move_to`] with `replace`), as uploads do.

use crate::link::Link;
use crate::path::FilePath;
use crate::problem::{Attempt, Problem, ProblemKind};
use crate::share::Share;
use smb2::FileWriter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// Putting gigabytes to disk takes a server longer than an answer may take.
const FINISH_PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// There is nothing of this name, or it fails.
    New,
    /// What is there is replaced, or made.
    Replace,
    /// Carries on what is there at this offset (an upload that was interrupted); what is there must reach so far.
    CarryOn(u64),
}

pub struct FileSink {
    writer: FileWriter,
    link: Arc<Link>,
    path: FilePath,
    _place: OwnedSemaphorePermit,
}

impl Share {
    pub async fn write(&self, path: &FilePath, mode: WriteMode) -> Attempt<FileSink> {
        path.check_new()?;
        let (text, tree) = (path.to_string(), self.tree());
        if let WriteMode::CarryOn(offset) = mode {
            let there = self.look(path).await?;
            if there.size_bytes < offset {
                return Err(Problem::new(ProblemKind::NotFound)
                    .because(format!("only {} of {offset} bytes are there", there.size_bytes))
                    .about(text));
            }
        }
        let place = self.link().place().await?;
        let connection = self.link().connection();
        let writer = match mode {
            WriteMode::New => self.step(path, tree.create_file_writer_exclusive(connection, &text)).await?,
            WriteMode::Replace => self.step(path, tree.create_file_writer(connection, &text)).await?,
            WriteMode::CarryOn(offset) => {
                self.step(path, tree.create_file_writer_at(connection, &text, offset)).await?
            }
        };
        Ok(FileSink { writer, link: Arc::clone(self.link()), path: path.clone(), _place: place })
    }

    /// A whole small file.
    pub async fn write_whole(&self, path: &FilePath, mode: WriteMode, bytes: &[u8]) -> Attempt<()> {
        let mut sink = self.write(path, mode).await?;
        sink.write(bytes).await?;
        sink.finish().await.map(|_| ())
    }
}

impl FileSink {
    /// Takes the bytes; waits while too much is under way.
    pub async fn write(&mut self, bytes: &[u8]) -> Attempt<()> {
        let result = timeout(self.link.patience(), self.writer.write_chunk(bytes)).await;
        match result {
            Ok(written) => written.map_err(|error| self.named(error.into())),
            Err(_) => Err(self.named(ProblemKind::TooSlow.into())),
        }
    }

    /// Waits until the server has all of it on its disk; how many bytes this sink wrote.
    pub async fn finish(self) -> Attempt<u64> {
        let Self { writer, link, path, .. } = self;
        let named = |problem: Problem| link.noticed(problem).about(path.to_string());
        match timeout(FINISH_PATIENCE, writer.finish()).await {
            Ok(written) => written.map_err(|error| named(error.into())),
            Err(_) => Err(named(ProblemKind::TooSlow.into())),
        }
    }

    /// Ends it where it is, without waiting for the disk.
    pub async fn abandon(self) {
        drop(timeout(self.link.patience(), self.writer.abort()).await);
    }

    fn named(&self, problem: Problem) -> Problem {
        self.link.noticed(problem).about(self.path.to_string())
    }
}
