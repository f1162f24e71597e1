//! `haven logs`: what a container has printed.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::option::instant;
use crate::stream::{CopyError, copy_frames, copy_raw};
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use jiff::Timestamp;

pub(crate) struct Logs;

impl Verb for Logs {
    fn about(&self) -> &'static str {
        "Fetch the logs of a container"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("details", "Show extra details provided to logs"),
            grammar::switch("follow", "Follow log output").short('f'),
            grammar::value("since", "string", "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"),
            grammar::value("tail", "string", "Number of lines to show from the end of the logs (default \"all\")").short('n'),
            grammar::switch("timestamps", "Show timestamps").short('t'),
            grammar::value("until", "string", "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"),
            grammar::operand("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let since = moment(matches, "since")?;
        let until = moment(matches, "until")?;
        let name = segment(grammar::text_or_empty(matches, "CONTAINER"), "container")?;
        let container = context.daemon.ask(Request::get(format!("/containers/{name}/json")))?;
        let id = container.at("Id").as_str();
        let query = Query::new()
            .set("stdout", "1")
            .set("stderr", "1")
            .flag("follow", grammar::on(matches, "follow"))
            .flag("timestamps", grammar::on(matches, "timestamps"))
            .flag("details", grammar::on(matches, "details"))
            .optional("since", since.as_deref())
            .optional("until", until.as_deref())
            .set("tail", grammar::text(matches, "tail").unwrap_or("all"));
        let answer = context.daemon.open(Request::get(format!("/containers/{id}/logs{}", query.as_str())))?;
        let mut body = answer.body;
        let copied = if container.path(&["Config", "Tty"]).is_true() {
            copy_raw(&mut body, &mut console::Output)
        } else {
            copy_frames(&mut body, &mut console::Output, &mut console::Errors)
        };
        match copied {
            Ok(()) => Ok(Status::FINE),
            Err(CopyError::Sink(error)) => Err(Refusal::output(error)),
            Err(CopyError::Source(error)) => Err(Failure::host("the log broke off").because(error).into()),
            Err(CopyError::Reported(message)) => {
                Err(Failure::host("the log cannot be read").because(message).into())
            }
        }
    }
}

/// The API's time for a flag, if it was given.
pub(super) fn moment(matches: &ArgMatches, flag: &str) -> Outcome<Option<String>> {
    match grammar::text(matches, flag) {
        None | Some("") => Ok(None),
        Some(text) => instant::parse(text, Timestamp::now())
            .map(Some)
            .map_err(|reason| Failure::invalid(format!("invalid value for \"{flag}\"")).because(reason)),
    }
}
