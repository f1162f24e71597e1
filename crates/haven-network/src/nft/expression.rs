//! What rules are made of: the instructions of nftables' small machine.
//!
//! The machine has sixteen 4-byte register slots; four of them together are also addressed as one 16-byte register.
//! A [`Key`] of several fields fills slots one after the other, each field rounded up to whole slots: that is the
//! layout the keys of sets have too.

use super::{LIST_ELEMENT, OBJECT_COUNTER};
use haven_sys::netlink::Message;

// enum nft_expr_attributes, and nft_data_attributes
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
pub(super) const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

/// The first register slot, where every key begins.
const FIRST_SLOT: u32 = 0;

/// What a packet or its connection can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    IncomingName,
    OutgoingName,
    Incoming,
    Outgoing,
    PacketMark,
    /// IPv4 or IPv6.
    NetworkProtocol,
    TransportProtocol,
    ConnectionState,
    ConnectionStatus,
    ConnectionMark,
    SourceV4,
    DestinationV4,
    /// The first byte of the address.
    SourceV4Head,
    DestinationV4Head,
    SourceV6,
    DestinationV6,
    DestinationPort,
    IcmpType,
    /// `local`, `unicast`, …: what the routing table says of the destination.
    DestinationKind,
}

/// Where a field is read from.
enum Source {
    Meta(u32),
    Connection(u32),
    /// Header (1 network, 2 transport), offset, length.
    Payload(u32, u32, u32),
    /// Result, flags.
    Route(u32, u32),
}

impl Field {
    fn source(self) -> Source {
        match self {
            // enum nft_meta_keys
            Self::PacketMark => Source::Meta(3),
            Self::Incoming => Source::Meta(4),
            Self::Outgoing => Source::Meta(5),
            Self::IncomingName => Source::Meta(6),
            Self::OutgoingName => Source::Meta(7),
            Self::NetworkProtocol => Source::Meta(15),
            Self::TransportProtocol => Source::Meta(16),
            // enum nft_ct_keys
            Self::ConnectionState => Source::Connection(0),
            Self::ConnectionStatus => Source::Connection(2),
            Self::ConnectionMark => Source::Connection(3),
            // Offsets in the headers of RFC 791, 8200, 9293, 792.
            Self::SourceV4 => Source::Payload(1, 12, 4),
            Self::DestinationV4 => Source::Payload(1, 16, 4),
            Self::SourceV4Head => Source::Payload(1, 12, 1),
            Self::DestinationV4Head => Source::Payload(1, 16, 1),
            Self::SourceV6 => Source::Payload(1, 8, 16),
            Self::DestinationV6 => Source::Payload(1, 24, 16),
            Self::DestinationPort => Source::Payload(2, 2, 2),
            Self::IcmpType => Source::Payload(2, 0, 1),
            // NFT_FIB_RESULT_ADDRTYPE, NFTA_FIB_F_DADDR
            Self::DestinationKind => Source::Route(3, 2),
        }
    }

    fn slots(self) -> u32 {
        match self {
            Self::IncomingName | Self::OutgoingName | Self::SourceV6 | Self::DestinationV6 => 4,
            _ => 1,
        }
    }
}

/// The fields of a look-up, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) &'static [Field]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Different,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Return,
    /// Goes to a chain and comes back when nothing there decides.
    Jump(&'static str),
    Goto(&'static str),
}

/// One instruction, or a fixed few that always go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    /// Goes on if the field's first bytes relate to `value`.
    Compare {
        field: Field,
        relation: Relation,
        value: Vec<u8>,
    },
    /// Goes on if any of these bits is set.
    AnyBit {
        field: Field,
        bits: u32,
    },
    /// Goes on if `field & mask == value`.
    Masked {
        field: Field,
        mask: Vec<u8>,
        value: Vec<u8>,
    },
    /// Goes on if the key is in the set.
    InSet {
        key: Key,
        set: &'static str,
    },
    /// Looks the key up and writes what is found to a mark; goes on only if something was.
    MarkFromMap {
        mark: Field,
        key: Key,
        map: &'static str,
        big_endian_marks: bool,
    },
    /// Writes a mark.
    SetMark {
        mark: Field,
        value: u32,
    },
    /// Looks up address and port and translates the destination to them. `family`: 2 IPv4, 10 IPv6.
    TranslateDestination {
        family: u32,
        key: Key,
        map: &'static str,
        port_slot: u32,
    },
    Masquerade,
    /// Adds the key to a dynamic set, or refreshes it there, and counts.
    Record {
        key: Key,
        set: &'static str,
    },
    CountBy(&'static str),
    /// Goes on for at most this many packets a second.
    Limit {
        per_second: u64,
        burst: u32,
    },
    Log {
        group: u16,
        prefix: &'static str,
        bytes: u32,
    },
    RejectWithReset,
    /// ICMP or ICMPv6 "administratively prohibited".
    RejectProhibited,
    Verdict(Verdict),
}

impl Expression {
    /// Appends it to a rule's list.
    pub(crate) fn encode(&self, list: &mut Message<'_>) {
        match self {
            Self::Compare { field, relation, value } => {
                load(list, *field, FIRST_SLOT);
                compare(list, *relation, value);
            }
            Self::AnyBit { field, bits } => {
                load(list, *field, FIRST_SLOT);
                mask(list, &bits.to_ne_bytes());
                compare(list, Relation::Different, &[0; 4]);
            }
            Self::Masked { field, mask: bits, value } => {
                load(list, *field, FIRST_SLOT);
                mask(list, bits);
                compare(list, Relation::Equal, value);
            }
            Self::InSet { key, set } => {
                load_key(list, *key, false);
                look_up(list, set, false);
            }
            Self::MarkFromMap { mark, key, map, big_endian_marks } => {
                load_key(list, *key, *big_endian_marks);
                look_up(list, map, true);
                store_mark(list, *mark);
            }
            Self::SetMark { mark, value } => {
                immediate(list, FIRST_SLOT, &value.to_ne_bytes());
                store_mark(list, *mark);
            }
            Self::TranslateDestination { family, key, map, port_slot } => {
                load_key(list, *key, false);
                look_up(list, map, true);
                element(list, "nat", |m| {
                    m.be32(1, 1); // NFTA_NAT_TYPE: NFT_NAT_DNAT
                    m.be32(2, *family);
                    m.be32(3, register(FIRST_SLOT)); // NFTA_NAT_REG_ADDR_MIN
                    m.be32(5, register(*port_slot)); // NFTA_NAT_REG_PROTO_MIN
                });
            }
            Self::Masquerade => element(list, "masq", |_| {}),
            Self::Record { key, set } => {
                load_key(list, *key, false);
                element(list, "dynset", |m| {
                    m.be32(4, register(FIRST_SLOT)); // NFTA_DYNSET_SREG_KEY
                    m.be32(3, 1); // NFTA_DYNSET_OP: NFT_DYNSET_OP_UPDATE
                    m.text(1, set);
                    m.nest(7, |m| named(m, "counter", |_| {})); // NFTA_DYNSET_EXPR
                });
            }
            Self::CountBy(name) => element(list, "objref", |m| {
                m.be32(1, OBJECT_COUNTER);
                m.text(2, name);
            }),
            Self::Limit { per_second, burst } => element(list, "limit", |m| {
                m.be64(1, *per_second);
                m.be64(2, 1); // seconds
                m.be32(3, *burst);
                m.be32(4, 0); // packets, not bytes
                m.be32(5, 0); // up to the limit, not over it
            }),
            Self::Log { group, prefix, bytes } => element(list, "log", |m| {
                m.text(2, prefix);
                m.be16(1, *group);
                m.be32(3, *bytes);
            }),
            Self::RejectWithReset => element(list, "reject", |m| m.be32(1, 1)), // NFT_REJECT_TCP_RST
            Self::RejectProhibited => element(list, "reject", |m| {
                m.be32(1, 2); // NFT_REJECT_ICMPX_UNREACH
                m.u8(2, 3); // NFT_REJECT_ICMPX_ADMIN_PROHIBITED
            }),
            Self::Verdict(verdict) => element(list, "immediate", |m| {
                m.be32(1, 0); // NFT_REG_VERDICT
                m.nest(2, |m| {
                    m.nest(DATA_VERDICT, |m| match verdict {
                        // NF_ACCEPT, NF_DROP, NFT_RETURN, NFT_JUMP, NFT_GOTO
                        Verdict::Accept => m.be32(1, 1),
                        Verdict::Drop => m.be32(1, 0),
                        Verdict::Return => m.be32(1, (-5_i32).cast_unsigned()),
                        Verdict::Jump(chain) => {
                            m.be32(1, (-3_i32).cast_unsigned());
                            m.text(2, chain);
                        }
                        Verdict::Goto(chain) => {
                            m.be32(1, (-4_i32).cast_unsigned());
                            m.text(2, chain);
                        }
                    });
                });
            }),
        }
    }
}

/// The number of the register that begins at a slot, as the kernel shows it.
fn register(slot: u32) -> u32 {
    if slot.is_multiple_of(4) { 1 + slot / 4 } else { 8 + slot }
}

/// `{ name, data }`, without the list around it.
pub(super) fn named(m: &mut Message<'_>, name: &str, data: impl FnOnce(&mut Message<'_>)) {
    m.text(EXPRESSION_NAME, name);
    m.nest(EXPRESSION_DATA, data);
}

fn element(list: &mut Message<'_>, name: &str, data: impl FnOnce(&mut Message<'_>)) {
    list.nest(LIST_ELEMENT, |m| named(m, name, data));
}

fn load(list: &mut Message<'_>, field: Field, slot: u32) {
    let to = register(slot);
    match field.source() {
        Source::Meta(key) => element(list, "meta", |m| {
            m.be32(2, key);
            m.be32(1, to);
        }),
        Source::Connection(key) => element(list, "ct", |m| {
            m.be32(2, key);
            m.be32(1, to);
        }),
        Source::Payload(base, offset, length) => element(list, "payload", |m| {
            m.be32(1, to);
            m.be32(2, base);
            m.be32(3, offset);
            m.be32(4, length);
        }),
        Source::Route(result, flags) => element(list, "fib", |m| {
            m.be32(3, flags);
            m.be32(2, result);
            m.be32(1, to);
        }),
    }
}

/// Interval sets compare keys as byte strings, so numbers in them are most significant byte first.
fn load_key(list: &mut Message<'_>, key: Key, big_endian_marks: bool) {
    let mut slot = FIRST_SLOT;
    for field in key.0 {
        load(list, *field, slot);
        if big_endian_marks && matches!(field, Field::ConnectionMark | Field::PacketMark) {
            element(list, "byteorder", |m| {
                m.be32(1, register(slot));
                m.be32(2, register(slot));
                m.be32(3, 1); // NFT_BYTEORDER_HTON
                m.be32(4, 4);
                m.be32(5, 4);
            });
        }
        slot += field.slots();
    }
}

fn look_up(list: &mut Message<'_>, set: &str, result: bool) {
    element(list, "lookup", |m| {
        m.be32(2, register(FIRST_SLOT));
        if result {
            m.be32(3, register(FIRST_SLOT));
        }
        m.text(1, set);
    });
}

fn store_mark(list: &mut Message<'_>, mark: Field) {
    match mark.source() {
        Source::Connection(key) => element(list, "ct", |m| {
            m.be32(2, key);
            m.be32(4, register(FIRST_SLOT));
        }),
        Source::Meta(key) => element(list, "meta", |m| {
            m.be32(2, key);
            m.be32(3, register(FIRST_SLOT));
        }),
        Source::Payload(..) | Source::Route(..) => {}
    }
}

fn immediate(list: &mut Message<'_>, slot: u32, value: &[u8]) {
    element(list, "immediate", |m| {
        m.be32(1, register(slot));
        m.nest(2, |m| m.bytes(DATA_VALUE, value));
    });
}

fn compare(list: &mut Message<'_>, relation: Relation, value: &[u8]) {
    element(list, "cmp", |m| {
        m.be32(1, register(FIRST_SLOT));
        m.be32(
            2,
            match relation {
                Relation::Equal => 0,
                Relation::Different => 1,
            },
        );
        m.nest(3, |m| m.bytes(DATA_VALUE, value));
    });
}

fn mask(list: &mut Message<'_>, bits: &[u8]) {
    element(list, "bitwise", |m| {
        m.be32(1, register(FIRST_SLOT));
        m.be32(2, register(FIRST_SLOT));
        m.be32(3, u32::try_from(bits.len()).unwrap_or(0));
        m.be32(6, 0); // NFT_BITWISE_MASK_XOR
        m.nest(4, |m| m.bytes(DATA_VALUE, bits));
        m.nest(5, |m| m.bytes(DATA_VALUE, &vec![0; bits.len()]));
    });
}
