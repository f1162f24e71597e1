//! Help texts, laid out as users of container command lines know them, from the same declarations that parse.

use crate::command::{Entry, Node};
use crate::console;
use crate::grammar;
use clap::{Arg, Command};

/// Help is wrapped to the terminal, within these bounds.
const NARROWEST: usize = 60;
const WIDEST: usize = 110;
const DEFAULT_WIDTH: usize = 100;

/// How wide help is here.
pub(crate) fn width() -> usize {
    console::columns().unwrap_or(DEFAULT_WIDTH).clamp(NARROWEST, WIDEST)
}

/// The help of one command; `path` is how it was called.
pub(crate) fn of_verb(path: &str, usage: &str, about: &str, command: &Command, width: usize) -> String {
    let mut text = format!("Usage:  {path} {usage}\n\n{about}\n").replace(" \n", "\n");
    if let Some(more) = command.get_after_help() {
        text.push_str(&format!("\n{more}\n"));
    }
    let flags: Vec<&Arg> =
        command.get_arguments().filter(|flag| !flag.is_positional() && !flag.is_hide_set()).collect();
    if !flags.is_empty() {
        text.push_str("\nOptions:\n");
        text.push_str(&flag_lines(flags, width));
    }
    text
}

/// The help of a group of commands.
pub(crate) fn of_group(path: &str, about: &str, entries: &[Entry]) -> String {
    let mut text = format!("Usage:  {path} COMMAND\n\n{about}\n\nCommands:\n");
    text.push_str(&entry_lines(entries.iter().filter(|entry| !entry.hidden)));
    text.push_str(&format!("\nRun '{path} COMMAND --help' for more information on a command.\n"));
    text
}

/// The help of the whole program.
pub(crate) fn of_program(command: &Command, entries: &[Entry], width: usize) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("Usage:  haven [OPTIONS] COMMAND\n\n{about}\n");
    let visible = || entries.iter().filter(|entry| !entry.hidden);
    for (title, wanted) in [
        ("Common Commands", (true, false)),
        ("Management Commands", (false, true)),
        ("Commands", (false, false)),
    ] {
        text.push_str(&format!("\n{title}:\n"));
        text.push_str(&entry_lines(
            visible().filter(|entry| (entry.common, matches!(entry.node, Node::Group(_))) == wanted),
        ));
    }
    let flags: Vec<&Arg> = command.get_arguments().filter(|flag| !flag.is_positional()).collect();
    text.push_str("\nGlobal Options:\n");
    text.push_str(&flag_lines(flags, width));
    text.push_str("\nRun 'haven COMMAND --help' for more information on a command.\n");
    text
}

fn entry_lines<'a>(entries: impl Iterator<Item = &'a Entry>) -> String {
    entries.map(|entry| format!("  {:<11} {}\n", entry.name, entry.about())).collect()
}

fn flag_lines(mut flags: Vec<&Arg>, width: usize) -> String {
    flags.sort_by_key(|flag| flag.get_long().unwrap_or_default().to_owned());
    let heads: Vec<String> = flags.iter().map(|flag| flag_head(flag)).collect();
    let column = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for (flag, head) in flags.iter().zip(&heads) {
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let lines = wrapped(&help, width.saturating_sub(column).max(20));
        for (index, line) in lines.iter().enumerate() {
            let left = if index == 0 { head.as_str() } else { "" };
            text.push_str(format!("{left:<column$}{line}").trim_end());
            text.push('\n');
        }
    }
    text
}

fn flag_head(flag: &Arg) -> String {
    let short = flag.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let long = flag.get_long().unwrap_or_default();
    let kind = match flag.get_value_names() {
        Some(names) if !grammar::is_switch(flag) && flag.get_action().takes_values() => {
            format!(" {}", names.first().map(ToString::to_string).unwrap_or_default())
        }
        _ => String::new(),
    };
    format!("  {short}--{long}{kind}")
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let used = lines[last].chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if used > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;
    use crate::program;

    fn add(text: &mut String, path: &str, entries: &'static [Entry]) {
        for entry in entries {
            let path = format!("{path} {}", entry.name);
            let help = match entry.node {
                Node::Group(group) => of_group(&path, group.about, group.entries),
                Node::Verb(verb) => {
                    let command = verb.grammar(grammar::base(Command::new("command")).no_binary_name(true));
                    command.clone().debug_assert();
                    of_verb(&path, verb.usage(), verb.about(), &command, DEFAULT_WIDTH)
                }
            };
            text.push_str(&format!("\n===== {path}\n{help}"));
            if let Node::Group(group) = entry.node {
                add(text, &path, group.entries);
            }
        }
    }

    /// To accept what changed: `HAVEN_UPDATE_SNAPSHOTS=1 cargo test -p haven help`.
    #[test]
    fn the_whole_help_text_is_as_it_was_reviewed() {
        let mut text = format!("===== haven\n{}", of_program(&program::root(), command::TOP, DEFAULT_WIDTH));
        add(&mut text, "haven", command::TOP);
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help.txt");
        if std::env::var_os("HAVEN_UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let reviewed = std::fs::read_to_string(path).unwrap_or_default();
        let different = text.lines().zip(reviewed.lines()).position(|(now, before)| now != before);
        assert!(
            text == reviewed,
            "the help text changed at line {:?} of tests/help.txt: review it, then set HAVEN_UPDATE_SNAPSHOTS=1",
            different.map(|line| line + 1)
        );
    }
}
