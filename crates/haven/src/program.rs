//! From the arguments to a command and its exit status.
//!
//! The tree of commands is walked word by word, and only the grammar of the command at its end is built: starting
//! costs the same however many commands there are.

use crate::command::{self, Context, Entry, Node, Verb};
use crate::console;
use crate::daemon::{Daemon, Endpoint};
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::help;
use crate::suggestion;
use crate::wire::escape;
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use haven_spec::Failure;
use std::error::Error as _;
use std::ffi::OsString;

/// Runs the command line in `arguments` (without the program's name) and returns the exit status.
pub(crate) fn main(arguments: Vec<OsString>) -> u8 {
    match dispatch(arguments) {
        Ok(Status(status)) => status,
        Err(refusal) => refusal.report(),
    }
}

fn dispatch(arguments: Vec<OsString>) -> Done {
    let mut words = Vec::with_capacity(arguments.len());
    for argument in arguments {
        words.push(argument.into_string().map_err(|argument| {
            let failure =
                Failure::invalid(format!("the argument `{}` is not UTF-8", argument.to_string_lossy()));
            Refusal::new(Status::REFUSED, failure)
        })?);
    }
    let command = root();
    let matches = match command.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if asks_for_help(&error) => {
            console::print(&help::of_program(&command, command::TOP, help::width()))?;
            return Ok(Status::FINE);
        }
        Err(error) => return Err(refused("haven", &error)),
    };
    if grammar::on(&matches, "version") {
        console::line(&format!("Haven version {}", env!("CARGO_PKG_VERSION")))?;
        return Ok(Status::FINE);
    }
    let Some((word, rest)) = matches.subcommand() else {
        console::print(&help::of_program(&command, command::TOP, help::width()))?;
        return Ok(Status::FINE);
    };
    let rest: Vec<String> = rest
        .get_many::<OsString>("")
        .into_iter()
        .flatten()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (word, rest) = match (word, rest.split_first()) {
        ("help", None) => {
            console::print(&help::of_program(&command, command::TOP, help::width()))?;
            return Ok(Status::FINE);
        }
        // `haven help ps` is `haven ps --help`.
        ("help", Some((first, others))) => {
            (first.as_str(), others.iter().cloned().chain(["--help".to_owned()]).collect())
        }
        (word, _) => (word, rest.clone()),
    };
    let environment = std::env::var("HAVEN_HOST").ok();
    let endpoint = Endpoint::choose(grammar::text(&matches, "host"), environment.as_deref())?;
    let mut daemon = Daemon::new(endpoint);
    if let Some(reason) = grammar::text(&matches, "reason") {
        daemon = daemon.saying("X-Haven-Reason", escape(reason));
    }
    if grammar::on(&matches, "break-glass") {
        daemon = daemon.saying("X-Haven-Break-Glass", "1".to_owned());
    }
    let context = Context { daemon };
    descend(&context, "haven", command::TOP, word, rest)
}

/// The program's own flags.
pub(crate) fn root() -> Command {
    grammar::base(Command::new("haven"))
        .about("Run applications in confined containers")
        .no_binary_name(true)
        .allow_external_subcommands(true)
        .external_subcommand_value_parser(ValueParser::os_string())
        .arg(
            grammar::value(
                "host",
                "address",
                "Daemon socket to connect to (default unix:///run/haven/haven.sock, or HAVEN_HOST)",
            )
            .short('H'),
        )
        .arg(grammar::value(
            "reason",
            "string",
            "Why, for the audit record, where the command has no place for it",
        ))
        .arg(grammar::switch(
            "break-glass",
            "Make the change though policy forbids it; takes a reason and is recorded",
        ))
        .arg(
            Arg::new("version")
                .long("version")
                .short('v')
                .help("Show the version and exit")
                .action(ArgAction::SetTrue),
        )
}

fn descend(context: &Context, path: &str, entries: &'static [Entry], word: &str, rest: Vec<String>) -> Done {
    let Some(entry) = command::find(entries, word) else {
        let names: Vec<&str> = entries.iter().filter(|entry| !entry.hidden).map(|entry| entry.name).collect();
        let hint = match suggestion::nearest(word, &names) {
            Some(near) => format!("{path} {near}"),
            None => format!("{path} --help"),
        };
        return Err(Failure::invalid(format!("there is no command `{path} {word}`")).hint(hint).into());
    };
    let path = format!("{path} {}", entry.name);
    match entry.node {
        Node::Verb(verb) => perform(context, &path, verb, rest),
        Node::Group(group) => match rest.split_first() {
            None => {
                console::print(&help::of_group(&path, group.about, group.entries))?;
                Ok(Status::FINE)
            }
            Some((first, _)) if matches!(first.as_str(), "--help" | "-h" | "help") => {
                console::print(&help::of_group(&path, group.about, group.entries))?;
                Ok(Status::FINE)
            }
            Some((first, _)) if first.starts_with('-') => Err(Refusal::new(
                Status::REFUSED,
                Failure::invalid(format!("unknown flag `{first}`")).hint(format!("{path} --help")),
            )),
            Some((first, rest)) => descend(context, &path, group.entries, first, rest.to_vec()),
        },
    }
}

fn perform(context: &Context, path: &str, verb: &'static dyn Verb, words: Vec<String>) -> Done {
    let command = verb.grammar(grammar::base(Command::new("command")).no_binary_name(true));
    let matches: ArgMatches = match command.clone().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) if asks_for_help(&error) => {
            console::print(&help::of_verb(path, verb.usage(), verb.about(), &command, help::width()))?;
            return Ok(Status::FINE);
        }
        Err(error) => return Err(refused(path, &error)),
    };
    verb.run(context, &matches)
}

/// `--help`, or `-h` where that means nothing else.
fn asks_for_help(error: &clap::Error) -> bool {
    let short =
        matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(flag)) if flag == "-h");
    error.kind() == ErrorKind::DisplayHelp || (error.kind() == ErrorKind::UnknownArgument && short)
}

/// What the parser refused, in our words. Wrong flags end with 125 and wrong operands with 1, as in Docker.
fn refused(path: &str, error: &clap::Error) -> Refusal {
    let detail = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = detail(ContextKind::InvalidArg);
    let flag =
        argument.split_whitespace().next().unwrap_or_default().split(['=', '[']).next().unwrap_or_default();
    let help = format!("{path} --help");
    let (status, failure) = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') && argument.len() > 1 => {
            let failure = Failure::invalid(format!("unknown flag `{argument}`"));
            let hint = match error.get(ContextKind::SuggestedArg) {
                Some(ContextValue::String(near)) => near.clone(),
                _ => help,
            };
            (Status::REFUSED, failure.hint(hint))
        }
        ErrorKind::UnknownArgument => {
            (Status::FAILED, Failure::invalid(format!("`{path}` takes no argument `{argument}`")).hint(help))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = argument.replace(['<', '>', '[', ']'], "").replace("...", "");
            let mut words: Vec<&str> = Vec::new();
            for word in missing.split_whitespace() {
                if !words.contains(&word) {
                    words.push(word);
                }
            }
            (Status::FAILED, Failure::invalid(format!("`{path}` needs {}", words.join(" "))).hint(help))
        }
        ErrorKind::InvalidValue | ErrorKind::NoEquals if detail(ContextKind::InvalidValue).is_empty() => {
            (Status::REFUSED, Failure::invalid(format!("the flag `{flag}` needs a value")).hint(help))
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let value = detail(ContextKind::InvalidValue);
            let failure = Failure::invalid(format!("`{value}` is not a valid value for `{flag}`"));
            let failure = match error.source() {
                Some(reason) => failure.because(reason.to_string()),
                None => failure,
            };
            (Status::REFUSED, failure.hint(help))
        }
        _ => (Status::REFUSED, Failure::invalid(error.to_string().trim().replace("error: ", "")).hint(help)),
    };
    Refusal::new(status, failure)
}
