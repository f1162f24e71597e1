//! `haven publish`, `unpublish`: ports of a container that exists already.

use super::{Context, Verb};
use crate::daemon::segment;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::option::port;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use serde_json::{Map, Value as Json, json};

/// Either of the two.
pub(crate) struct Publish {
    back: bool,
}

pub(crate) static PUBLISH: Publish = Publish { back: false };
pub(crate) static UNPUBLISH: Publish = Publish { back: true };

impl Verb for Publish {
    fn about(&self) -> &'static str {
        if self.back {
            "Take published ports of a container back"
        } else {
            "Publish ports of a container that exists"
        }
    }

    fn usage(&self) -> &'static str {
        if self.back { "CONTAINER PORT [PORT...]" } else { "[OPTIONS] CONTAINER PORT [PORT...]" }
    }

    fn grammar(&self, mut command: Command) -> Command {
        if !self.back {
            command = command.args([
                grammar::values("from", "cidr", "Addresses of the outside that may use it (default: all)"),
                grammar::value("reason", "string", "What it is for"),
            ]);
        }
        command.args([grammar::operand("CONTAINER"), grammar::operands("PORT")]).after_help(if self.back {
            "PORT is 8080:80 for one, or 80 for all that lead to the container's port. What is connected over it ends."
        } else {
            "PORT is as for `run -p`: [[IP:]HOST:]CONTAINER[/PROTOCOL].\n\n  haven publish web 8080:80 --from 10.0.0.0/8 --reason intranet"
        })
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let name = segment(grammar::text_or_empty(matches, "CONTAINER"), "container")?;
        let mut document = Map::new();
        document.insert("Ports".into(), ports(&grammar::texts(matches, "PORT"))?);
        if !self.back {
            document.insert("From".into(), json!(grammar::texts(matches, "from")));
            document.insert("Reason".into(), json!(grammar::text_or_empty(matches, "reason")));
        }
        let word = if self.back { "unpublish" } else { "publish" };
        let target = format!("/haven/v1/containers/{name}/{word}");
        context.daemon.tell(Request::post(target).json(&Json::Object(document)))?;
        Ok(Status::FINE)
    }
}

fn ports(texts: &[String]) -> Outcome<Json> {
    let mut bindings: Map<String, Json> = Map::new();
    for text in texts {
        let parsed = port::parse(text).map_err(|reason| {
            Failure::invalid(format!("`{text}` is no port to publish"))
                .because(reason)
                .hint("like 8080:80 or 53:53/udp")
        })?;
        for port in parsed {
            let binding = json!({ "HostIp": port.host_ip, "HostPort": port.host_port });
            match bindings.entry(port.key).or_insert_with(|| json!([])) {
                Json::Array(list) => list.push(binding),
                _ => return Err(Failure::internal("a list of ports is none")),
            }
        }
    }
    Ok(Json::Object(bindings))
}
