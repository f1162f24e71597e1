//! `haven events`: what happens, as it happens.

use super::{Context, Verb, logs};
use crate::console;
use crate::daemon::JsonStream;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::filter;
use crate::show;
use crate::template::{Template, Value};
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Events;

impl Verb for Events {
    fn about(&self) -> &'static str {
        "Get real time events from the server"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::filter(),
            grammar::value(
                "format",
                "string",
                "Format output using a custom template: 'json' or a Go template",
            ),
            grammar::value("since", "string", "Show all events created since timestamp"),
            grammar::value("until", "string", "Stream events until this timestamp"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let template = match grammar::text_or_empty(matches, "format") {
            "" => None,
            "json" => Some(Template::parse("{{json .}}")?),
            text => Some(Template::parse(text)?),
        };
        let (since, until) = (logs::moment(matches, "since")?, logs::moment(matches, "until")?);
        let filters = filter::parameter(&grammar::texts(matches, "filter"))?;
        let query = Query::new()
            .optional("since", since.as_deref())
            .optional("until", until.as_deref())
            .optional("filters", filters.as_deref());
        let answer = context.daemon.open(Request::get(format!("/events{}", query.as_str())))?;
        let mut stream = JsonStream::new(answer);
        while let Some(event) = stream.next() {
            let event = event?;
            match &template {
                Some(template) => console::line(&template.render(&event)?)?,
                None => console::line(&described(&event))?,
            }
        }
        Ok(Status::FINE)
    }
}

/// `2026-11-22T02:12:58.528942038Z container start ID (image=bb, name=web)`
fn described(event: &Value) -> String {
    let actor = event.at("Actor");
    let mut text = String::new();
    let nanoseconds = event.at("timeNano").number();
    if nanoseconds != 0 {
        text.push_str(&show::rfc3339_nano(nanoseconds));
        text.push(' ');
    }
    text.push_str(&format!(
        "{} {} {}",
        event.at("Type").as_str(),
        event.at("Action").as_str(),
        actor.at("ID").as_str()
    ));
    let mut attributes: Vec<String> = actor
        .at("Attributes")
        .entries()
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_str()))
        .collect();
    attributes.sort();
    if !attributes.is_empty() {
        text.push_str(&format!(" ({})", attributes.join(", ")));
    }
    text
}
