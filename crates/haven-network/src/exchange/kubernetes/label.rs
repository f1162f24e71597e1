//! Names of Haven as labels and object names of Kubernetes, which take less.

use crate::exchange::Workload;
use std::collections::BTreeMap;

pub(super) const APPLICATION: &str = "haven/application";
pub(super) const NETWORK: &str = "network.haven/";
/// The application's own name, where the label is another.
pub(super) const NAME: &str = "haven/name";
/// The namespace's name, which every namespace is labelled with.
pub(super) const NAMESPACE: &str = "kubernetes.io/metadata.name";

const LABEL_BYTES: usize = 63;

/// A label's value for a name: the name itself where it can be one, else what is left of it and a digest.
pub(super) fn value(name: &str) -> String {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let within = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = name.len() <= LABEL_BYTES && name.chars().all(within);
    if fits && ends(name.chars().next()) && ends(name.chars().last()) {
        return name.to_owned();
    }
    let kept: String = name
        .chars()
        .map(|c| if within(c) { c } else { '.' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(40)
        .collect();
    format!("{kept}x{:016x}", digest(name))
}

/// The name of a policy object: lower case letters, digits and dashes.
pub(super) fn object_name(kind: &str, name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if plain && name.len() <= 200 && name.ends_with(|c: char| c != '-') {
        return format!("haven-{kind}-{name}");
    }
    let kept: String = name.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    format!("haven-{kind}-{}-{:016x}", kept.to_ascii_lowercase(), digest(name))
}

/// FNV-1a: tells names apart, and is the same everywhere and always.
fn digest(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a workload is selected by: its own labels, and those that an export selects by.
pub(super) fn labels_of(workload: &Workload) -> BTreeMap<String, String> {
    let mut labels = workload.labels.clone();
    labels.entry(APPLICATION.to_owned()).or_insert_with(|| value(&workload.name));
    for network in &workload.networks {
        labels.insert(format!("{NETWORK}{}", value(network)), "true".to_owned());
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_labels_that_kubernetes_takes() {
        assert_eq!(value("db-1"), "db-1");
        for odd in ["shop/api", "-x", "", "ä", &"x".repeat(64), "a."] {
            let label = value(odd);
            assert!(
                label.len() <= LABEL_BYTES && label.ends_with(|c: char| c.is_ascii_alphanumeric()),
                "{label}"
            );
            assert!(label.starts_with(|c: char| c.is_ascii_alphanumeric()), "{label}");
            assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{label}");
        }
        assert_ne!(value("shop/api"), value("shop.api"));
        assert_eq!(object_name("app", "web"), "haven-app-web");
        assert_ne!(object_name("app", "Web"), object_name("app", "web"));
    }
}
