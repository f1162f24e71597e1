//! Images, where they have to do with containers and events. What the store does alone is asked of the store.

use crate::container::task::blocking;
use crate::engine::{ByteSink, ByteSource, Engine};
use crate::event::EventObject;
use crate::request::{CommitContainer, Pruned};
use haven_image::{Image, PruneImages, RemoveImage, Removed};
use haven_spec::{ContainerId, ImageId, Outcome, Reference};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Engine {
    fn used_images(&self) -> HashSet<ImageId> {
        self.containers().iter().map(|view| view.image_id.clone()).collect()
    }

    fn tell_image(&self, action: &str, id: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.shared.tell(EventObject::Image, action, id, attributes);
    }

    fn tell_removed(&self, removed: &[Removed]) {
        for removed in removed {
            match removed {
                Removed::Untagged(name) => self.tell_image("untag", &name.familiar(), &name.familiar()),
                Removed::Deleted(id) => self.tell_image("delete", id.as_str(), id.as_str()),
            }
        }
    }

    /// Gives the image `source` names the name `target`.
    pub async fn tag_image(&self, source: &str, target: Reference) -> Outcome<()> {
        let (shared, source, name) = (Arc::clone(&self.shared), source.to_owned(), target.familiar());
        let image = blocking(move || shared.images.tag(&source, &target)).await?;
        self.tell_image("tag", image.id.as_str(), &name);
        Ok(())
    }

    /// Removes a name, and the image with its last one.
    pub async fn remove_image(&self, wanted: &str, how: RemoveImage) -> Outcome<Vec<Removed>> {
        let (shared, wanted, used) = (Arc::clone(&self.shared), wanted.to_owned(), self.used_images());
        let running: HashSet<ImageId> =
            self.containers().iter().filter(|view| view.state.is_alive()).map(|view| view.image_id.clone()).collect();
        let removed = blocking(move || {
            if how.force
                && let Ok(image) = shared.images.resolve(&wanted)
                && running.contains(&image.id)
                && image.tags.len() + image.digests.len() <= 1
            {
                return Err(haven_spec::Failure::conflict(format!(
                    "unable to delete {} (cannot be forced) - image is being used by running container",
                    image.id.short()
                )));
            }
            shared.images.remove(&wanted, how, &|id| used.contains(id))
        })
        .await?;
        self.tell_removed(&removed);
        Ok(removed)
    }

    /// Removes images that no container uses and `keep` doesn't want kept.
    pub async fn prune_images(
        &self,
        how: PruneImages,
        keep: impl Fn(&Image) -> bool + Send + 'static,
    ) -> Outcome<haven_image::PruneReport> {
        let (shared, used) = (Arc::clone(&self.shared), self.used_images());
        let report = blocking(move || shared.images.prune(how, &|id| used.contains(id), &keep)).await?;
        self.tell_removed(&report.removed);
        let attributes = BTreeMap::from([("reclaimed".to_owned(), report.freed_bytes.to_string())]);
        self.shared.tell(EventObject::Image, "prune", "", attributes);
        Ok(report)
    }
}
