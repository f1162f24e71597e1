//! `haven commit`: an image from a container's changes.

use super::reference::split;
use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Commit;

impl Verb for Commit {
    fn about(&self) -> &'static str {
        "Create a new image from a container's changes"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value(
                "author",
                "string",
                "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
            )
            .short('a'),
            grammar::values("change", "list", "Apply Dockerfile instruction to the created image").short('c'),
            grammar::value("message", "string", "Commit message").short('m'),
            grammar::switch("pause", "Pause container during commit (default true)").short('p'),
            grammar::operand("CONTAINER"),
            grammar::optional_operand("REPOSITORY"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let (repository, tag) = match grammar::text(matches, "REPOSITORY") {
            Some(reference) => split(reference)?,
            None => Default::default(),
        };
        let pause = !grammar::given(matches, "pause") || grammar::on(matches, "pause");
        let mut query = Query::new()
            .set("container", grammar::text_or_empty(matches, "CONTAINER"))
            .optional("repo", (!repository.is_empty()).then_some(&repository))
            .optional("tag", (!tag.is_empty()).then_some(&tag))
            .optional("author", grammar::text(matches, "author"))
            .optional("comment", grammar::text(matches, "message"));
        for change in grammar::texts(matches, "change") {
            query = query.set("changes", &change);
        }
        if !pause {
            query = query.set("pause", "0");
        }
        let answer = context.daemon.ask(Request::post(format!("/commit{}", query.as_str())))?;
        console::line(answer.at("Id").as_str())?;
        Ok(Status::FINE)
    }
}
