//! The one table, `inet haven`: its sets, chains and rules. `tests/it/haven.nft` is the same as text.
//!
//! ```text
//! raw prerouting ─ from hv*: interface and source address are a pair of bind4/bind6, or drop
//! nat prerouting ─ a published port leads to its container; for containers only if a link does too
//! forward        ─ to or from hv*: established ─▶ its link is live, or reset
//!                                  new ─▶ source id, destination id ─▶ link ─▶ live? accept : deny
//! input          ─ from hv*: replies, neighbour discovery, what `host_open` lists; else deny
//! nat output     ─ published ports for the host's own processes
//! nat postrouting─ hv* to the outside: masquerade; from 127/8 to hv*: masquerade
//! ```
//!
//! The link's number is the connection's mark. So a look-up costs the same with three links as with 100,000; taking
//! a number out of `live` stops established connections at the next packet; and every link has exact counters.
//!
//! Every rule matches our interfaces by the prefix of their name, not by their membership in a set: an interface that
//! nobody registered is denied. The table only denies and translates what concerns our interfaces; `accept` in it
//! ends this table's part and no other's, so another table's drop stays final.

use crate::nft::{
    ChainSpec, Expression, Field, FieldType, Hook, Key, Relation, RuleSpec, SetSpec, TableSpec, Verdict,
};
use crate::{GATEWAY, GATEWAY6, elements, identity};

/// The table's name. What stands in it is ours alone.
pub(crate) const TABLE: &str = "haven";
/// The prefix of our interfaces' names on the host.
pub(crate) const INTERFACE_PREFIX: &str = "hv";
/// Changes when the table's shape does; part of its comment.
pub(crate) const VERSION: u32 = 2;

pub(crate) const DENIED_TOTAL: &str = "denied_total";
pub(crate) const REVOKED_TOTAL: &str = "revoked_total";
pub(crate) const SPOOFED_TOTAL: &str = "spoofed_total";

/// The mark of what an observed application is let through with.
pub(crate) const OBSERVED: u32 = 0xffff_fffe;
/// netfilter log groups: denials, and forged sources.
const DENIED_LOG: u16 = 77;
const SPOOFED_LOG: u16 = 78;
/// Attempts remembered in `denied`, and for how long.
const DENIED_LIMIT: u32 = 65_535;
const DENIED_TIMEOUT_MS: u64 = 24 * 60 * 60 * 1000;

// IP protocol numbers.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;
// Address families, as `meta nfproto` has them.
const IPV4: u8 = 2;
const IPV6: u8 = 10;
// ICMPv6 message types, RFC 4861.
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

use FieldType::{InterfaceIndex, Mark, Port, Protocol, V4, V6};

/// Which source addresses an interface may use.
pub(crate) const BIND4: SetSpec = SetSpec::set("bind4", &[InterfaceIndex, V4]);
pub(crate) const BIND6: SetSpec = SetSpec::set("bind6", &[InterfaceIndex, V6]);
/// Who is behind an interface, as source and as destination.
pub(crate) const SRC_ID: SetSpec = SetSpec::map("src_id", &[InterfaceIndex], &[Mark]);
pub(crate) const DST_ID: SetSpec = SetSpec::map("dst_id", &[InterfaceIndex], &[Mark]);
/// Which network an interface is on, where that matters.
pub(crate) const SRC_NET: SetSpec = SetSpec::map("src_net", &[InterfaceIndex], &[Mark]);
pub(crate) const DST_NET: SetSpec = SetSpec::map("dst_net", &[InterfaceIndex], &[Mark]);
/// Interfaces of networks that nothing leads out of.
pub(crate) const INTERNAL: SetSpec = SetSpec::set("internal", &[InterfaceIndex]);
/// Source, destination, protocol, port → link.
pub(crate) const LINKS: SetSpec = SetSpec::map("links", &[Mark, Mark, Protocol, Port], &[Mark]);
/// Source, destination, protocol → link.
pub(crate) const LINKS_ANY: SetSpec = SetSpec::map("links_any", &[Mark, Mark, Protocol], &[Mark]);
/// Source, destination → link, whatever is spoken.
pub(crate) const LINKS_ALL: SetSpec = SetSpec::map("links_all", &[Mark, Mark], &[Mark]);
pub(crate) const LINKS_RANGE: SetSpec =
    SetSpec { interval: true, ..SetSpec::map("links_range", &[Mark, Mark, Protocol, Port], &[Mark]) };
/// Source → link to everything outside; and by address range, protocol and port.
pub(crate) const EGRESS_ANY: SetSpec = SetSpec::map("egress_any", &[Mark], &[Mark]);
pub(crate) const EGRESS4: SetSpec =
    SetSpec { interval: true, ..SetSpec::map("egress4", &[Mark, V4, Protocol, Port], &[Mark]) };
pub(crate) const EGRESS6: SetSpec =
    SetSpec { interval: true, ..SetSpec::map("egress6", &[Mark, V6, Protocol, Port], &[Mark]) };
/// Who may use a published port: destination, range of outside addresses, protocol, port → link.
pub(crate) const INGRESS4: SetSpec =
    SetSpec { interval: true, ..SetSpec::map("ingress4", &[Mark, V4, Protocol, Port], &[Mark]) };
/// The links that may carry packets.
pub(crate) const LIVE: SetSpec = SetSpec { counted: true, ..SetSpec::set("live", &[Mark]) };
/// What was tried in vain, counted by the kernel.
pub(crate) const DENIED: SetSpec = SetSpec {
    dynamic: Some((DENIED_TIMEOUT_MS, DENIED_LIMIT)),
    ..SetSpec::set("denied", &[Mark, Mark, Protocol, Port])
};
/// Sources that are let through and recorded in `denied`.
pub(crate) const OBSERVE: SetSpec = SetSpec::set("observe", &[Mark]);
/// Services of the host, on the gateway's address, that containers may use.
pub(crate) const HOST_OPEN: SetSpec = SetSpec::set("host_open", &[Protocol, Port]);
/// Protocols that have ports.
pub(crate) const PORTED: SetSpec = SetSpec::set("ported", &[Protocol]);
/// Published ports on one address, and on all.
pub(crate) const PUBLISH4: SetSpec = SetSpec::map("publish4", &[V4, Protocol, Port], &[V4, Port]);
pub(crate) const PUBLISH6: SetSpec = SetSpec::map("publish6", &[V6, Protocol, Port], &[V6, Port]);
pub(crate) const PUBLISH4_ANY: SetSpec = SetSpec::map("publish4_any", &[Protocol, Port], &[V4, Port]);
pub(crate) const PUBLISH6_ANY: SetSpec = SetSpec::map("publish6_any", &[Protocol, Port], &[V6, Port]);

/// The sets whose elements follow from endpoints: what reconciling compares. `denied` is the kernel's.
pub(crate) const DECLARED_SETS: [SetSpec; 23] = [
    BIND4,
    BIND6,
    SRC_ID,
    DST_ID,
    SRC_NET,
    DST_NET,
    INTERNAL,
    LINKS,
    LINKS_ANY,
    LINKS_ALL,
    LINKS_RANGE,
    EGRESS_ANY,
    EGRESS4,
    EGRESS6,
    INGRESS4,
    LIVE,
    OBSERVE,
    HOST_OPEN,
    PORTED,
    PUBLISH4,
    PUBLISH6,
    PUBLISH4_ANY,
    PUBLISH6_ANY,
];

/// The table as it should be.
pub(crate) fn table() -> TableSpec {
    let mut sets = DECLARED_SETS.to_vec();
    sets.push(DENIED);
    TableSpec {
        name: TABLE,
        counters: &[DENIED_TOTAL, REVOKED_TOTAL, SPOOFED_TOTAL],
        sets,
        constants: elements::constants(),
        chains: chains(),
        rules: rules(),
    }
}

fn chains() -> Vec<ChainSpec> {
    let base = |name, kind, hook, priority| ChainSpec { name, base: Some((kind, hook, priority)) };
    let plain = |name| ChainSpec { name, base: None };
    vec![
        base("raw_pre", "filter", Hook::Prerouting, -300),
        plain("antispoof"),
        plain("spoofed"),
        // Before the usual filter priority, so that what others log or count has passed here.
        base("forward", "filter", Hook::Forward, -5),
        plain("linkpol"),
        plain("declared"),
        plain("by_network"),
        plain("egress"),
        plain("observed"),
        plain("deny"),
        base("input", "filter", Hook::Input, -5),
        plain("from_endpoint"),
        base("nat_pre", "nat", Hook::Prerouting, -100),
        base("nat_out", "nat", Hook::Output, -100),
        plain("published"),
        base("nat_post", "nat", Hook::Postrouting, 100),
    ]
}

const CONNECTION_MARK: Field = Field::ConnectionMark;
const PACKET_MARK: Field = Field::PacketMark;
const FLOW: Key = Key(&[CONNECTION_MARK, PACKET_MARK, Field::TransportProtocol, Field::DestinationPort]);

const EGRESS4_KEY: [Field; 4] =
    [CONNECTION_MARK, Field::DestinationV4, Field::TransportProtocol, Field::DestinationPort];
const EGRESS6_KEY: [Field; 4] =
    [CONNECTION_MARK, Field::DestinationV6, Field::TransportProtocol, Field::DestinationPort];

fn rules() -> Vec<RuleSpec> {
    use Expression::Verdict as Then;
    use Verdict::{Accept, Drop, Goto, Jump, Return};
    let mut rules = Vec::new();
    let mut rule = |chain: &'static str, parts: Vec<Vec<Expression>>| {
        rules.push(RuleSpec { chain, expressions: parts.concat() });
    };
    let then = |verdict| vec![Then(verdict)];
    let accept = || then(Accept);

    rule("raw_pre", vec![from_ours(), then(Goto("antispoof"))]);

    // route_localnet lets replies to 127.0.0.1 in at our interfaces; nothing may be sent there.
    rule("antispoof", vec![to_loopback(), then(Goto("spoofed"))]);
    rule("antispoof", vec![v4(), in_set(Key(&[Field::Incoming, Field::SourceV4]), &BIND4), accept()]);
    rule("antispoof", vec![v6(), in_set(Key(&[Field::Incoming, Field::SourceV6]), &BIND6), accept()]);
    for message in [NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT] {
        rule("antispoof", vec![v6(), from_link_local(), icmpv6(message), accept()]);
    }
    rule("antispoof", vec![then(Goto("spoofed"))]);
    rule("spoofed", vec![count(SPOOFED_TOTAL)]);
    rule("spoofed", vec![limit(20, 5), log(SPOOFED_LOG, "spoof", 64)]);
    rule("spoofed", vec![then(Drop)]);

    rule("forward", vec![from_ours(), then(Goto("linkpol"))]);
    rule("forward", vec![to_ours(), then(Goto("linkpol"))]);

    rule("linkpol", vec![known_connection(), is_live(), accept()]);
    rule("linkpol", vec![known_connection(), count(REVOKED_TOTAL), then(Goto("deny"))]);
    rule("linkpol", vec![state(INVALID), then(Drop)]);
    // A mark that somebody else gave the connection must not be taken for an identity.
    rule("linkpol", vec![set_mark(CONNECTION_MARK, 0)]);
    rule("linkpol", vec![not_from_ours(), translated(), set_mark(CONNECTION_MARK, identity::OUTSIDE)]);
    rule("linkpol", vec![from_ours(), identify(CONNECTION_MARK, Key(&[Field::Incoming]), &SRC_ID)]);
    rule("linkpol", vec![set_mark(PACKET_MARK, 0)]);
    rule("linkpol", vec![to_ours(), identify(PACKET_MARK, Key(&[Field::Outgoing]), &DST_ID)]);
    rule("linkpol", vec![equal(CONNECTION_MARK, &0_u32.to_ne_bytes()), then(Goto("deny"))]);
    let entering = Key(&[PACKET_MARK, Field::SourceV4, Field::TransportProtocol, Field::DestinationPort]);
    let forget = || set_mark(PACKET_MARK, 0);
    let enters = [identify(CONNECTION_MARK, entering, &INGRESS4), is_live(), forget(), accept()].concat();
    rule("linkpol", vec![not_from_ours(), translated(), v4(), enters]);
    // The narrower permission is looked for first: application to application, then with their networks.
    rule("linkpol", vec![then(Jump("declared"))]);
    rule("linkpol", vec![to_ours(), then(Jump("by_network"))]);
    let source_is = |map| vec![from_ours(), identify(CONNECTION_MARK, Key(&[Field::Incoming]), map)];
    for map in [&SRC_ID, &SRC_NET] {
        rule("linkpol", source_is(map));
        rule("linkpol", vec![not_to_ours(), then(Jump("egress"))]);
    }
    rule("linkpol", source_is(&SRC_ID));
    rule("linkpol", vec![record_denied()]);
    rule("linkpol", vec![in_set(Key(&[CONNECTION_MARK]), &OBSERVE), then(Goto("observed"))]);
    rule("linkpol", vec![then(Goto("deny"))]);

    // Whoever is only observed gets out of an internal network no more than anybody else.
    rule("observed", vec![not_to_ours(), in_set(Key(&[Field::Incoming]), &INTERNAL), then(Goto("deny"))]);
    rule("observed", vec![set_mark(CONNECTION_MARK, OBSERVED), forget(), accept()]);

    let both = Key(&[CONNECTION_MARK, PACKET_MARK]);
    for (set, key) in [
        (&LINKS, FLOW),
        (&LINKS_ANY, Key(&[CONNECTION_MARK, PACKET_MARK, Field::TransportProtocol])),
        (&LINKS_RANGE, FLOW),
        (&LINKS_ALL, both),
    ] {
        rule("declared", vec![identify(CONNECTION_MARK, key, set), is_live(), forget(), accept()]);
    }

    // To the destination's network, from one network to the other, from the source's network.
    let destination_is = |map| identify(PACKET_MARK, Key(&[Field::Outgoing]), map);
    rule("by_network", vec![destination_is(&DST_NET)]);
    rule("by_network", vec![then(Jump("declared"))]);
    rule("by_network", source_is(&SRC_NET));
    rule("by_network", vec![then(Jump("declared"))]);
    rule("by_network", vec![destination_is(&DST_ID)]);
    rule("by_network", vec![then(Jump("declared"))]);

    let outbound = |key, set| [identify(CONNECTION_MARK, key, set), is_live(), accept()].concat();
    rule("egress", vec![in_set(Key(&[Field::Incoming]), &INTERNAL), then(Return)]);
    rule("egress", vec![outbound(Key(&[CONNECTION_MARK]), &EGRESS_ANY)]);
    rule("egress", vec![v4(), outbound(Key(&EGRESS4_KEY), &EGRESS4)]);
    rule("egress", vec![v6(), outbound(Key(&EGRESS6_KEY), &EGRESS6)]);

    rule("deny", vec![count(DENIED_TOTAL)]);
    rule("deny", vec![limit(200, 400), log(DENIED_LOG, "deny", 80)]);
    rule("deny", vec![forget()]);
    // A reset rather than silence, so that nobody waits for a time-out.
    rule("deny", vec![equal(Field::TransportProtocol, &[TCP]), vec![Expression::RejectWithReset]]);
    rule("deny", vec![vec![Expression::RejectProhibited]]);

    rule("input", vec![from_ours(), then(Goto("from_endpoint"))]);
    rule("from_endpoint", vec![known_connection(), accept()]);
    for message in [NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT] {
        rule("from_endpoint", vec![v6(), icmpv6(message), accept()]);
    }
    let open = || in_set(Key(&[Field::TransportProtocol, Field::DestinationPort]), &HOST_OPEN);
    rule("from_endpoint", vec![v4(), equal(Field::DestinationV4, &GATEWAY.octets()), open(), accept()]);
    rule("from_endpoint", vec![v6(), equal(Field::DestinationV6, &GATEWAY6.octets()), open(), accept()]);
    rule("from_endpoint", vec![set_mark(CONNECTION_MARK, 0)]);
    rule("from_endpoint", vec![identify(CONNECTION_MARK, Key(&[Field::Incoming]), &SRC_ID)]);
    rule("from_endpoint", vec![set_mark(PACKET_MARK, identity::HOST)]);
    rule("from_endpoint", vec![record_denied()]);
    rule("from_endpoint", vec![then(Goto("deny"))]);

    // What the host itself offers at the gateway's address no container can publish away from it.
    rule("nat_pre", vec![v4(), equal(Field::DestinationV4, &GATEWAY.octets()), then(Return)]);
    rule("nat_pre", vec![v6(), equal(Field::DestinationV6, &GATEWAY6.octets()), then(Return)]);
    // A neighbour can send to 127.0.0.1 over the wire; translated before routing, it would pass for local.
    rule("nat_pre", vec![to_loopback(), then(Return)]);
    rule("nat_pre", vec![then(Goto("published"))]);
    rule("nat_out", vec![then(Goto("published"))]);
    rule(
        "published",
        vec![
            v4(),
            translate(
                IPV4,
                Key(&[Field::DestinationV4, Field::TransportProtocol, Field::DestinationPort]),
                &PUBLISH4,
            ),
        ],
    );
    rule(
        "published",
        vec![
            v6(),
            translate(
                IPV6,
                Key(&[Field::DestinationV6, Field::TransportProtocol, Field::DestinationPort]),
                &PUBLISH6,
            ),
        ],
    );
    for (family, set) in [(IPV4, &PUBLISH4_ANY), (IPV6, &PUBLISH6_ANY)] {
        let port = Key(&[Field::TransportProtocol, Field::DestinationPort]);
        rule("published", vec![to_this_host(), translate(family, port, set)]);
    }

    rule("nat_post", vec![from_ours(), not_to_ours(), vec![Expression::Masquerade]]);
    rule("nat_post", vec![to_ours(), v4(), equal(Field::SourceV4Head, &[127]), vec![Expression::Masquerade]]);
    rules
}

// The words the rules are written in.

/// `IP_CT_…` states as bits.
const INVALID: u32 = 1;
const ESTABLISHED: u32 = 2;
const RELATED: u32 = 4;
/// `IPS_DST_NAT`
const DESTINATION_TRANSLATED: u32 = 1 << 5;
/// `RTN_LOCAL`
const LOCAL: u32 = 2;

fn one(expression: Expression) -> Vec<Expression> {
    vec![expression]
}

fn name(field: Field, relation: Relation) -> Vec<Expression> {
    one(Expression::Compare { field, relation, value: INTERFACE_PREFIX.as_bytes().to_vec() })
}

fn from_ours() -> Vec<Expression> {
    name(Field::IncomingName, Relation::Equal)
}

fn not_from_ours() -> Vec<Expression> {
    name(Field::IncomingName, Relation::Different)
}

fn to_ours() -> Vec<Expression> {
    name(Field::OutgoingName, Relation::Equal)
}

fn not_to_ours() -> Vec<Expression> {
    name(Field::OutgoingName, Relation::Different)
}

fn equal(field: Field, value: &[u8]) -> Vec<Expression> {
    one(Expression::Compare { field, relation: Relation::Equal, value: value.to_vec() })
}

fn v4() -> Vec<Expression> {
    equal(Field::NetworkProtocol, &[IPV4])
}

fn v6() -> Vec<Expression> {
    equal(Field::NetworkProtocol, &[IPV6])
}

/// 127.0.0.0/8.
fn to_loopback() -> Vec<Expression> {
    [v4(), equal(Field::DestinationV4Head, &[127])].concat()
}

/// fe80::/10.
fn from_link_local() -> Vec<Expression> {
    let head = |a, b| {
        let mut bytes = vec![0; 16];
        bytes[0] = a;
        bytes[1] = b;
        bytes
    };
    one(Expression::Masked { field: Field::SourceV6, mask: head(0xff, 0xc0), value: head(0xfe, 0x80) })
}

fn icmpv6(message: u8) -> Vec<Expression> {
    [equal(Field::TransportProtocol, &[ICMPV6]), equal(Field::IcmpType, &[message])].concat()
}

fn state(bits: u32) -> Vec<Expression> {
    one(Expression::AnyBit { field: Field::ConnectionState, bits })
}

fn known_connection() -> Vec<Expression> {
    state(ESTABLISHED | RELATED)
}

/// Its destination was translated: it came by a published port.
fn translated() -> Vec<Expression> {
    one(Expression::AnyBit { field: Field::ConnectionStatus, bits: DESTINATION_TRANSLATED })
}

fn to_this_host() -> Vec<Expression> {
    equal(Field::DestinationKind, &LOCAL.to_ne_bytes())
}

fn in_set(key: Key, set: &SetSpec) -> Vec<Expression> {
    one(Expression::InSet { key, set: set.name })
}

fn is_live() -> Vec<Expression> {
    in_set(Key(&[CONNECTION_MARK]), &LIVE)
}

fn identify(mark: Field, key: Key, map: &SetSpec) -> Vec<Expression> {
    one(Expression::MarkFromMap { mark, key, map: map.name, big_endian_marks: map.interval })
}

fn set_mark(mark: Field, value: u32) -> Vec<Expression> {
    one(Expression::SetMark { mark, value })
}

fn translate(family: u8, key: Key, map: &SetSpec) -> Vec<Expression> {
    let port_slot = if family == IPV4 { 1 } else { 4 };
    one(Expression::TranslateDestination { family: family.into(), key, map: map.name, port_slot })
}

fn record_denied() -> Vec<Expression> {
    let ported = in_set(Key(&[Field::TransportProtocol]), &PORTED);
    [ported, one(Expression::Record { key: FLOW, set: DENIED.name })].concat()
}

fn count(counter: &'static str) -> Vec<Expression> {
    one(Expression::CountBy(counter))
}

fn limit(per_second: u64, burst: u32) -> Vec<Expression> {
    one(Expression::Limit { per_second, burst })
}

fn log(group: u16, prefix: &'static str, bytes: u32) -> Vec<Expression> {
    one(Expression::Log { group, prefix, bytes })
}
