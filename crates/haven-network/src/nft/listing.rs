//! What the kernel has, compared with what it should have.
//!
//! A rule in the kernel is ours when every attribute of our encoding is in the kernel's answer with the same value;
//! the kernel adds defaults and counts of its own, which are not compared.

use super::transaction::{ChainSpec, RuleSpec, TableSpec};
use super::{
    Element, FAMILY_INET, GENERIC_HEADER_BYTES, GET_CHAIN, GET_ELEMENT, GET_OBJECT, GET_RULE, GET_SET,
    GET_TABLE, SetSpec, generic_header,
};
use haven_sys::netlink::{ACK, Attributes, Batch, DUMP, Message, NetlinkError, NetlinkSocket, Reply, Value};
use rustix::io::Errno;
use std::ops::ControlFlow;

/// How our table differs from what it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) exists: bool,
    /// Its comment.
    pub(crate) comment: Option<String>,
    /// A set, counter or base chain that exists has another shape, so that only a new table helps.
    pub(crate) misshapen: bool,
    /// Something is missing or altered that can be put back in place.
    pub(crate) incomplete: bool,
    /// Chains that are not ours.
    pub(crate) strange_chains: Vec<String>,
}

impl Listing {
    pub(crate) fn is_intact(&self) -> bool {
        self.exists && !self.misshapen && !self.incomplete && self.strange_chains.is_empty()
    }

    /// Compares the table in the socket's namespace with `table`.
    pub(crate) fn of(socket: &mut NetlinkSocket, table: &TableSpec) -> Result<Self, NetlinkError> {
        let Some((comment, dormant)) = table_notes(socket, table.name)? else { return Ok(Self::default()) };
        let mut listing = Self { exists: true, comment, incomplete: dormant, ..Self::default() };
        listing.compare_sets(&list(socket, GET_SET, |m| m.text(1, table.name))?, table);
        listing.compare_counters(&list(socket, GET_OBJECT, |m| m.text(1, table.name))?, table);
        listing.compare_chains(&list(socket, GET_CHAIN, |m| m.text(1, table.name))?, table);
        listing.compare_rules(&list(socket, GET_RULE, |m| m.text(1, table.name))?, table);
        Ok(listing)
    }

    fn compare_sets(&mut self, found: &[Vec<u8>], table: &TableSpec) {
        for set in &table.sets {
            match find_named(found, table.name, 2, set.name) {
                Some(attributes) => self.misshapen |= !same_set(attributes, set),
                None => self.incomplete = true,
            }
        }
    }

    fn compare_counters(&mut self, found: &[Vec<u8>], table: &TableSpec) {
        for name in table.counters {
            self.incomplete |= find_named(found, table.name, 2, name).is_none();
        }
    }

    fn compare_chains(&mut self, found: &[Vec<u8>], table: &TableSpec) {
        for chain in &table.chains {
            match find_named(found, table.name, 3, chain.name) {
                Some(attributes) => self.misshapen |= !same_chain(attributes, chain),
                None => self.incomplete = true,
            }
        }
        for bytes in found {
            let attributes = Attributes::new(bytes);
            // A kernel without the filter by table lists those of all tables.
            let Some(name) = name_in_table(attributes, table.name, 3) else { continue };
            if !table.chains.iter().any(|chain| chain.name == name) {
                self.strange_chains.push(name.to_owned());
            }
        }
    }

    fn compare_rules(&mut self, found: &[Vec<u8>], table: &TableSpec) {
        for chain in &table.chains {
            let wanted = table.rules.iter().filter(|rule| rule.chain == chain.name);
            let mut present = found
                .iter()
                .map(|bytes| Attributes::new(bytes))
                .filter(|attributes| name_in_table(*attributes, table.name, 2) == Some(chain.name));
            for rule in wanted {
                let same = present.next().and_then(|a| a.first(4)).is_some_and(|e| same_rule(e, rule));
                self.incomplete |= !same;
            }
            self.incomplete |= present.next().is_some();
        }
    }
}

/// Comment and dormancy of a table of family `inet`; `None` when it does not exist.
fn table_notes(
    socket: &mut NetlinkSocket,
    name: &str,
) -> Result<Option<(Option<String>, bool)>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_TABLE, ACK, |m| {
        m.raw(&generic_header(FAMILY_INET));
        m.text(1, name);
    });
    let mut found = None;
    let asked = socket.request(&mut question, |reply| {
        let attributes = reply.attributes(GENERIC_HEADER_BYTES);
        let dormant = attributes.first(2).and_then(Value::be32).is_some_and(|flags| flags & 1 != 0);
        // nft's notes: type, length, value; the comment has type 0.
        let comment = attributes.first(6).and_then(|notes| {
            let length = usize::from(*notes.bytes.get(1)?);
            let text = notes.bytes.get(2..2 + length).filter(|_| notes.bytes.first() == Some(&0))?;
            Value { bytes: text, nested: false }.text().map(str::to_owned)
        });
        found = Some((comment, dormant));
    });
    match asked {
        Ok(()) => Ok(found),
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        Err(error) => Err(error),
    }
}

/// The attributes of every object of a kind.
fn list(
    socket: &mut NetlinkSocket,
    kind: u16,
    narrow: impl Fn(&mut Message<'_>),
) -> Result<Vec<Vec<u8>>, NetlinkError> {
    list_family(socket, FAMILY_INET, kind, narrow)
}

fn list_family(
    socket: &mut NetlinkSocket,
    family: u8,
    kind: u16,
    narrow: impl Fn(&mut Message<'_>),
) -> Result<Vec<Vec<u8>>, NetlinkError> {
    let mut question = Batch::new();
    question.message(kind, DUMP, |m| {
        m.raw(&generic_header(family));
        narrow(m);
    });
    let answer = socket.dump(&mut question, Vec::new, |found, reply| {
        found.extend(reply.payload.get(GENERIC_HEADER_BYTES..).map(<[u8]>::to_vec));
        ControlFlow::Continue(())
    });
    match answer {
        Err(error) if error.errno() == Errno::NOENT => Ok(Vec::new()),
        answer => answer,
    }
}

fn name_in_table<'a>(attributes: Attributes<'a>, table: &str, name: u16) -> Option<&'a str> {
    let in_table = attributes.first(1).and_then(Value::text) == Some(table);
    attributes.first(name).and_then(Value::text).filter(|_| in_table)
}

fn find_named<'a>(found: &'a [Vec<u8>], table: &str, kind: u16, name: &str) -> Option<Attributes<'a>> {
    found
        .iter()
        .map(|bytes| Attributes::new(bytes))
        .find(|attributes| name_in_table(*attributes, table, kind) == Some(name))
}

fn same_set(found: Attributes<'_>, set: &SetSpec) -> bool {
    /// Flags that the kernel sets by itself: elements with expressions.
    const KERNELS_OWN: u32 = 0x100;
    let number = |kind| found.first(kind).and_then(Value::be32);
    // The kernel leaves flags out when there are none.
    number(3).unwrap_or(0) & !KERNELS_OWN == set.flags()
        && number(5) == Some(set.key_bytes())
        && (set.data.is_empty() || number(7) == Some(set.data_bytes()))
        && (!set.counted || found.first(17).is_some())
}

fn same_chain(found: Attributes<'_>, chain: &ChainSpec) -> bool {
    let Some((kind, hook, priority)) = chain.base else { return found.first(4).is_none() };
    let Some(place) = found.first(4).map(Value::attributes) else { return false };
    found.first(7).and_then(Value::text) == Some(kind)
        && found.first(5).and_then(Value::be32) == Some(1)
        && place.first(1).and_then(Value::be32) == Some(hook.number())
        && place.first(2).and_then(Value::be32) == Some(priority.cast_unsigned())
}

fn same_rule(found: Value<'_>, rule: &RuleSpec) -> bool {
    let mut ours = Batch::new();
    ours.message(0, 0, |m| rule.encode(m));
    let ours = Attributes::new(ours.payload());
    let theirs = found.attributes();
    ours.count() == theirs.count() && ours.zip(theirs).all(|((_, ours), (_, theirs))| covers(theirs, ours))
}

/// Every attribute of `ours` is in `theirs`, with the same value.
fn covers(theirs: Value<'_>, ours: Value<'_>) -> bool {
    if !ours.nested {
        return theirs.bytes == ours.bytes;
    }
    ours.attributes()
        .all(|(kind, value)| theirs.attributes().first(kind).is_some_and(|found| covers(found, value)))
}

/// All elements of a set, without their counters.
pub(crate) fn elements(
    socket: &mut NetlinkSocket,
    table: &str,
    set: &SetSpec,
) -> Result<Vec<Element>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_ELEMENT, DUMP, |m| {
        m.raw(&generic_header(FAMILY_INET));
        m.text(1, table);
        m.text(2, set.name);
    });
    socket.dump(&mut question, Vec::new, |found, reply: Reply<'_>| {
        let items = reply.attributes(GENERIC_HEADER_BYTES).first(3).map(Value::attributes);
        for (_, item) in items.into_iter().flatten() {
            let part = |kind| {
                item.attributes().first(kind).and_then(|v| v.attributes().first(1)).map(|v| v.bytes.to_vec())
            };
            if let Some(key) = part(1) {
                found.push(Element { set: set.name, key, end: part(10), data: part(2) });
            }
        }
        ControlFlow::Continue(())
    })
}

/// An element and what it has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) key: Vec<u8>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// The elements of a set whose elements count.
pub(crate) fn counted(
    socket: &mut NetlinkSocket,
    table: &str,
    set: &str,
) -> Result<Vec<Counted>, NetlinkError> {
    let mut question = Batch::new();
    question.message(GET_ELEMENT, DUMP, |m| {
        m.raw(&generic_header(FAMILY_INET));
        m.text(1, table);
        m.text(2, set);
    });
    socket.dump(&mut question, Vec::new, |found, reply: Reply<'_>| {
        let items = reply.attributes(GENERIC_HEADER_BYTES).first(3).map(Value::attributes);
        found.extend(items.into_iter().flatten().filter_map(|(_, item)| {
            let key = item.attributes().first(1)?.attributes().first(1)?.bytes.to_vec();
            let counter = item.attributes().first(7)?.attributes().first(2)?.attributes();
            Some(Counted { key, packets: counter.first(2)?.be64()?, bytes: counter.first(1)?.be64()? })
        }));
        ControlFlow::Continue(())
    })
}

/// The packets that each named counter has seen.
pub(crate) fn counters(socket: &mut NetlinkSocket, table: &str) -> Result<Vec<(String, u64)>, NetlinkError> {
    let found = list(socket, GET_OBJECT, |m| m.text(1, table))?;
    Ok(found
        .iter()
        .filter_map(|bytes| {
            let attributes = Attributes::new(bytes);
            let name = name_in_table(attributes, table, 2)?;
            let packets = attributes.first(4)?.attributes().first(2)?.be64()?;
            Some((name.to_owned(), packets))
        })
        .collect())
}

/// A base chain of any table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseChain {
    pub(crate) family: &'static str,
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) hook: u32,
    pub(crate) drops: bool,
}

impl BaseChain {
    pub(crate) fn is_at(&self, hook: super::Hook) -> bool {
        self.hook == hook.number()
    }
}

/// A chain's table and name.
pub(crate) type ChainName = (String, String);

/// The base chains of every table that sees IP packets, and the names of all chains.
pub(crate) fn base_chains(
    socket: &mut NetlinkSocket,
) -> Result<(Vec<BaseChain>, Vec<ChainName>), NetlinkError> {
    const FAMILIES: [(u8, &str); 3] = [(FAMILY_INET, "inet"), (2, "ip"), (10, "ip6")];
    let mut bases = Vec::new();
    let mut names = Vec::new();
    for (family, word) in FAMILIES {
        for bytes in list_family(socket, family, GET_CHAIN, |_| {})? {
            let attributes = Attributes::new(&bytes);
            let text = |kind| attributes.first(kind).and_then(Value::text).map(str::to_owned);
            let (Some(table), Some(name)) = (text(1), text(3)) else { continue };
            let hook =
                attributes.first(4).and_then(|place| place.attributes().first(1)).and_then(Value::be32);
            if let Some(hook) = hook {
                let drops = attributes.first(5).and_then(Value::be32) == Some(0);
                bases.push(BaseChain { family: word, table: table.clone(), name: name.clone(), hook, drops });
            }
            names.push((table, name));
        }
    }
    Ok((bases, names))
}
