//! `GET /images/json`.

use crate::Api;
use crate::call::Call;
use crate::filter::Filters;
use crate::refusal::Answer;
use crate::reply::Reply;
use crate::time;
use crate::version::ApiVersion;
use haven_engine::image::{Image, ImageUsage};
use haven_spec::Reference;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

const FILTERS: &[&str] = &["before", "dangling", "label", "label!", "reference", "since", "until"];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    id: String,
    parent_id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    created: i64,
    size: u64,
    shared_size: i64,
    /// Gone since 1.44.
    #[serde(skip_serializing_if = "Option::is_none")]
    virtual_size: Option<u64>,
    labels: Option<BTreeMap<String, String>>,
    containers: i64,
}

impl Listed {
    /// Shows only these of the image's names.
    fn keep_names(&mut self, keep: impl Fn(&Reference) -> bool, image: &Image) {
        let kept =
            |names: &[Reference]| names.iter().filter(|name| keep(name)).map(Reference::familiar).collect();
        self.repo_tags = kept(&image.tags);
        self.repo_digests = kept(&image.digests);
    }
}

/// Seconds since the epoch of the moment an image was made; 0 when it doesn't say.
pub(crate) fn created_s(image: &Image) -> i64 {
    created_ns(image).div_euclid(1_000_000_000)
}

fn created_ns(image: &Image) -> i64 {
    let created = image.config.created.as_deref();
    created.and_then(|text| time::moment_ns("created", text).ok()).unwrap_or(0)
}

/// One image. `usage` and `containers` are given when they were asked for.
pub(crate) fn describe(
    image: &Image,
    usage: Option<ImageUsage>,
    containers: Option<usize>,
    version: ApiVersion,
) -> Listed {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Listed {
        id: image.id.to_string(),
        parent_id: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        repo_tags: image.tags.iter().map(Reference::familiar).collect(),
        repo_digests: image.digests.iter().map(Reference::familiar).collect(),
        created: created_s(image),
        size: image.size_bytes,
        // -1 says that nobody asked.
        shared_size: usage.map_or(-1, |usage| count(usage.shared_bytes)),
        virtual_size: (version < ApiVersion::new(1, 44)).then_some(image.size_bytes),
        labels: image.config.config.labels.clone(),
        containers: containers.map_or(-1, |containers| count(containers as u64)),
    }
}

pub(crate) fn list(api: &Api, call: &Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, FILTERS)?;
    let wanted = Wanted::read(api, call, filters)?;
    let images = api.engine.images();
    let usage = call.query.flag("shared-size").then(|| images.usage());
    let listed: Vec<Listed> = wanted
        .choose(images.images())
        .iter()
        .map(|image| {
            let usage = usage.as_ref().map(|usage| usage.images.get(&image.id).copied().unwrap_or_default());
            let mut listed =
                describe(image, usage, Some(api.engine.image_users(&image.id).len()), call.version);
            listed.keep_names(|name| wanted.names(name), image);
            listed
        })
        .collect();
    Ok(Reply::json(&listed))
}

struct Wanted {
    all: bool,
    dangling: Option<bool>,
    before_ns: Option<i64>,
    since_ns: Option<i64>,
    filters: Filters,
}

impl Wanted {
    fn read(api: &Api, call: &Call, filters: Filters) -> Answer<Self> {
        let anchor = |key: &str| -> Answer<Option<i64>> {
            let named = filters.values(key).first();
            named.map(|name| Ok(created_ns(&*api.engine.images().resolve(name)?))).transpose()
        };
        let until = crate::container::lifecycle::until(&filters)?;
        Ok(Self {
            all: call.query.flag("all"),
            dangling: filters.boolean("dangling")?,
            before_ns: anchor("before")?.into_iter().chain(until).min(),
            since_ns: anchor("since")?,
            filters,
        })
    }

    /// Whether a name is one of those asked for.
    fn names(&self, name: &Reference) -> bool {
        self.filters.any("reference", |pattern| matches(pattern, name))
    }

    fn choose(&self, images: Vec<Arc<Image>>) -> Vec<Arc<Image>> {
        // An unnamed image that another was made from is a step on the way, shown only with `all`.
        let parents: HashSet<_> = images.iter().filter_map(|image| image.parent.clone()).collect();
        let passes = |image: &Arc<Image>| {
            let created = created_ns(image);
            (self.all || !image.is_dangling() || !parents.contains(&image.id))
                && self.dangling.is_none_or(|wanted| image.is_dangling() == wanted)
                && self.before_ns.is_none_or(|before| created < before)
                && self.since_ns.is_none_or(|since| created > since)
                && self.filters.labels(image.config.config.labels.as_ref().unwrap_or(&BTreeMap::new()))
                && (self.filters.values("reference").is_empty()
                    || image.tags.iter().chain(&image.digests).any(|name| self.names(name)))
        };
        images.into_iter().filter(passes).collect()
    }
}

/// `debian`, `debian:1*`, `*/app`: a pattern for the whole name as people write it, or for it without its tag.
fn matches(pattern: &str, name: &Reference) -> bool {
    let (whole, repository) = (name.familiar(), name.familiar_repository());
    // A last part alone is enough, as it always has been.
    let last = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    let names = [&whole, &repository, &last(&whole), &last(&repository)];
    names.into_iter().any(|text| glob(pattern.as_bytes(), text.as_bytes()))
}

/// `*` and `?` stand for anything but `/`. Only the last star is tried again, so that no pattern takes long.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') if text[t] != b'/' => {
                p += 1;
                t += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) if text[from] != b'/' => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_as_people_write_them() {
        let name = |text| Reference::parse(text).unwrap();
        for (pattern, text, found) in [
            ("debian", "debian:12", true),
            ("debian:1*", "debian:12", true),
            ("deb*", "debian:12", true),
            ("debian:1?", "debian:12", true),
            ("debian:11", "debian:12", false),
            ("app", "example.org/team/app:v1", true),
            ("example.org/*", "example.org/team/app:v1", false),
            ("example.org/*/app", "example.org/team/app:v1", true),
            ("*", "debian", true),
            ("x", "debian", false),
        ] {
            assert_eq!(matches(pattern, &name(text)), found, "{pattern} {text}");
        }
    }

    #[test]
    fn no_pattern_takes_long() {
        let text = "a".repeat(100_000);
        let pattern = format!("{}b", "a*".repeat(50));
        assert!(!glob(pattern.as_bytes(), text.as_bytes()));
    }
}
