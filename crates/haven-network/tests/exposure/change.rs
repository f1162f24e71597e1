//! What a change opens and breaks.

use crate::shop::{link, publish, shop};
use haven_network::LinkId;
use haven_network::exposure::{Change, Difference, Exposure, Facts, Power};
use std::sync::Arc;

fn after(change: impl FnOnce(&mut Facts)) -> Difference {
    let before = shop();
    let mut after = before.clone();
    change(&mut after);
    Difference::between(&Exposure::draw(before), &Exposure::draw(after))
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|change| format!("{} → {}: {}", change.from, change.to, change.by)).collect()
}

fn names(names: &[Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

#[test]
fn a_new_link_tells_what_it_opens_and_to_whom() {
    let difference = after(|facts| link(facts, 9, "db", "vault", "443/tcp"));
    assert_eq!(words(&difference.opens), ["db → vault: link 9 (443/tcp)"]);
    assert!(difference.closes.is_empty() && difference.directly_exposed.is_empty());
    assert_eq!(names(&difference.exposed), ["vault"]);
    assert_eq!((&*difference.reach[0].who, names(&difference.reach[0].more)), ("db", vec!["vault"]));
    assert_eq!(&*difference.reached_by[0].who, "vault");
    assert!(names(&difference.reached_by[0].more).contains(&"web"));
    assert!(difference.affected().contains("vault") && difference.opens_anything());
}

#[test]
fn a_removed_link_tells_what_it_closes() {
    let difference = after(|facts| assert!(facts.remove_link(LinkId::new(1).unwrap())));
    assert_eq!(words(&difference.closes), ["web → api: link 1 (8000/tcp)"]);
    assert_eq!(names(&difference.concealed), ["api"], "db is still reached through admin");
    assert!(!difference.opens_anything());
}

#[test]
fn publishing_and_its_end_are_told_as_exposure_to_the_outside() {
    let opened = after(|facts| publish(facts, "vault", "0.0.0.0:9000", &[]));
    assert_eq!(words(&opened.opens), ["@outside → vault: published 0.0.0.0:9000->80/tcp"]);
    assert_eq!(names(&opened.directly_exposed), ["vault"]);
    let closed = after(|facts| {
        let web = facts.application("web");
        assert!(facts.remove_publish(web, "0.0.0.0:8080".parse().unwrap()));
    });
    assert_eq!(names(&closed.directly_concealed), ["web"]);
    assert_eq!(names(&closed.concealed), ["api", "web"]);
    let local = after(|facts| publish(facts, "vault", "127.0.0.1:9000", &[]));
    assert_eq!(words(&local.opens), ["@host → vault: published 127.0.0.1:9000->80/tcp"]);
    assert!(local.exposed.is_empty());
}

#[test]
fn a_privileged_container_opens_everything_behind_it() {
    let difference = after(|facts| {
        let web = facts.application("web");
        facts.empower(web, Power::Privileged);
    });
    assert_eq!(words(&difference.opens), ["web → @host: privileged"]);
    assert_eq!(names(&difference.exposed), ["@host", "vault"]);
}

#[test]
fn an_open_network_and_who_joins_it_are_told() {
    let mut before = shop();
    let lan = before.network("lan");
    before.open(lan);
    let web = before.application("web");
    before.join(web, lan);
    let mut with_vault = before.clone();
    let vault = with_vault.application("vault");
    with_vault.join(vault, lan);
    let difference = Difference::between(&Exposure::draw(before), &Exposure::draw(with_vault));
    assert_eq!(words(&difference.opens), ["vault → vault: on network lan"]);
    assert_eq!(names(&difference.exposed), ["vault"]);
}

#[test]
fn pictures_drawn_apart_are_compared_by_name() {
    let mut other = Facts::new();
    // Other numbers for the same names.
    for name in ["vault", "db", "admin", "api", "web"] {
        other.application(name);
    }
    publish(&mut other, "admin", "192.0.2.1:8443", &["10.0.0.0/8"]);
    publish(&mut other, "web", "0.0.0.0:8080", &[]);
    link(&mut other, 3, "admin", "db", "5432/tcp");
    link(&mut other, 2, "api", "db", "5432/tcp");
    link(&mut other, 1, "web", "api", "8000/tcp");
    let difference = Difference::between(&Exposure::draw(shop()), &Exposure::draw(other));
    assert!(difference.is_empty(), "{difference:?}");
}
