//! `haven observe`: lets somebody do for a while what no link permits, to see what it needs.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::expiry;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use jiff::Timestamp;
use serde_json::json;

pub(crate) struct Observe;

static LISTING: Listing = Listing {
    headings: &[("Who", "WHO"), ("Kind", "KIND"), ("Since", "SINCE"), ("Until", "UNTIL"), ("By", "BY")],
    table: "{{.Who}}\t{{.Kind}}\t{{.Since}}\t{{.Until}}",
    quiet: "{{.Who}}",
};

impl Verb for Observe {
    fn about(&self) -> &'static str {
        "Let a container connect without links for a while, and record what it would need"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] [CONTAINER|APPLICATION]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::value("for", "duration", "How long: 24h, 7d"),
                grammar::switch("stop", "Hold it to its links again"),
                grammar::format().short(None),
                grammar::optional_operand("NAME"),
            ])
            .after_help(
                "Without a name: who is observed. What it does meanwhile is in `haven denied`, and as links in\n\
                 `haven link suggest --from NAME`. Nothing leads out of an internal network all the same.",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let Some(name) = grammar::text(matches, "NAME") else {
            if grammar::given(matches, "for") || grammar::on(matches, "stop") {
                return Err(Failure::invalid("nobody is named").hint("haven observe NAME --for 24h").into());
            }
            let format = LISTING.format(grammar::text_or_empty(matches, "format"), false)?;
            let answer = context.daemon.ask(Request::get("/haven/v1/observations"))?;
            format.print(&answer.items().iter().map(observed_row).collect::<Vec<_>>())?;
            return Ok(Status::FINE);
        };
        if grammar::on(matches, "stop") {
            let path = name.split('/').map(|part| segment(part, "container")).collect::<Outcome<Vec<_>>>()?;
            context.daemon.tell(Request::delete(format!("/haven/v1/observations/{}", path.join("/"))))?;
            return Ok(Status::FINE);
        }
        let Some(span) = grammar::text(matches, "for") else {
            return Err(Failure::invalid("it is not said for how long")
                .hint(format!("haven observe {name} --for 24h"))
                .into());
        };
        let refuse = |reason: String| {
            Failure::invalid(format!("`{span}` is not a valid value for `--for`")).because(reason)
        };
        // The same words as for expiries, as seconds from the beginning of time.
        let until = expiry::parse(span, Timestamp::UNIX_EPOCH).map_err(refuse)?;
        let seconds = until.split('.').next().and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
        let document = json!({ "Who": name, "Seconds": seconds });
        let answer = context.daemon.ask(Request::post("/haven/v1/observations").json(&document))?;
        console::line(answer.at("Who").as_str())?;
        Ok(Status::FINE)
    }
}

fn observed_row(observation: &Value) -> Row {
    let text = |name: &str| observation.at(name).as_str().to_owned();
    let moment = |name: &str| {
        show::parse_rfc3339(observation.at(name).as_str()).map(show::local_moment).unwrap_or_default()
    };
    let by = if observation.at("By").is_null() { String::new() } else { observation.at("By").shown() };
    row([
        ("Who", text("Who").into()),
        ("Kind", text("Kind").into()),
        ("Since", moment("Since").into()),
        ("Until", moment("Until").into()),
        ("By", by.into()),
    ])
}
