//! `haven rm`: removes containers.

use super::bulk::{self, Missing};
use super::{Context, Verb};
use crate::daemon::segment;
use crate::ending::Done;
use crate::grammar;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::Kind;

pub(crate) struct Rm;

impl Verb for Rm {
    fn about(&self) -> &'static str {
        "Remove one or more containers"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER [CONTAINER...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("force", "Force the removal of a running container (uses SIGKILL)").short('f'),
            grammar::switch("link", "Remove the specified link").short('l'),
            grammar::switch("volumes", "Remove anonymous volumes associated with the container").short('v'),
            grammar::operands("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let force = grammar::on(matches, "force");
        let query = Query::new()
            .flag("v", grammar::on(matches, "volumes"))
            .flag("link", grammar::on(matches, "link"))
            .flag("force", force);
        let missing = if force { Missing::IsSaid } else { Missing::Fails };
        bulk::each(context, &grammar::texts(matches, "CONTAINER"), missing, |daemon, name| {
            // A leading slash is how the API shows names.
            let bare = segment(name.trim_start_matches('/'), "container")?;
            daemon.tell(Request::delete(format!("/containers/{bare}{}", query.as_str()))).map_err(|failure| {
                let runs = failure.kind() == Kind::Conflict && failure.advice().is_none();
                if runs { failure.hint(format!("haven stop {name}, or haven rm -f {name}")) } else { failure }
            })
        })
    }
}
