//! `haven export`: a container's files as a tar archive.

use super::{Context, Verb, archive_file};
use crate::daemon::segment;
use crate::ending::Done;
use crate::grammar;
use crate::wire::Request;
use clap::{ArgMatches, Command};

pub(crate) struct Export;

impl Verb for Export {
    fn about(&self) -> &'static str {
        "Export a container's filesystem as a tar archive"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value("output", "string", "Write to a file, instead of STDOUT").short('o'),
            grammar::operand("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let output = grammar::text(matches, "output");
        archive_file::check_output(output)?;
        let name = segment(grammar::text_or_empty(matches, "CONTAINER"), "container")?;
        let answer = context.daemon.open(Request::get(format!("/containers/{name}/export")))?;
        archive_file::save(answer, output, "exporting")
    }
}
