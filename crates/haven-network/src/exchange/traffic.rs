//! Reckoning with what may be spoken: what two permissions have in common, and lists without what others cover.

use crate::Traffic;

/// What both permit.
pub(super) fn common(one: Traffic, other: Traffic) -> Option<Traffic> {
    if one.covers(other) {
        return Some(other);
    }
    if other.covers(one) {
        return Some(one);
    }
    match (one, other) {
        (
            Traffic::Ports { protocol, first, last },
            Traffic::Ports { protocol: theirs, first: from, last: to },
        ) if protocol == theirs && first <= to && from <= last => {
            Some(Traffic::Ports { protocol, first: first.max(from), last: last.min(to) })
        }
        _ => None,
    }
}

/// What both lists permit.
pub(super) fn common_of(ones: &[Traffic], others: &[Traffic]) -> Vec<Traffic> {
    let pairs = ones.iter().flat_map(|one| others.iter().filter_map(|other| common(*one, *other)));
    without_covered(pairs.collect())
}

/// Without what another of them covers.
pub(super) fn without_covered(all: Vec<Traffic>) -> Vec<Traffic> {
    let mut kept: Vec<Traffic> = Vec::new();
    for traffic in all {
        if !kept.iter().any(|other| other.covers(traffic)) {
            kept.retain(|other| !traffic.covers(*other));
            kept.push(traffic);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(texts: &[&str]) -> Vec<Traffic> {
        texts.iter().map(|text| Traffic::parse(text).unwrap()).collect()
    }

    #[test]
    fn what_lists_have_in_common_is_told_once() {
        assert_eq!(common_of(&all(&["any"]), &all(&["80/tcp", "53/udp"])), all(&["80/tcp", "53/udp"]));
        assert_eq!(
            common_of(&all(&["80-90/tcp"]), &all(&["85-95/tcp", "86/tcp", "tcp"])),
            all(&["80-90/tcp"])
        );
        assert_eq!(common_of(&all(&["80-90/tcp"]), &all(&["85-95/tcp"])), all(&["85-90/tcp"]));
        assert!(common_of(&all(&["tcp", "icmp"]), &all(&["udp"])).is_empty());
        assert_eq!(without_covered(all(&["80/tcp", "tcp", "81/tcp"])), all(&["tcp"]));
    }
}
