//! `haven denied`: who tried what in vain, counted by the kernel.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::Outcome;
use std::collections::HashMap;
use std::time::Duration;

/// The kernel counts by itself; this is how often it is asked.
const PAUSE: Duration = Duration::from_secs(1);

static LISTING: Listing = Listing {
    headings: &[
        ("From", "FROM"),
        ("To", "TO"),
        ("Traffic", "TRAFFIC"),
        ("Port", "PORT"),
        ("Protocol", "PROTOCOL"),
        ("Name", "NAME"),
        ("Packets", "PACKETS"),
        ("State", "STATE"),
        ("Suggestion", "SUGGESTION"),
        ("Time", "TIME"),
    ],
    table: "{{.From}}\t{{.To}}\t{{.Traffic}}\t{{.State}}\t{{.Packets}}",
    quiet: "{{.From}}\t{{.To}}\t{{.Traffic}}",
};

pub(crate) struct Denied;

/// What was denied, the most tried first.
pub(super) fn attempts(context: &Context) -> Outcome<Value> {
    context.daemon.ask(Request::get("/haven/v1/denied"))
}

impl Verb for Denied {
    fn about(&self) -> &'static str {
        "Show who tried to reach whom in vain"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::switch("follow", "Go on with what is denied from now on").short('f'),
                grammar::format().short(None),
            ])
            .after_help("What was denied in the last day, counted by the kernel; `haven link suggest` says which links it would need.")
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let format = LISTING.format(grammar::text_or_empty(matches, "format"), false)?;
        let now = attempts(context)?;
        if !grammar::on(matches, "follow") {
            format.print(
                &now.items().iter().map(|a| attempt_row(a, a.at("Packets").number())).collect::<Vec<_>>(),
            )?;
            return Ok(Status::FINE);
        }
        let mut known = counts(&now);
        loop {
            std::thread::sleep(PAUSE);
            let now = attempts(context)?;
            for attempt in now.items() {
                let before = known.get(&key(attempt)).copied().unwrap_or(0);
                let more = attempt.at("Packets").number() - before;
                if more > 0 {
                    let line = [attempt_row(attempt, more)];
                    if grammar::text_or_empty(matches, "format").is_empty() {
                        let cell = |name: &str| line[0].at(name).as_str().to_owned();
                        console::line(&format!(
                            "{} {} → {} {} ({more})",
                            cell("Time"),
                            cell("From"),
                            cell("To"),
                            cell("Traffic")
                        ))?;
                    } else {
                        format.print(&line)?;
                    }
                }
            }
            known = counts(&now);
        }
    }
}

fn key(attempt: &Value) -> String {
    let [from, to, protocol] = ["From", "To", "Protocol"].map(|name| attempt.at(name).as_str());
    format!("{from} {to} {}/{protocol} {}", attempt.at("Port").number(), attempt.at("Name").as_str())
}

fn counts(attempts: &Value) -> HashMap<String, i64> {
    attempts.items().iter().map(|attempt| (key(attempt), attempt.at("Packets").number())).collect()
}

fn attempt_row(attempt: &Value, packets: i64) -> Row {
    let text = |name: &str| attempt.at(name).as_str().to_owned();
    let traffic = match attempt.at("Name").as_str() {
        "" => format!("{}/{}", attempt.at("Port").number(), text("Protocol")),
        name => format!("name {name}"),
    };
    row([
        ("From", text("From").into()),
        ("To", text("To").into()),
        ("Traffic", traffic.into()),
        ("Name", text("Name").into()),
        ("Port", attempt.at("Port").number().to_string().into()),
        ("Protocol", text("Protocol").into()),
        ("Packets", packets.to_string().into()),
        ("State", if attempt.at("Observed").is_true() { "observed" } else { "denied" }.into()),
        ("Suggestion", text("Suggestion").into()),
        ("Time", show::local_moment(jiff::Timestamp::now()).into()),
    ])
}
