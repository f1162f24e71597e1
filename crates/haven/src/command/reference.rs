//! Image names in requests: split into repository and tag, or as a part of a path.

use crate::wire::escape;
use haven_spec::{Failure, Outcome, Reference};

/// Repository and tag of a name that something is to get. A digest cannot be given.
pub(super) fn split(text: &str) -> Outcome<(String, String)> {
    let reference = Reference::parse(text)?;
    if reference.digest().is_some() {
        return Err(Failure::invalid(format!("`{text}` names a digest"))
            .because("only a tag can be given to an image"));
    }
    Ok((reference.familiar_repository(), reference.tag().unwrap_or("latest").to_owned()))
}

/// A name or id as the part of a path: slashes, colons and `@` stay, as the API expects them.
pub(super) fn image_segment(name: &str) -> Outcome<String> {
    if name.trim().is_empty() {
        return Err(Failure::invalid("the image's name is empty").hint("list images with: haven images"));
    }
    let plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !plain {
        return Ok(escape(name));
    }
    Ok(escape(name).replace("%2F", "/").replace("%3A", ":").replace("%40", "@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names_keep_their_slashes_but_cannot_climb() {
        assert_eq!(image_segment("a.b/c:1@sha256:0").unwrap(), "a.b/c:1@sha256:0");
        assert_eq!(image_segment("a?x=1").unwrap(), "a%3Fx%3D1");
        assert_eq!(image_segment("../info").unwrap(), "..%2Finfo");
        assert!(image_segment(" ").is_err());
        assert_eq!(split("me/app").unwrap(), ("me/app".into(), "latest".into()));
        assert_eq!(split("localhost:5000/a:v1").unwrap(), ("localhost:5000/a".into(), "v1".into()));
        assert!(split("UPPER").is_err());
    }
}
