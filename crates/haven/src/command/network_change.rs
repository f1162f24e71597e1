//! `haven network create`, `rm`, `connect`, `disconnect`.

use super::bulk::{self, Missing};
use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::{address, label};
use crate::wire::Request;
use clap::builder::ValueParser;
use clap::{ArgMatches, Command};
use haven_spec::Failure;
use serde_json::{Map, Value as Json, json};

pub(crate) struct Create;

impl Verb for Create {
    fn about(&self) -> &'static str {
        "Create a network, closed until links open it"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] NETWORK"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args([
                grammar::switch("open", "Let its containers reach each other without links"),
                grammar::switch("outbound", "Let its containers reach the outside without links"),
                grammar::switch("internal", "Let nothing of it reach the outside, whatever links say"),
                grammar::value("subnet", "cidr", "Addresses of the network (default: a free range)"),
                grammar::value("ip-range", "cidr", "Part of the subnet that containers get an address of"),
                grammar::value("gateway", "ip", "Address to show as the gateway, given to no container"),
                grammar::values("aux-address", "name=ip", "Address of the subnet to give to no container")
                    .value_parser(ValueParser::from(label::check)),
                grammar::values("label", "list", "Set metadata on a network")
                    .value_parser(ValueParser::from(label::check)),
                grammar::values("opt", "map", "Set driver specific options").short('o'),
                grammar::value("driver", "string", "Driver of the network (there is one)").short('d').hide(true),
                grammar::operand("NETWORK"),
            ])
            .after_help(
                "Containers of a new network reach nothing but what links permit:\n  haven link add api db 5432/tcp",
            )
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut pool = Map::new();
        for (flag, member) in [("subnet", "Subnet"), ("ip-range", "IPRange"), ("gateway", "Gateway")] {
            if let Some(text) = grammar::text(matches, flag) {
                pool.insert(member.into(), json!(text));
            }
        }
        let reserved = label::map(&grammar::texts(matches, "aux-address"));
        if !reserved.is_empty() {
            pool.insert("AuxiliaryAddresses".into(), json!(reserved));
        }
        if !pool.is_empty() && !pool.contains_key("Subnet") {
            return Err(Failure::invalid("a range, a gateway or reserved addresses need a subnet")
                .hint("add --subnet")
                .into());
        }
        let word = |open: bool| if open { "open" } else { "closed" };
        let mut options = label::map(&grammar::texts(matches, "opt"));
        for (flag, option) in [("open", "haven.inside"), ("outbound", "haven.outside")] {
            options.entry(option.to_owned()).or_insert_with(|| json!(word(grammar::on(matches, flag))));
        }
        if grammar::on(matches, "internal") && grammar::on(matches, "outbound") {
            return Err(Failure::invalid("--internal and --outbound contradict each other").into());
        }
        let document = json!({
            "Name": grammar::text_or_empty(matches, "NETWORK"),
            "Driver": grammar::text_or_empty(matches, "driver"),
            "Internal": grammar::on(matches, "internal"),
            "IPAM": { "Config": if pool.is_empty() { json!([]) } else { json!([pool]) } },
            "Options": options,
            "Labels": label::map(&grammar::texts(matches, "label")),
        });
        let network = context.daemon.ask(Request::post("/networks/create").json(&document))?;
        console::line(network.at("Id").as_str())?;
        Ok(Status::FINE)
    }
}

pub(crate) struct Rm;

impl Verb for Rm {
    fn about(&self) -> &'static str {
        "Remove one or more networks"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] NETWORK [NETWORK...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("force", "Do not fail if the network does not exist").short('f'),
            grammar::operands("NETWORK"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let missing = if grammar::on(matches, "force") { Missing::IsSaid } else { Missing::Fails };
        bulk::each(context, &grammar::texts(matches, "NETWORK"), missing, |daemon, name| {
            daemon.tell(Request::delete(format!("/networks/{}", segment(name, "network")?)))
        })
    }
}

pub(crate) struct Connect;

impl Verb for Connect {
    fn about(&self) -> &'static str {
        "Connect a container to a network"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] NETWORK CONTAINER"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::values("alias", "strings", "Add network-scoped alias for the container"),
            grammar::value("ip", "ip", "IPv4 address (e.g., \"172.30.100.104\")")
                .value_parser(ValueParser::from(address::ipv4)),
            grammar::value("mac-address", "mac", "MAC address of the interface")
                .value_parser(ValueParser::from(address::mac)),
            grammar::operand("NETWORK"),
            grammar::operand("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut endpoint = Map::new();
        let aliases = grammar::texts(matches, "alias");
        if !aliases.is_empty() {
            endpoint.insert("Aliases".into(), json!(aliases));
        }
        if let Some(ip) = grammar::text(matches, "ip") {
            endpoint.insert("IPAMConfig".into(), json!({ "IPv4Address": ip }));
        }
        if let Some(mac) = grammar::text(matches, "mac-address") {
            endpoint.insert("MacAddress".into(), json!(mac));
        }
        let document = json!({
            "Container": grammar::text_or_empty(matches, "CONTAINER"),
            "EndpointConfig": Json::Object(endpoint),
        });
        let network = segment(grammar::text_or_empty(matches, "NETWORK"), "network")?;
        context.daemon.tell(Request::post(format!("/networks/{network}/connect")).json(&document))?;
        Ok(Status::FINE)
    }
}

pub(crate) struct Disconnect;

impl Verb for Disconnect {
    fn about(&self) -> &'static str {
        "Disconnect a container from a network"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] NETWORK CONTAINER"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("force", "Force the container to disconnect from a network").short('f'),
            grammar::operand("NETWORK"),
            grammar::operand("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let document = json!({
            "Container": grammar::text_or_empty(matches, "CONTAINER"),
            "Force": grammar::on(matches, "force"),
        });
        let network = segment(grammar::text_or_empty(matches, "NETWORK"), "network")?;
        context.daemon.tell(Request::post(format!("/networks/{network}/disconnect")).json(&document))?;
        Ok(Status::FINE)
    }
}
