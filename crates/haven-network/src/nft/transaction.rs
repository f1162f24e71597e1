//! Changes that happen together or not at all.
//!
//! ```text
//! BATCH_BEGIN · table · counters · sets · chains · rules · elements · BATCH_END
//! ```
//! The kernel validates every message, then commits the whole in one step that packets see at once, or refuses it.

use super::{
    DELETE_CHAIN, DELETE_ELEMENT, DELETE_RULE, DELETE_TABLE, Element, Expression, FAMILY_INET, NEW_CHAIN,
    NEW_ELEMENT, NEW_OBJECT, NEW_RULE, NEW_SET, NEW_TABLE, OBJECT_COUNTER, SetSpec, generic_header,
};
use haven_sys::netlink::{APPEND, Batch, CREATE, Message, NetlinkError, NetlinkSocket};

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
/// `NFNL_SUBSYS_NFTABLES` in the batch marks' header.
const SUBSYSTEM_NUMBER: u16 = 10;
/// Elements go into messages of at most this many bytes: a list attribute's length has 16 bits.
const LIST_LIMIT_BYTES: usize = 48 * 1024;

/// A hook of the packet path, `NF_INET_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

impl Hook {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

/// A chain; a base chain when it has a hook. Base chains accept what no rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChainSpec {
    pub(crate) name: &'static str,
    /// Chain type (`filter`, `nat`), hook and priority.
    pub(crate) base: Option<(&'static str, Hook, i32)>,
}

/// A rule at the end of its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleSpec {
    pub(crate) chain: &'static str,
    pub(crate) expressions: Vec<Expression>,
}

/// A whole table of family `inet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableSpec {
    pub(crate) name: &'static str,
    pub(crate) counters: &'static [&'static str],
    pub(crate) sets: Vec<SetSpec>,
    /// Elements that belong to the table itself.
    pub(crate) constants: Vec<Element>,
    pub(crate) chains: Vec<ChainSpec>,
    pub(crate) rules: Vec<RuleSpec>,
}

/// A batch of changes to one table.
#[derive(Debug)]
pub(crate) struct Transaction {
    batch: Batch,
    table: &'static str,
    changes: usize,
}

impl Transaction {
    pub(crate) fn new(table: &'static str) -> Self {
        let mut batch = Batch::new();
        mark(&mut batch, BATCH_BEGIN);
        Self { batch, table, changes: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes == 0
    }

    fn change(&mut self, kind: u16, flags: u16, build: impl FnOnce(&mut Message<'_>)) {
        self.changes += 1;
        let table = self.table;
        self.batch.message(kind, flags, |m| {
            m.raw(&generic_header(FAMILY_INET));
            m.text(1, table); // the table's name is attribute 1 of every message
            build(m);
        });
    }

    /// Creates the table, or wakes it up if somebody made it dormant. `comment` is shown by `nft list`.
    pub(crate) fn add_table(&mut self, comment: &str) {
        let notes = comment_notes(comment);
        self.change(NEW_TABLE, CREATE, |m| {
            m.be32(2, 0);
            m.bytes(6, &notes);
        });
    }

    /// Deletes the table with all that is in it. It has to exist.
    pub(crate) fn delete_table(&mut self) {
        self.change(DELETE_TABLE, 0, |_| {});
    }

    /// Creates what is missing of counters, sets and chains; what exists has to have the same shape.
    pub(crate) fn add_shape(&mut self, table: &TableSpec) {
        for name in table.counters {
            self.change(NEW_OBJECT, CREATE, |m| {
                m.text(2, name);
                m.be32(3, OBJECT_COUNTER);
                m.nest(4, |_| {});
            });
        }
        for (id, set) in (1..).zip(&table.sets) {
            self.change(NEW_SET, CREATE, |m| set.encode(m, id));
        }
        for chain in &table.chains {
            self.change(NEW_CHAIN, CREATE, |m| {
                m.text(3, chain.name);
                if let Some((kind, hook, priority)) = chain.base {
                    m.text(7, kind);
                    m.be32(5, 1); // policy: NF_ACCEPT
                    m.nest(4, |m| {
                        m.be32(1, hook.number());
                        m.be32(2, priority.cast_unsigned());
                    });
                }
            });
        }
        self.add_elements(&table.constants);
    }

    /// Deletes every rule of the table, whoever made it.
    pub(crate) fn delete_all_rules(&mut self) {
        self.change(DELETE_RULE, 0, |_| {});
    }

    /// Deletes a chain, which no rule may use any more.
    pub(crate) fn delete_chain(&mut self, name: &str) {
        self.change(DELETE_CHAIN, 0, |m| m.text(3, name));
    }

    pub(crate) fn add_rules(&mut self, rules: &[RuleSpec]) {
        for rule in rules {
            self.change(NEW_RULE, CREATE | APPEND, |m| {
                m.text(2, rule.chain);
                m.nest(4, |list| rule.encode(list));
            });
        }
    }

    /// Adds elements; one that exists with the same data is no error, with other data it is `EEXIST`.
    pub(crate) fn add_elements(&mut self, elements: &[Element]) {
        self.element_messages(NEW_ELEMENT, CREATE, elements, true);
    }

    /// Removes elements; one that does not exist is `ENOENT`.
    pub(crate) fn remove_elements(&mut self, elements: &[Element]) {
        self.element_messages(DELETE_ELEMENT, 0, elements, false);
    }

    fn element_messages(&mut self, kind: u16, flags: u16, elements: &[Element], with_data: bool) {
        let mut rest = elements;
        while let Some(first) = rest.first() {
            let mut taken = 0;
            self.change(kind, flags, |m| {
                m.text(2, first.set);
                m.nest(3, |list| {
                    for element in rest {
                        if element.set != first.set || list.size_bytes() > LIST_LIMIT_BYTES {
                            break;
                        }
                        element.encode(list, with_data);
                        taken += 1;
                    }
                });
            });
            rest = rest.get(taken..).unwrap_or(&[]);
        }
    }

    /// Carries all of it out, or none.
    pub(crate) fn commit(mut self, socket: &mut NetlinkSocket) -> Result<(), NetlinkError> {
        if self.is_empty() {
            return Ok(());
        }
        self.batch.acknowledge_last();
        mark(&mut self.batch, BATCH_END);
        socket.request(&mut self.batch, |_| ())
    }
}

impl RuleSpec {
    pub(super) fn encode(&self, list: &mut Message<'_>) {
        for expression in &self.expressions {
            expression.encode(list);
        }
    }
}

fn mark(batch: &mut Batch, kind: u16) {
    let [high, low] = SUBSYSTEM_NUMBER.to_be_bytes();
    batch.message(kind, 0, |m| m.raw(&[0, 0, high, low]));
}

/// A comment as `nft` notes it: type 0, length, text with its NUL.
fn comment_notes(comment: &str) -> Vec<u8> {
    let text = comment.as_bytes();
    let text = text.get(..text.len().min(120)).unwrap_or(&[]);
    let mut notes = vec![0, u8::try_from(text.len() + 1).unwrap_or(0)];
    notes.extend_from_slice(text);
    notes.push(0);
    notes
}
