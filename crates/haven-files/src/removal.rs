//! A folder deleted with everything in it, step by step: each step tells how far it is, and not taking the next one
//! cancels it.
//!
//! Links are deleted and never followed. What can't be deleted is left and told at the end; the rest goes. A server that
//! shows a link as a folder (Samba does) has its content deleted like any client would.

use crate::path::FilePath;
use crate::problem::{Attempt, Problem, ProblemKind};
use crate::share::{Entry, EntryKind, Share};

/// Most entries of one folder that are held in memory.
const MOST_ENTRIES: usize = 1_000_000;

/// Files deleted with one step: requests go out together.
const BATCH: usize = 64;

/// Most problems that are told one by one.
const MOST_PROBLEMS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub files: u64,
    pub folders: u64,
    pub failed: u64,
}

struct Frame {
    path: FilePath,
    /// What is in it; not asked yet when there is none.
    entries: Option<Vec<Entry>>,
    /// Something in it stays, so it will too.
    keeps: bool,
}

pub struct Removal {
    share: Share,
    stack: Vec<Frame>,
    progress: Progress,
    problems: Vec<Problem>,
}

impl Share {
    /// Begins to delete a folder; nothing happens before the first step.
    pub fn remove_folder(&self, path: &FilePath) -> Attempt<Removal> {
        if path.is_root() {
            return Err(Problem::new(ProblemKind::Denied).because("it is the root of the share"));
        }
        let frame = Frame { path: path.clone(), entries: None, keeps: false };
        Ok(Removal {
            share: self.clone(),
            stack: vec![frame],
            progress: Progress::default(),
            problems: Vec::new(),
        })
    }
}

impl Removal {
    /// Deletes some more; none when it is done.
    pub async fn step(&mut self) -> Attempt<Option<Progress>> {
        let Some(frame) = self.stack.last_mut() else { return Ok(None) };
        let Some(entries) = &mut frame.entries else {
            let path = frame.path.clone();
            match self.list(&path).await {
                Ok(entries) => {
                    if let Some(frame) = self.stack.last_mut() {
                        frame.entries = Some(entries);
                    }
                }
                Err(problem) => {
                    self.stack.pop();
                    self.failed(problem)?;
                }
            }
            return Ok(Some(self.progress));
        };
        if let Some(at) = entries.iter().rposition(|entry| entry.kind == EntryKind::Folder) {
            let entry = entries.swap_remove(at);
            match frame.path.child(&entry.name) {
                Ok(path) => self.stack.push(Frame { path, entries: None, keeps: false }),
                Err(problem) => self.failed(problem)?,
            }
        } else if entries.is_empty() {
            self.close_folder().await?;
        } else {
            let rest = entries.len().saturating_sub(BATCH);
            let batch = entries.split_off(rest);
            let folder = frame.path.clone();
            self.delete(&folder, batch).await?;
        }
        Ok(Some(self.progress))
    }

    /// Does all the steps; what couldn't be deleted.
    pub async fn run(mut self) -> Attempt<(Progress, Vec<Problem>)> {
        while self.step().await?.is_some() {}
        Ok((self.progress, self.problems))
    }

    /// What couldn't be deleted so far; the first hundred.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    async fn list(&self, path: &FilePath) -> Attempt<Vec<Entry>> {
        // A link that a listing showed as a folder: newer servers tell when they are asked for it alone.
        if self.share.look(path).await?.kind == EntryKind::Link {
            return Ok(Vec::new());
        }
        self.share.list(path).await?.rest(MOST_ENTRIES).await
    }

    async fn delete(&mut self, folder: &FilePath, entries: Vec<Entry>) -> Attempt<()> {
        let mut paths = Vec::with_capacity(entries.len());
        for entry in entries {
            match folder.child(&entry.name) {
                Ok(path) if entry.kind == EntryKind::Link => {
                    let text = path.to_string();
                    let mut connection = self.share.link().connection();
                    let deleted =
                        self.share.step(&path, self.share.tree().delete_link(&mut connection, &text)).await;
                    self.count(deleted)?;
                }
                Ok(path) => paths.push(path.to_string()),
                Err(problem) => self.failed(problem)?,
            }
        }
        if paths.is_empty() {
            return Ok(());
        }
        let place = self.share.link().place().await?;
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let results = self.share.tree().delete_files(&mut self.share.link().connection(), &names).await;
        drop(place);
        for (path, result) in paths.iter().zip(results) {
            let link = self.share.link();
            let result = result.map_err(|error| link.noticed(Problem::from(error)).about(path.clone()));
            self.count(result)?;
        }
        Ok(())
    }

    async fn close_folder(&mut self) -> Attempt<()> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        if frame.keeps {
            // It isn't empty, and why has been told.
            self.progress.failed += 1;
            self.keep_the_folder_around();
            return Ok(());
        }
        match self.share.delete_folder(&frame.path).await {
            Ok(()) => {
                self.progress.folders += 1;
                Ok(())
            }
            Err(problem) => self.failed(problem),
        }
    }

    fn count(&mut self, result: Attempt<()>) -> Attempt<()> {
        match result {
            Ok(()) => {
                self.progress.files += 1;
                Ok(())
            }
            // Somebody else was quicker.
            Err(problem) if problem.kind() == ProblemKind::NotFound => Ok(()),
            Err(problem) => self.failed(problem),
        }
    }

    /// Remembers what failed; a link that is gone ends everything.
    fn failed(&mut self, problem: Problem) -> Attempt<()> {
        if problem.ends_the_link() {
            return Err(problem);
        }
        self.progress.failed += 1;
        self.keep_the_folder_around();
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        }
        Ok(())
    }

    fn keep_the_folder_around(&mut self) {
        if let Some(frame) = self.stack.last_mut() {
            frame.keeps = true;
        }
    }
}
