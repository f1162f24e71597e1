//! What must survive, in one `redb` database: a record per container and per volume, as JSON.
//!
//! Run-time facts (pids, addresses) are not here: they lie in the run directory, on tmpfs, and are gone after a
//! reboot by construction. A record is written before what it speaks of is announced, and deleted before what it
//! speaks of is; what then lies about without a record is garbage, found at start.

use crate::network::links::LinkRecord;
use crate::network::networks::NetworkRecord;
use crate::network::observing::ObservationRecord;
use haven_network::LinkId;
use haven_spec::{
    ContainerId, ContainerName, ContainerSpec, Digest, Exit, Failure, ImageId, NetworkName, Outcome,
    VolumeName,
};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

const CONTAINERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("containers");
const VOLUMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("volumes");
const NETWORKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("networks");
const LINKS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("links");
/// The number of the last link there ever was: none is given twice.
const LAST_LINK: TableDefinition<'_, (), u32> = TableDefinition::new("last-link");
const OBSERVATIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("observations");
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");

/// Thousands of records fit, and all of them are in memory anyway.
const CACHE_BYTES: usize = 4 << 20;

/// How a container stood when its record was last written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "lowercase")]
pub(crate) enum Stage {
    Created,
    /// Started, and to be found again in the run directory; after a reboot it is not there and has ended.
    Started {
        started_at_ns: i64,
    },
    Exited {
        exit: Exit,
        started_at_ns: i64,
    },
    Removing,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: ContainerId,
    pub(crate) name: ContainerName,
    pub(crate) created_at_ns: i64,
    pub(crate) spec: ContainerSpec,
    pub(crate) image_id: ImageId,
    /// The image's layers, lowest first: it can start even when the image has lost its name.
    pub(crate) layers: Vec<Digest>,
    /// Which 65,536 ids of the host are its own: `None` in the host's user namespace.
    pub(crate) id_slot: Option<u32>,
    pub(crate) stage: Stage,
    /// Its user stopped it: `unless-stopped` then leaves it alone.
    pub(crate) stopped_by_user: bool,
    pub(crate) restart_count: u32,
    /// Host ports that were chosen for it, kept so that a restart keeps them.
    #[serde(default)]
    pub(crate) anonymous_volumes: Vec<VolumeName>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VolumeRecord {
    pub(crate) name: VolumeName,
    pub(crate) created_at_ns: i64,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) anonymous: bool,
}

/// Whether a write must be on the disk before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// Something was acknowledged: it survives a power failure.
    Durable,
    /// Derivable from the run directory while the host is up: it may be lost with the host's power only.
    Derivable,
}

#[derive(Debug)]
pub(crate) struct Records {
    database: Database,
}

fn failed(what: &str) -> impl Fn(redb::Error) -> Failure {
    let what = what.to_owned();
    move |error| {
        Failure::host(format!("cannot {what} the state database"))
            .because(error)
            .hint("see that the data directory is writable and has room, then try again")
    }
}

impl Records {
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Failure::host(format!("cannot open the state database `{}`", path.display()))
                .because(error)
                .hint("another daemon may be using this data directory; give each its own --data-root")
        };
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        if !path.exists() {
            // Made under another name: a file that a kill left half made could not be opened again.
            let new = path.with_extension("new");
            drop(std::fs::remove_file(&new));
            drop(builder.create(&new).map_err(|error| failed(error.into()))?);
            std::fs::rename(&new, path).map_err(|error| failed(error.into()))?;
        }
        let database = builder.create(path).map_err(|error| failed(error.into()))?;
        let records = Self { database };
        records.write(Write::Durable, |_| Ok(()))?;
        Ok(records)
    }

    fn write(
        &self,
        write: Write,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Outcome<()> {
        let attempt = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            if write == Write::Derivable {
                transaction.set_durability(Durability::None)?;
            }
            transaction.open_table(CONTAINERS)?;
            transaction.open_table(VOLUMES)?;
            transaction.open_table(FACTS)?;
            transaction.open_table(NETWORKS)?;
            transaction.open_table(OBSERVATIONS)?;
            transaction.open_table(LINKS)?;
            transaction.open_table(LAST_LINK)?;
            change(&transaction)?;
            transaction.commit()?;
            Ok(())
        };
        attempt().map_err(failed("write"))
    }

    fn put(
        &self,
        table: TableDefinition<'static, &'static str, &'static [u8]>,
        key: &str,
        value: &impl Serialize,
        write: Write,
    ) -> Outcome<()> {
        let bytes =
            serde_json::to_vec(value).map_err(|e| Failure::internal("cannot encode a record").because(e))?;
        self.write(write, |transaction| {
            transaction.open_table(table)?.insert(key, bytes.as_slice())?;
            Ok(())
        })
    }

    fn delete(&self, table: TableDefinition<'static, &'static str, &'static [u8]>, key: &str) -> Outcome<()> {
        self.write(Write::Durable, |transaction| {
            transaction.open_table(table)?.remove(key)?;
            Ok(())
        })
    }

    /// Every record that can be read; one that can't is reported and left in place.
    fn all<T: DeserializeOwned>(
        &self,
        table: TableDefinition<'static, &'static str, &'static [u8]>,
    ) -> Outcome<Vec<T>> {
        let read = || -> Result<Vec<T>, redb::Error> {
            let mut found = Vec::new();
            for entry in self.database.begin_read()?.open_table(table)?.iter()? {
                let (key, value) = entry?;
                match serde_json::from_slice(value.value()) {
                    Ok(record) => found.push(record),
                    Err(error) => {
                        tracing::error!(key = key.value(), %error, "a record cannot be read and is left alone")
                    }
                }
            }
            Ok(found)
        };
        read().map_err(failed("read"))
    }

    pub(crate) fn put_container(&self, record: &ContainerRecord, write: Write) -> Outcome<()> {
        self.put(CONTAINERS, record.id.as_str(), record, write)
    }

    pub(crate) fn delete_container(&self, id: &ContainerId) -> Outcome<()> {
        self.delete(CONTAINERS, id.as_str())
    }

    pub(crate) fn containers(&self) -> Outcome<Vec<ContainerRecord>> {
        self.all(CONTAINERS)
    }

    pub(crate) fn put_volume(&self, record: &VolumeRecord) -> Outcome<()> {
        self.put(VOLUMES, record.name.as_str(), record, Write::Durable)
    }

    pub(crate) fn delete_volume(&self, name: &VolumeName) -> Outcome<()> {
        self.delete(VOLUMES, name.as_str())
    }

    pub(crate) fn volumes(&self) -> Outcome<Vec<VolumeRecord>> {
        self.all(VOLUMES)
    }

    pub(crate) fn put_network(&self, record: &NetworkRecord) -> Outcome<()> {
        self.put(NETWORKS, record.name.as_str(), record, Write::Durable)
    }

    pub(crate) fn delete_network(&self, name: &NetworkName) -> Outcome<()> {
        self.delete(NETWORKS, name.as_str())
    }

    pub(crate) fn networks(&self) -> Outcome<Vec<NetworkRecord>> {
        self.all(NETWORKS)
    }

    pub(crate) fn put_observation(&self, subject: &str, record: &ObservationRecord) -> Outcome<()> {
        self.put(OBSERVATIONS, subject, record, Write::Durable)
    }

    pub(crate) fn delete_observation(&self, subject: &str) -> Outcome<()> {
        self.delete(OBSERVATIONS, subject)
    }

    pub(crate) fn observations(&self) -> Outcome<Vec<ObservationRecord>> {
        self.all(OBSERVATIONS)
    }

    /// All of them or none.
    pub(crate) fn put_links(&self, records: &[LinkRecord]) -> Outcome<()> {
        let encoded = records.iter().map(|record| {
            let text = serde_json::to_vec(record);
            text.map(|text| (record.id.number(), text))
                .map_err(|e| Failure::internal("cannot encode a record").because(e))
        });
        let encoded = encoded.collect::<Outcome<Vec<_>>>()?;
        self.write(Write::Durable, |transaction| {
            let mut links = transaction.open_table(LINKS)?;
            let mut last = transaction.open_table(LAST_LINK)?;
            let mut highest = last.get(())?.map_or(0, |number| number.value());
            for (number, text) in &encoded {
                links.insert(number, text.as_slice())?;
                highest = highest.max(*number);
            }
            last.insert((), highest)?;
            Ok(())
        })
    }

    pub(crate) fn delete_links(&self, ids: &[LinkId]) -> Outcome<()> {
        self.write(Write::Durable, |transaction| {
            let mut links = transaction.open_table(LINKS)?;
            for id in ids {
                links.remove(id.number())?;
            }
            Ok(())
        })
    }

    /// Every link that can be read; one that can't stays closed, and on record.
    pub(crate) fn links(&self) -> Outcome<Vec<LinkRecord>> {
        let read = || -> Result<Vec<LinkRecord>, redb::Error> {
            let mut found = Vec::new();
            for entry in self.database.begin_read()?.open_table(LINKS)?.iter()? {
                let (key, value) = entry?;
                match serde_json::from_slice(value.value()) {
                    Ok(record) => found.push(record),
                    Err(error) => {
                        tracing::error!(link = key.value(), %error, "a link's record cannot be read and is left alone");
                    }
                }
            }
            Ok(found)
        };
        read().map_err(failed("read"))
    }

    pub(crate) fn last_link(&self) -> Outcome<u32> {
        let read = || -> Result<u32, redb::Error> {
            let table = self.database.begin_read()?.open_table(LAST_LINK)?;
            Ok(table.get(())?.map_or(0, |number| number.value()))
        };
        read().map_err(failed("read"))
    }

    /// A fact that was recorded; `None` before that.
    pub(crate) fn known_fact<T: DeserializeOwned>(&self, key: &'static str) -> Outcome<Option<T>> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = self.database.begin_read()?.open_table(FACTS)?;
            Ok(table.get(key)?.map(|value| value.value().to_vec()))
        };
        let bytes = read().map_err(failed("read"))?;
        let known = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        known.map_err(|e| Failure::internal(format!("the fact `{key}` cannot be read")).because(e))
    }

    /// A fact about this installation (its id, when it was made), made once by `make`.
    pub(crate) fn fact<T: DeserializeOwned + Serialize>(
        &self,
        key: &'static str,
        make: impl FnOnce() -> T,
    ) -> Outcome<T> {
        if let Some(known) = self.known_fact(key)? {
            return Ok(known);
        }
        let value = make();
        self.put(FACTS, key, &value, Write::Durable)?;
        Ok(value)
    }
}
