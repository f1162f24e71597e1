//! `haven save`: images as an archive that `load` reads.

use super::{Context, Verb, archive_file};
use crate::ending::Done;
use crate::grammar;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Save;

impl Verb for Save {
    fn about(&self) -> &'static str {
        "Save one or more images to a tar archive (streamed to STDOUT by default)"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] IMAGE [IMAGE...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value("output", "string", "Write to a file, instead of STDOUT").short('o'),
            grammar::operands("IMAGE"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let output = grammar::text(matches, "output");
        archive_file::check_output(output)?;
        let query = grammar::texts(matches, "IMAGE")
            .iter()
            .fold(Query::new(), |query, name| query.set("names", name));
        let answer = context.daemon.open(Request::get(format!("/images/get{}", query.as_str())))?;
        archive_file::save(answer, output, "saving")
    }
}
