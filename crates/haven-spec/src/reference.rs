//! Image references: `[host[:port]/]path[:tag][@digest]`, with Docker's short forms made explicit
//! (`debian` is `docker.io/library/debian:latest`). Grammar: distribution/reference.

use crate::{Digest, Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;

const DEFAULT_DOMAIN: &str = "docker.io";
const REPOSITORY_LIMIT_BYTES: usize = 255;
const TAG_LIMIT_BYTES: usize = 128;

/// A full image name. At least one of tag and digest is present after [`Reference::parse`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

fn is_component(text: &str) -> bool {
    // [a-z0-9]+ joined by one `.`, one or two `_`, or any number of `-`.
    let bytes = text.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    if !bytes.iter().all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-')) {
        return false;
    }
    bytes
        .split(alphanumeric)
        .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let host_ok = if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        inner.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty()
            && host.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
    };
    host_ok && port.is_none_or(|p| !p.is_empty() && p.parse::<u16>().is_ok())
}

fn is_tag(text: &str) -> bool {
    text.len() <= TAG_LIMIT_BYTES
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

impl Reference {
    /// Reads a name as people write it; without tag and digest the tag is `latest`.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = |why: &str| {
            Err(Failure::invalid(format!("invalid reference format: `{text}`: {why}")).hint(
                "write an image as [HOST[:PORT]/]PATH[:TAG][@sha256:DIGEST], in lower case, like debian:12",
            ))
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => match Digest::parse(digest) {
                Ok(digest) => (rest, Some(digest)),
                Err(_) => return refuse("the digest is malformed"),
            },
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return refuse("the tag is malformed");
        }
        let (domain, path) = match name.split_once('/') {
            Some((first, path))
                if first.contains(['.', ':'])
                    || first == "localhost"
                    || first.bytes().any(|b| b.is_ascii_uppercase()) =>
            {
                (first, path)
            }
            _ => (DEFAULT_DOMAIN, name),
        };
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        if !is_domain(domain) {
            return refuse("the registry's name is malformed");
        }
        if name.bytes().any(|b| b.is_ascii_uppercase()) && !path.bytes().all(|b| !b.is_ascii_uppercase()) {
            return refuse("repository name must be lowercase");
        }
        if path.is_empty() || !path.split('/').all(is_component) {
            return refuse("the repository's path is malformed");
        }
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if domain.len() + 1 + path.len() > REPOSITORY_LIMIT_BYTES {
            return refuse("the repository's name is longer than 255 characters");
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, None) => Some("latest".to_owned()),
            (None, Some(_)) => None,
        };
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }

    /// The registry's host and optional port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The path below the registry, with `library/` written out.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The repository as people see it: `debian`, `example.org/app`.
    pub fn familiar_repository(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return format!("{}/{}", self.domain, self.path);
        }
        match self.path.strip_prefix("library/") {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people see it: `debian:12`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_repository())
    }

    /// Without the tag, pinned to `digest`.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { domain: self.domain.clone(), path: self.path.clone(), tag: None, digest: Some(digest) }
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest.as_str());
        }
        name
    }
}

impl fmt::Display for Reference {
    /// The explicit form: `docker.io/library/debian:12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(format!("{}/{}", self.domain, self.path)))
    }
}

impl TryFrom<String> for Reference {
    type Error = Failure;
    fn try_from(text: String) -> Outcome<Self> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_made_explicit_and_shown_short_again() {
        for (text, full, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("debian:12", "docker.io/library/debian:12", "debian:12"),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b:v1", "localhost:5000/a/b:v1"),
            ("index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(Reference::parse(full).unwrap(), reference);
        }
    }

    #[test]
    fn malformed_references_are_refused() {
        let long = "a".repeat(256);
        for bad in [
            "",
            ":",
            "Debian",
            "a//b",
            "-a",
            "a/",
            "a:",
            "a:b c",
            "a@sha256:00",
            "a b",
            "../x",
            "a..b",
            "a___b",
            &long,
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
