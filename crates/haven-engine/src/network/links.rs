//! Links on record: who may connect to whom, who wanted that and why, and until when.
//!
//! A link is told to the kernel first and recorded before it is acknowledged; it is taken from the kernel before its
//! record goes. So a crash in between leaves less open than somebody asked for, and never more.

use super::end::LinkEnd;
use super::exposure;
use super::networks::INSIDE_LINK;
use super::subject::Subject;
use crate::clock;
use crate::drafts;
use crate::event::EventObject;
use crate::recording::changed;
use crate::shared::Shared;
use crate::view::LinkView;
use haven_network::exposure::Facts;
use haven_network::{Identity, Link, LinkId, LinkTraffic, Party, Permission, Traffic};
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Declared links; their numbers end below those of open networks.
const LINK_LIMIT: usize = 500_000;
const TEXT_LIMIT_BYTES: usize = 1024;
/// The clock may be set: an expiry is looked at again at least this often.
const CLOCK_DOUBT: Duration = Duration::from_secs(60);

/// A link that is to be made.
#[derive(Debug, Clone, Default)]
pub struct AddLink {
    /// As people write ends: `api`, `shop/api`, `network:shop`.
    pub from: String,
    pub to: String,
    /// `5432/tcp`, `icmp`, `any`, ….
    pub traffic: String,
    pub owner: String,
    pub reason: String,
    pub expires_at_ns: Option<i64>,
    /// The user id of whoever asked.
    pub by: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkRecord {
    pub(crate) id: LinkId,
    pub(crate) from: LinkEnd,
    pub(crate) to: LinkEnd,
    pub(crate) traffic: Traffic,
    pub(crate) owner: String,
    pub(crate) reason: String,
    pub(crate) created_at_ns: i64,
    pub(crate) created_by: Option<u32>,
    pub(crate) expires_at_ns: Option<i64>,
    /// The numbers its ends have in the kernel.
    pub(crate) from_identity: Option<Identity>,
    pub(crate) to_identity: Option<Identity>,
}

impl LinkRecord {
    fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.from.subject().into_iter().chain(self.to.subject())
    }

    /// What the kernel is told.
    fn link(&self) -> Outcome<Link> {
        let party = |end: &LinkEnd, identity: Option<Identity>| match (end, identity) {
            (LinkEnd::Outside, _) => Ok(Party::Outside),
            (LinkEnd::Range(range), _) => Ok(Party::Range(*range)),
            (LinkEnd::Subject(Subject::Network(_)), Some(identity)) => Ok(Party::Network(identity)),
            (LinkEnd::Subject(_), Some(identity)) => Ok(Party::Application(identity)),
            (LinkEnd::Subject(subject), None) => Err(Failure::internal(format!("`{subject}` has no number"))),
        };
        Ok(Link {
            id: self.id,
            from: party(&self.from, self.from_identity)?,
            to: party(&self.to, self.to_identity)?,
            traffic: self.traffic,
        })
    }
}

#[derive(Debug, Default)]
struct Inner {
    by_id: BTreeMap<LinkId, Arc<LinkRecord>>,
    /// The number of the last link there ever was.
    last: u32,
    /// How many links there are from one number to another.
    pairs: HashMap<(Identity, Identity), usize>,
    /// How many links lead outside from a number.
    ways_out: HashMap<Identity, usize>,
}

impl Inner {
    fn enter(&mut self, record: Arc<LinkRecord>) {
        self.count(&record, true);
        self.by_id.insert(record.id, record);
    }

    fn leave(&mut self, id: LinkId) {
        if let Some(record) = self.by_id.remove(&id) {
            self.count(&record, false);
        }
    }

    fn count(&mut self, record: &LinkRecord, more: bool) {
        fn change<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K, more: bool) {
            if more {
                *counts.entry(key).or_insert(0) += 1;
            } else if let std::collections::hash_map::Entry::Occupied(mut entry) = counts.entry(key) {
                *entry.get_mut() -= 1;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        match (record.from_identity, record.to_identity) {
            (Some(from), Some(to)) => change(&mut self.pairs, (from, to), more),
            (Some(from), None) => change(&mut self.ways_out, from, more),
            (None, _) => {}
        }
    }
}

/// All declared links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    inner: Mutex<Inner>,
    changed: Notify,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> Vec<Arc<LinkRecord>> {
        self.lock().by_id.values().cloned().collect()
    }

    pub(crate) fn get(&self, id: LinkId) -> Option<Arc<LinkRecord>> {
        self.lock().by_id.get(&id).cloned()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().by_id.len()
    }

    fn next_expiry_ns(&self) -> Option<i64> {
        self.lock().by_id.values().filter_map(|link| link.expires_at_ns).min()
    }

    /// Whether a declared link leads from any of these numbers to any of those.
    pub(crate) fn any_between(&self, from: &[Identity], to: &[Identity]) -> bool {
        let inner = self.lock();
        from.iter().any(|from| to.iter().any(|to| inner.pairs.contains_key(&(*from, *to))))
    }

    /// Whether a declared link leads outside from any of these numbers.
    pub(crate) fn any_out(&self, from: &[Identity]) -> bool {
        let inner = self.lock();
        from.iter().any(|from| inner.ways_out.contains_key(from))
    }
}

/// At the daemon's start: those on record that have not expired. What the network room is to be told.
pub(crate) fn restore(shared: &Shared) -> Outcome<Vec<Link>> {
    let now_ns = clock::now_ns();
    let mut told = Vec::new();
    let mut inner = shared.links.lock();
    inner.last = shared.records.last_link()?;
    let mut expired = Vec::new();
    for record in shared.records.links()? {
        if record.expires_at_ns.is_some_and(|at| at <= now_ns) {
            expired.push(record);
            continue;
        }
        let mut numbers = shared.numbers();
        let ends = [(&record.from, record.from_identity), (&record.to, record.to_identity)];
        let known = ends.into_iter().all(|(end, identity)| match (end.subject(), identity) {
            (Some(subject), Some(identity)) => numbers.hold_as(subject, identity),
            (Some(_), None) => false,
            (None, _) => true,
        });
        drop(numbers);
        if !known {
            tracing::error!(link = %record.id, "a number of its ends is another's; the link stays closed: remove it and add it again");
            continue;
        }
        told.push(record.link()?);
        inner.last = inner.last.max(record.id.number());
        inner.enter(Arc::new(record));
    }
    drop(inner);
    for record in expired {
        shared.records.delete_links(&[record.id])?;
        let (_, draft) = drafts::links_expired(shared, &[record.id]);
        shared.audit.note(draft.into_entry());
        tell(shared, "expire", &record);
    }
    Ok(told)
}

/// Makes links, all of them or none. Blocking.
pub(crate) fn add(shared: &Shared, wishes: Vec<AddLink>) -> Outcome<Vec<LinkView>> {
    let mut checked = Vec::with_capacity(wishes.len());
    for wish in wishes {
        let shown = format!("cannot link `{}` to `{}`", wish.from, wish.to);
        checked.push(check(shared, wish).map_err(|failure| failure.context(shown))?);
    }
    let mut inner = shared.links.lock();
    if inner.by_id.len() + checked.len() > LINK_LIMIT {
        return Err(Failure::conflict(format!("there can be {LINK_LIMIT} links and no more"))
            .hint("link networks or applications rather than single containers"));
    }
    let mut held = Vec::new();
    let made = number(shared, checked, inner.last, &mut held).and_then(|records| {
        let links = records.iter().map(LinkRecord::link).collect::<Outcome<Vec<_>>>()?;
        shared.network.add_links(&links).map_err(|failure| name_the_other(&inner, failure))?;
        if let Err(failure) = shared.records.put_links(&records) {
            let ids = links.iter().map(|link| link.id).collect::<Vec<_>>();
            // It was never acknowledged, so it must not stand.
            shared.network.remove_links(&ids)?;
            return Err(failure);
        }
        Ok(records)
    });
    let records = match made {
        Ok(records) => records,
        Err(failure) => {
            let mut numbers = shared.numbers();
            held.iter().for_each(|subject| numbers.release(subject));
            return Err(failure);
        }
    };
    let mut views = Vec::with_capacity(records.len());
    for record in records {
        inner.last = inner.last.max(record.id.number());
        views.push(view(&record, None, None));
        tell(shared, "create", &record);
        inner.enter(Arc::new(record));
    }
    drop(inner);
    shared.links.changed.notify_one();
    Ok(views)
}

/// Adds links that are wished for to what is declared, under numbers that no link has yet.
pub(crate) fn plan(shared: &Shared, facts: &mut Facts, wishes: &[AddLink]) -> Outcome<()> {
    let last = shared.links.lock().last;
    for (number, wish) in (last + 1..).zip(wishes) {
        let from = LinkEnd::resolve(shared, &wish.from)?;
        let to = LinkEnd::resolve(shared, &wish.to)?;
        exposure::link(facts, LinkId::new(number)?, &from, &to, Traffic::parse(&wish.traffic)?);
    }
    Ok(())
}

struct Checked {
    from: LinkEnd,
    to: LinkEnd,
    traffic: Traffic,
    wish: AddLink,
}

fn check(shared: &Shared, wish: AddLink) -> Outcome<Checked> {
    let from = LinkEnd::resolve(shared, &wish.from)?;
    let to = LinkEnd::resolve(shared, &wish.to)?;
    let traffic = Traffic::parse(&wish.traffic)?;
    if from.subject().is_none() {
        return Err(Failure::invalid(format!("a link cannot begin at `{from}`"))
            .hint("publish a port of the container instead: haven publish, or run -p"));
    }
    if from == to && matches!(from, LinkEnd::Subject(Subject::Container(_))) {
        return Err(Failure::invalid(format!("`{from}` is at both ends"))
            .because("a container always reaches itself"));
    }
    if wish.expires_at_ns.is_some_and(|at| at <= clock::now_ns()) {
        return Err(Failure::invalid("the link would have expired already")
            .hint("give a time to come, like --expires 30d"));
    }
    for (what, text) in [("owner", &wish.owner), ("reason", &wish.reason)] {
        if text.len() > TEXT_LIMIT_BYTES || text.chars().any(char::is_control) {
            return Err(Failure::invalid(format!(
                "the {what} is longer than {TEXT_LIMIT_BYTES} bytes or has control characters"
            )));
        }
    }
    if let LinkEnd::Range(range) = to
        && let Some(network) = shared.networks.all().iter().find(|network| {
            network.subnet.contains(range.address()) && range.prefix() >= network.subnet.prefix()
        })
    {
        return Err(Failure::invalid(format!(
            "`{range}` is where the containers of network `{}` are",
            network.name
        ))
        .hint(format!("link to the container, the application, or network:{}", network.name)));
    }
    if matches!(to, LinkEnd::Outside | LinkEnd::Range(_))
        && let LinkEnd::Subject(Subject::Network(name)) = &from
        && shared.networks.find(name.as_str()).is_ok_and(|network| network.internal)
    {
        return Err(Failure::conflict(format!("network `{name}` is internal: nothing leads out of it")));
    }
    Ok(Checked { from, to, traffic, wish })
}

/// Gives every link its number and its ends theirs; what is held must be released when the links are not made.
fn number(
    shared: &Shared,
    checked: Vec<Checked>,
    last: u32,
    held: &mut Vec<Subject>,
) -> Outcome<Vec<LinkRecord>> {
    let mut numbers = shared.numbers();
    let mut records = Vec::with_capacity(checked.len());
    let mut next = last;
    for Checked { from, to, traffic, wish } in checked {
        let mut hold = |end: &LinkEnd| {
            let Some(subject) = end.subject() else { return Ok(None) };
            let identity = numbers.hold(subject)?;
            held.push(subject.clone());
            Outcome::Ok(Some(identity))
        };
        let (from_identity, to_identity) = (hold(&from)?, hold(&to)?);
        next += 1;
        if next >= INSIDE_LINK {
            return Err(Failure::host("all numbers for links have been used"));
        }
        records.push(LinkRecord {
            id: LinkId::new(next)?,
            from,
            to,
            traffic,
            owner: wish.owner,
            reason: wish.reason,
            created_at_ns: clock::now_ns(),
            created_by: wish.by,
            expires_at_ns: wish.expires_at_ns,
            from_identity,
            to_identity,
        });
    }
    Ok(records)
}

/// The network room knows the other link's number only.
fn name_the_other(inner: &Inner, failure: Failure) -> Failure {
    let other = failure.to_string();
    let number = other.split('`').nth(1).and_then(|n| n.parse().ok()).and_then(|n| LinkId::new(n).ok());
    let Some(number) = number.filter(|_| failure.kind() == haven_spec::Kind::Conflict) else {
        return failure;
    };
    match inner.by_id.get(&number) {
        Some(link) => failure
            .context(format!("link {number} is there already: {} → {} {}", link.from, link.to, link.traffic)),
        None if number.number() >= INSIDE_LINK => {
            failure.context("the network is open already: what the link would permit is permitted")
        }
        None => failure,
    }
}

/// Takes links away. Connections over them end with their next packet. Blocking.
pub(crate) fn remove(shared: &Shared, ids: &[LinkId], action: &str) -> Outcome<()> {
    let mut inner = shared.links.lock();
    let mut leaving = Vec::new();
    for id in ids {
        let record = inner.by_id.get(id).ok_or_else(|| no_such(&id.to_string()))?;
        leaving.push(Arc::clone(record));
    }
    shared.network.remove_links(ids)?;
    if let Err(failure) = shared.records.delete_links(ids) {
        // Still on record, and so in force.
        let back = leaving.iter().map(|record| record.link()).collect::<Outcome<Vec<_>>>();
        back.and_then(|links| shared.network.add_links(&links))?;
        return Err(failure);
    }
    for record in leaving {
        inner.leave(record.id);
        let mut numbers = shared.numbers();
        record.subjects().for_each(|subject| numbers.release(subject));
        drop(numbers);
        tell(shared, action, &record);
    }
    Ok(())
}

fn no_such(wanted: &str) -> Failure {
    Failure::not_found(format!("there is no link {wanted}")).hint("haven link ls")
}

/// A link's number as people write it.
pub(crate) fn parse_id(text: &str) -> Outcome<LinkId> {
    let number = text.parse::<u32>().ok().filter(|n| *n < INSIDE_LINK);
    number.and_then(|n| LinkId::new(n).ok()).ok_or_else(|| no_such(text))
}

/// Links follow a container to its new name. Refused when links wait for somebody of that name.
pub(crate) fn rename(shared: &Shared, old: &Subject, new: &Subject) -> Outcome<()> {
    let mut inner = shared.links.lock();
    if inner.by_id.values().any(|link| link.subjects().any(|subject| subject == new)) {
        return Err(Failure::conflict(format!("links wait for a container called `{new}`"))
            .hint(format!("remove these first, see haven link ls --filter name={new}")));
    }
    let end =
        |end: &LinkEnd| if end.subject() == Some(old) { LinkEnd::Subject(new.clone()) } else { end.clone() };
    let renamed = inner
        .by_id
        .values()
        .filter(|link| link.subjects().any(|subject| subject == old))
        .map(|link| LinkRecord { from: end(&link.from), to: end(&link.to), ..LinkRecord::clone(link) })
        .collect::<Vec<_>>();
    if !renamed.is_empty() {
        shared.records.put_links(&renamed)?;
    }
    if !shared.numbers().rename(old, new) {
        return Err(Failure::conflict(format!("somebody is called `{new}` already")));
    }
    for record in renamed {
        inner.by_id.insert(record.id, Arc::new(record));
    }
    Ok(())
}

fn tell(shared: &Shared, action: &str, record: &LinkRecord) {
    let mut attributes = BTreeMap::from([
        ("from".to_owned(), record.from.to_string()),
        ("to".to_owned(), record.to.to_string()),
        ("traffic".to_owned(), record.traffic.to_string()),
        ("reason".to_owned(), record.reason.clone()),
        ("owner".to_owned(), record.owner.clone()),
    ]);
    attributes.retain(|_, value| !value.is_empty());
    shared.tell(EventObject::Link, action, &record.id.to_string(), attributes);
}

/// Removes every link at its time, for as long as the engine lives.
pub(crate) async fn expire(shared: std::sync::Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let now_ns = clock::now_ns();
        let due =
            shared.links.all().into_iter().filter(|link| link.expires_at_ns.is_some_and(|at| at <= now_ns));
        let due = due.map(|link| link.id).collect::<Vec<_>>();
        if !due.is_empty() {
            let worker = Arc::clone(&shared);
            let removed = crate::container::task::blocking(move || {
                let (caller, draft) = drafts::links_expired(&worker, &due);
                changed(&worker, &caller, draft, || remove(&worker, &due, "expire"))
            })
            .await;
            if let Err(failure) = removed {
                tracing::error!(error = %failure.one_line(), "cannot remove links that have expired; it is tried again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            continue;
        }
        let pause = shared.links.next_expiry_ns().map_or(CLOCK_DOUBT, |at| {
            Duration::from_nanos(u64::try_from(at.saturating_sub(now_ns)).unwrap_or(0)).min(CLOCK_DOUBT)
        });
        let waiting = Arc::clone(&shared);
        drop(shared);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = waiting.links.changed.notified() => {}
        }
    }
}

// --- reading

/// All links, those of open networks included, with what they have carried. Blocking.
pub(crate) fn list(shared: &Shared) -> Outcome<Vec<LinkView>> {
    let traffic = shared.network.link_traffic()?;
    let carried = traffic
        .iter()
        .filter_map(|t| if let Permission::Declared(id) = t.permission { Some((id, *t)) } else { None })
        .collect();
    list_with(shared, &carried)
}

/// With the counters there are, or none: reading those of 100,000 links takes the kernel a while.
fn list_with(shared: &Shared, carried: &HashMap<LinkId, LinkTraffic>) -> Outcome<Vec<LinkView>> {
    let present = present(shared);
    let declared = shared.links.all();
    let mut views = Vec::with_capacity(declared.len());
    for network in shared.networks.all() {
        for link in network.links()? {
            views.push(of_network(&network, link, carried.get(&link.id)));
        }
    }
    views.extend(declared.iter().map(|record| view(record, Some(&present), carried.get(&record.id))));
    Ok(views)
}

/// Everybody who is there: a link to somebody else waits.
fn present(shared: &Shared) -> HashSet<Subject> {
    let running = shared.registry.views().into_iter().filter(|view| view.state.is_alive());
    let mut present =
        running.map(|view| Subject::of_container(&view.name, &view.spec)).collect::<HashSet<_>>();
    present.extend(shared.networks.all().iter().map(|network| network.subject()));
    present
}

fn view(record: &LinkRecord, present: Option<&HashSet<Subject>>, carried: Option<&LinkTraffic>) -> LinkView {
    let there =
        |end: &LinkEnd| end.subject().is_none_or(|s| present.is_none_or(|present| present.contains(s)));
    LinkView {
        id: Some(record.id.number()),
        from: record.from.clone(),
        to: record.to.clone(),
        traffic: record.traffic,
        owner: record.owner.clone(),
        reason: record.reason.clone(),
        created_at_ns: record.created_at_ns,
        created_by: record.created_by,
        expires_at_ns: record.expires_at_ns,
        packets: carried.map_or(0, |t| t.packets),
        bytes: carried.map_or(0, |t| t.bytes),
        waits: !there(&record.from) || !there(&record.to),
    }
}

fn of_network(
    network: &super::networks::NetworkRecord,
    link: Link,
    carried: Option<&LinkTraffic>,
) -> LinkView {
    let own = LinkEnd::Subject(network.subject());
    let (to, reason) = if link.to == Party::Outside {
        (LinkEnd::Outside, "the network leads outside")
    } else {
        (own.clone(), "the network is open inside")
    };
    LinkView {
        id: None,
        from: own,
        to,
        traffic: link.traffic,
        owner: String::new(),
        reason: reason.to_owned(),
        created_at_ns: network.created_at_ns,
        created_by: None,
        expires_at_ns: None,
        packets: carried.map_or(0, |t| t.packets),
        bytes: carried.map_or(0, |t| t.bytes),
        waits: false,
    }
}

/// Blocking.
pub(crate) fn find(shared: &Shared, wanted: &str) -> Outcome<LinkView> {
    let id = parse_id(wanted)?;
    list(shared)?.into_iter().find(|link| link.id == Some(id.number())).ok_or_else(|| no_such(wanted))
}

/// Which link permits it: the first the kernel would find, or `None`.
pub(crate) fn permitting(shared: &Shared, from: &str, to: &str, traffic: &str) -> Outcome<Option<LinkView>> {
    let (from, to) = (LinkEnd::resolve(shared, from)?, LinkEnd::resolve(shared, to)?);
    let traffic = Traffic::parse(traffic)?;
    let (sources, destinations) = (around(shared, &from), around(shared, &to));
    let internal = |end: &LinkEnd| match end {
        LinkEnd::Subject(Subject::Network(name)) => {
            shared.networks.find(name.as_str()).is_ok_and(|n| n.internal)
        }
        _ => false,
    };
    let outward = to.subject().is_none();
    // Somebody whose networks are all internal has no way out, whatever links say.
    let networks = sources.iter().filter(|end| end.kind() == "network").collect::<Vec<_>>();
    if outward && !networks.is_empty() && networks.iter().all(|end| internal(end)) {
        return Ok(None);
    }
    let (from_numbers, to_numbers) = (identities(shared, &sources), identities(shared, &destinations));
    let declared = if outward {
        shared.links.any_out(&from_numbers)
    } else {
        shared.links.any_between(&from_numbers, &to_numbers)
    };
    let open = shared.networks.all().iter().any(|n| {
        from_numbers.contains(&n.identity)
            && ((outward && n.open_outside) || (n.open_inside && to_numbers.contains(&n.identity)))
    });
    // Looking through all links takes a while, and mostly there is none.
    if !declared && !open {
        return Ok(None);
    }
    let leads = |link: &LinkView| match (&link.to, &to) {
        (LinkEnd::Range(range), LinkEnd::Range(wanted)) => {
            range.contains(wanted.address()) && range.prefix() <= wanted.prefix()
        }
        (LinkEnd::Outside, LinkEnd::Range(_)) => true,
        (end, _) => destinations.contains(end),
    };
    let mut found = list_with(shared, &HashMap::new())?;
    found.retain(|link| sources.contains(&link.from) && leads(link) && link.traffic.covers(traffic));
    // The narrower one is found first.
    found.sort_by_key(|link| {
        let place = |ends: &[LinkEnd], end| ends.iter().position(|e| e == end).unwrap_or(usize::MAX);
        (place(&sources, &link.from), place(&destinations, &link.to))
    });
    Ok(found.into_iter().next())
}

fn identities(shared: &Shared, ends: &[LinkEnd]) -> Vec<Identity> {
    let numbers = shared.numbers();
    ends.iter().filter_map(|end| numbers.identity(end.subject()?)).collect()
}

/// The end itself, then the networks it is on.
fn around(shared: &Shared, end: &LinkEnd) -> Vec<LinkEnd> {
    let mut ends = vec![end.clone()];
    let Some(subject) = end.subject() else { return ends };
    for view in shared.registry.views() {
        if Subject::of_container(&view.name, &view.spec) != *subject {
            continue;
        }
        for name in super::networks::wanted(&view.spec) {
            if let Ok(network) = shared.networks.find(&name) {
                let end = LinkEnd::Subject(network.subject());
                if !ends.contains(&end) {
                    ends.push(end);
                }
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::ContainerName;

    fn record(id: u32, from: u32, to: Option<u32>) -> Arc<LinkRecord> {
        let subject =
            |n: u32| LinkEnd::Subject(Subject::Container(ContainerName::parse(&format!("c{n}")).unwrap()));
        let identity = |n: u32| Identity::new(n).unwrap();
        Arc::new(LinkRecord {
            id: LinkId::new(id).unwrap(),
            from: subject(from),
            to: to.map_or(LinkEnd::Outside, subject),
            traffic: Traffic::All,
            owner: String::new(),
            reason: String::new(),
            created_at_ns: 0,
            created_by: None,
            expires_at_ns: Some(i64::from(id)),
            from_identity: Some(identity(from)),
            to_identity: to.map(identity),
        })
    }

    #[test]
    fn who_reaches_whom_is_known_without_looking_through_all_links() {
        let links = Links::default();
        let identity = |n: u32| Identity::new(n).unwrap();
        for record in [record(7, 1, Some(2)), record(8, 1, Some(2)), record(9, 3, None)] {
            links.lock().enter(record);
        }
        assert!(links.any_between(&[identity(5), identity(1)], &[identity(2)]));
        assert!(!links.any_between(&[identity(2)], &[identity(1)]));
        assert!(links.any_out(&[identity(3)]) && !links.any_out(&[identity(1)]));
        assert_eq!(links.next_expiry_ns(), Some(7));
        links.lock().leave(LinkId::new(7).unwrap());
        assert!(links.any_between(&[identity(1)], &[identity(2)]), "the other link is still there");
        links.lock().leave(LinkId::new(8).unwrap());
        links.lock().leave(LinkId::new(9).unwrap());
        assert!(!links.any_between(&[identity(1)], &[identity(2)]) && !links.any_out(&[identity(3)]));
    }

    #[test]
    fn numbers_of_links_end_below_those_of_open_networks() {
        const { assert!(INSIDE_LINK < super::super::networks::OUTSIDE_LINK) };
        assert!(parse_id("1").is_ok());
        for bad in ["", "0", "-1", "x", "805306368", "99999999999"] {
            assert!(parse_id(bad).is_err(), "{bad}");
        }
    }
}
