//! Giving and taking names.

use super::Store;
use super::resolve::resolve;
use crate::image::Image;
use haven_spec::{Failure, ImageId, Outcome, Reference};
use std::sync::Arc;

impl Store {
    /// Gives the image `source` names the name `target`; what had it before loses it.
    pub fn tag(&self, source: &str, target: &Reference) -> Outcome<Arc<Image>> {
        if target.digest().is_some() || target.tag().is_none() {
            return Err(Failure::invalid(format!(
                "refusing to create a tag with a digest reference: `{target}`"
            ))
            .hint("give a name with a tag, like debian:12"));
        }
        let lock = self.lock();
        let image = resolve(&self.catalog(), source)?;
        let now_ns = self.now_ns();
        self.change(&lock, |draft| draft.put_tag(target, &image.id, None, now_ns))?;
        drop(lock);
        Ok(self.get(&image.id).unwrap_or(image))
    }

    /// Takes a name away; the image stays, also when it was the last.
    pub fn untag(&self, tag: &Reference) -> Outcome<ImageId> {
        let lock = self.lock();
        let image = match self.catalog().tags.get(tag) {
            Some(record) => record.image.clone(),
            None => return Err(Failure::not_found(format!("No such image: {}", tag.familiar()))),
        };
        self.change(&lock, |draft| draft.delete_tag(tag))?;
        Ok(image)
    }
}
