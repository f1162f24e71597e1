//! `haven link add`, `ls`, `show`, `rm`, `test`, `suggest`.

use super::bulk::{self, Missing};
use super::{Context, Verb, denied};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::{expiry, filter};
use crate::show::{self, Listing, Row, row};
use crate::template::{Template, Value};
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use serde_json::{Map, Value as Json, json};

/// What everything beyond the host is called.
const OUTSIDE: &str = "@outside";

pub(crate) struct Add;

impl Verb for Add {
    fn about(&self) -> &'static str {
        "Let one end connect to another"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] FROM TO [TRAFFIC]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::value("to", "cidr", "Addresses beyond the host, when TO is @outside"),
                grammar::value("owner", "string", "Who answers for the link"),
                grammar::value("reason", "string", "What it is for"),
                grammar::value("expires", "time", "When it goes by itself: 30d, 12h, 2027-01-31"),
                grammar::operand("FROM"),
                grammar::operand("TO"),
                grammar::optional_operand("TRAFFIC"),
            ])
            .after_help(
                "FROM and TO are a container, an application (app:NAME, PROJECT/SERVICE) or a network (network:NAME);\n\
                 TO can be @outside or a range of addresses beyond the host (203.0.113.0/24).\n\
                 TRAFFIC is a port (5432/tcp), a range (8000-8010/udp), tcp, udp, sctp, icmp or any; any is the default.\n\n  \
                 haven link add api db 5432/tcp --reason orders --owner ops --expires 30d\n  \
                 haven link add api @outside 443/tcp --to 203.0.113.0/24",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut to = grammar::text_or_empty(matches, "TO").to_owned();
        if let Some(range) = grammar::text(matches, "to") {
            if to != OUTSIDE {
                return Err(Failure::invalid(format!("--to goes with {OUTSIDE} only"))
                    .hint(format!("haven link add FROM {OUTSIDE} 443/tcp --to 203.0.113.0/24"))
                    .into());
            }
            to = range.to_owned();
        }
        let mut document = Map::new();
        document.insert("From".into(), json!(grammar::text_or_empty(matches, "FROM")));
        document.insert("To".into(), json!(to));
        document.insert("Traffic".into(), json!(grammar::text(matches, "TRAFFIC").unwrap_or("any")));
        for (flag, member) in [("owner", "Owner"), ("reason", "Reason")] {
            document.insert(member.into(), json!(grammar::text_or_empty(matches, flag)));
        }
        if let Some(text) = grammar::text(matches, "expires") {
            let at = expiry::parse(text, jiff::Timestamp::now()).map_err(|reason| {
                Failure::invalid(format!("`{text}` is not a valid value for `--expires`")).because(reason)
            })?;
            document.insert("Expires".into(), json!(at));
        }
        let link = context.daemon.ask(Request::post("/haven/v1/links").json(&Json::Object(document)))?;
        console::line(&link.at("Id").shown())?;
        Ok(Status::FINE)
    }
}

static LISTING: Listing = Listing {
    headings: &[
        ("ID", "LINK"),
        ("From", "FROM"),
        ("To", "TO"),
        ("Traffic", "TRAFFIC"),
        ("State", "STATE"),
        ("Packets", "PACKETS"),
        ("Bytes", "BYTES"),
        ("Expires", "EXPIRES"),
        ("Owner", "OWNER"),
        ("Reason", "REASON"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
    ],
    table: "{{.ID}}\t{{.From}}\t{{.To}}\t{{.Traffic}}\t{{.State}}\t{{.Bytes}}\t{{.Expires}}\t{{.Owner}}\t{{.Reason}}",
    quiet: "{{.ID}}",
};

pub(crate) struct Ls;

impl Verb for Ls {
    fn about(&self) -> &'static str {
        "List links, and networks that are open without"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::filter(),
            grammar::format().short(None),
            grammar::switch("quiet", "Only display link numbers").short('q'),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let quiet = grammar::on(matches, "quiet");
        let format = LISTING.format(grammar::text_or_empty(matches, "format"), quiet)?;
        let filters = filter::parameter(&grammar::texts(matches, "filter"))?;
        let query = Query::new().optional("filters", filters.as_deref());
        let answer = context.daemon.ask(Request::get(format!("/haven/v1/links{}", query.as_str())))?;
        let links = answer.items().iter().filter(|link| !(quiet && link.at("Id").is_null()));
        let rows: Vec<Row> = links.map(link_row).collect();
        format.print(&rows)?;
        Ok(Status::FINE)
    }
}

fn link_row(link: &Value) -> Row {
    let text = |name: &str| link.at(name).as_str().to_owned();
    let moment =
        |name: &str| show::parse_rfc3339(link.at(name).as_str()).map(show::local_moment).unwrap_or_default();
    let number = |name: &str| if link.at(name).is_null() { "-".to_owned() } else { link.at(name).shown() };
    row([
        ("ID", number("Id").into()),
        ("From", text("From").into()),
        ("To", text("To").into()),
        ("Traffic", text("Traffic").into()),
        ("State", text("State").into()),
        ("Packets", number("Packets").into()),
        ("Bytes", show::decimal_size(link.at("Bytes").decimal()).into()),
        ("Expires", moment("Expires").into()),
        ("Owner", text("Owner").into()),
        ("Reason", text("Reason").into()),
        ("CreatedAt", moment("Created").into()),
        ("CreatedBy", number("CreatedBy").into()),
    ])
}

pub(crate) struct Show;

impl Verb for Show {
    fn about(&self) -> &'static str {
        "Display detailed information on one or more links"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] LINK [LINK...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value(
                "format",
                "string",
                "Format output using a custom template: 'json' or a Go template",
            )
            .short('f'),
            grammar::operands("LINK"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let template = match grammar::text_or_empty(matches, "format") {
            "" => None,
            "json" => Some(Template::parse("{{json .}}")?),
            text => Some(Template::parse(text)?),
        };
        let links = grammar::texts(matches, "LINK")
            .iter()
            .map(|id| {
                context.daemon.ask_text(Request::get(format!("/haven/v1/links/{}", segment(id, "link")?)))
            })
            .collect::<Outcome<Vec<_>>>()?;
        match template {
            None => console::line(&show::indented(&format!("[{}]", links.join(","))))?,
            Some(template) => {
                for link in &links {
                    let value: Value = serde_json::from_str(link).map_err(|error| {
                        Failure::internal("the daemon's answer is not valid JSON").because(error)
                    })?;
                    console::line(&template.render(&value)?)?;
                }
            }
        }
        Ok(Status::FINE)
    }
}

pub(crate) struct Rm;

impl Verb for Rm {
    fn about(&self) -> &'static str {
        "Remove one or more links, which ends what is connected over them"
    }

    fn usage(&self) -> &'static str {
        "LINK [LINK...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::operands("LINK"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        bulk::each(context, &grammar::texts(matches, "LINK"), Missing::Fails, |daemon, id| {
            daemon.tell(Request::delete(format!("/haven/v1/links/{}", segment(id, "link")?)))
        })
    }
}

pub(crate) struct Test;

impl Verb for Test {
    fn about(&self) -> &'static str {
        "Say whether one end may connect to another, and by which link"
    }

    fn usage(&self) -> &'static str {
        "FROM TO [TRAFFIC]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([grammar::operand("FROM"), grammar::operand("TO"), grammar::optional_operand("TRAFFIC")])
            .after_help(
                "Ends with 0 when it may and with 1 when it may not. TRAFFIC is `any` when it is left out.",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let [from, to] = ["FROM", "TO"].map(|name| grammar::text_or_empty(matches, name));
        let traffic = grammar::text(matches, "TRAFFIC").unwrap_or("any");
        let query = Query::new().set("From", from).set("To", to).set("Traffic", traffic);
        let verdict = context.daemon.ask(Request::get(format!("/haven/v1/links/test{}", query.as_str())))?;
        if !verdict.at("Permitted").is_true() {
            console::line(&format!("denied: no link leads from {from} to {to} for {traffic}"))?;
            return Ok(Status(Status::FAILED));
        }
        let link = verdict.at("Link");
        let name = if link.at("Id").is_null() {
            link.at("Reason").as_str().to_owned()
        } else {
            format!("link {}", link.at("Id").shown())
        };
        let [from, to, traffic] = ["From", "To", "Traffic"].map(|name| link.at(name).as_str());
        console::line(&format!("permitted: {name} ({from} → {to} {traffic})"))?;
        Ok(Status::FINE)
    }
}

pub(crate) struct Suggest;

impl Verb for Suggest {
    fn about(&self) -> &'static str {
        "Print the links that what was denied would need"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::value("from", "name", "Only what this end has tried"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let only = grammar::text(matches, "from");
        let mut lines: Vec<String> = Vec::new();
        for attempt in denied::attempts(context)?.items() {
            let suggestion = attempt.at("Suggestion").as_str();
            let line = format!("haven link add {suggestion}");
            let wanted = only.is_none_or(|from| attempt.at("From").as_str() == from);
            if !suggestion.is_empty() && wanted && !lines.contains(&line) {
                lines.push(line);
            }
        }
        for line in &lines {
            console::line(line)?;
        }
        Ok(Status::FINE)
    }
}
