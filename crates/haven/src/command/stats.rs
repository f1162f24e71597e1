//! `haven stats`: what containers use, once or continuously.

use super::{Context, Verb};
use crate::console;
use crate::daemon::{Daemon, JsonStream, segment};
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::show::{self, Listing, Row, row};
use crate::template::Value;
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Kind, Outcome};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct Stats;

/// How often the table is drawn.
const DRAWING: Duration = Duration::from_millis(500);
/// How many drawings until the list of containers is read again.
const DRAWINGS_PER_LISTING: u32 = 2;

static LISTING: Listing = Listing {
    headings: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    quiet: "{{.ID}}",
};

impl Verb for Stats {
    fn about(&self) -> &'static str {
        "Display a live stream of container(s) resource usage statistics"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] [CONTAINER...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("all", "Show all containers (default shows just running)").short('a'),
            grammar::format().short(None),
            grammar::switch("no-stream", "Disable streaming stats and only pull the first result"),
            grammar::switch("no-trunc", "Do not truncate output"),
            grammar::optional_operands("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let format = LISTING.format(grammar::text_or_empty(matches, "format"), false)?;
        let full = grammar::on(matches, "no-trunc");
        let all = grammar::on(matches, "all");
        let named = grammar::texts(matches, "CONTAINER");
        let names =
            if named.is_empty() { listed(&context.daemon, all)? } else { resolved(&context.daemon, &named)? };
        if grammar::on(matches, "no-stream") {
            let rows: Vec<Row> =
                once(&context.daemon, &names)?.iter().map(|sample| sample_row(sample, full)).collect();
            format.print(&rows)?;
            return Ok(Status::FINE);
        }
        let board = Arc::new(Board::default());
        board.follow(&context.daemon, &names);
        let terminal = console::out_is_terminal();
        if terminal {
            console::print("\x1b[2J")?;
        }
        for drawing in 1.. {
            std::thread::sleep(DRAWING);
            let rows: Vec<Row> = board.samples().iter().map(|sample| sample_row(sample, full)).collect();
            let text = format.render(&rows)?;
            if terminal {
                let lines: String = text.lines().map(|line| format!("{line}\x1b[K\n")).collect();
                console::print(&format!("\x1b[H{lines}\x1b[J"))?;
            } else {
                console::print(&text)?;
            }
            if named.is_empty() && drawing % DRAWINGS_PER_LISTING == 0 {
                let Ok(names) = listed(&context.daemon, all) else { return Ok(Status::FINE) };
                board.follow(&context.daemon, &names);
            } else if !named.is_empty() && board.is_empty() {
                return Ok(Status::FINE);
            }
        }
        Ok(Status::FINE)
    }
}

/// Ids of all containers, or of those that run.
fn listed(daemon: &Daemon, all: bool) -> Outcome<Vec<String>> {
    let answer = daemon.ask(Request::get(if all { "/containers/json?all=1" } else { "/containers/json" }))?;
    Ok(answer.items().iter().map(|container| container.at("Id").as_str().to_owned()).collect())
}

/// Ids of the containers named; one that isn't there is refused before anything is shown.
fn resolved(daemon: &Daemon, names: &[String]) -> Outcome<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    for name in names {
        let container =
            daemon.ask(Request::get(format!("/containers/{}/json", segment(name, "container")?)))?;
        let id = container.at("Id").as_str().to_owned();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// One sample of each container, asked for at the same time since each takes a second or two.
fn once(daemon: &Daemon, ids: &[String]) -> Result<Vec<Value>, Refusal> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = ids
            .iter()
            .map(|id| {
                let daemon = daemon.again();
                scope.spawn(move || daemon.ask(Request::get(format!("/containers/{id}/stats?stream=0"))))
            })
            .collect();
        let mut samples = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(Ok(sample)) => samples.push(sample),
                // It went away between the list and the question.
                Ok(Err(failure)) if failure.kind() == Kind::NotFound => {}
                Ok(Err(failure)) => return Err(failure.into()),
                Err(_) => return Err(Failure::internal("a thread panicked").into()),
            }
        }
        Ok(samples)
    })
}

/// The newest sample of each container that is followed.
#[derive(Default)]
struct Board {
    samples: Mutex<BTreeMap<String, Option<Value>>>,
}

impl Board {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Option<Value>>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    fn samples(&self) -> Vec<Value> {
        self.locked().values().flatten().cloned().collect()
    }

    /// Follows exactly `ids`: each new one by a thread that ends with its stream or when it is struck off.
    fn follow(self: &Arc<Self>, daemon: &Daemon, ids: &[String]) {
        let mut samples = self.locked();
        samples.retain(|id, _| ids.contains(id));
        for id in ids {
            if samples.contains_key(id) {
                continue;
            }
            samples.insert(id.clone(), None);
            let (board, id, daemon) = (Arc::clone(self), id.clone(), daemon.again());
            std::thread::spawn(move || {
                board.read(&daemon, &id);
                board.locked().remove(&id);
            });
        }
    }

    fn read(&self, daemon: &Daemon, id: &str) {
        let Ok(answer) = daemon.open(Request::get(format!("/containers/{id}/stats"))) else {
            return;
        };
        let mut stream = JsonStream::new(answer);
        while let Some(Ok(sample)) = stream.next() {
            match self.locked().get_mut(id) {
                Some(slot) => *slot = Some(sample),
                None => return,
            }
        }
    }
}

fn sample_row(sample: &Value, full: bool) -> Row {
    let id = sample.at("id").as_str();
    let name = sample.at("name").as_str().trim_start_matches('/');
    let used = memory(sample.at("memory_stats"));
    let limit = sample.path(&["memory_stats", "limit"]).decimal();
    let share = if limit > 0.0 { used / limit * 100.0 } else { 0.0 };
    let (received, sent) = traffic(sample.at("networks"));
    let (read, written) = block_io(sample.at("blkio_stats"));
    let pair =
        |a: f64, b: f64| format!("{} / {}", show::decimal_size_with(a, 3), show::decimal_size_with(b, 3));
    row([
        ("Container", id.into()),
        ("ID", if full { id } else { show::short_id(id) }.into()),
        ("Name", if name.is_empty() { "--" } else { name }.into()),
        ("CPUPerc", format!("{:.2}%", processor(sample)).into()),
        ("MemUsage", format!("{} / {}", show::binary_size(used), show::binary_size(limit)).into()),
        ("MemPerc", format!("{share:.2}%").into()),
        ("NetIO", pair(received, sent).into()),
        ("BlockIO", pair(read, written).into()),
        ("PIDs", sample.path(&["pids_stats", "current"]).number().to_string().into()),
    ])
}

/// Per cent of one processor between the two samples in a message.
fn processor(sample: &Value) -> f64 {
    let of = |which: &str, path: &[&str]| sample.at(which).path(path).decimal();
    let used =
        of("cpu_stats", &["cpu_usage", "total_usage"]) - of("precpu_stats", &["cpu_usage", "total_usage"]);
    let passed = of("cpu_stats", &["system_cpu_usage"]) - of("precpu_stats", &["system_cpu_usage"]);
    let mut count = of("cpu_stats", &["online_cpus"]);
    if count == 0.0 {
        count = sample.path(&["cpu_stats", "cpu_usage", "percpu_usage"]).items().len() as f64;
    }
    if used > 0.0 && passed > 0.0 { used / passed * count * 100.0 } else { 0.0 }
}

/// Memory without what the page cache could give back: the key differs between cgroup versions.
fn memory(stats: &Value) -> f64 {
    let used = stats.at("usage").decimal();
    let details = stats.at("stats");
    let reclaimable = ["total_inactive_file", "inactive_file"]
        .into_iter()
        .map(|name| details.at(name).decimal())
        .find(|bytes| *bytes > 0.0 && *bytes < used);
    used - reclaimable.unwrap_or(0.0)
}

fn traffic(networks: &Value) -> (f64, f64) {
    networks.entries().iter().fold((0.0, 0.0), |(received, sent), (_, network)| {
        (received + network.at("rx_bytes").decimal(), sent + network.at("tx_bytes").decimal())
    })
}

fn block_io(stats: &Value) -> (f64, f64) {
    let (mut read, mut written) = (0.0, 0.0);
    for entry in stats.at("io_service_bytes_recursive").items() {
        match entry.at("op").as_str().chars().next() {
            Some('r' | 'R') => read += entry.at("value").decimal(),
            Some('w' | 'W') => written += entry.at("value").decimal(),
            _ => {}
        }
    }
    (read, written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_computed_as_docker_computes_it() {
        for (details, used) in [
            (r#"{"total_inactive_file":1048576}"#, "1MiB / 4MiB"),
            (r#"{"inactive_file":1048576}"#, "1MiB / 4MiB"),
            (r#"{"inactive_file":9999999}"#, "2MiB / 4MiB"),
            ("null", "2MiB / 4MiB"),
        ] {
            let sample: Value = serde_json::from_str(&format!(
                r#"{{"id":"0123456789abcdef","name":"/web",
                    "cpu_stats":{{"cpu_usage":{{"total_usage":300}},"system_cpu_usage":2000,"online_cpus":2}},
                    "precpu_stats":{{"cpu_usage":{{"total_usage":100}},"system_cpu_usage":1000}},
                    "memory_stats":{{"usage":2097152,"limit":4194304,"stats":{details}}},
                    "networks":{{"a":{{"rx_bytes":1000,"tx_bytes":1}},"b":{{"rx_bytes":500,"tx_bytes":1}}}},
                    "blkio_stats":{{"io_service_bytes_recursive":[{{"op":"Read","value":7}},{{"op":"write","value":8}}]}},
                    "pids_stats":{{"current":3}}}}"#
            ))
            .unwrap();
            let row = sample_row(&sample, false);
            let cells: Vec<&str> = ["ID", "Name", "CPUPerc", "MemUsage", "NetIO", "BlockIO", "PIDs"]
                .into_iter()
                .map(|name| row.at(name).as_str())
                .collect();
            assert_eq!(
                cells,
                ["0123456789ab", "web", "40.00%", used, "1.5kB / 2B", "7B / 8B", "3"],
                "{details}"
            );
        }
    }
}
