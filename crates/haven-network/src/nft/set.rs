//! Sets and maps: what they hold, and their elements as bytes.

use super::LIST_ELEMENT;
use super::expression::{DATA_VALUE, named};
use haven_sys::netlink::Message;

/// The type of a field of a key or of a map's data; the number is the one `nft` shows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldType {
    InterfaceIndex,
    V4,
    V6,
    Protocol,
    Port,
    Mark,
}

/// Order of the bytes of a number, as `nft` is told in the set's notes. 1: the machine's; 2: most significant first.
const MACHINE_ORDER: u32 = 1;
const NETWORK_ORDER: u32 = 2;

impl FieldType {
    /// `enum datatypes` of nft.
    fn number(self) -> u32 {
        match self {
            Self::InterfaceIndex => 20,
            Self::V4 => 7,
            Self::V6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Mark => 19,
        }
    }

    fn bytes(self) -> u32 {
        match self {
            Self::Protocol => 1,
            Self::Port => 2,
            Self::InterfaceIndex | Self::V4 | Self::Mark => 4,
            Self::V6 => 16,
        }
    }

    fn padded_bytes(self) -> u32 {
        self.bytes().next_multiple_of(4)
    }
}

/// A set, or a map when it has data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetSpec {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [FieldType],
    pub(crate) data: &'static [FieldType],
    /// Elements are ranges.
    pub(crate) interval: bool,
    /// Elements count their packets.
    pub(crate) counted: bool,
    /// Rules add elements; they stay this long, and there are at most so many.
    pub(crate) dynamic: Option<(u64, u32)>,
}

impl SetSpec {
    pub(crate) const fn set(name: &'static str, key: &'static [FieldType]) -> Self {
        Self { name, key, data: &[], interval: false, counted: false, dynamic: None }
    }

    pub(crate) const fn map(
        name: &'static str,
        key: &'static [FieldType],
        data: &'static [FieldType],
    ) -> Self {
        Self { name, key, data, interval: false, counted: false, dynamic: None }
    }

    /// `enum nft_set_flags`
    pub(crate) fn flags(&self) -> u32 {
        const INTERVAL: u32 = 0x4;
        const MAP: u32 = 0x8;
        const TIMEOUT: u32 = 0x10;
        const EVALUATED: u32 = 0x20;
        const CONCATENATED: u32 = 0x80;
        let mut flags = 0;
        if self.interval {
            flags |= INTERVAL | if self.key.len() > 1 { CONCATENATED } else { 0 };
        }
        if !self.data.is_empty() {
            flags |= MAP;
        }
        if self.dynamic.is_some() {
            flags |= TIMEOUT | EVALUATED;
        }
        flags
    }

    pub(crate) fn key_bytes(&self) -> u32 {
        length(self.key)
    }

    pub(crate) fn data_bytes(&self) -> u32 {
        length(self.data)
    }

    /// The attributes of `NFT_MSG_NEWSET` after the table's name; `id` is unique in the transaction.
    pub(super) fn encode(&self, m: &mut Message<'_>, id: u32) {
        m.text(2, self.name);
        m.be32(3, self.flags());
        m.be32(4, type_number(self.key));
        m.be32(5, self.key_bytes());
        if !self.data.is_empty() {
            m.be32(6, type_number(self.data));
            m.be32(7, self.data_bytes());
        }
        m.be32(10, id);
        let limit = self.dynamic.map(|(_, limit)| limit);
        if limit.is_some() || self.interval {
            m.nest(9, |m| {
                if let Some(limit) = limit {
                    m.be32(1, limit); // NFTA_SET_DESC_SIZE
                }
                if self.interval {
                    // NFTA_SET_DESC_CONCAT: the length of each field
                    m.nest(2, |m| {
                        for field in self.key {
                            m.nest(LIST_ELEMENT, |m| m.be32(1, field.bytes()));
                        }
                    });
                }
            });
        }
        if let Some((timeout_ms, _)) = self.dynamic {
            m.be64(11, timeout_ms);
        }
        m.bytes(13, &self.notes());
        if self.counted {
            m.nest(17, |m| named(m, "counter", |_| {}));
        }
    }

    /// What `nft` notes for itself to show elements well: byte orders of key and data, as type, length, value.
    fn notes(&self) -> Vec<u8> {
        let order = |fields: &[FieldType]| match fields {
            [FieldType::Mark | FieldType::InterfaceIndex] => MACHINE_ORDER,
            [_] => NETWORK_ORDER,
            _ => 0,
        };
        let mut notes = vec![0, 4];
        notes.extend_from_slice(&order(self.key).to_ne_bytes());
        if !self.data.is_empty() {
            notes.extend_from_slice(&[1, 4]);
            notes.extend_from_slice(&order(self.data).to_ne_bytes());
        }
        notes
    }
}

/// The bytes of a key: every field rounded up to whole register slots, a single field as it is.
fn length(fields: &[FieldType]) -> u32 {
    match fields {
        [single] => single.bytes(),
        many => many.iter().map(|f| f.padded_bytes()).sum(),
    }
}

/// The types of a concatenation, six bits each, the first uppermost.
fn type_number(fields: &[FieldType]) -> u32 {
    fields.iter().fold(0, |number, field| (number << 6) | field.number())
}

/// An element, as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Element {
    pub(crate) set: &'static str,
    pub(crate) key: Vec<u8>,
    /// Last key of a range; in interval sets only.
    pub(crate) end: Option<Vec<u8>>,
    pub(crate) data: Option<Vec<u8>>,
}

impl Element {
    /// One item of `NFTA_SET_ELEM_LIST_ELEMENTS`.
    pub(super) fn encode(&self, list: &mut Message<'_>, with_data: bool) {
        list.nest(LIST_ELEMENT, |m| {
            m.nest(1, |m| m.bytes(DATA_VALUE, &self.key));
            if let Some(end) = &self.end {
                m.nest(10, |m| m.bytes(DATA_VALUE, end));
            }
            if let Some(data) = self.data.as_ref().filter(|_| with_data) {
                m.nest(2, |m| m.bytes(DATA_VALUE, data));
            }
        });
    }
}
