//! One end of a link, as people write it and as it is on record.

use super::subject::{ApplicationName, Subject};
use crate::shared::Shared;
use crate::view::ContainerView;
use haven_spec::{ContainerName, Failure, Ipv4Net, NetworkMode, NetworkName, Outcome};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What everything beyond the host is called.
const OUTSIDE: &str = "@outside";

/// Where a link begins or leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkEnd {
    Subject(Subject),
    /// Everything that is not a container; as a destination only.
    Outside,
    /// A range of outside addresses; as a destination only.
    Range(Ipv4Net),
}

impl LinkEnd {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Subject(subject) => subject.kind(),
            Self::Outside => "outside",
            Self::Range(_) => "range",
        }
    }

    pub fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Subject(subject) => Some(subject),
            Self::Outside | Self::Range(_) => None,
        }
    }

    /// Reads `api`, `app:shop/api`, `container:api`, `network:shop`, `@outside` or `203.0.113.0/24`. A bare name must
    /// be somebody's; one with its kind before it may be of somebody who is yet to come.
    pub(crate) fn resolve(shared: &Shared, text: &str) -> Outcome<Self> {
        if let Some(word) = text.strip_prefix('@') {
            return match word {
                "outside" => Ok(Self::Outside),
                _ => Err(Failure::invalid(format!("`{text}` is no end of a link")).hint(OUTSIDE)),
            };
        }
        if let Some(range) = range(text)? {
            return Ok(Self::Range(range));
        }
        let subject = match text.split_once(':') {
            Some(("container", name)) => of_container(shared, name)?,
            Some(("app" | "application", name)) => Subject::Application(ApplicationName::parse(name)?),
            Some(("network", name)) => Subject::Network(NetworkName::parse(canonical_network(name))?),
            Some((kind, _)) => {
                return Err(Failure::invalid(format!("`{kind}` is no kind of a link's end")).hint(format!(
                    "container:NAME, app:NAME, network:NAME, a range like 203.0.113.0/24, or {OUTSIDE}"
                )));
            }
            None => bare(shared, text)?,
        };
        Ok(Self::Subject(subject))
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => subject.fmt(f),
            Self::Outside => f.write_str(OUTSIDE),
            Self::Range(range) => range.fmt(f),
        }
    }
}

/// Docker's name of its default network means ours.
fn canonical_network(name: &str) -> &str {
    if name == "bridge" { "default" } else { name }
}

/// A range or one address; `None` when the text is neither.
pub(crate) fn range(text: &str) -> Outcome<Option<Ipv4Net>> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ipv4Net::new(address, 32).map(Some);
    }
    let address = text.split('/').next().unwrap_or_default();
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(Failure::unsupported(format!("cannot link to the IPv6 range `{text}`"))
            .hint(format!("link to {OUTSIDE}, which is every address of both families")));
    }
    if address.parse::<Ipv4Addr>().is_ok() {
        return Ipv4Net::parse(text).map(Some);
    }
    Ok(None)
}

/// Long enough that no name means an id by chance: `db` is the beginning of every 256th.
const ID_DIGITS: usize = 12;

fn is_id(text: &str, id: &str) -> bool {
    text.len() >= ID_DIGITS && id.starts_with(text)
}

/// The container of this very name, or with this id.
pub(crate) fn container_called(shared: &Shared, text: &str) -> Option<Arc<ContainerView>> {
    let view = shared.registry.find(text).ok()?.view();
    (view.name.as_str() == text || is_id(text, view.id.as_str())).then_some(view)
}

/// A container that exists stands for its application if it has one; one without a network of its own can't be linked.
fn of_container(shared: &Shared, name: &str) -> Outcome<Subject> {
    let Some(view) = container_called(shared, name) else {
        return Ok(Subject::Container(ContainerName::parse(name)?));
    };
    match &view.spec.network {
        NetworkMode::Host => {
            Err(Failure::conflict(format!("container `{}` uses the host's network", view.name))
                .because("what it sends and gets is the host's, which links don't decide on")
                .hint("give it a network of its own"))
        }
        NetworkMode::Container(other) => Err(Failure::conflict(format!(
            "container `{}` uses the network of container {}",
            view.name,
            other.short()
        ))
        .hint("link that container")),
        _ => Ok(Subject::of_container(&view.name, &view.spec)),
    }
}

fn bare(shared: &Shared, text: &str) -> Outcome<Subject> {
    let mut found = Vec::new();
    if container_called(shared, text).is_some() {
        found.push(of_container(shared, text)?);
    }
    for view in shared.registry.views() {
        if let subject @ Subject::Application(_) = Subject::of_container(&view.name, &view.spec)
            && let Subject::Application(name) = &subject
            && (name.as_str() == text || name.service() == text)
            && !found.contains(&subject)
        {
            found.push(subject);
        }
    }
    if let Ok(network) = shared.networks.find(text)
        && (network.name.as_str() == canonical_network(text) || is_id(text, &network.id))
    {
        found.push(Subject::Network(network.name.clone()));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (Some(one), Some(other)) => Err(Failure::invalid(format!(
            "`{text}` is the name of more than one: a {} and a {}",
            one.kind(),
            other.kind()
        ))
        .hint(format!(
            "say which: {}",
            [one, other].map(|s| format!("{}:{}", word(&s), s.name())).join(" or ")
        ))),
        (None, _) => Err(Failure::not_found(format!(
            "there is no container, application or network called `{text}`"
        ))
        .hint(format!(
            "say what it will be, and the link waits for it: container:{text}, app:{text} or network:{text}"
        ))),
    }
}

fn word(subject: &Subject) -> &'static str {
    match subject {
        Subject::Application(_) => "app",
        other => other.kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_no_beginning_of_an_id() {
        let id = "db0123456789abcd";
        assert!(!is_id("db", id) && !is_id("", id) && !is_id("db01234567x9", id));
        assert!(is_id("db0123456789", id) && is_id(id, id));
    }

    #[test]
    fn ranges_are_told_from_names() {
        assert_eq!(range("203.0.113.7").unwrap().unwrap().to_string(), "203.0.113.7/32");
        assert_eq!(range("203.0.113.0/24").unwrap().unwrap().to_string(), "203.0.113.0/24");
        assert_eq!(range("shop/api").unwrap(), None);
        assert_eq!(range("web").unwrap(), None);
        assert!(range("10.0.0.0/33").is_err());
        assert!(range("2001:db8::/32").is_err());
    }
}
