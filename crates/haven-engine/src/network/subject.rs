//! Whom links can name: a container, an application whatever its containers, or a network with everybody on it.

use haven_spec::{ContainerName, ContainerSpec, Failure, NetworkName, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Says which application a container belongs to.
pub const APPLICATION_LABEL: &str = "haven.application";
/// The same, as Compose says it: the project and the service in it.
const COMPOSE_LABELS: [&str; 2] = ["com.docker.compose.project", "com.docker.compose.service"];
const NAME_LIMIT_BYTES: usize = 255;

/// An application's name: one word, or `project/service`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApplicationName(String);

impl ApplicationName {
    pub fn parse(text: &str) -> Outcome<Self> {
        let word = |word: &str| {
            word.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        if text.len() <= NAME_LIMIT_BYTES && text.split('/').count() <= 2 && text.split('/').all(word) {
            return Ok(Self(text.to_owned()));
        }
        Err(Failure::invalid(format!("`{text}` is not an application's name"))
            .hint("a word like `api`, or a project and a service in it, like `shop/api`"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The service of `project/service`.
    pub(crate) fn service(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ApplicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ApplicationName {
    type Error = Failure;
    fn try_from(text: String) -> Outcome<Self> {
        Self::parse(&text)
    }
}

impl From<ApplicationName> for String {
    fn from(name: ApplicationName) -> String {
        name.0
    }
}

/// Somebody with an identity. Names outlive what they name: a link to `db` waits for the next container of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Container(ContainerName),
    Application(ApplicationName),
    Network(NetworkName),
}

impl Subject {
    /// Who a container is for links: its application if it says that it belongs to one, else itself.
    pub(crate) fn of_container(name: &ContainerName, spec: &ContainerSpec) -> Self {
        match application(&spec.labels) {
            Some(application) => Self::Application(application),
            None => Self::Container(name.clone()),
        }
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Container(_) => "container",
            Self::Application(_) => "application",
            Self::Network(_) => "network",
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Container(name) => name.as_str(),
            Self::Application(name) => name.as_str(),
            Self::Network(name) => name.as_str(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => name.fmt(f),
            // A slash says by itself that it is an application.
            Self::Application(name) if name.as_str().contains('/') => name.fmt(f),
            Self::Application(name) => write!(f, "app:{name}"),
            Self::Network(name) => write!(f, "network:{name}"),
        }
    }
}

/// A label with a name nobody could write is as good as none.
fn application(labels: &BTreeMap<String, String>) -> Option<ApplicationName> {
    if let Some(given) = labels.get(APPLICATION_LABEL) {
        return ApplicationName::parse(given).ok();
    }
    let [project, service] = COMPOSE_LABELS.map(|label| labels.get(label));
    ApplicationName::parse(&format!("{}/{}", project?, service?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(&str, &str)]) -> String {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let spec = ContainerSpec { labels, ..ContainerSpec::default() };
        Subject::of_container(&ContainerName::parse("web-1").unwrap(), &spec).to_string()
    }

    #[test]
    fn labels_say_which_application_a_container_belongs_to() {
        assert_eq!(of(&[]), "web-1");
        assert_eq!(of(&[(APPLICATION_LABEL, "web")]), "app:web");
        let compose = [(COMPOSE_LABELS[0], "shop"), (COMPOSE_LABELS[1], "web")];
        assert_eq!(of(&compose), "shop/web");
        assert_eq!(of(&compose[..1]), "web-1");
        assert_eq!(of(&[(APPLICATION_LABEL, "a b")]), "web-1");
        for bad in ["", "/", "a/", "a/b/c", "../x", "a b", "-a"] {
            assert!(ApplicationName::parse(bad).is_err(), "{bad}");
        }
    }
}
