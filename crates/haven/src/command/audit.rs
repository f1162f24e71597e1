//! `haven audit`: who changed what; `haven audit verify`, `export`, `checkpoint`.
//!
//! Verifying works on a copy of the record too, without the daemon and with the public key alone.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::ago;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_audit::{PublicKey, SignedCheckpoint, Verification};
use haven_spec::{Failure, Outcome};
use serde_json::json;
use std::path::Path;

static LISTING: Listing = Listing {
    headings: &[
        ("Sequence", "RECORD"),
        ("Time", "TIME"),
        ("Actor", "ACTOR"),
        ("Client", "CLIENT"),
        ("Action", "ACTION"),
        ("Objects", "OBJECTS"),
        ("Affected", "AFFECTED"),
        ("State", "RESULT"),
        ("Reason", "REASON"),
        ("Error", "ERROR"),
    ],
    table: "{{.Sequence}}\t{{.Time}}\t{{.Actor}}\t{{.Action}}\t{{.Objects}}\t{{.State}}\t{{.Reason}}",
    quiet: "{{.Sequence}}",
};

pub(crate) struct Audit;

impl Verb for Audit {
    fn about(&self) -> &'static str {
        "Show who changed what, verify the record, or export it"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] [verify | export | checkpoint]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::value("object", "name", "Only changes of this: a name, an id, or KIND:NAME"),
                grammar::value("exposed", "name", "Only changes that opened or closed a way to or from this"),
                grammar::value("actor", "name", "Only changes by this user, by name or number"),
                grammar::value("action", "name", "Only this action: link.add, or link for all of links"),
                grammar::value("since", "time", "Only changes since then: 7d, 2h, 2027-01-31"),
                grammar::value("until", "time", "Only changes before then"),
                grammar::value("last", "number", "How many, the newest (default 100; 0: all)").short('n'),
                grammar::format().short(None),
                grammar::value("as", "format", "Of export: json, rfc5424 or ocsf (default json)"),
                grammar::value("directory", "path", "Of verify: a copy of the record; no daemon is asked"),
                grammar::value("key", "path", "Of verify --directory: the public key (default: the one in the copy)"),
                grammar::values("kept", "path", "Of verify: a checkpoint that was kept elsewhere"),
                grammar::optional_operand("WHAT"),
            ])
            .after_help(
                "Keep what `haven audit checkpoint` prints where this host's root cannot reach: only against it can\n\
                 `verify --kept` show that nothing was cut off or rewritten with the record's own key.\n\n  \
                 haven audit --object db --since 7d\n  \
                 haven audit verify --kept checkpoint.txt\n  \
                 haven audit export --as ocsf > audit.json",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        match grammar::text(matches, "WHAT") {
            None => list(context, matches),
            Some("verify") => verify(context, matches),
            Some("export") => {
                let query = query(matches)?.set("Format", grammar::text(matches, "as").unwrap_or("json"));
                let text = context
                    .daemon
                    .ask_text(Request::get(format!("/haven/v1/audit/export{}", query.as_str())))?;
                console::print(&text)?;
                Ok(Status::FINE)
            }
            Some("checkpoint") => {
                let answer = context.daemon.ask(Request::get("/haven/v1/audit/checkpoint"))?;
                console::print(answer.at("Checkpoint").as_str())?;
                Ok(Status::FINE)
            }
            Some(other) => Err(Failure::invalid(format!("`haven audit {other}` is nothing"))
                .hint("haven audit, or haven audit verify, export or checkpoint")
                .into()),
        }
    }
}

fn query(matches: &ArgMatches) -> Outcome<Query> {
    let now = jiff::Timestamp::now();
    let moment = |flag: &str| {
        let Some(text) = grammar::text(matches, flag) else { return Ok(None) };
        ago::parse(text, now).map(Some).map_err(|reason| {
            Failure::invalid(format!("`{text}` is not a valid value for `--{flag}`")).because(reason)
        })
    };
    let text = |flag: &str| grammar::text(matches, flag);
    Ok(Query::new()
        .optional("Object", text("object"))
        .optional("Exposed", text("exposed"))
        .optional("Actor", text("actor"))
        .optional("Action", text("action"))
        .optional("Limit", text("last"))
        .optional("Since", moment("since")?.as_deref())
        .optional("Until", moment("until")?.as_deref()))
}

fn list(context: &Context, matches: &ArgMatches) -> Done {
    let format = LISTING.format(grammar::text_or_empty(matches, "format"), false)?;
    let query = query(matches)?;
    let answer = context.daemon.ask(Request::get(format!("/haven/v1/audit{}", query.as_str())))?;
    let rows: Vec<Row> = answer.at("Records").items().iter().map(record_row).collect();
    format.print(&rows)?;
    let unreadable = answer.at("Unreadable").number();
    if unreadable > 0 {
        console::note(&format!("{unreadable} lines of the record cannot be read: haven audit verify"));
    }
    Ok(Status::FINE)
}

fn record_row(record: &Value) -> Row {
    let text = |name: &str| record.at(name).as_str().to_owned();
    let objects = |name: &str| {
        let shown = |object: &Value| format!("{}:{}", object.at("Kind").as_str(), object.at("Name").as_str());
        record.at(name).items().iter().map(shown).collect::<Vec<_>>().join(" ")
    };
    let time = show::parse_rfc3339(record.at("Time").as_str()).map(show::local_moment).unwrap_or_default();
    let state = if record.at("BrokeGlass").is_true() {
        format!("{} (against policy)", text("State"))
    } else {
        text("State")
    };
    row([
        ("Sequence", record.at("Sequence").shown().into()),
        ("Time", time.into()),
        ("Actor", actor(record.at("Actor")).into()),
        ("Client", text("Client").into()),
        ("Action", text("Action").into()),
        ("Objects", objects("Objects").into()),
        ("Affected", objects("Affected").into()),
        ("State", state.into()),
        ("Reason", text("Reason").into()),
        ("Error", text("Error").into()),
    ])
}

/// Who it was; who logged in where that is somebody else.
fn actor(actor: &Value) -> String {
    let number = |name: &str| if actor.at(name).is_null() { None } else { Some(actor.at(name).shown()) };
    let user = actor.at("User").as_str();
    let name = if user.is_empty() { number("Uid").unwrap_or_else(|| "-".into()) } else { user.to_owned() };
    match number("LoginUid").filter(|login| Some(login) != number("Uid").as_ref()) {
        Some(login) => format!("{name} (logged in as {login})"),
        None => name,
    }
}

fn verify(context: &Context, matches: &ArgMatches) -> Done {
    let kept = grammar::texts(matches, "kept").iter().map(|path| read(path)).collect::<Outcome<Vec<_>>>()?;
    if let Some(directory) = grammar::text(matches, "directory") {
        let directory = Path::new(directory);
        let key = match grammar::text(matches, "key") {
            Some(path) => PublicKey::parse(&read(path)?)?,
            None => PublicKey::beside(directory)?,
        };
        let kept = kept.iter().map(|note| SignedCheckpoint::open(note, &key)).collect::<Outcome<Vec<_>>>()?;
        return of_copy(&haven_audit::verify(directory, &key, &kept)?);
    }
    let request = Request::post("/haven/v1/audit/verify").json(&json!({ "Kept": kept }));
    let answer = context.daemon.ask(request)?;
    let texts =
        |name: &str| answer.at(name).items().iter().map(|v| v.as_str().to_owned()).collect::<Vec<_>>();
    tell(answer.at("Origin").as_str(), &answer.at("Records").shown(), &texts("Findings"), &texts("Caveats"))
}

fn of_copy(verification: &Verification) -> Done {
    let findings: Vec<String> = verification.findings.iter().map(ToString::to_string).collect();
    tell(&verification.origin, &verification.records.to_string(), &findings, &verification.caveats())
}

/// 0 when it is whole, 1 when it is not.
fn tell(origin: &str, records: &str, findings: &[String], caveats: &[String]) -> Done {
    if findings.is_empty() {
        console::line(&format!("{origin}: {records} records, all as they were signed"))?;
    } else {
        console::line(&format!("{origin}: the record is NOT as it was written"))?;
        for finding in findings {
            console::line(&format!("  {finding}"))?;
        }
    }
    for caveat in caveats {
        console::note(&format!("note: {caveat}"));
    }
    Ok(if findings.is_empty() { Status::FINE } else { Status(Status::FAILED) })
}

fn read(path: &str) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| Failure::host(format!("cannot read `{path}`")).because(e))
}
