//! The small parts of an image archive: JSON documents kept in memory, and links between entries.

use crate::limits::Limits;
use haven_spec::{Digest, Failure, Outcome};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// Links followed from one entry to the next.
const LINK_LIMIT: usize = 16;

#[derive(Default)]
pub(super) struct Documents {
    documents: HashMap<String, Vec<u8>>,
    links: HashMap<String, String>,
    bytes: u64,
    /// Some were not kept: there were too many.
    overflow: bool,
}

impl Documents {
    /// Whether a document of this size is kept.
    pub(super) fn room_for(&mut self, size: u64, limits: &Limits) -> bool {
        if size > limits.document_bytes {
            return false;
        }
        if self.bytes + size > limits.documents_bytes {
            self.overflow = true;
            return false;
        }
        true
    }

    pub(super) fn put(&mut self, entry: String, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        self.documents.insert(entry, bytes);
    }

    /// Whatever `entry` was before, a later entry of that name takes its place.
    pub(super) fn forget(&mut self, entry: &str) {
        if let Some(bytes) = self.documents.remove(entry) {
            self.bytes -= bytes.len() as u64;
        }
        self.links.remove(entry);
    }

    pub(super) fn link(&mut self, entry: String, target: String) {
        self.links.insert(entry, target);
    }

    pub(super) fn has(&self, entry: &str) -> bool {
        self.documents.contains_key(entry)
    }

    /// Where `entry` leads.
    pub(super) fn follow(&self, entry: &str) -> Outcome<String> {
        let mut here = entry.trim_start_matches("./").to_owned();
        for _ in 0..LINK_LIMIT {
            match self.links.get(&here) {
                Some(next) => here.clone_from(next),
                None => return Ok(here),
            }
        }
        Err(Failure::invalid(format!("entry `{entry}`: its links lead in a circle")))
    }

    pub(super) fn bytes(&self, entry: &str) -> Outcome<&[u8]> {
        match self.documents.get(&self.follow(entry)?) {
            Some(bytes) => Ok(bytes),
            None if self.overflow => Err(Failure::invalid(format!(
                "`{entry}` was not kept: the archive's documents are larger than allowed"
            ))),
            None => Err(Failure::invalid(format!(
                "`{entry}` is missing from the archive, or is no JSON document"
            ))),
        }
    }

    pub(super) fn digest(&self, entry: &str) -> Outcome<Digest> {
        Ok(Digest::sha256(&Sha256::digest(self.bytes(entry)?).into()))
    }

    pub(super) fn read<T: DeserializeOwned>(&self, entry: &str) -> Outcome<T> {
        serde_json::from_slice(self.bytes(entry)?)
            .map_err(|error| Failure::invalid(format!("entry `{entry}` can't be read")).because(error))
    }
}
