//! `haven history`: the layers of an image and what made them.

use super::reference::image_segment;
use super::{Context, Verb};
use crate::ending::{Done, Status};
use crate::grammar;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::Request;
use clap::{ArgMatches, Command};

pub(crate) struct History;

static LISTING: Listing = Listing {
    headings: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    quiet: "{{.ID}}",
};

const EXACT_TABLE: &str = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
/// Layers that claim to be older than this have no date that means anything.
const YEAR_2000: i64 = 946_684_800;
const COMMAND_COLUMNS: usize = 45;

impl Verb for History {
    fn about(&self) -> &'static str {
        "Show the history of an image"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] IMAGE"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::format().short(None),
            grammar::switch("human", "Print sizes and dates in human readable format (default true)")
                .short('H'),
            grammar::switch("no-trunc", "Don't truncate output"),
            grammar::switch("quiet", "Only show image IDs").short('q'),
            grammar::operand("IMAGE"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let human = !grammar::given(matches, "human") || grammar::on(matches, "human");
        let full = grammar::on(matches, "no-trunc");
        let table = if human { LISTING.table } else { EXACT_TABLE };
        let format = LISTING.format_over(
            grammar::text_or_empty(matches, "format"),
            grammar::on(matches, "quiet"),
            table,
        )?;
        let name = image_segment(grammar::text_or_empty(matches, "IMAGE"))?;
        let answer = context.daemon.ask(Request::get(format!("/images/{name}/history")))?;
        let rows: Vec<Row> = answer.items().iter().map(|layer| layer_row(layer, human, full)).collect();
        format.print(&rows)?;
        Ok(Status::FINE)
    }
}

fn layer_row(layer: &Value, human: bool, full: bool) -> Row {
    let id = layer.at("Id").as_str();
    let created = layer.at("Created").number();
    let exact = show::rfc3339(created);
    let since = match (human, created <= YEAR_2000) {
        (false, _) => exact.clone(),
        (true, true) => "N/A".to_owned(),
        (true, false) => format!("{} ago", show::age(show::now_s() - created)),
    };
    let by = layer.at("CreatedBy").as_str().replace('\t', " ");
    let size = layer.at("Size");
    row([
        ("ID", if full { id } else { show::short_id(id) }.into()),
        ("CreatedSince", since.into()),
        ("CreatedAt", exact.into()),
        ("CreatedBy", if full { by } else { show::ellipsis(&by, COMMAND_COLUMNS) }.into()),
        (
            "Size",
            if human { show::decimal_size_with(size.decimal(), 3) } else { size.number().to_string() }.into(),
        ),
        ("Comment", layer.at("Comment").as_str().into()),
    ])
}
