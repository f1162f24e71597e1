//! What every container's task shares: the rooms below, the records, the registry, events.

use crate::audit::Audit;
use crate::clock;
use crate::config::EngineConfig;
use crate::event::{Event, EventLog, EventObject};
use crate::exec::Execs;
use crate::names::directory::Directory;
use crate::names::server::Listening;
use crate::network::links::Links;
use crate::network::networks::Networks;
use crate::network::numbers::Numbers;
use crate::network::observing::Observations;
use crate::record::{ContainerRecord, Records, Write};
use crate::registry::Registry;
use crate::volume::Volumes;
use haven_image::Store;
use haven_network::Network;
use haven_runtime::Spawner;
use haven_runtime::cgroup::{GroupPath, Layout};
use haven_spec::{ContainerId, Failure, Outcome};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Shared {
    pub(crate) audit: Arc<Audit>,
    /// Held by the one change that is made while there is a policy.
    pub(crate) turn: Arc<tokio::sync::Mutex<()>>,
    pub(crate) config: EngineConfig,
    pub(crate) records: Arc<Records>,
    pub(crate) registry: Registry,
    pub(crate) images: Arc<Store>,
    pub(crate) network: Network,
    pub(crate) numbers: Mutex<Numbers>,
    pub(crate) networks: Networks,
    pub(crate) links: Links,
    pub(crate) observations: Observations,
    pub(crate) directory: Directory,
    pub(crate) listening: Listening,
    pub(crate) volumes: Volumes,
    pub(crate) spawner: Spawner,
    pub(crate) cgroups: Layout,
    pub(crate) events: EventLog,
    pub(crate) execs: Execs,
}

impl Shared {
    pub(crate) fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(
        &self,
        object: EventObject,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        self.events.tell(Event {
            object,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
            time_ns: clock::now_ns(),
        });
    }

    /// The newest file of a container's log.
    pub(crate) fn log_path(&self, id: &ContainerId) -> PathBuf {
        self.config.container_data(id).join(log_name(id))
    }

    /// `parent/ID` below every hierarchy.
    pub(crate) fn cgroup_path(&self, record: &ContainerRecord) -> Outcome<GroupPath> {
        let parent = match record.spec.resources.cgroup_parent.as_str() {
            "" => self.config.cgroup_parent.as_str(),
            given => given,
        };
        GroupPath::parse(&format!("{}/{}", parent.trim_end_matches('/'), record.id))
    }

    /// Writes a container's record where it belongs: a fleeting one's into its run directory.
    pub(crate) fn save_container(
        &self,
        record: &ContainerRecord,
        write: Write,
        fleeting: bool,
    ) -> Outcome<()> {
        if !fleeting {
            return self.records.put_container(record, write);
        }
        let directory = self.config.container_run(&record.id);
        let text =
            serde_json::to_vec(record).map_err(|e| Failure::internal("cannot encode a record").because(e))?;
        let save = || -> std::io::Result<()> {
            std::fs::create_dir_all(&directory)?;
            std::fs::write(directory.join("record.new"), &text)?;
            std::fs::rename(directory.join("record.new"), directory.join(FLEETING_RECORD))
        };
        save().map_err(|e| {
            Failure::host(format!("cannot write the record of container {}", record.id)).because(e)
        })
    }
}

/// The record of a container that is removed when it ends, in its run directory.
pub(crate) const FLEETING_RECORD: &str = "record.json";

pub(crate) fn log_name(id: &ContainerId) -> String {
    format!("{id}-json.log")
}
