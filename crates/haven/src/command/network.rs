//! `haven network ls`.

use super::{Context, Verb};
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::filter;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};

pub(crate) struct Ls;

static LISTING: Listing = Listing {
    headings: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Inside", "INSIDE"),
        ("Outside", "OUTSIDE"),
        ("Subnet", "SUBNET"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}\t{{.Inside}}\t{{.Outside}}",
    quiet: "{{.ID}}",
};

impl Verb for Ls {
    fn about(&self) -> &'static str {
        "List networks"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::filter(),
            grammar::format().short(None),
            grammar::switch("no-trunc", "Do not truncate the output"),
            grammar::switch("quiet", "Only display network IDs").short('q'),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let format =
            LISTING.format(grammar::text_or_empty(matches, "format"), grammar::on(matches, "quiet"))?;
        let filters = filter::parameter(&grammar::texts(matches, "filter"))?;
        let query = Query::new().optional("filters", filters.as_deref());
        let answer = context.daemon.ask(Request::get(format!("/networks{}", query.as_str())))?;
        let mut networks: Vec<&Value> = answer.items().iter().collect();
        networks.sort_by_key(|network| network.at("Name").as_str());
        let full = grammar::on(matches, "no-trunc");
        // A daemon that isn't Haven knows nothing of this, and the rest is shown all the same.
        let openness = if ["Inside", "Outside"].into_iter().any(|field| format.mentions(field)) {
            context.daemon.ask(Request::get("/haven/v1/networks")).unwrap_or(Value::Null)
        } else {
            Value::Null
        };
        let rows: Vec<Row> =
            networks.into_iter().map(|network| network_row(network, &openness, full)).collect();
        format.print(&rows)?;
        Ok(Status::FINE)
    }
}

fn network_row(network: &Value, openness: &Value, full: bool) -> Row {
    let open = openness.items().iter().find(|open| open.at("Id").as_str() == network.at("Id").as_str());
    let word = |name: &str| open.map_or("", |open| open.at(name).as_str()).to_owned();
    let subnet =
        network.path(&["IPAM", "Config"]).items().first().map_or("", |pool| pool.at("Subnet").as_str());
    let labels: Vec<(String, String)> = network
        .at("Labels")
        .entries()
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().to_owned()))
        .collect();
    let id = network.at("Id").as_str();
    let created = show::parse_rfc3339(network.at("Created").as_str());
    row([
        ("ID", if full { id } else { show::short_id(id) }.into()),
        ("Name", network.at("Name").as_str().into()),
        ("Driver", network.at("Driver").as_str().into()),
        ("Scope", network.at("Scope").as_str().into()),
        (
            "IPv4",
            Value::text(
                if network.at("EnableIPv4").is_null() { true } else { network.at("EnableIPv4").is_true() }
                    .to_string(),
            ),
        ),
        ("IPv6", Value::text(network.at("EnableIPv6").is_true().to_string())),
        ("Inside", word("Inside").into()),
        ("Outside", word("Outside").into()),
        ("Subnet", subnet.into()),
        ("Internal", Value::text(network.at("Internal").is_true().to_string())),
        ("Labels", super::ps::joined_labels(&labels).into()),
        ("Label", Value::Lookup(labels)),
        ("CreatedAt", created.map(show::local_moment).unwrap_or_default().into()),
    ])
}
