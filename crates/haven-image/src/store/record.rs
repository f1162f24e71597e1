//! The records in the database: small JSON documents under string keys.
//!
//! ```text
//! images   id              → ImageRecord        layers   diff id         → LayerRecord
//! configs  id              → the document       blobs    blob digest     → diff id
//! tags     full reference  → TagRecord
//! ```
//! A record says that what it names is complete on the disk. Unknown fields are ignored and missing ones have
//! defaults, so that a store can be read by an older or newer Haven.

use crate::image::Meaning;
use haven_spec::{Digest, Failure, ImageId, Outcome};
use redb::{ReadTransaction, ReadableTable as _, TableDefinition, TableError, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) type Definition = TableDefinition<'static, &'static str, &'static [u8]>;

pub(crate) const IMAGES: Definition = TableDefinition::new("images");
pub(crate) const CONFIGS: Definition = TableDefinition::new("configs");
pub(crate) const TAGS: Definition = TableDefinition::new("tags");
pub(crate) const LAYERS: Definition = TableDefinition::new("layers");
pub(crate) const BLOBS: Definition = TableDefinition::new("blobs");

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ImageRecord {
    pub(crate) parent: Option<ImageId>,
    /// `repository@digest` names.
    pub(crate) digests: Vec<haven_spec::Reference>,
    pub(crate) comment: String,
    pub(crate) added_at_ns: i64,
    pub(crate) tagged_at_ns: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TagRecord {
    pub(crate) image: ImageId,
    #[serde(default)]
    pub(crate) set_at_ns: i64,
    #[serde(default)]
    pub(crate) manifest: Option<Digest>,
    #[serde(default)]
    pub(crate) before: Vec<Meaning>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) size_bytes: u64,
    pub(crate) archive_bytes: u64,
    #[serde(default)]
    pub(crate) entries: u64,
    pub(crate) manifest: Digest,
    #[serde(default)]
    pub(crate) added_at_ns: i64,
}

pub(crate) fn database(error: impl Into<redb::Error>) -> Failure {
    let error: redb::Error = error.into();
    let failure = Failure::host("cannot use the images' database");
    match &error {
        redb::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => {
            failure.because(error).hint("make room on the disk and try again")
        }
        _ => failure.because(error),
    }
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Outcome<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| Failure::internal("cannot write a record").because(error))
}

/// Every record of a table; none where the table has never been written.
pub(crate) fn all<T: DeserializeOwned>(
    from: &ReadTransaction,
    table: Definition,
) -> Outcome<Vec<(String, T)>> {
    raw(from, table)?
        .into_iter()
        .map(|(key, bytes)| {
            let record = serde_json::from_slice(&bytes).map_err(|error| {
                Failure::host(format!("the images' record `{key}` can't be read")).because(error)
            })?;
            Ok((key, record))
        })
        .collect()
}

pub(crate) fn raw(from: &ReadTransaction, table: Definition) -> Outcome<Vec<(String, Vec<u8>)>> {
    let table = match from.open_table(table) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(database(error)),
    };
    let mut records = Vec::new();
    for entry in table.iter().map_err(database)? {
        let (key, value) = entry.map_err(database)?;
        records.push((key.value().to_owned(), value.value().to_vec()));
    }
    Ok(records)
}

pub(crate) fn make_tables(to: &WriteTransaction) -> Outcome<()> {
    for table in [IMAGES, CONFIGS, TAGS, LAYERS, BLOBS] {
        to.open_table(table).map_err(database)?;
    }
    Ok(())
}

pub(crate) fn put(to: &WriteTransaction, table: Definition, key: &str, value: &[u8]) -> Outcome<()> {
    let mut table = to.open_table(table).map_err(database)?;
    table.insert(key, value).map_err(database)?;
    Ok(())
}

pub(crate) fn delete(from: &WriteTransaction, table: Definition, key: &str) -> Outcome<()> {
    let mut table = from.open_table(table).map_err(database)?;
    table.remove(key).map_err(database)?;
    Ok(())
}
