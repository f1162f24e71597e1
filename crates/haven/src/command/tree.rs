//! The whole tree of commands as one grammar, for what describes it: completion scripts and manual pages.

use super::{Entry, Node, TOP};
use crate::grammar;
use crate::program;
use clap::{ArgAction, Command};

/// Everything that is not hidden.
pub(super) fn whole() -> Command {
    let root = plain(program::root().no_binary_name(false).allow_external_subcommands(false));
    add(root.override_usage("haven [OPTIONS] COMMAND"), "haven", TOP)
}

fn add(command: Command, path: &str, entries: &'static [Entry]) -> Command {
    entries.iter().filter(|entry| !entry.hidden).fold(command, |command, entry| {
        let path = format!("{path} {}", entry.name);
        let sub = grammar::base(Command::new(entry.name)).about(entry.about()).visible_aliases(entry.aliases);
        let sub = match entry.node {
            Node::Verb(verb) => plain(verb.grammar(sub)).override_usage(format!("{path} {}", verb.usage())),
            Node::Group(group) => add(sub.override_usage(format!("{path} COMMAND")), &path, group.entries),
        };
        command.subcommand(sub)
    })
}

/// Switches as flags without value, as people write them.
fn plain(command: Command) -> Command {
    command.mut_args(|argument| {
        if grammar::is_switch(&argument) {
            argument.action(ArgAction::SetTrue).num_args(0).require_equals(false).hide_possible_values(false)
        } else {
            argument
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound_and_every_entry_is_found_by_its_names() {
        whole().debug_assert();
        for entry in TOP {
            assert!(super::super::find(TOP, entry.name).is_some());
            assert!(!entry.about().is_empty() && !entry.about().ends_with('.'), "{}", entry.name);
        }
    }
}
