//! `haven port`: where a container's ports are published.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::template::Value;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Port;

impl Verb for Port {
    fn about(&self) -> &'static str {
        "List port mappings or a specific mapping for the container"
    }

    fn usage(&self) -> &'static str {
        "CONTAINER [PRIVATE_PORT[/PROTO]]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([grammar::operand("CONTAINER"), grammar::optional_operand("PRIVATE_PORT")])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let name = grammar::text_or_empty(matches, "CONTAINER");
        let container =
            context.daemon.ask(Request::get(format!("/containers/{}/json", segment(name, "container")?)))?;
        let ports = container.path(&["NetworkSettings", "Ports"]);
        if let Some(wanted) = grammar::text(matches, "PRIVATE_PORT") {
            let key = if wanted.contains('/') { wanted.to_owned() } else { format!("{wanted}/tcp") };
            let places = ports.at(&key).items();
            if places.is_empty() {
                return Err(Failure::not_found(format!("no public port '{key}' published for {name}"))
                    .hint(format!("haven port {name}"))
                    .into());
            }
            for place in places {
                console::line(&address(place))?;
            }
            return Ok(Status::FINE);
        }
        let mut mappings: Vec<(u32, String)> = Vec::new();
        for (port, places) in ports.entries() {
            let number = port.split('/').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
            mappings
                .extend(places.items().iter().map(|place| (number, format!("{port} -> {}", address(place)))));
        }
        mappings.sort();
        let lines: String = mappings.iter().map(|(_, line)| format!("{line}\n")).collect();
        console::print(&lines)?;
        Ok(Status::FINE)
    }
}

fn address(place: &Value) -> String {
    let (ip, port) = (place.at("HostIp").as_str(), place.at("HostPort").as_str());
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}
