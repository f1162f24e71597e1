//! Images, where they have to do with containers and events. What the store does alone is asked of the store.

use crate::container::task::blocking;
use crate::drafts;
use crate::engine::{ByteSink, ByteSource, Engine};
use crate::event::EventObject;
use crate::request::CommitContainer;
use haven_image::archive::AbsoluteNames;
use haven_image::{
    HistoryEntry, Image, ImageConfig, ImportImage, LoadOptions, Loaded, NewImage, Platform, Progress,
    PruneImages, PruneReport, RemoveImage, Removed, apply_changes,
};
use haven_spec::{ContainerId, ContainerSpec, Failure, ImageId, Outcome, Reference};
use haven_sys::root::Root;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

impl Engine {
    fn used_images(&self) -> HashSet<ImageId> {
        self.containers().iter().map(|view| view.image_id.clone()).collect()
    }

    fn tell_image(&self, action: &str, id: &str, name: &str) {
        // Saving one only reads it.
        if action != "save" {
            self.note_soon(drafts::image(&self.caller, &format!("image.{action}"), id, name));
        }
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
        let running: HashSet<ImageId> = self
            .containers()
            .iter()
            .filter(|view| view.state.is_alive())
            .map(|view| view.image_id.clone())
            .collect();
        let removed = blocking(move || {
            if how.force
                && let Ok(image) = shared.images.resolve(&wanted)
                && running.contains(&image.id)
                && image.tags.len() + image.digests.len() <= 1
            {
                return Err(Failure::conflict(format!(
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
    ) -> Outcome<PruneReport> {
        let (shared, used) = (Arc::clone(&self.shared), self.used_images());
        let report = blocking(move || shared.images.prune(how, &|id| used.contains(id), &keep)).await?;
        self.tell_removed(&report.removed);
        let attributes = BTreeMap::from([("reclaimed".to_owned(), report.freed_bytes.to_string())]);
        self.shared.tell(EventObject::Image, "prune", "", attributes);
        Ok(report)
    }

    /// Loads every image of an archive, all or none. `progress` is called while it is read.
    pub async fn load_images(
        &self,
        source: ByteSource,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Outcome<Vec<Loaded>> {
        let shared = Arc::clone(&self.shared);
        let loaded =
            blocking(move || shared.images.load(source, &LoadOptions::default(), &mut progress)).await?;
        for loaded in &loaded {
            self.tell_image("load", loaded.image.id.as_str(), &loaded.image.shown());
        }
        Ok(loaded)
    }

    /// Makes an image of a root file system's tar. `changes` are Dockerfile instructions for its configuration.
    pub async fn import_image(
        &self,
        source: ByteSource,
        reference: Option<Reference>,
        message: String,
        changes: Vec<String>,
        platform: Option<String>,
    ) -> Outcome<ImageId> {
        let shared = Arc::clone(&self.shared);
        let platform = platform.map(|text| Platform::parse(&text)).transpose()?;
        let how = ImportImage {
            reference,
            message,
            changes,
            platform,
            created: created_now(),
            // Archives of a whole system are often made with a leading slash.
            absolute_names: AbsoluteNames::FromTop,
            ..ImportImage::default()
        };
        let image = blocking(move || shared.images.import(source, how, &mut |_| ())).await?;
        self.tell_image("import", image.id.as_str(), &image.shown());
        Ok(image.id.clone())
    }

    /// Writes images as one archive that Docker and OCI tools read.
    pub async fn save_images(&self, names: Vec<String>, mut sink: ByteSink) -> Outcome<()> {
        let shared = Arc::clone(&self.shared);
        let saved = names.clone();
        blocking(move || {
            shared.images.save(&names, &mut sink, &mut |_| ())?;
            sink.flush().map_err(|e| Failure::host("cannot send the archive").because(e))
        })
        .await?;
        for name in saved {
            if let Ok(image) = self.shared.images.resolve(&name) {
                self.tell_image("save", image.id.as_str(), &name);
            }
        }
        Ok(())
    }

    /// Makes an image of what a container has become.
    pub async fn commit(&self, id: &ContainerId, how: CommitContainer) -> Outcome<ImageId> {
        let record = self.record(id).await?;
        let frozen = how.pause && self.pause(id).await.is_ok();
        let shared = Arc::clone(&self.shared);
        let (reference, image_of) = (how.reference.clone(), record.spec.image.clone());
        let made = blocking(move || {
            let upper = shared.config.container_data(&record.id).join("upper");
            let upper = Root::open(&upper)
                .map_err(|e| Failure::host("cannot open what the container changed").because(e))?;
            let parent = shared.images.get(&record.image_id);
            let mut config: ImageConfig =
                parent.as_ref().map(|parent| (*parent.config).clone()).unwrap_or_default();
            configure(&mut config, &record.spec);
            apply_changes(&mut config.config, &how.changes)?;
            config.author.clone_from(&how.author);
            config.created = Some(created_now());
            let command: Vec<&str> = record.spec.command.iter().flatten().map(String::as_str).collect();
            let history = HistoryEntry {
                created: config.created.clone(),
                created_by: command.join(" "),
                author: how.author,
                comment: how.comment.clone(),
                ..HistoryEntry::default()
            };
            // On disk the owners are the container's own already.
            let layer = shared.images.create_layer_from_upper(&upper, None)?;
            shared.images.create_image(NewImage {
                parent: parent.map(|parent| parent.id.clone()),
                layers: vec![layer],
                config,
                history,
                reference: how.reference,
                comment: how.comment,
            })
        })
        .await;
        if frozen && let Err(failure) = self.unpause(id).await {
            tracing::warn!(container = %id, error = %failure.one_line(), "cannot let the container go on after a commit");
        }
        let image = made?;
        let attributes = BTreeMap::from([
            ("image".to_owned(), image_of),
            ("imageID".to_owned(), image.id.to_string()),
            ("imageRef".to_owned(), reference.map(|name| name.familiar()).unwrap_or_default()),
        ]);
        self.shared.tell(EventObject::Container, "commit", id.as_str(), attributes);
        Ok(image.id.clone())
    }
}

fn created_now() -> String {
    jiff::Timestamp::now().to_string()
}

/// What the container runs becomes what the image runs.
fn configure(config: &mut ImageConfig, spec: &ContainerSpec) {
    let target = &mut config.config;
    target.entrypoint.clone_from(&spec.entrypoint);
    target.cmd.clone_from(&spec.command);
    target.env = Some(spec.env.clone());
    target.working_dir.clone_from(&spec.working_dir);
    target.user.clone_from(&spec.user);
    target.labels = Some(spec.labels.clone()).filter(|labels| !labels.is_empty());
    target.stop_signal = spec.stop_signal.map(|signal| signal.to_string()).unwrap_or_default();
    target.healthcheck.clone_from(&spec.health);
    let ports: BTreeMap<_, _> =
        spec.exposed_ports.iter().map(|port| (port.to_string(), haven_image::Empty::default())).collect();
    target.exposed_ports = Some(ports).filter(|ports| !ports.is_empty());
    let volumes: BTreeMap<_, _> =
        spec.declared_volumes.iter().map(|path| (path.clone(), haven_image::Empty::default())).collect();
    target.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
}
