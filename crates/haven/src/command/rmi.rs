//! `haven rmi`: removes images, or one of their names.

use super::reference::image_segment;
use super::{Context, Verb};
use crate::console;
use crate::ending::{self, Done};
use crate::grammar;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::Kind;

pub(crate) struct Rmi;

impl Verb for Rmi {
    fn about(&self) -> &'static str {
        "Remove one or more images"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] IMAGE [IMAGE...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("force", "Force removal of the image").short('f'),
            grammar::switch("no-prune", "Do not delete untagged parents"),
            grammar::operands("IMAGE"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let force = grammar::on(matches, "force");
        let query = Query::new().flag("force", force).flag("noprune", grammar::on(matches, "no-prune"));
        ending::each(&grammar::texts(matches, "IMAGE"), |name| {
            let target = format!("/images/{}{}", image_segment(name)?, query.as_str());
            let answer = match context.daemon.ask(Request::delete(target)) {
                Err(failure) if force && failure.kind() == Kind::NotFound => {
                    ending::report(&failure);
                    return Ok(());
                }
                answer => answer?,
            };
            let mut text = String::new();
            for item in answer.items() {
                match item.at("Deleted").as_str() {
                    "" => text.push_str(&format!("Untagged: {}\n", item.at("Untagged").as_str())),
                    deleted => text.push_str(&format!("Deleted: {deleted}\n")),
                }
            }
            console::print(&text)
        })
    }
}
