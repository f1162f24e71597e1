//! How flags are declared and read: thin helpers over clap, with the habits people know from Docker's command line
//! (`--flag=false`, the last value wins, any text can be a value).

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::any::Any;

/// A flag without value: `--all`, also `--all=false`.
pub(crate) fn switch(long: &'static str, help: &'static str) -> Arg {
    Arg::new(long)
        .long(long)
        .help(help)
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .hide_possible_values(true)
        .value_parser(ValueParser::from(truth))
}

/// A flag with one value; the last one given counts.
pub(crate) fn value(long: &'static str, kind: &'static str, help: &'static str) -> Arg {
    Arg::new(long)
        .long(long)
        .help(help)
        .value_name(kind)
        .action(ArgAction::Set)
        .num_args(1)
        .allow_hyphen_values(true)
}

/// A flag with one value that can be given several times.
pub(crate) fn values(long: &'static str, kind: &'static str, help: &'static str) -> Arg {
    value(long, kind, help).action(ArgAction::Append)
}

/// `--format`, as every listing has it.
pub(crate) fn format() -> Arg {
    value("format", "string", "Format output: `table`, `json`, `table TEMPLATE` or a Go template").short('f')
}

/// `--filter`, as every listing has it.
pub(crate) fn filter() -> Arg {
    values("filter", "filter", "Show only what matches, like `name=web` or `label=a=b`")
        .short('f')
        .value_parser(ValueParser::from(crate::option::filter::check))
}

/// One operand.
pub(crate) fn operand(name: &'static str) -> Arg {
    Arg::new(name).required(true).value_name(name).num_args(1)
}

/// One operand that can be left out.
pub(crate) fn optional_operand(name: &'static str) -> Arg {
    operand(name).required(false)
}

/// One operand or more.
pub(crate) fn operands(name: &'static str) -> Arg {
    operand(name).num_args(1..).action(ArgAction::Append)
}

/// Any number of operands.
pub(crate) fn optional_operands(name: &'static str) -> Arg {
    operands(name).required(false).num_args(0..)
}

/// Everything from the first operand on, flags of what comes after it included.
pub(crate) fn trailing(name: &'static str) -> Arg {
    operands(name).trailing_var_arg(true)
}

fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("`{other}` is neither true nor false")),
    }
}

/// Whether a switch is on.
pub(crate) fn on(matches: &ArgMatches, name: &str) -> bool {
    matches.get_one::<bool>(name).copied().unwrap_or(false)
}

/// Whether a flag was given at all.
pub(crate) fn given(matches: &ArgMatches, name: &str) -> bool {
    matches.contains_id(name)
}

/// A flag's or operand's text.
pub(crate) fn text<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// A flag's text, empty when it was not given.
pub(crate) fn text_or_empty<'m>(matches: &'m ArgMatches, name: &str) -> &'m str {
    text(matches, name).unwrap_or_default()
}

/// A flag's value as its parser made it.
pub(crate) fn parsed<T: Any + Clone + Send + Sync>(matches: &ArgMatches, name: &str) -> Option<T> {
    matches.get_one::<T>(name).cloned()
}

/// All values of a repeated flag or operand.
pub(crate) fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).map(|all| all.cloned().collect()).unwrap_or_default()
}

/// All values of a repeated flag as its parser made them.
pub(crate) fn all<T: Any + Clone + Send + Sync>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many::<T>(name).map(|all| all.cloned().collect()).unwrap_or_default()
}

/// What all commands share: our own help flag, the last of repeated flags wins, no abbreviations.
pub(crate) fn base(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args_override_self(true)
        .arg(Arg::new("help").long("help").help("Show this help").action(ArgAction::Help))
}

/// Whether `argument` was made by [`switch`].
pub(crate) fn is_switch(argument: &Arg) -> bool {
    argument.is_require_equals_set()
}
