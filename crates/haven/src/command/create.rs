//! `haven create`: a container that is not started yet.

use super::{Context, Verb, creation};
use crate::console;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::option::container::{self, Wish};
use clap::{ArgMatches, Command};

pub(crate) struct Create;

impl Verb for Create {
    fn about(&self) -> &'static str {
        "Create a new container"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] IMAGE [COMMAND] [ARG...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args(container::flags()).arg(grammar::trailing("IMAGE"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let wish = Wish::read(matches, &grammar::texts(matches, "IMAGE"))
            .map_err(|failure| Refusal::new(Status::REFUSED, failure))?;
        // Docker's `create` keeps 125 for what it can't read; what the daemon refuses is an ordinary failure.
        let id = creation::create(context, &wish).map_err(|refusal| refusal.ending(Status::FAILED))?;
        console::line(&id)?;
        Ok(Status::FINE)
    }
}
