//! `haven rename`.

use super::{Context, Verb};
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Rename;

impl Verb for Rename {
    fn about(&self) -> &'static str {
        "Rename a container"
    }

    fn usage(&self) -> &'static str {
        "CONTAINER NEW_NAME"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([grammar::operand("CONTAINER"), grammar::operand("NEW_NAME")])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let name = segment(grammar::text_or_empty(matches, "CONTAINER"), "container")?;
        let new = grammar::text_or_empty(matches, "NEW_NAME").trim();
        if new.is_empty() {
            return Err(Failure::invalid("neither old nor new names may be empty").into());
        }
        let query = Query::new().set("name", new);
        context.daemon.tell(Request::post(format!("/containers/{name}/rename{}", query.as_str())))?;
        Ok(Status::FINE)
    }
}
