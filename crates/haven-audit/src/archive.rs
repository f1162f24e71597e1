//! Old segments leave the directory, and proofs go on: 32 bytes of every record stay.
//!
//! Order matters: the hashes are on disk before the segment is handed over, the record of it before the file is removed.
//! A crash in between leaves the segment, and the next archiving takes it again.

use crate::directory::read_segment;
use crate::proof::leaves_of;
use crate::{Entry, Log, Moment, Object};
use haven_spec::{Failure, Outcome};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// A segment that was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    pub path: PathBuf,
    pub first: u64,
    pub records: u64,
    pub sha256: String,
}

impl Log {
    /// Hands every segment but the newest `keep` to `store`, which copies it where it is to be kept, and removes it here.
    /// The segment that is appended to stays in any case, and so does one with a change that has not ended.
    pub fn archive(
        &mut self,
        keep: usize,
        now: &Moment,
        store: &mut dyn FnMut(&Path) -> Outcome<()>,
    ) -> Outcome<Vec<Archived>> {
        let parts = self.directory.parts()?;
        let segments: Vec<_> = parts.iter().filter(|part| !part.archived).collect();
        let leaving = segments.len().saturating_sub(keep.max(1));
        let mut archived = Vec::new();
        for pair in segments.windows(2).take(leaving) {
            let (part, end) = (pair[0], pair[1].first);
            if self.open.range(part.first..end).next().is_some() {
                break;
            }
            let bytes = read_segment(&part.path)?;
            let leaves = leaves_of(&bytes);
            let records = leaves.len() as u64;
            if part.first + records != end {
                return Err(Failure::host(format!("cannot archive `{}`", part.path.display()))
                    .because(format!("it should hold records {} to {end} and holds {records}", part.first))
                    .hint("`haven audit verify` tells what is wrong"));
            }
            self.directory.write_whole(
                &self.directory.leaves_path(part.first),
                0o600,
                leaves.as_flattened(),
            )?;
            store(&part.path)?;
            let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let name = part.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.note(
                Entry {
                    client: "audit".into(),
                    action: "audit.archive".into(),
                    objects: vec![Object::new("segment", name)],
                    after: Some(json!({ "first": part.first, "records": records, "sha256": sha256 })),
                    ..Entry::default()
                },
                now,
            )?;
            self.directory.remove(&part.path)?;
            archived.push(Archived { path: part.path.clone(), first: part.first, records, sha256 });
        }
        Ok(archived)
    }
}
