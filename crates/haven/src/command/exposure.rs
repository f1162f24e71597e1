//! `haven exposure`: who can reach what, by which path, and what a change would open or close.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use serde_json::{Value as Json, json};

pub(crate) struct Exposure;

impl Verb for Exposure {
    fn about(&self) -> &'static str {
        "Show who can reach what, and what a change would open"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] [NAME]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::value("from", "name", "What can be reached from there; with NAME: the path"),
                grammar::values("diff", "change", "What a change would open and close: 'add FROM TO TRAFFIC' or 'rm LINK'"),
                grammar::switch("choke-points", "What would have to be cut to conceal the most from the outside"),
                grammar::switch("json", "Print the answer as JSON"),
                grammar::optional_operand("NAME"),
            ])
            .after_help(
                "NAME is a container, an application, network:NAME, @host, @outside, internet, or a range of addresses.\n\
                 `directly` is exact: who may open a connection. `by way of others` is an upper bound: who could get there if\n\
                 everything on the way were taken over.\n\n  \
                 haven exposure db\n  \
                 haven exposure --from internet\n  \
                 haven exposure --diff 'add web db 5432/tcp' --diff 'rm 7'",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let (name, from) = (grammar::text(matches, "NAME"), grammar::text(matches, "from"));
        let changes = grammar::texts(matches, "diff");
        let request = if !changes.is_empty() {
            Request::post("/haven/v1/exposure/diff").json(&planned(&changes)?)
        } else if grammar::on(matches, "choke-points") {
            Request::get("/haven/v1/exposure/chokes")
        } else if name.is_none() && from.is_none() {
            return Err(Failure::invalid("nobody is asked about")
                .hint("haven exposure NAME, or haven exposure --from internet")
                .into());
        } else {
            let query = Query::new().optional("Of", name).optional("From", from);
            Request::get(format!("/haven/v1/exposure{}", query.as_str()))
        };
        let answer = context.daemon.ask(request)?;
        if grammar::on(matches, "json") {
            console::line(&answer.json())?;
        } else if !changes.is_empty() {
            difference(&answer)?;
        } else if grammar::on(matches, "choke-points") {
            for point in answer.items() {
                let what = point.at("Somebody").as_str().to_owned() + point.at("Way").as_str();
                console::line(&format!("{what}: conceals {}", point.at("Conceals").shown()))?;
            }
        } else {
            reachable(&answer)?;
        }
        Ok(Status::FINE)
    }
}

/// The body of a planned change.
fn planned(changes: &[String]) -> Outcome<Json> {
    let mut added = Vec::new();
    let mut removed = Vec::new();
    for change in changes {
        let words: Vec<&str> = change.split_whitespace().collect();
        match words[..] {
            ["add", from, to] => added.push(json!({ "From": from, "To": to, "Traffic": "any" })),
            ["add", from, to, traffic] => added.push(json!({ "From": from, "To": to, "Traffic": traffic })),
            ["rm" | "remove", link] => removed.push(link),
            _ => {
                return Err(Failure::invalid(format!("`{change}` is no change to plan"))
                    .hint("'add FROM TO TRAFFIC' or 'rm LINK'"));
            }
        }
    }
    Ok(json!({ "Add": added, "Remove": removed }))
}

fn reachable(answer: &Value) -> Result<(), Refusal> {
    for (name, words) in [("Direct", "directly"), ("Beyond", "by way of others")] {
        let found = answer.at(name).items();
        if found.is_empty() {
            continue;
        }
        console::line(&format!("{words}:"))?;
        for found in found {
            console::line(&format!("  {}", found.at("Name").as_str()))?;
            for step in found.at("Path").items() {
                let [from, to, by] = ["From", "To", "By"].map(|member| step.at(member).as_str());
                console::line(&format!("    {from} → {to} by {by}"))?;
            }
        }
    }
    if answer.at("Direct").items().is_empty() && answer.at("Beyond").items().is_empty() {
        console::line("nobody")?;
    }
    Ok(())
}

fn difference(answer: &Value) -> Result<(), Refusal> {
    let names = |value: &Value| {
        value.items().iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(", ")
    };
    for (name, sign) in [("Opens", '+'), ("Closes", '-')] {
        for change in answer.at(name).items() {
            let [from, to, by] = ["From", "To", "By"].map(|member| change.at(member).as_str());
            console::line(&format!("{sign} {from} → {to} by {by}"))?;
        }
    }
    for (name, words) in [
        ("DirectlyExposed", "can then be connected to from outside"),
        ("DirectlyConcealed", "can no longer be connected to from outside"),
        ("Exposed", "can then be got at from outside, by way of others too"),
        ("Concealed", "can no longer be got at from outside"),
    ] {
        if !answer.at(name).items().is_empty() {
            console::line(&format!("{words}: {}", names(answer.at(name))))?;
        }
    }
    for (name, more, less) in [
        ("Reach", "then reaches", "no longer reaches"),
        ("ReachedBy", "is then reached by", "is no longer reached by"),
    ] {
        for gain in answer.at(name).items() {
            for (member, words) in [("More", more), ("Less", less)] {
                if !gain.at(member).items().is_empty() {
                    console::line(&format!(
                        "{} {words}: {}",
                        gain.at("Who").as_str(),
                        names(gain.at(member))
                    ))?;
                }
            }
        }
    }
    Ok(())
}
