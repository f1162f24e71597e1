//! The tree of commands: one file per command, one entry per name.

mod create;
mod creation;
mod ps;
mod run;

use crate::daemon::Daemon;
use crate::ending::Done;
use clap::{ArgMatches, Command};

/// What every command gets.
pub(crate) struct Context {
    pub(crate) daemon: Daemon,
}

/// One command.
pub(crate) trait Verb: Sync {
    /// One line for help.
    fn about(&self) -> &'static str;
    /// Flags and operands as the usage line shows them.
    fn usage(&self) -> &'static str;
    /// Declares flags and operands.
    fn grammar(&self, command: Command) -> Command;
    fn run(&self, context: &Context, matches: &ArgMatches) -> Done;
}

/// Commands under a common word.
pub(crate) struct Group {
    pub(crate) about: &'static str,
    pub(crate) entries: &'static [Entry],
}

#[derive(Clone, Copy)]
pub(crate) enum Node {
    Verb(&'static dyn Verb),
    Group(&'static Group),
}

/// A word of the command line and what it stands for.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) node: Node,
    /// Shown first in the program's help.
    pub(crate) common: bool,
    pub(crate) hidden: bool,
}

impl Entry {
    const fn verb(name: &'static str, verb: &'static dyn Verb) -> Self {
        Self { name, aliases: &[], node: Node::Verb(verb), common: false, hidden: false }
    }

    const fn group(name: &'static str, group: &'static Group) -> Self {
        Self { name, aliases: &[], node: Node::Group(group), common: false, hidden: false }
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn common(mut self) -> Self {
        self.common = true;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) fn about(&self) -> &'static str {
        match self.node {
            Node::Verb(verb) => verb.about(),
            Node::Group(group) => group.about,
        }
    }
}

/// The entry that `word` names.
pub(crate) fn find(entries: &'static [Entry], word: &str) -> Option<&'static Entry> {
    entries.iter().find(|entry| entry.name == word || entry.aliases.contains(&word))
}

pub(crate) static TOP: &[Entry] = &[
    Entry::verb("run", &run::Run).common(),
    Entry::verb("ps", &ps::Ps).common(),
    Entry::verb("create", &create::Create),
];
