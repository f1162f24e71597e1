//! `haven system df`: how much space images, containers and volumes take.

use super::{Context, Verb, images, ps, volume};
use crate::console;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::show::{self, Listing, Row, row};
use crate::template::{Template, Value};
use crate::wire::Request;
use clap::{ArgMatches, Command};

pub(crate) struct Df;

static LISTING: Listing = Listing {
    headings: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
    table: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet: "{{.Type}}",
};

const IMAGE_TABLE: &str = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINER_TABLE: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUME_TABLE: &str = "{{.Name}}\t{{.Links}}\t{{.Size}}";

impl Verb for Df {
    fn about(&self) -> &'static str {
        "Show disk usage"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::format().short(None),
            grammar::switch("verbose", "Show detailed information on space usage").short('v'),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let usage = context.daemon.ask(Request::get("/system/df"))?;
        let format = grammar::text_or_empty(matches, "format");
        if grammar::on(matches, "verbose") {
            verbose(&usage, format)?;
        } else {
            let rows =
                [image_usage(&usage), container_usage(&usage), volume_usage(&usage), cache_usage(&usage)];
            LISTING.format(format, false)?.print(&rows)?;
        }
        Ok(Status::FINE)
    }
}

fn verbose(usage: &Value, format: &str) -> Result<(), Refusal> {
    let table = matches!(format, "" | "table");
    let image_rows: Vec<Row> =
        usage.at("Images").items().iter().map(|image| images::first_row(image, !table)).collect();
    let container_rows: Vec<Row> = usage
        .at("Containers")
        .items()
        .iter()
        .map(|container| ps::container_row(&written_only(container), !table))
        .collect();
    let volume_rows: Vec<Row> = usage.at("Volumes").items().iter().map(volume::volume_row).collect();
    if !table {
        let text = if format == "json" { "{{json .}}" } else { format };
        let all = row([
            ("Images", Value::List(image_rows)),
            ("Containers", Value::List(container_rows)),
            ("Volumes", Value::List(volume_rows)),
            ("BuildCache", usage.at("BuildCache").clone()),
        ]);
        return console::line(&Template::parse(text)?.render(&all)?);
    }
    console::print("Images space usage:\n\n")?;
    images::LISTING.format_over("", false, IMAGE_TABLE)?.print(&image_rows)?;
    console::print("\nContainers space usage:\n\n")?;
    ps::LISTING.format_over("", false, CONTAINER_TABLE)?.print(&container_rows)?;
    console::print("\nLocal Volumes space usage:\n\n")?;
    volume::LISTING.format_over("", false, VOLUME_TABLE)?.print(&volume_rows)
}

/// A container's summary without the size of its image.
fn written_only(container: &Value) -> Value {
    Value::Map(container.entries().iter().filter(|(name, _)| name != "SizeRootFs").cloned().collect())
}

fn usage_row(kind: &str, total: usize, active: usize, size: i64, reclaimable: i64) -> Row {
    let mut reclaim = show::decimal_size(reclaimable.max(0) as f64);
    if size > 0 && kind != "Build Cache" {
        reclaim.push_str(&format!(" ({}%)", reclaimable.max(0).saturating_mul(100) / size));
    }
    row([
        ("Type", kind.into()),
        ("TotalCount", total.to_string().into()),
        ("Active", active.to_string().into()),
        ("Size", show::decimal_size(size as f64).into()),
        ("Reclaimable", reclaim.into()),
    ])
}

fn image_usage(usage: &Value) -> Row {
    let images = usage.at("Images").items();
    let whole = usage.at("LayersSize").number();
    let used_images = images.iter().filter(|image| image.at("Containers").number() > 0);
    let used: i64 = used_images
        .clone()
        .map(|image| {
            let size =
                if image.at("VirtualSize").is_null() { image.at("Size") } else { image.at("VirtualSize") };
            let (size, shared) = (size.number(), image.at("SharedSize").number());
            if size < 0 || shared < 0 { 0 } else { size - shared }
        })
        .sum();
    usage_row("Images", images.len(), used_images.count(), whole, whole.saturating_sub(used))
}

fn container_usage(usage: &Value) -> Row {
    let containers = usage.at("Containers").items();
    let is_active =
        |container: &&Value| matches!(container.at("State").as_str(), "running" | "paused" | "restarting");
    let size = |container: &Value| container.at("SizeRw").number();
    let whole: i64 = containers.iter().map(size).sum();
    let used: i64 = containers.iter().filter(is_active).map(size).sum();
    usage_row(
        "Containers",
        containers.len(),
        containers.iter().filter(is_active).count(),
        whole,
        whole - used,
    )
}

fn volume_usage(usage: &Value) -> Row {
    let volumes = usage.at("Volumes").items();
    let is_active = |volume: &&Value| volume.path(&["UsageData", "RefCount"]).number() > 0;
    let size = |volume: &Value| volume.path(&["UsageData", "Size"]).number().max(0);
    let whole: i64 = volumes.iter().map(size).sum();
    let used: i64 = volumes.iter().filter(is_active).map(size).sum();
    usage_row("Local Volumes", volumes.len(), volumes.iter().filter(is_active).count(), whole, whole - used)
}

fn cache_usage(usage: &Value) -> Row {
    let records = usage.at("BuildCache").items();
    let own = |record: &&Value| !record.at("Shared").is_true();
    let in_use = |record: &&Value| record.at("InUse").is_true();
    let size = |record: &Value| record.at("Size").number();
    let whole: i64 = records.iter().filter(own).map(size).sum();
    let used: i64 = records.iter().filter(own).filter(in_use).map(size).sum();
    usage_row("Build Cache", records.len(), records.iter().filter(in_use).count(), whole, whole - used)
}
