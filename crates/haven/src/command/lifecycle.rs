//! `haven stop`, `restart`, `kill`, `pause`, `unpause`: one request for each container named.

use super::bulk::{self, Missing};
use super::{Context, Verb};
use crate::daemon::segment;
use crate::ending::Done;
use crate::grammar;
use crate::wire::{Query, Request};
use clap::builder::ValueParser;
use clap::{ArgMatches, Command, value_parser};

/// A change of a container's state.
pub(crate) struct Change {
    about: &'static str,
    /// The last part of the API's path.
    action: &'static str,
    signal: Option<&'static str>,
    timeout: bool,
}

pub(crate) static STOP: Change = Change {
    about: "Stop one or more running containers",
    action: "stop",
    signal: Some("Signal to send to the container"),
    timeout: true,
};
pub(crate) static RESTART: Change = Change {
    about: "Restart one or more containers",
    action: "restart",
    signal: Some("Signal to send to the container"),
    timeout: true,
};
pub(crate) static KILL: Change = Change {
    about: "Kill one or more running containers",
    action: "kill",
    signal: Some("Signal to send to the container (default KILL)"),
    timeout: false,
};
pub(crate) static PAUSE: Change = Change {
    about: "Pause all processes within one or more containers",
    action: "pause",
    signal: None,
    timeout: false,
};
pub(crate) static UNPAUSE: Change = Change {
    about: "Unpause all processes within one or more containers",
    action: "unpause",
    signal: None,
    timeout: false,
};

impl Verb for Change {
    fn about(&self) -> &'static str {
        self.about
    }

    fn usage(&self) -> &'static str {
        if self.signal.is_some() { "[OPTIONS] CONTAINER [CONTAINER...]" } else { "CONTAINER [CONTAINER...]" }
    }

    fn grammar(&self, mut command: Command) -> Command {
        if let Some(help) = self.signal {
            command = command.arg(grammar::value("signal", "string", help).short('s'));
        }
        if self.timeout {
            command = command.arg(
                grammar::value(
                    "timeout",
                    "int",
                    "Seconds to wait before killing the container; -1 waits for ever",
                )
                .short('t')
                .alias("time")
                .value_parser(ValueParser::from(value_parser!(i64))),
            );
        }
        command.arg(grammar::operands("CONTAINER"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut query = Query::new();
        if self.signal.is_some() {
            let signal = grammar::text(matches, "signal").or((self.action == "kill").then_some("KILL"));
            query = query.optional("signal", signal);
        }
        if self.timeout {
            let timeout = grammar::parsed::<i64>(matches, "timeout").map(|seconds| seconds.to_string());
            query = query.optional("t", timeout.as_deref());
        }
        bulk::each(context, &grammar::texts(matches, "CONTAINER"), Missing::Fails, |daemon, name| {
            let name = segment(name, "container")?;
            daemon.tell(Request::post(format!("/containers/{name}/{}{}", self.action, query.as_str())))
        })
    }
}
