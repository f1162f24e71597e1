//! `haven update`: changes the limits of containers, also of running ones.

use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{self, Done};
use crate::grammar;
use crate::option::{bytes, cpus, restart};
use crate::wire::Request;
use clap::builder::ValueParser;
use clap::{ArgMatches, Command, value_parser};
use haven_spec::Failure;
use serde_json::{Map, Value as Json};

pub(crate) struct Update;

const NUMBERS: [(&str, &str); 11] = [
    ("memory", "Memory"),
    ("memory-reservation", "MemoryReservation"),
    ("memory-swap", "MemorySwap"),
    ("cpus", "NanoCpus"),
    ("cpu-shares", "CpuShares"),
    ("cpu-period", "CpuPeriod"),
    ("cpu-quota", "CpuQuota"),
    ("cpu-rt-period", "CpuRealtimePeriod"),
    ("cpu-rt-runtime", "CpuRealtimeRuntime"),
    ("pids-limit", "PidsLimit"),
    ("blkio-weight", "BlkioWeight"),
];

impl Verb for Update {
    fn about(&self) -> &'static str {
        "Update configuration of one or more containers"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER [CONTAINER...]"
    }

    fn grammar(&self, command: Command) -> Command {
        let number = |long, help| {
            grammar::value(long, "int", help).value_parser(ValueParser::from(value_parser!(i64)))
        };
        let memory =
            |long, help| grammar::value(long, "bytes", help).value_parser(ValueParser::from(bytes::parse));
        command.args([
            grammar::value(
                "blkio-weight",
                "uint16",
                "Block IO (relative weight), between 10 and 1000, or 0 to disable",
            )
            .value_parser(ValueParser::from(value_parser!(i64).range(0..=65535))),
            number("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
            number("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
            number("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
            number("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
            number("cpu-shares", "CPU shares (relative weight)").short('c'),
            grammar::value("cpus", "decimal", "Number of CPUs").value_parser(ValueParser::from(cpus::parse)),
            grammar::value("cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)"),
            grammar::value("cpuset-mems", "string", "MEMs in which to allow execution (0-3, 0,1)"),
            memory("memory", "Memory limit").short('m'),
            memory("memory-reservation", "Memory soft limit"),
            grammar::value(
                "memory-swap",
                "bytes",
                "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
            )
            .value_parser(ValueParser::from(bytes::parse_or_unlimited)),
            number("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
            grammar::value("restart", "string", "Restart policy to apply when a container exits"),
            grammar::operands("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut change: Map<String, Json> = Map::new();
        for (flag, name) in NUMBERS {
            if let Some(number) = grammar::parsed::<i64>(matches, flag) {
                change.insert(name.into(), number.into());
            }
        }
        for (flag, name) in [("cpuset-cpus", "CpusetCpus"), ("cpuset-mems", "CpusetMems")] {
            if let Some(text) = grammar::text(matches, flag) {
                change.insert(name.into(), text.into());
            }
        }
        if let Some(text) = grammar::text(matches, "restart") {
            let policy = restart::parse(text).map_err(|reason| {
                Failure::invalid(format!("`{text}` is not a valid value for `--restart`")).because(reason)
            })?;
            change.insert("RestartPolicy".into(), policy);
        }
        if change.is_empty() {
            return Err(Failure::invalid("you must provide one or more flags when using this command")
                .hint("haven update --help")
                .into());
        }
        let document = Json::Object(change);
        ending::each(&grammar::texts(matches, "CONTAINER"), |name| {
            let target = format!("/containers/{}/update", segment(name, "container")?);
            let answer = context.daemon.ask(Request::post(target).json(&document))?;
            for warning in answer.at("Warnings").items() {
                console::note(&format!("warning: {}", warning.as_str()));
            }
            console::line(name)
        })
    }
}
