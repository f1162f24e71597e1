//! `haven ps`: the list of containers.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::filter;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::builder::ValueParser;
use clap::{ArgMatches, Command, value_parser};

pub(crate) struct Ps;

pub(super) static LISTING: Listing = Listing {
    headings: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
        ("HealthStatus", "HEALTH STATUS"),
    ],
    table: TABLE,
    quiet: "{{.ID}}",
};

const TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const SIZED_TABLE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

impl Verb for Ps {
    fn about(&self) -> &'static str {
        "List containers"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("all", "Show all containers (default shows just running)").short('a'),
            grammar::filter(),
            grammar::format().short(None),
            grammar::value("last", "int", "Show n last created containers (includes all states)")
                .short('n')
                .value_parser(ValueParser::from(value_parser!(i64))),
            grammar::switch("latest", "Show the latest created container (includes all states)").short('l'),
            grammar::switch("no-trunc", "Don't truncate output"),
            grammar::switch("quiet", "Only display container IDs").short('q'),
            grammar::switch("size", "Display total file sizes").short('s'),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let quiet = grammar::on(matches, "quiet");
        let wanted_size = grammar::on(matches, "size");
        let table = if wanted_size { SIZED_TABLE } else { TABLE };
        let mut wanted = grammar::text_or_empty(matches, "format");
        if quiet && !matches!(wanted, "" | "table") {
            console::note("warning: the format is ignored, because --quiet is set");
            wanted = "";
        }
        let format = LISTING.format_over(wanted, quiet, table)?;
        let size = wanted_size || format.mentions("Size");
        let last = match grammar::parsed::<i64>(matches, "last") {
            Some(last) => last,
            None if grammar::on(matches, "latest") => 1,
            None => -1,
        };
        let filters = filter::parameter(&grammar::texts(matches, "filter"))?;
        let query = Query::new()
            .flag("all", grammar::on(matches, "all"))
            .flag("size", size)
            .optional("limit", (last > 0).then(|| last.to_string()).as_deref())
            .optional("filters", filters.as_deref());
        let answer = context.daemon.ask(Request::get(format!("/containers/json{}", query.as_str())))?;
        let full = grammar::on(matches, "no-trunc");
        let rows: Vec<Row> = answer.items().iter().map(|summary| container_row(summary, full)).collect();
        format.print(&rows)?;
        Ok(Status::FINE)
    }
}

/// The row of a container's summary.
pub(super) fn container_row(summary: &Value, full: bool) -> Row {
    let created = summary.at("Created").number();
    let labels: Vec<(String, String)> = summary
        .at("Labels")
        .entries()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().to_owned()))
        .collect();
    row([
        ("ID", id(summary, full).into()),
        ("Names", names(summary, full).into()),
        ("Image", image(summary, full).into()),
        ("Command", command(summary.at("Command").as_str(), full).into()),
        ("CreatedAt", show::local_time(created).into()),
        ("RunningFor", format!("{} ago", show::age(show::now_s() - created)).into()),
        ("Ports", show::ports(summary.at("Ports")).into()),
        ("State", summary.at("State").as_str().into()),
        ("Status", summary.at("Status").as_str().into()),
        ("Size", size(summary).into()),
        ("Labels", joined_labels(&labels).into()),
        ("Label", Value::Lookup(labels)),
        ("Mounts", mounts(summary, full).into()),
        ("LocalVolumes", local_volumes(summary).into()),
        ("Networks", networks(summary).into()),
        ("Platform", Value::Null),
        ("HealthStatus", health(summary.at("Status").as_str()).into()),
    ])
}

fn id(summary: &Value, full: bool) -> String {
    let id = summary.at("Id").as_str();
    if full { id.to_owned() } else { show::short_id(id).to_owned() }
}

fn names(summary: &Value, full: bool) -> String {
    let names: Vec<&str> =
        summary.at("Names").items().iter().map(|name| name.as_str().trim_start_matches('/')).collect();
    if full {
        return names.join(",");
    }
    names.into_iter().find(|name| !name.contains('/')).unwrap_or_default().to_owned()
}

fn image(summary: &Value, full: bool) -> String {
    let image = summary.at("Image").as_str();
    if image.is_empty() {
        return "<no image>".to_owned();
    }
    if full {
        return image.to_owned();
    }
    let id = show::short_id(summary.at("ImageID").as_str());
    if !id.is_empty() && show::short_id(image) == id {
        return id.to_owned();
    }
    // The digest says little to people; the tag in front of it stays.
    image.split_once('@').map_or(image, |(name, _)| name).to_owned()
}

fn command(command: &str, full: bool) -> String {
    let shown = if full { command.to_owned() } else { show::ellipsis(command, 20) };
    show::quoted(&shown)
}

fn size(summary: &Value) -> String {
    let written = show::decimal_size_with(summary.at("SizeRw").decimal(), 3);
    let whole = summary.at("SizeRootFs").decimal();
    if whole > 0.0 { format!("{written} (virtual {})", show::decimal_size_with(whole, 3)) } else { written }
}

pub(super) fn joined_labels(labels: &[(String, String)]) -> String {
    let mut pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    pairs.join(",")
}

fn mounts(summary: &Value, full: bool) -> String {
    let shown = summary.at("Mounts").items().iter().map(|mount| {
        let name = match mount.at("Name").as_str() {
            "" => mount.at("Source").as_str(),
            name => name,
        };
        if full { name.to_owned() } else { show::ellipsis(name, 15) }
    });
    shown.collect::<Vec<_>>().join(",")
}

fn local_volumes(summary: &Value) -> String {
    summary
        .at("Mounts")
        .items()
        .iter()
        .filter(|mount| mount.at("Driver").as_str() == "local")
        .count()
        .to_string()
}

fn networks(summary: &Value) -> String {
    let mut names: Vec<&str> = summary
        .path(&["NetworkSettings", "Networks"])
        .entries()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    names.sort_unstable();
    names.join(",")
}

/// The health that the status text ends with, like `Up 2 minutes (healthy)`.
fn health(status: &str) -> &str {
    let Some((_, inside)) = status.split_once('(') else { return "" };
    let word = inside.strip_suffix(')').unwrap_or_default();
    match word.strip_prefix("health: ").unwrap_or(word) {
        word @ ("healthy" | "unhealthy" | "starting") => word,
        _ => "",
    }
}
