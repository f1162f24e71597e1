//! What was tried in vain, with names instead of numbers, and the link each attempt would need.

use super::end::LinkEnd;
use crate::shared::Shared;
use crate::view::{AttemptView, PeerView};
use haven_network::{Attempt, Peer, Traffic};
use haven_spec::Outcome;

/// The most tried first. Blocking.
pub(crate) fn list(shared: &Shared) -> Outcome<Vec<AttemptView>> {
    let mut attempts = shared.network.denied()?;
    attempts.sort_by_key(|attempt| (std::cmp::Reverse(attempt.packets), attempt.port));
    Ok(attempts.iter().map(|attempt| view(shared, attempt)).collect())
}

fn view(shared: &Shared, attempt: &Attempt) -> AttemptView {
    let (from, to) = (peer(shared, attempt.source), peer(shared, attempt.destination));
    let traffic = Traffic::Ports { protocol: attempt.protocol, first: attempt.port, last: attempt.port };
    // What comes from outside takes a published port, and the host offers nothing to links.
    let linkable = matches!((&from, &to), (PeerView::End(LinkEnd::Subject(_)), PeerView::End(_)));
    let observed = match &from {
        PeerView::End(LinkEnd::Subject(subject)) => shared.observations.includes(subject),
        _ => false,
    };
    AttemptView {
        suggestion: linkable.then(|| format!("{from} {to} {traffic}")),
        from,
        to,
        protocol: attempt.protocol,
        port: attempt.port,
        packets: attempt.packets,
        observed,
    }
}

fn peer(shared: &Shared, peer: Peer) -> PeerView {
    match peer {
        Peer::Outside => PeerView::End(LinkEnd::Outside),
        Peer::Host => PeerView::Host,
        Peer::Known(identity) => match shared.numbers().subject(identity) {
            Some(subject) => PeerView::End(LinkEnd::Subject(subject.clone())),
            None => PeerView::Gone(identity.number()),
        },
    }
}

/// At the daemon's start: numbers the kernel has counted under are not soon somebody else's.
pub(crate) fn pass_over(shared: &Shared) -> Outcome<()> {
    for attempt in shared.network.denied()? {
        for peer in [attempt.source, attempt.destination] {
            if let Peer::Known(identity) = peer {
                shared.numbers().pass_over(identity);
            }
        }
    }
    Ok(())
}
