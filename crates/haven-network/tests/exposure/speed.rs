//! What keeps questions fast. The numbers that are promised are measured by the example `exposure_cost` in release; here
//! only that nothing grows with the square.

use crate::chance::Chance;
use crate::shop::link;
use haven_network::exposure::{Exposure, Facts, Manner};
use std::time::Instant;

#[test]
fn ten_thousand_applications_on_an_open_network_are_few_edges() {
    let mut facts = Facts::new();
    let lan = facts.network("lan");
    facts.open(lan);
    for n in 0..10_000 {
        let app = facts.application(&format!("app{n}"));
        facts.join(app, lan);
    }
    let exposure = Exposure::draw(facts);
    assert!(exposure.size().1 < 35_000, "{:?}", exposure.size());
    assert_eq!(exposure.who_reaches("app7").unwrap().direct.len(), 10_000, "9,999 and the host");
}

#[test]
fn a_hundred_thousand_links_are_asked_in_moments() {
    let mut facts = Facts::new();
    let mut chance = Chance(5);
    for id in 1..=100_000 {
        let (from, to) = (chance.below(10_000), chance.below(10_000));
        link(&mut facts, id, &format!("app{from}"), &format!("app{to}"), "80/tcp");
    }
    let exposure = Exposure::draw(facts);
    let start = Instant::now();
    for n in 0..20 {
        exposure.path(&format!("app{n}"), "app9999", Manner::ByAnyPath).unwrap();
    }
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
