//! A shop to ask about: web is published, api and db are behind it, vault is nobody's, and somebody forgot something.

use haven_network::exposure::{
    AddressRange, Answer, ApplicationId, Choke, Exposure, Facts, Found, LinkFact, Manner, Place, Power,
    PublishFact,
};
use haven_network::{LinkId, Traffic};
use haven_spec::PortKey;

pub(crate) fn link(facts: &mut Facts, id: u32, from: &str, to: &str, traffic: &str) {
    let (from, to) = (facts.application(from), facts.application(to));
    let link = LinkFact {
        from: Place::Application(from),
        to: Place::Application(to),
        traffic: Traffic::parse(traffic).unwrap(),
    };
    facts.link(LinkId::new(id).unwrap(), link);
}

pub(crate) fn publish(facts: &mut Facts, application: &str, host: &str, from: &[&str]) {
    let application: ApplicationId = facts.application(application);
    facts.publish(PublishFact {
        application,
        host: host.parse().unwrap(),
        container: PortKey::parse("80/tcp").unwrap(),
        from: from.iter().map(|text| AddressRange::parse(text).unwrap()).collect(),
    });
}

pub(crate) fn shop() -> Facts {
    let mut facts = Facts::new();
    link(&mut facts, 1, "web", "api", "8000/tcp");
    link(&mut facts, 2, "api", "db", "5432/tcp");
    link(&mut facts, 3, "admin", "db", "5432/tcp");
    facts.application("vault");
    publish(&mut facts, "web", "0.0.0.0:8080", &[]);
    publish(&mut facts, "admin", "192.0.2.1:8443", &["10.0.0.0/8"]);
    facts
}

fn told(found: &[Found]) -> Vec<String> {
    let path = |found: &Found| found.path.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    found.iter().map(|found| format!("{}: {}", found.name, path(found))).collect()
}

#[test]
fn who_reaches_a_database_is_told_with_the_path() {
    let exposure = Exposure::draw(shop());
    let Answer { direct, beyond } = exposure.who_reaches("db").unwrap();
    assert_eq!(
        told(&direct),
        [
            "api: api → db by link 2 (5432/tcp)",
            "admin: admin → db by link 3 (5432/tcp)",
            "@host: @host → db by root on the host",
        ]
    );
    assert_eq!(
        told(&beyond)[..3],
        [
            "web: web → api by link 1 (8000/tcp), api → db by link 2 (5432/tcp)",
            "10.0.0.0/8: 10.0.0.0/8 → admin by published 192.0.2.1:8443->80/tcp, admin → db by link 3 (5432/tcp)",
            "@outside: @outside → web by published 0.0.0.0:8080->80/tcp, web → api by link 1 (8000/tcp), api → db by link 2 (5432/tcp)",
        ]
    );
    assert_eq!(beyond.len(), 3);
}

#[test]
fn what_people_forget_is_a_way() {
    let of = |power: Power| {
        let mut facts = shop();
        let api = facts.application("api");
        facts.empower(api, power);
        told(&Exposure::draw(facts).reached_from("internet").unwrap().beyond).join("\n")
    };
    for (power, way) in [
        (Power::Privileged, "api → @host by privileged"),
        (Power::EngineSocket, "api → @host by engine's socket"),
        (Power::HostMount("/etc".into()), "api → @host by writes host directory /etc"),
    ] {
        let told = of(power);
        assert!(told.contains(&format!("{way}, @host → vault by root on the host")), "{told}");
    }
    assert!(of(Power::HostNetwork).contains("api → vault by host network"));
    let mut facts = shop();
    let (api, vault) = (facts.application("api"), facts.application("vault"));
    facts.mount_volume(api, "data", true);
    facts.mount_volume(vault, "data", false);
    let exposure = Exposure::draw(facts);
    let path = exposure.path("internet", "vault", Manner::ByAnyPath).unwrap().unwrap();
    assert_eq!(path[2].to_string(), "api → vault by shared volume data");
    assert!(exposure.path("vault", "api", Manner::ByAnyPath).unwrap().is_none(), "vault only reads it");
    assert!(exposure.path("api", "vault", Manner::Directly).unwrap().is_none(), "a volume is no connection");
}

#[test]
fn a_range_reaches_what_is_published_to_it_and_to_what_is_around_it() {
    let exposure = Exposure::draw(shop());
    let direct = |from: &str| -> Vec<String> {
        exposure.reached_from(from).unwrap().direct.iter().map(|found| found.name.to_string()).collect()
    };
    assert_eq!(direct("10.1.2.3"), ["admin", "web"]);
    assert_eq!(direct("203.0.113.5"), ["web"]);
    assert_eq!(direct("internet"), ["web"]);
    assert!(direct("2001:db8::1").is_empty(), "0.0.0.0 is no IPv6 address");
    assert!(direct("@outside").contains(&"admin".to_owned()));
    for nobody in ["", "nobody", "network:none", "10.0.0.0/40", "*"] {
        assert!(exposure.who_reaches(nobody).is_err(), "{nobody}");
    }
}

#[test]
fn choke_points_name_what_to_cut() {
    let points = Exposure::draw(shop()).choke_points(10);
    let web = points.iter().find(|point| point.what == Choke::Somebody("web".into())).unwrap();
    assert_eq!(web.conceals, 1, "api; db is also reached through admin");
    let ways: Vec<_> = points
        .iter()
        .filter_map(|point| if let Choke::Way(way) = &point.what { Some(way.as_str()) } else { None })
        .collect();
    assert!(ways.contains(&"@outside → web by published 0.0.0.0:8080->80/tcp"), "{ways:?}");
    assert!(ways.contains(&"web → api by link 1 (8000/tcp)"), "{ways:?}");
    assert!(Exposure::draw(Facts::new()).choke_points(10).is_empty());
}

#[test]
fn a_service_is_found_by_its_own_name_if_it_is_the_only_one() {
    let mut facts = shop();
    link(&mut facts, 8, "shop/front", "app:store", "80/tcp");
    let exposure = Exposure::draw(facts.clone());
    for name in ["front", "shop/front", "app:shop/front"] {
        assert_eq!(exposure.reached_from(name).unwrap().direct[0].name.as_ref(), "app:store", "{name}");
    }
    assert_eq!(exposure.who_reaches("store").unwrap().direct[0].name.as_ref(), "shop/front");
    assert_eq!(exposure.who_reaches("container:db").unwrap().direct.len(), 3);
    facts.application("other/front");
    let refused = Exposure::draw(facts).reached_from("front").unwrap_err().to_string();
    assert_eq!(refused, "`front` may be `shop/front` or `other/front`");
}
