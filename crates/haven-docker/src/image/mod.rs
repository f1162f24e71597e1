//! `/images/…` and `/commit`: one file per request or family of requests.

pub(crate) mod commit;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod remove;
pub(crate) mod transfer;

use crate::refusal::{Answer, Refusal};
use haven_spec::Reference;

/// A name from a repository and a tag given apart; `None` when there is no repository.
fn reference(repository: &str, tag: &str) -> Answer<Option<Reference>> {
    if repository.is_empty() {
        return if tag.is_empty() {
            Ok(None)
        } else {
            Err(Refusal::invalid("a tag needs a repository to stand in"))
        };
    }
    if repository.contains('@') {
        return Err(Refusal::invalid("refusing to create a tag with a digest reference"));
    }
    let has_tag = repository.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let text = match (tag, has_tag) {
        ("", _) => repository.to_owned(),
        (tag, false) => format!("{repository}:{tag}"),
        (tag, true) => format!("{}:{tag}", repository.rsplit_once(':').map_or(repository, |(name, _)| name)),
    };
    Ok(Some(Reference::parse(&text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_put_together_from_repository_and_tag() {
        let read = |repository, tag| reference(repository, tag).unwrap().map(|name| name.familiar());
        assert_eq!(read("", ""), None);
        assert_eq!(read("bb", "").unwrap(), "bb:latest");
        assert_eq!(read("bb", "v1").unwrap(), "bb:v1");
        assert_eq!(read("localhost:5000/bb", "v1").unwrap(), "localhost:5000/bb:v1");
        assert_eq!(read("bb:old", "v1").unwrap(), "bb:v1");
        for (repository, tag) in [("UPPER", "t"), ("bb", "a b"), ("", "t"), ("bb@sha256:00", "")] {
            assert!(reference(repository, tag).is_err(), "{repository}:{tag}");
        }
    }
}
