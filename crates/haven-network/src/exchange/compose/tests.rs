//! A file as people have it, read in each way.

use super::{Compose, Proposal, Reading};

const SHOP: &str = r#"
name: shop
x-common: &common
  restart: always
  networks: [back]
services:
  proxy:
    image: nginx:1.27
    ports: ["80:80", "127.0.0.1:${ADMIN:-9000}:9000"]
    depends_on: [web]
    networks: [front]
  web:
    <<: *common
    build: .
    expose: ["8000"]
    networks: [front, back]
    depends_on:
      db: { condition: service_healthy }
      cache: { condition: service_started }
    links: ["search:elastic"]
  worker:
    <<: *common
    depends_on: [db, queue]
    x-links:
      - db 5432/tcp
      - { to: "@outside", traffic: 443/tcp, reason: payment }
  db:
    <<: *common
    image: postgres:17
  cache:
    <<: *common
    image: example.org/team/redis@sha256:00
  queue:
    <<: *common
    image: ours/queue
    expose: [5672, "15672-15674/tcp", "bad"]
  search:
    <<: *common
    ports:
      - { target: 9200, published: "9201", host_ip: "::1", protocol: tcp }
      - "$UNSET:1"
  host:
    network_mode: host
    privileged: true
  backup:
    depends_on: [db]
    networks: [elsewhere]
networks:
  front:
  back: { internal: true }
"#;

fn shop(reading: Reading) -> Proposal {
    Compose::parse(SHOP).unwrap().proposal(reading)
}

fn links(proposal: &Proposal) -> Vec<String> {
    proposal.links.iter().map(|l| format!("{} {} {} ({})", l.from, l.to, l.traffic, l.reason)).collect()
}

#[test]
fn what_a_file_implies_is_counted_and_what_it_needs_is_proposed() {
    let proposal = shop(Reading::Links);
    // front: proxy and web; back: six of them.
    assert_eq!(proposal.implied.len(), 1 + 6 * 5 / 2);
    assert_eq!(
        links(&proposal),
        [
            "worker db 5432/tcp (x-links)",
            "worker @outside 443/tcp (payment)",
            "proxy web 8000/tcp (depends_on, expose)",
            "web cache 6379/tcp (depends_on, the image's usual port)",
            "web db 5432/tcp (depends_on, the image's usual port)",
            "web search 9200/tcp (links, expose)",
            "worker queue 5672/tcp (depends_on, expose)",
            "worker queue 15672-15674/tcp (depends_on, expose)",
        ]
    );
    assert_eq!(proposal.counts(), (32, 7));
    let publishes: Vec<String> = proposal
        .publishes
        .iter()
        .map(|p| {
            format!("{} {:?} {:?} {}", p.service, p.address.map(|a| a.to_string()), p.host_port, p.container)
        })
        .collect();
    assert_eq!(
        publishes,
        [
            "proxy None Some(80) 80/tcp",
            "proxy Some(\"127.0.0.1\") Some(9000) 9000/tcp",
            "search Some(\"::1\") Some(9201) 9200/tcp",
        ]
    );
    assert_eq!(proposal.reach_outside, ["backup", "proxy", "web"]);
    assert!(proposal.networks.iter().all(|network| !network.open));
    assert_eq!(
        proposal.networks.iter().map(|n| (n.name.as_str(), n.internal)).collect::<Vec<_>>(),
        [("shop_back", true), ("shop_front", false)]
    );
    for note in [
        "`queue`: this is not a port to expose",
        "`search`: this is not a port to publish",
        "`host` has the host's network",
        "`host` is privileged",
        "`backup` is on the network `elsewhere`, which is not declared",
        "`backup` depends on `db` and has no network in common with it",
    ] {
        assert!(proposal.notes.iter().any(|own| own.contains(note)), "{note}: {:?}", proposal.notes);
    }
}

#[test]
fn networks_can_be_left_open_or_everybody_observed() {
    let open = shop(Reading::Open);
    assert!(open.links.is_empty() && open.networks.iter().all(|network| network.open));
    let observe = shop(Reading::Observe);
    assert_eq!(observe.observe.len(), 9);
    assert_eq!(links(&observe).len(), 2, "what is declared is declared");
    assert!(Reading::parse("guess").is_err());
}

#[test]
fn a_service_that_does_not_say_what_it_listens_on_is_linked_on_every_port_and_that_is_said() {
    let text = "services:\n  a: { depends_on: [b] }\n  b: { image: ours }\n";
    let proposal = Compose::parse(text).unwrap().proposal(Reading::Links);
    assert_eq!(links(&proposal), ["a b any (depends_on, every port)"]);
    assert!(proposal.notes[0].contains("until you narrow it"));
}

#[test]
fn what_is_no_compose_file_is_refused() {
    for text in
        ["", "a: 1", "services: 5", "services: {}\n---\nservices: {}", "services: [a]", "services:\n  a: ["]
    {
        assert!(Compose::parse(text).is_err(), "{text}");
    }
    // Odd but harmless.
    for text in [
        "services: {}",
        "services: { a: }",
        "services: { a: 5 }",
        "services: { a: { ports: { x: 1 }, networks: 7 } }",
    ] {
        assert!(Compose::parse(text).unwrap().proposal(Reading::Links).links.is_empty(), "{text}");
    }
}
