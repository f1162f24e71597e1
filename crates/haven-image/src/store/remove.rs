//! Removing images: names first, the image when its last name goes, layers when no image needs them any more.

use super::catalog::Draft;
use super::resolve::{by_reference, resolve};
use super::{Catalog, Store};
use crate::image::{DiffId, Image};
use haven_spec::{Failure, ImageId, Outcome, Reference};
use std::sync::Arc;

/// How an image is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveImage {
    /// Also when it has several names, or is in use: an image in use loses its names only.
    pub force: bool,
    /// Leave the unnamed images it was made from.
    pub keep_parents: bool,
}

/// What went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    Untagged(Reference),
    Deleted(ImageId),
}

/// Which images pruning takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PruneImages {
    /// Also images with names, if nothing uses them.
    pub all: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PruneReport {
    pub removed: Vec<Removed>,
    pub freed_bytes: u64,
}

impl Store {
    /// Removes the image `wanted` names, or only that name if it has others. `in_use` says whether a container needs
    /// an image; it is asked while the store is locked for changes and must not call back into it.
    pub fn remove(
        &self,
        wanted: &str,
        how: RemoveImage,
        in_use: &dyn Fn(&ImageId) -> bool,
    ) -> Outcome<Vec<Removed>> {
        let lock = self.lock();
        let catalog = self.catalog();
        let image = resolve(&catalog, wanted)?;
        let name = named(&catalog, wanted, &image);
        let (removed, gone) = self.change(&lock, |draft| {
            let mut removed = Vec::new();
            match &name {
                Some(Name::Tag(tag)) => {
                    let last = image.tags.len() == 1 && other_digests(&image, tag).is_empty();
                    if last && in_use(&image.id) && !how.force {
                        return Err(used(wanted, &image));
                    }
                    draft.delete_tag(tag)?;
                    removed.push(Removed::Untagged(tag.clone()));
                    // The repository's digests go with its last tag.
                    let repository = tag.familiar_repository();
                    if !image.tags.iter().any(|other| other != tag && other.familiar_repository() == repository) {
                        drop_digests(draft, &image, &mut removed, |digest| {
                            digest.familiar_repository() == repository
                        })?;
                    }
                    if !last {
                        return Ok((removed, Vec::new()));
                    }
                }
                Some(Name::Digest(digest)) => {
                    drop_digests(draft, &image, &mut removed, |known| known == digest)?;
                    if !image.tags.is_empty() || image.digests.len() > 1 {
                        return Ok((removed, Vec::new()));
                    }
                    if in_use(&image.id) && !how.force {
                        return Err(used(wanted, &image));
                    }
                }
                None => {
                    if in_use(&image.id) && !how.force {
                        return Err(used(wanted, &image));
                    }
                    let mut repositories: Vec<_> = image.tags.iter().map(Reference::familiar_repository).collect();
                    repositories.dedup();
                    if repositories.len() > 1 && !how.force {
                        return Err(Failure::conflict(format!(
                            "unable to delete {} (must be forced) - image is referenced in multiple repositories",
                            image.id.short()
                        ))
                        .hint("remove its names one by one, or use --force"));
                    }
                    for tag in &image.tags {
                        draft.delete_tag(tag)?;
                        removed.push(Removed::Untagged(tag.clone()));
                    }
                    drop_digests(draft, &image, &mut removed, |_| true)?;
                }
            }
            if !in_use(&image.id) && !has_children(&draft.catalog, &image.id) {
                delete(draft, &image.id, how.keep_parents, in_use, &mut removed)?;
            } else if removed.is_empty() {
                return Err(Failure::conflict(format!(
                    "unable to delete {} (cannot be forced) - image has dependent child images",
                    image.id.short()
                )));
            }
            let gone = delete_unneeded_layers(draft)?;
            Ok((removed, gone))
        })?;
        for (layer, _) in &gone {
            self.discard(layer);
        }
        drop(lock);
        self.empty_trash();
        Ok(removed)
    }

    /// Removes images nothing uses: those without a name, or all. `keep` spares an image; as with [`Store::remove`],
    /// neither function may call back into the store.
    pub fn prune(
        &self,
        how: PruneImages,
        in_use: &dyn Fn(&ImageId) -> bool,
        keep: &dyn Fn(&Image) -> bool,
    ) -> Outcome<PruneReport> {
        let lock = self.lock();
        let (report, gone) = self.change(&lock, |draft| {
            let mut removed = Vec::new();
            let images: Vec<Arc<Image>> = draft.catalog.images().values().map(Arc::clone).collect();
            let wanted =
                |image: &Image| (how.all || image.is_dangling()) && !in_use(&image.id) && !keep(image);
            let mut left: Vec<_> = images.into_iter().filter(|image| wanted(image)).collect();
            // Children before parents, however deep.
            loop {
                let before = left.len();
                let mut later = Vec::new();
                for image in left {
                    if has_children(&draft.catalog, &image.id) {
                        later.push(image);
                        continue;
                    }
                    for tag in &image.tags {
                        draft.delete_tag(tag)?;
                        removed.push(Removed::Untagged(tag.clone()));
                    }
                    draft.delete_image(&image.id)?;
                    removed.push(Removed::Deleted(image.id.clone()));
                }
                left = later;
                if left.len() == before {
                    break;
                }
            }
            let gone = delete_unneeded_layers(draft)?;
            let freed_bytes = gone.iter().map(|(_, bytes)| bytes).sum();
            Ok((PruneReport { removed, freed_bytes }, gone))
        })?;
        for (layer, _) in &gone {
            self.discard(layer);
        }
        drop(lock);
        self.empty_trash();
        Ok(report)
    }
}

enum Name {
    Tag(Reference),
    Digest(Reference),
}

/// Whether the user gave a name, rather than an id.
fn named(catalog: &Catalog, wanted: &str, image: &Image) -> Option<Name> {
    let reference = Reference::parse(wanted).ok()?;
    if by_reference(catalog, &reference)?.id != image.id {
        return None;
    }
    if catalog.tags.contains_key(&reference) {
        return Some(Name::Tag(reference));
    }
    image.digests.contains(&reference).then_some(Name::Digest(reference))
}

fn other_digests<'i>(image: &'i Image, tag: &Reference) -> Vec<&'i Reference> {
    let repository = tag.familiar_repository();
    image.digests.iter().filter(|digest| digest.familiar_repository() != repository).collect()
}

fn used(wanted: &str, image: &Image) -> Failure {
    Failure::conflict(format!(
        "conflict: unable to remove `{wanted}`: a container uses image {}",
        image.id.short()
    ))
    .hint("remove the container first, or use --force to take the image's names only")
}

fn drop_digests(
    draft: &mut Draft,
    image: &Image,
    removed: &mut Vec<Removed>,
    which: impl Fn(&Reference) -> bool,
) -> Outcome<()> {
    let gone: Vec<_> = image.digests.iter().filter(|digest| which(digest)).cloned().collect();
    if !gone.is_empty() {
        draft.change_image(&image.id, |record| record.digests.retain(|digest| !gone.contains(digest)))?;
        removed.extend(gone.into_iter().map(Removed::Untagged));
    }
    Ok(())
}

fn has_children(catalog: &Catalog, id: &ImageId) -> bool {
    catalog.known.values().any(|known| known.record.parent.as_ref() == Some(id))
}

/// Deletes an image, and then the unnamed ones it was made from, as far as nothing else needs them.
fn delete(
    draft: &mut Draft,
    id: &ImageId,
    keep_parents: bool,
    in_use: &dyn Fn(&ImageId) -> bool,
    removed: &mut Vec<Removed>,
) -> Outcome<()> {
    let mut next = Some(id.clone());
    while let Some(id) = next.take() {
        let parent = draft.catalog.known.get(&id).and_then(|known| known.record.parent.clone());
        draft.delete_image(&id)?;
        removed.push(Removed::Deleted(id));
        let Some(parent) = parent.filter(|_| !keep_parents) else { break };
        let named = draft.catalog.tags.values().any(|tag| tag.image == parent)
            || draft.catalog.known.get(&parent).is_none_or(|known| !known.record.digests.is_empty());
        if !named && !in_use(&parent) && !has_children(&draft.catalog, &parent) {
            next = Some(parent);
        }
    }
    Ok(())
}

fn delete_unneeded_layers(draft: &mut Draft) -> Outcome<Vec<(DiffId, u64)>> {
    let needed = draft.catalog.needed_layers();
    let gone: Vec<(DiffId, u64)> = draft
        .catalog
        .layers
        .iter()
        .filter(|(layer, _)| !needed.contains(layer))
        .map(|(layer, record)| (layer.clone(), record.size_bytes))
        .collect();
    for (layer, _) in &gone {
        draft.delete_layer(layer)?;
    }
    Ok(gone)
}
