//! `haven volume create`, `ls`, `rm`.

use super::bulk::{self, Missing};
use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::{filter, label};
use crate::show::{Listing, Row, row};
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::builder::ValueParser;
use clap::{ArgMatches, Command};
use haven_spec::Failure;
use serde_json::json;

pub(crate) struct Create;

impl Verb for Create {
    fn about(&self) -> &'static str {
        "Create a volume"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] [VOLUME]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value("driver", "string", "Specify volume driver name (default \"local\")").short('d'),
            grammar::values("label", "list", "Set metadata for a volume")
                .value_parser(ValueParser::from(label::check)),
            grammar::value("name", "string", "Specify volume name").hide(true),
            grammar::values("opt", "map", "Set driver specific options").short('o'),
            grammar::optional_operand("VOLUME"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let name = match (grammar::text(matches, "VOLUME"), grammar::text(matches, "name")) {
            (Some(_), Some(_)) => {
                return Err(Failure::invalid("conflicting options: cannot specify a volume-name through both --name and as a positional arg").into());
            }
            (operand, flag) => operand.or(flag).unwrap_or_default(),
        };
        let document = json!({
            "Name": name,
            "Driver": grammar::text(matches, "driver").unwrap_or("local"),
            "DriverOpts": label::map(&grammar::texts(matches, "opt")),
            "Labels": label::map(&grammar::texts(matches, "label")),
        });
        let volume = context.daemon.ask(Request::post("/volumes/create").json(&document))?;
        console::line(volume.at("Name").as_str())?;
        Ok(Status::FINE)
    }
}

pub(crate) struct Ls;

pub(super) static LISTING: Listing = Listing {
    headings: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
        ("Status", "STATUS"),
    ],
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
};

impl Verb for Ls {
    fn about(&self) -> &'static str {
        "List volumes"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::filter(),
            grammar::format().short(None),
            grammar::switch("quiet", "Only display volume names").short('q'),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let format =
            LISTING.format(grammar::text_or_empty(matches, "format"), grammar::on(matches, "quiet"))?;
        let filters = filter::parameter(&grammar::texts(matches, "filter"))?;
        let query = Query::new().optional("filters", filters.as_deref());
        let answer = context.daemon.ask(Request::get(format!("/volumes{}", query.as_str())))?;
        let mut volumes: Vec<&Value> = answer.at("Volumes").items().iter().collect();
        volumes.sort_by_key(|volume| volume.at("Name").as_str());
        let rows: Vec<Row> = volumes.into_iter().map(volume_row).collect();
        format.print(&rows)?;
        Ok(Status::FINE)
    }
}

/// The row of a volume.
pub(super) fn volume_row(volume: &Value) -> Row {
    let labels: Vec<(String, String)> = volume
        .at("Labels")
        .entries()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().to_owned()))
        .collect();
    let usage = volume.at("UsageData");
    let (links, size) = if usage.is_null() {
        ("N/A".to_owned(), "N/A".to_owned())
    } else {
        let size = usage.at("Size");
        let shown =
            if size.number() < 0 { "N/A".to_owned() } else { crate::show::decimal_size(size.decimal()) };
        (usage.at("RefCount").number().to_string(), shown)
    };
    row([
        ("Driver", volume.at("Driver").as_str().into()),
        ("Name", volume.at("Name").as_str().into()),
        ("Scope", volume.at("Scope").as_str().into()),
        ("Mountpoint", volume.at("Mountpoint").as_str().into()),
        ("Labels", super::ps::joined_labels(&labels).into()),
        ("Label", Value::Lookup(labels)),
        ("Links", links.into()),
        ("Size", size.into()),
        ("Availability", "N/A".into()),
        ("Group", "N/A".into()),
        ("Status", "N/A".into()),
    ])
}

pub(crate) struct Rm;

impl Verb for Rm {
    fn about(&self) -> &'static str {
        "Remove one or more volumes"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] VOLUME [VOLUME...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("force", "Force the removal of one or more volumes").short('f'),
            grammar::operands("VOLUME"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let query = Query::new().flag("force", grammar::on(matches, "force"));
        bulk::each(context, &grammar::texts(matches, "VOLUME"), Missing::Fails, |daemon, name| {
            daemon.tell(Request::delete(format!("/volumes/{}{}", segment(name, "volume")?, query.as_str())))
        })
    }
}
