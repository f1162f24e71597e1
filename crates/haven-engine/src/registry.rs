//! Which containers there are, by id and by name. Readers take snapshots; nothing here waits for a container's task.

use crate::container::command::Command;
use crate::view::ContainerView;
use haven_spec::{ContainerId, ContainerName, Failure, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that may wait in a container's mailbox.
pub(crate) const MAILBOX_LIMIT: usize = 256;

/// How the rest of the engine reaches one container.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    pub(crate) mailbox: mpsc::Sender<Command>,
    pub(crate) view: watch::Receiver<Arc<ContainerView>>,
    /// Its range of host ids; `None` in the host's user namespace.
    pub(crate) id_slot: Option<u32>,
}

impl Handle {
    pub(crate) fn view(&self) -> Arc<ContainerView> {
        Arc::clone(&self.view.borrow())
    }

    /// Sends the command that `make` builds around a reply and waits for the answer.
    pub(crate) async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Outcome<T>>) -> Command,
    ) -> Outcome<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || no_such(self.view.borrow().id.as_str());
        self.mailbox.send(make(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[derive(Debug, Default)]
struct Tables {
    by_id: HashMap<ContainerId, Handle>,
    names: HashMap<ContainerName, ContainerId>,
    /// How many containers have each range: those that join another's namespaces share its range.
    slots: BTreeMap<u32, usize>,
}

impl Tables {
    fn release_slot(&mut self, slot: u32) {
        if let Some(count) = self.slots.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                self.slots.remove(&slot);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    tables: RwLock<Tables>,
    /// Grows whenever somebody comes, goes or changes.
    version: AtomicU64,
}

pub(crate) fn no_such(wanted: &str) -> Failure {
    Failure::not_found(format!("No such container: {wanted}"))
}

/// The highest number of 65,536-id ranges that fit above the base.
const SLOT_LIMIT: u32 = 65_000;

impl Registry {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `name` for `id`, or says who has it.
    pub(crate) fn reserve_name(&self, name: &ContainerName, id: &ContainerId) -> Outcome<()> {
        let mut tables = self.write();
        if let Some(owner) = tables.names.get(name) {
            return Err(Failure::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{owner}\". You have to \
                 remove (or rename) that container to be able to reuse that name."
            )));
        }
        tables.names.insert(name.clone(), id.clone());
        Ok(())
    }

    pub(crate) fn release_name(&self, name: &ContainerName) {
        self.write().names.remove(name);
    }

    /// The lowest free range of host ids.
    pub(crate) fn reserve_slot(&self) -> Outcome<u32> {
        let mut tables = self.write();
        let free = (0..SLOT_LIMIT).find(|slot| !tables.slots.contains_key(slot));
        let free = free.ok_or_else(|| Failure::host("no range of user ids is left for another container"))?;
        tables.slots.insert(free, 1);
        Ok(free)
    }

    /// One more container has this range.
    pub(crate) fn share_slot(&self, slot: u32) {
        *self.write().slots.entry(slot).or_insert(0) += 1;
    }

    pub(crate) fn release_slot(&self, slot: u32) {
        self.write().release_slot(slot);
    }

    /// Something about a container has changed.
    pub(crate) fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Differs from an earlier one when something has changed since.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn insert(&self, id: ContainerId, handle: Handle) {
        self.write().by_id.insert(id, handle);
        self.changed();
    }

    /// Forgets a removed container with its name and id range.
    pub(crate) fn forget(&self, id: &ContainerId, name: &ContainerName, slot: Option<u32>) {
        let mut tables = self.write();
        self.changed();
        tables.by_id.remove(id);
        if tables.names.get(name) == Some(id) {
            tables.names.remove(name);
        }
        if let Some(slot) = slot {
            tables.release_slot(slot);
        }
    }

    pub(crate) fn get(&self, id: &ContainerId) -> Outcome<Handle> {
        self.read().by_id.get(id).cloned().ok_or_else(|| no_such(id.as_str()))
    }

    pub(crate) fn handles(&self) -> Vec<Handle> {
        self.read().by_id.values().cloned().collect()
    }

    /// Newest first.
    pub(crate) fn views(&self) -> Vec<Arc<ContainerView>> {
        let mut views: Vec<_> = self.read().by_id.values().map(Handle::view).collect();
        views.sort_by(|a, b| b.created_at_ns.cmp(&a.created_at_ns).then_with(|| a.id.cmp(&b.id)));
        views
    }

    /// By full id, name, or unique beginning of an id, in this order.
    pub(crate) fn find(&self, wanted: &str) -> Outcome<Handle> {
        let tables = self.read();
        let wanted = wanted.strip_prefix('/').unwrap_or(wanted);
        if let Some(handle) = ContainerId::parse(wanted).ok().and_then(|id| tables.by_id.get(&id)) {
            return Ok(handle.clone());
        }
        let by_name = ContainerName::parse(wanted).ok().and_then(|name| tables.names.get(&name));
        if let Some(handle) = by_name.and_then(|id| tables.by_id.get(id)) {
            return Ok(handle.clone());
        }
        if wanted.is_empty() {
            return Err(no_such(wanted));
        }
        let mut matching = tables.by_id.iter().filter(|(id, _)| id.as_str().starts_with(wanted));
        match (matching.next(), matching.next()) {
            (Some((_, handle)), None) => Ok(handle.clone()),
            (Some(_), Some(_)) => {
                Err(Failure::invalid(format!("Multiple IDs found with provided prefix: {wanted}")))
            }
            _ => Err(no_such(wanted)),
        }
    }
}
