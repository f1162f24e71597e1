//! `haven load`: images from an archive.

use super::{Context, Verb, archive_file};
use crate::console;
use crate::daemon::JsonStream;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::progress;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Load;

impl Verb for Load {
    fn about(&self) -> &'static str {
        "Load an image from a tar archive or STDIN"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value("input", "string", "Read from tar archive file, instead of STDIN").short('i'),
            grammar::switch("quiet", "Suppress the load output").short('q'),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let input = grammar::text(matches, "input");
        if input.is_none() && console::in_is_terminal() {
            return Err(Failure::invalid("requested load from stdin, but stdin is empty")
                .hint("haven load -i ARCHIVE.tar")
                .into());
        }
        let quiet = grammar::on(matches, "quiet") || !console::err_is_terminal();
        let source = archive_file::source(input, "loading", quiet)?;
        let query = Query::new().set("quiet", if quiet { "1" } else { "0" });
        let answer =
            context.daemon.open(Request::post(format!("/images/load{}", query.as_str())).stream(source))?;
        progress::follow(JsonStream::new(answer), quiet)?;
        Ok(Status::FINE)
    }
}
