//! A file copied: by the server itself where it can, which moves no byte over the network, and through us where not.

use crate::path::FilePath;
use crate::problem::{Attempt, Problem, ProblemKind};
use crate::share::{EntryKind, Share};
use crate::writing::WriteMode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A server copies terabytes by itself; it is waited for so long.
const COPY_PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    pub bytes: u64,
    /// No byte came over the network.
    pub by_server: bool,
}

impl Share {
    /// Copies a file to a new name, on this share or another; what exists is never written over. A copy that fails
    /// halfway is removed.
    pub async fn copy_file(&self, from: &FilePath, to_share: &Self, to: &FilePath) -> Attempt<Copied> {
        to.check_new()?;
        if self.look(from).await?.kind == EntryKind::Folder {
            return Err(Problem::new(ProblemKind::IsAFolder).about(from.to_string()));
        }
        // Ours alone from here on: whoever comes second with this name fails.
        to_share.write(to, WriteMode::New).await?.finish().await?;
        let result = match self.copy_by_server(from, to_share, to).await {
            Err(problem) if problem.kind() == ProblemKind::Unsupported => {
                self.copy_through_us(from, to_share, to).await
            }
            other => other,
        };
        if result.is_err() && !to_share.link().is_broken() {
            drop(to_share.delete_file(to).await);
        }
        result
    }

    async fn copy_by_server(&self, from: &FilePath, to_share: &Self, to: &FilePath) -> Attempt<Copied> {
        if !Arc::ptr_eq(self.tree(), to_share.tree()) {
            return Err(Problem::new(ProblemKind::Unsupported));
        }
        let _place = self.link().place().await?;
        let (source, target) = (from.to_string(), to.to_string());
        let mut connection = self.link().connection();
        let copy = self.tree().server_side_copy_file(&mut connection, &source, &target);
        match timeout(COPY_PATIENCE, copy).await {
            Ok(Ok(bytes)) => Ok(Copied { bytes, by_server: true }),
            Ok(Err(error)) => Err(self.link().noticed(error.into()).about(source)),
            Err(_) => Err(Problem::new(ProblemKind::TooSlow).about(source)),
        }
    }

    async fn copy_through_us(&self, from: &FilePath, to_share: &Self, to: &FilePath) -> Attempt<Copied> {
        let mut stream = self.read(from, 0..u64::MAX).await?;
        let mut sink = to_share.write(to, WriteMode::Replace).await?;
        while let Some(piece) = stream.next().await? {
            sink.write(&piece).await?;
        }
        Ok(Copied { bytes: sink.finish().await?, by_server: false })
    }
}
