//! `haven diff`: what a container changed of its image's files.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::wire::Request;
use clap::{ArgMatches, Command};

pub(crate) struct Diff;

impl Verb for Diff {
    fn about(&self) -> &'static str {
        "Inspect changes to files or directories on a container's filesystem"
    }

    fn usage(&self) -> &'static str {
        "CONTAINER"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::operand("CONTAINER"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let name = segment(grammar::text_or_empty(matches, "CONTAINER"), "container")?;
        let changes = context.daemon.ask(Request::get(format!("/containers/{name}/changes")))?;
        let mut text = String::new();
        for change in changes.items() {
            let letter = match change.at("Kind").number() {
                0 => 'C',
                1 => 'A',
                _ => 'D',
            };
            text.push_str(&format!("{letter} {}\n", change.at("Path").as_str()));
        }
        console::print(&text)?;
        Ok(Status::FINE)
    }
}
