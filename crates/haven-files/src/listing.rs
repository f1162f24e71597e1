//! The content of a folder in the server's own batches (some hundred names each), so that the first rows of a hundred
//! thousand are there at once and no list is ever whole in memory.

use crate::link::{Link, in_time};
use crate::path::FilePath;
use crate::problem::{Attempt, Problem, ProblemKind};
use crate::share::Entry;
use smb2::DirectoryReader;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Most entries of one folder: a server that never ends is stopped.
const MOST_ENTRIES: usize = 10_000_000;

pub struct Listing {
    reader: DirectoryReader,
    link: Arc<Link>,
    path: FilePath,
    seen: usize,
    _place: OwnedSemaphorePermit,
}

impl Listing {
    pub(crate) fn new(
        reader: DirectoryReader,
        link: Arc<Link>,
        path: FilePath,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { reader, link, path, seen: 0, _place: place }
    }

    /// The next batch; none at the end.
    pub async fn next(&mut self) -> Attempt<Option<Vec<Entry>>> {
        loop {
            let next = in_time(self.link.patience(), self.reader.next_batch()).await;
            let named = |problem: Problem| self.link.noticed(problem).about(self.path.to_string());
            let Some(batch) = next.map_err(named)? else { return Ok(None) };
            self.seen = self.seen.saturating_add(batch.len());
            if self.seen > MOST_ENTRIES {
                return Err(Problem::new(ProblemKind::Tampered)
                    .because("the folder has no end")
                    .about(self.path.to_string()));
            }
            // A name that would lead elsewhere is no name in a folder, whatever the server says.
            let entries: Vec<Entry> =
                batch.into_iter().filter(|entry| is_a_name(&entry.name)).map(Entry::of_listing).collect();
            if !entries.is_empty() {
                return Ok(Some(entries));
            }
        }
    }

    /// All that is left, when it is not more than `limit`.
    pub async fn rest(mut self, limit: usize) -> Attempt<Vec<Entry>> {
        let mut all = Vec::new();
        while let Some(batch) = self.next().await? {
            all.extend(batch);
            if all.len() > limit {
                return Err(Problem::new(ProblemKind::Unsupported)
                    .because(format!("the folder has more than {limit} entries"))
                    .about(self.path.to_string()));
            }
        }
        Ok(all)
    }
}

fn is_a_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}
