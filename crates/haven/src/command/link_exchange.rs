//! `haven link import`, `export`: links from other systems' files, and ours in their words.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use serde_json::{Value as Json, json};
use std::io::Read;

/// A longer file is not one that people write.
const FILE_LIMIT_BYTES: u64 = 4 << 20;
/// What is observed at first, when a file is imported that way.
const OBSERVED_S: i64 = 7 * 24 * 3600;

pub(crate) struct Import;

impl Verb for Import {
    fn about(&self) -> &'static str {
        "Propose links from a Compose file or Kubernetes NetworkPolicies"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] FILE|-"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::value("as", "string", "How a Compose file is read: links (default), open or observe"),
                grammar::value("project", "name", "The Compose project, when the file doesn't say"),
                grammar::switch("kubernetes", "The file holds NetworkPolicies (default: if it says so)"),
                grammar::switch("apply", "Add the links, rather than print them"),
                grammar::operand("FILE"),
            ])
            .after_help(
                "Compose lets all services of a network speak to each other on every port; the proposal is what the\n\
                 file says is needed (depends_on, links, expose, x-links).",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let text = read(grammar::text_or_empty(matches, "FILE"))?;
        let kubernetes = grammar::on(matches, "kubernetes") || text.contains("kind: NetworkPolicy");
        let document = json!({
            "Text": text,
            "Form": if kubernetes { "kubernetes" } else { "compose" },
            "Reading": grammar::text_or_empty(matches, "as"),
            "Project": grammar::text_or_empty(matches, "project"),
        });
        let import = context.daemon.ask(Request::post("/haven/v1/links/import").json(&document))?;
        for note in import.at("Notes").items() {
            console::note(&format!("note: {}", note.as_str()));
        }
        let implied = import.at("Implied").number();
        let links = import.at("Links").items();
        if implied > 0 {
            let proposed = links.len();
            console::note(&format!(
                "note: the file lets {implied} directed pairs speak on every port; proposed links: {proposed}"
            ));
        }
        if grammar::on(matches, "apply") { apply(context, &import) } else { show(&import) }
    }
}

fn read(file: &str) -> Outcome<String> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().take(FILE_LIMIT_BYTES).read_to_string(&mut text),
        path => {
            std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT_BYTES).read_to_string(&mut text))
        }
    };
    match read {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::invalid(format!("cannot read `{file}`")).because(error)),
    }
}

fn show(import: &Value) -> Done {
    for link in import.at("Links").items() {
        let [from, to, traffic, reason] =
            ["From", "To", "Traffic", "Reason"].map(|name| link.at(name).as_str());
        let reason = if reason.is_empty() {
            String::new()
        } else {
            format!(" --reason {}", crate::show::quoted(reason))
        };
        console::line(&format!("haven link add {from} {to} {traffic}{reason}"))?;
    }
    for network in import.at("OpenNetworks").items() {
        console::line(&format!("haven network create --open --outbound {}", network.as_str()))?;
    }
    for who in import.at("Observe").items() {
        console::line(&format!("haven observe {} --for 7d", who.as_str()))?;
    }
    Ok(Status::FINE)
}

fn apply(context: &Context, import: &Value) -> Done {
    if !import.at("OpenNetworks").items().is_empty() {
        return Err(Failure::unsupported("networks are opened when they are made")
            .hint("leave --apply out, and make them with the commands that are printed")
            .into());
    }
    let text = |link: &Value, name: &str| link.at(name).as_str().to_owned();
    let links = import.at("Links").items().iter().map(|link| {
        json!({ "From": text(link, "From"), "To": text(link, "To"), "Traffic": text(link, "Traffic"), "Reason": text(link, "Reason") })
    });
    let links: Vec<Json> = links.collect();
    if !links.is_empty() {
        let added =
            context.daemon.ask(Request::post("/haven/v1/links/batch").json(&json!({ "Links": links })))?;
        for link in added.items() {
            console::line(&link.at("Id").shown())?;
        }
    }
    for who in import.at("Observe").items() {
        let document = json!({ "Who": who.as_str(), "Seconds": OBSERVED_S });
        let answer = context.daemon.ask(Request::post("/haven/v1/observations").json(&document))?;
        console::line(answer.at("Who").as_str())?;
    }
    Ok(Status::FINE)
}

pub(crate) struct Export;

impl Verb for Export {
    fn about(&self) -> &'static str {
        "Print everything declared as Kubernetes NetworkPolicies"
    }

    fn usage(&self) -> &'static str {
        "--kubernetes [OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("kubernetes", "As NetworkPolicies, the one form there is"),
            grammar::value("namespace", "name", "The namespace they are for (default \"default\")"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        if !grammar::on(matches, "kubernetes") {
            return Err(Failure::invalid("it is not said in which form")
                .hint("haven link export --kubernetes")
                .into());
        }
        let query = Query::new().optional("Namespace", grammar::text(matches, "namespace"));
        let export = context.daemon.ask(Request::get(format!("/haven/v1/links/export{}", query.as_str())))?;
        for note in export.at("Notes").items() {
            console::note(&format!("note: {}", note.as_str()));
        }
        console::print(export.at("Text").as_str())?;
        Ok(Status::FINE)
    }
}
