//! `haven wait`: blocks until containers stop and prints how they ended.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{self, Done};
use crate::grammar;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Wait;

impl Verb for Wait {
    fn about(&self) -> &'static str {
        "Block until one or more containers stop, then print their exit codes"
    }

    fn usage(&self) -> &'static str {
        "CONTAINER [CONTAINER...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::operands("CONTAINER"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        ending::each(&grammar::texts(matches, "CONTAINER"), |name| {
            let name = segment(name, "container")?;
            let ended = context.daemon.ask(Request::post(format!("/containers/{name}/wait")))?;
            let message = ended.path(&["Error", "Message"]).as_str();
            if !message.is_empty() {
                return Err(Failure::host(message).into());
            }
            console::line(&ended.at("StatusCode").number().to_string())
        })
    }
}
