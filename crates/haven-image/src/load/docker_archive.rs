//! Docker's own archive: `manifest.json` names each image's configuration, layers and tags by their entries. Written
//! by `docker save`, `podman save` and others in several layouts; the names of the entries mean nothing here.

use super::documents::Documents;
use super::{WantedImage, WantedLayer, distinct};
use crate::limits::Limits;
use haven_spec::{Failure, Outcome, Reference};
use serde::Deserialize;

pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn images(documents: &Documents, limits: &Limits) -> Outcome<Vec<WantedImage>> {
    let items: Vec<Item> = documents.read(MANIFEST)?;
    if items.len() > limits.images {
        return Err(Failure::invalid(format!("it holds more than the {} images allowed", limits.images)));
    }
    items.into_iter().map(image).collect()
}

fn image(item: Item) -> Outcome<WantedImage> {
    let tags: Vec<Reference> = item
        .repo_tags
        .unwrap_or_default()
        .iter()
        // What older Dockers wrote for images without a name.
        .filter(|tag| *tag != "<none>:<none>")
        .map(|tag| match Reference::parse(tag) {
            Ok(reference) if reference.digest().is_none() => Ok(reference),
            Ok(_) => Err(Failure::invalid(format!("`{MANIFEST}` has the tag `{tag}`, which is a digest"))),
            Err(failure) => Err(failure.context(format!("`{MANIFEST}` has a tag that can't be used"))),
        })
        .collect::<Outcome<_>>()?;
    let layers = item.layers.unwrap_or_default();
    Ok(WantedImage {
        config: clean(&item.config),
        config_digest: None,
        layers: layers
            .iter()
            .map(|entry| WantedLayer { entry: clean(entry), digest: None, size: None })
            .collect(),
        tags: distinct(tags),
        manifest: None,
    })
}

fn clean(entry: &str) -> String {
    entry.trim_start_matches("./").to_owned()
}
