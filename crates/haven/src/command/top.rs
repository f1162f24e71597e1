//! `haven top`: the processes of a container.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::show;
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Top;

/// Narrowest column of this table, padding included.
const NARROWEST: usize = 20;

impl Verb for Top {
    fn about(&self) -> &'static str {
        "Display the running processes of a container"
    }

    fn usage(&self) -> &'static str {
        "CONTAINER [ps OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::trailing("CONTAINER"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let words = grammar::texts(matches, "CONTAINER");
        let (name, options) = words.split_first().map_or(("", &[][..]), |(name, rest)| (name.as_str(), rest));
        let arguments = options.join(" ");
        let query = Query::new().optional("ps_args", (!arguments.is_empty()).then_some(&arguments));
        let name = segment(name, "container")?;
        let table = context.daemon.ask(Request::get(format!("/containers/{name}/top{}", query.as_str())))?;
        let joined = |cells: &[Value]| cells.iter().map(Value::as_str).collect::<Vec<_>>().join("\t");
        let mut text = joined(table.at("Titles").items()) + "\n";
        for process in table.at("Processes").items() {
            text.push_str(&joined(process.items()));
            text.push('\n');
        }
        console::print(&show::aligned(&text, NARROWEST))?;
        Ok(Status::FINE)
    }
}
