//! Finding the image somebody means.

use super::{Catalog, Store};
use crate::image::Image;
use haven_spec::{Failure, Outcome, Reference};
use std::sync::Arc;

impl Store {
    /// The image `wanted` names: `name[:tag]`, `name@digest`, a whole id, or the unique beginning of one. A name wins
    /// over the beginning of an id.
    pub fn resolve(&self, wanted: &str) -> Outcome<Arc<Image>> {
        resolve(&self.catalog(), wanted)
    }
}

pub(super) fn resolve(catalog: &Catalog, wanted: &str) -> Outcome<Arc<Image>> {
    let not_found = || Failure::not_found(format!("No such image: {wanted}"));
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let is_hex =
        !hex.is_empty() && hex.len() <= 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex && (hex.len() == 64 || hex.len() < wanted.len()) {
        return by_prefix(catalog, hex)?.ok_or_else(not_found);
    }
    let reference = match Reference::parse(wanted) {
        Ok(reference) => reference,
        Err(_) if is_hex => return by_prefix(catalog, hex)?.ok_or_else(not_found),
        Err(failure) => return Err(failure),
    };
    if let Some(image) = by_reference(catalog, &reference) {
        return Ok(image);
    }
    if is_hex {
        return by_prefix(catalog, hex)?.ok_or_else(not_found);
    }
    Err(not_found())
}

pub(super) fn by_reference(catalog: &Catalog, reference: &Reference) -> Option<Arc<Image>> {
    if let Some(digest) = reference.digest() {
        let name = reference.with_digest(digest.clone());
        return catalog
            .images()
            .values()
            // The digest is a manifest's, or the image's own id.
            .find(|image| {
                image.digests.contains(&name)
                    || (image.id == *digest
                        && image
                            .tags
                            .iter()
                            .any(|tag| tag.familiar_repository() == reference.familiar_repository()))
            })
            .map(Arc::clone);
    }
    let tag = catalog.tags.get(reference)?;
    catalog.images().get(&tag.image).map(Arc::clone)
}

fn by_prefix(catalog: &Catalog, hex: &str) -> Outcome<Option<Arc<Image>>> {
    let mut found = catalog.images().values().filter(|image| image.id.hex().starts_with(hex));
    let Some(first) = found.next() else { return Ok(None) };
    match found.next() {
        None => Ok(Some(Arc::clone(first))),
        Some(second) => Err(Failure::invalid(format!(
            "`{hex}` is the beginning of several image ids: {}, {}{}",
            first.id.short(),
            second.id.short(),
            if found.next().is_some() { " and others" } else { "" }
        ))
        .hint("give more digits")),
    }
}
