//! Which device nodes the processes of a group may make, read and write.
//!
//! A document's rules are a list in which the later one wins, starting from "nothing is allowed". v2 has a small program
//! run at each access ([`super::device_program`]) that decides exactly so. v1 has a default and a list of exceptions
//! to it, so the rules are reduced to that form first; what can't be said in it is refused rather than approximated.

use super::device_program;
use super::directory::Directory;
use super::group::Group;
use crate::oci::DeviceRule;
use haven_spec::{Failure, Outcome};
use rustix::fd::AsFd;
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NodeKind {
    Character,
    Block,
}

/// Some of making (`m`), reading (`r`), writing (`w`); as the kernel numbers them in its device programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access(pub(super) u32);

impl Access {
    pub(super) const MAKE: u32 = 1;
    pub(super) const READ: u32 = 2;
    pub(super) const WRITE: u32 = 4;
    pub(super) const ALL: Self = Self(Self::MAKE | Self::READ | Self::WRITE);

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::ALL);
        }
        text.chars()
            .try_fold(0, |bits, letter| {
                Some(
                    bits | match letter {
                        'm' => Self::MAKE,
                        'r' => Self::READ,
                        'w' => Self::WRITE,
                        _ => return None,
                    },
                )
            })
            .map(Self)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MAKE, "m")]
            .iter()
            .filter(|(bit, _)| self.0 & bit != 0)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// A set of nodes; `None` stands for every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nodes {
    pub(super) kind: NodeKind,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
}

impl Nodes {
    fn covers(&self, other: &Self) -> bool {
        let number = |mine: Option<u32>, theirs: Option<u32>| mine.is_none() || mine == theirs;
        self.kind == other.kind && number(self.major, other.major) && number(self.minor, other.minor)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let number = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && number(self.major, other.major) && number(self.minor, other.minor)
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let kind = if self.kind == NodeKind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}

/// A rule with its words understood. Both kinds and every number is two of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    pub(super) nodes: Nodes,
    pub(super) access: Access,
}

/// Understands a document's rules.
pub(super) fn rules(document: &[DeviceRule]) -> Outcome<Vec<Rule>> {
    let mut rules = Vec::with_capacity(document.len() + 1);
    for one in document {
        let refuse = |what: String| Failure::invalid(format!("the device rule has {what}"));
        let number = |number: Option<i64>| match number {
            None | Some(-1) => Ok(None),
            Some(number) => {
                u32::try_from(number).map(Some).map_err(|_| refuse(format!("the device number `{number}`")))
            }
        };
        let access = Access::parse(&one.access)
            .ok_or_else(|| refuse(format!("the access `{}` (some of r, w, m)", one.access)))?;
        let kinds: &[NodeKind] = match one.kind.as_str() {
            "" | "a" => &[NodeKind::Character, NodeKind::Block],
            "c" | "u" => &[NodeKind::Character],
            "b" => &[NodeKind::Block],
            // A pipe is no device: the kernel asks nobody.
            "p" => continue,
            other => return Err(refuse(format!("the type `{other}` (one of a, b, c)"))),
        };
        // For both kinds the numbers don't count, as in the kernel's own files.
        let numbered = kinds.len() == 1;
        let (major, minor) = if numbered { (number(one.major)?, number(one.minor)?) } else { (None, None) };
        rules.extend(kinds.iter().map(|kind| Rule {
            allow: one.allow,
            nodes: Nodes { kind: *kind, major, minor },
            access,
        }));
    }
    Ok(rules)
}

/// v1's form: what holds for every node, and the nodes with other access.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Exceptions {
    allow_by_default: bool,
    /// In the rules' order, each set of nodes once.
    but: Vec<(Nodes, u32)>,
}

impl Exceptions {
    fn of(rules: &[Rule]) -> Outcome<Self> {
        let mut state = Self::default();
        let all = |kind| Nodes { kind, major: None, minor: None };
        let mut index = 0;
        while index < rules.len() {
            // "Everything" comes as a pair of rules and starts over.
            if let [first, second, ..] = rules[index..]
                && first.allow == second.allow
                && first.access == Access::ALL
                && second.access == Access::ALL
                && first.nodes == all(NodeKind::Character)
                && second.nodes == all(NodeKind::Block)
            {
                state = Self { allow_by_default: first.allow, but: Vec::new() };
                index += 2;
                continue;
            }
            state.add(&rules[index])?;
            index += 1;
        }
        Ok(state)
    }

    fn add(&mut self, rule: &Rule) -> Outcome<()> {
        if rule.allow != self.allow_by_default {
            self.except(rule.nodes, rule.access.0);
            return Ok(());
        }
        // Back to the default for these nodes: exceptions within go; one that reaches beyond can't be cut.
        for (nodes, access) in &mut self.but {
            if rule.nodes.covers(nodes) {
                *access &= !rule.access.0;
            } else if rule.nodes.overlaps(nodes) && *access & rule.access.0 != 0 {
                let verb = if rule.allow { "allow" } else { "deny" };
                return Err(Failure::unsupported(format!(
                    "v1 control groups can't {verb} `{}` within `{nodes}`",
                    rule.nodes
                ))
                .hint("give the narrower device rules only, or use v2 control groups"));
            }
        }
        self.but.retain(|(_, access)| *access != 0);
        Ok(())
    }

    fn except(&mut self, nodes: Nodes, access: u32) {
        match self.but.iter_mut().find(|(known, _)| *known == nodes) {
            Some((_, known)) => *known |= access,
            None => self.but.push((nodes, access)),
        }
    }

    fn access_of(&self, nodes: &Nodes) -> u32 {
        self.but.iter().find(|(known, _)| known == nodes).map_or(0, |(_, access)| *access)
    }

    /// From `devices.list`. An unknown line is passed over.
    fn read(text: &str) -> Self {
        let mut state = Self::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [kind, numbers, access] = fields[..] else { continue };
            let Some((major, minor)) = numbers.split_once(':') else { continue };
            let kind = match kind {
                "a" => {
                    state.allow_by_default = true;
                    continue;
                }
                "b" => NodeKind::Block,
                "c" => NodeKind::Character,
                _ => continue,
            };
            let Some(access) = Access::parse(access) else { continue };
            let nodes = Nodes { kind, major: major.parse().ok(), minor: minor.parse().ok() };
            state.except(nodes, access.0);
        }
        state
    }
}

/// Puts the rules in force for the group.
pub(super) fn apply(group: &Group, document: &[DeviceRule]) -> Outcome<()> {
    let rules = rules(document)?;
    if let Some(directory) = group.v1("devices") {
        return apply_v1(directory, &Exceptions::of(&rules)?);
    }
    let Some(directory) = group.unified() else {
        return Err(Failure::host("cannot restrict devices: this machine has no `devices` controller")
            .hint("mount v1's `devices` hierarchy, or use v2 control groups"));
    };
    let program = device_program::assemble(&rules);
    haven_sys::bpf::replace_device_program(directory.as_fd(), &program).map_err(|error| {
        Failure::host(format!("cannot restrict the devices of `{}`", directory.path().display()))
            .because(error)
            .hint("this needs CONFIG_CGROUP_BPF and the right to load programs (root on the host)")
    })
}

/// Goes from the present state to the wanted one by the fewest writes, so that an update never takes away for a
/// moment what stays allowed.
fn apply_v1(directory: &Directory, wanted: &Exceptions) -> Outcome<()> {
    let present = Exceptions::read(&directory.read("devices.list")?);
    let (to_default, from_default) = if wanted.allow_by_default {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    let same_default = present.allow_by_default == wanted.allow_by_default && !wanted.allow_by_default;
    if !same_default {
        // Starting over also clears the exceptions, which the list doesn't show in "allow by default".
        directory.write(to_default, "a")?;
    }
    let standing = |nodes: &Nodes| if same_default { present.access_of(nodes) } else { 0 };
    for (nodes, access) in &wanted.but {
        let missing = Access(access & !standing(nodes));
        if missing.0 != 0 {
            directory.write(from_default, &format!("{nodes} {missing}"))?;
        }
    }
    if same_default {
        for (nodes, access) in &present.but {
            let surplus = Access(access & !wanted.access_of(nodes));
            if surplus.0 != 0 {
                directory.write(to_default, &format!("{nodes} {surplus}"))?;
            }
        }
    }
    Ok(())
}

/// The rules of a container that asks for no device: nothing, but making any node (harmless: using it is what counts),
/// the nodes every Unix program expects, and the pseudo-terminals.
pub fn default_device_rules() -> Vec<DeviceRule> {
    let rule = |allow, kind: &str, major, minor, access: &str| DeviceRule {
        allow,
        kind: kind.to_owned(),
        major,
        minor,
        access: access.to_owned(),
    };
    let usable = |major, minor| rule(true, "c", Some(major), minor, "rwm");
    vec![
        rule(false, "a", None, None, "rwm"),
        rule(true, "c", None, None, "m"),
        rule(true, "b", None, None, "m"),
        usable(1, Some(3)), // null
        usable(1, Some(5)), // zero
        usable(1, Some(7)), // full
        usable(1, Some(8)), // random
        usable(1, Some(9)), // urandom
        usable(5, Some(0)), // tty
        usable(5, Some(2)), // ptmx
        usable(136, None),  // pts/*
    ]
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
