//! How much room images take, and how they came about, from records alone: no file is looked at.

use super::Store;
use crate::image::DiffId;
use haven_spec::{Failure, ImageId, Outcome};
use std::collections::BTreeMap;

/// Bytes of files in the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiskUsage {
    /// Of all layers, each counted once.
    pub layers_bytes: u64,
    /// By image id.
    pub images: BTreeMap<ImageId, ImageUsage>,
}

/// One image's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImageUsage {
    pub size_bytes: u64,
    /// In layers other images have too.
    pub shared_bytes: u64,
    /// In layers only it has: what removing it frees.
    pub unique_bytes: u64,
}

/// A step of an image's history, with what it added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryLine {
    /// The image that ends with this step, where it is known: the first line's, and parents'.
    pub image: Option<ImageId>,
    /// RFC 3339.
    pub created: Option<String>,
    pub created_by: String,
    pub comment: String,
    pub size_bytes: u64,
    /// `None`: the step changed the configuration only.
    pub layer: Option<DiffId>,
    pub tags: Vec<haven_spec::Reference>,
}

impl Store {
    pub fn usage(&self) -> DiskUsage {
        let catalog = self.catalog();
        let mut users: BTreeMap<&DiffId, usize> = BTreeMap::new();
        for image in catalog.images().values() {
            let mut layers: Vec<_> = image.layers.iter().collect();
            layers.sort();
            layers.dedup();
            for layer in layers {
                *users.entry(layer).or_default() += 1;
            }
        }
        let size = |layer: &DiffId| catalog.layers.get(layer).map_or(0, |record| record.size_bytes);
        let images = catalog.images().values().map(|image| {
            let mut layers: Vec<_> = image.layers.iter().collect();
            layers.sort();
            layers.dedup();
            let (mut shared_bytes, mut unique_bytes) = (0, 0);
            for layer in layers {
                if users.get(layer).is_some_and(|count| *count > 1) {
                    shared_bytes += size(layer);
                } else {
                    unique_bytes += size(layer);
                }
            }
            (image.id.clone(), ImageUsage { size_bytes: image.size_bytes, shared_bytes, unique_bytes })
        });
        DiskUsage {
            images: images.collect(),
            layers_bytes: catalog.layers.values().map(|record| record.size_bytes).sum(),
        }
    }

    /// The steps that made an image, the last first.
    pub fn history(&self, id: &ImageId) -> Outcome<Vec<HistoryLine>> {
        let catalog = self.catalog();
        let image =
            catalog.images().get(id).ok_or_else(|| Failure::not_found(format!("No such image: {id}")))?;
        let mut layers = image.layers.iter();
        let mut lines = Vec::new();
        for step in &image.config.history {
            let layer = if step.empty_layer { None } else { layers.next().cloned() };
            lines.push(HistoryLine {
                image: None,
                created: step.created.clone(),
                created_by: step.created_by.clone(),
                comment: step.comment.clone(),
                size_bytes: layer
                    .as_ref()
                    .and_then(|layer| catalog.layers.get(layer))
                    .map_or(0, |l| l.size_bytes),
                layer,
                tags: Vec::new(),
            });
        }
        // An image without a history still has layers.
        for layer in layers {
            lines.push(HistoryLine {
                image: None,
                created: None,
                created_by: String::new(),
                comment: String::new(),
                size_bytes: catalog.layers.get(layer).map_or(0, |l| l.size_bytes),
                layer: Some(layer.clone()),
                tags: Vec::new(),
            });
        }
        // Each parent ends with the last step of its own history.
        let mut next = Some(image);
        while let Some(image) = next {
            let steps = image.config.history.len().max(image.layers.len());
            if let Some(line) = steps.checked_sub(1).and_then(|at| lines.get_mut(at)) {
                line.image = Some(image.id.clone());
                line.tags.clone_from(&image.tags);
            }
            let parent = image.parent.as_ref().and_then(|parent| catalog.images().get(parent));
            next = parent.filter(|parent| parent.config.history.len() < image.config.history.len());
        }
        lines.reverse();
        Ok(lines)
    }
}
