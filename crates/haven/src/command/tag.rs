//! `haven tag`: another name for an image.

use super::reference::{image_segment, split};
use super::{Context, Verb};
use crate::ending::{Done, Status};
use crate::grammar;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Tag;

impl Verb for Tag {
    fn about(&self) -> &'static str {
        "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"
    }

    fn usage(&self) -> &'static str {
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([grammar::operand("SOURCE_IMAGE"), grammar::operand("TARGET_IMAGE")])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let source = image_segment(grammar::text_or_empty(matches, "SOURCE_IMAGE"))?;
        let (repository, tag) = split(grammar::text_or_empty(matches, "TARGET_IMAGE"))?;
        let query = Query::new().set("repo", &repository).set("tag", &tag);
        context.daemon.tell(Request::post(format!("/images/{source}/tag{}", query.as_str())))?;
        Ok(Status::FINE)
    }
}
