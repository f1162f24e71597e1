//! What there is: `state`, `list`, `ps`.

use super::arguments::Arguments;
use super::print;
use super::record::Shown;
use super::store::Store;
use crate::oci::Status;
use haven_spec::{Failure, Outcome};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

fn json<T: serde::Serialize>(value: &T) -> Outcome<String> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::internal("cannot write JSON").because(error))
}

pub(super) fn state(store: &Store, arguments: &Arguments) -> Outcome<()> {
    let id = arguments.first();
    let record = store.read(id)?;
    print(&json(&record.shown(record.status(&store.start_socket(id))))?)
}

pub(super) fn list(store: &Store, arguments: &Arguments) -> Outcome<()> {
    // One deleted meanwhile, or whose record can't be read, doesn't keep the others from being listed.
    let all: Vec<Shown> = store
        .ids()?
        .iter()
        .filter_map(|id| store.read(id).ok())
        .map(|record| record.shown(record.status(&store.start_socket(&record.id))))
        .collect();
    if arguments.has("quiet") {
        return print(&all.iter().fold(String::new(), |text, one| text + &one.id + "\n"));
    }
    match arguments.value("format") {
        None | Some("table") => print(&table(&all)),
        Some("json") => print(&json(&all)?),
        Some(other) => Err(Failure::invalid(format!("`{other}` is not a format (`table` or `json`)"))),
    }
}

fn table(all: &[Shown]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head)
        .chain(all.iter().map(|one| {
            [
                one.id.clone(),
                one.pid.to_string(),
                one.status.to_string(),
                one.bundle.clone(),
                one.created.clone(),
                one.owner.clone(),
            ]
        }))
        .collect();
    let mut widths = [0usize; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rows.iter().fold(String::new(), |mut text, row| {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            // Writing to a string can't fail.
            let _: std::fmt::Result = write!(line, "{cell:<width$}   ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

/// The container's processes by the host's numbers, as JSON, or as the host's `ps` shows them.
pub(super) fn ps(store: &Store, arguments: &Arguments) -> Outcome<()> {
    let record = store.read(arguments.first())?;
    let pids: BTreeSet<i32> = match record.group()? {
        Some(group) => group.processes()?.iter().map(|pid| pid.as_raw_nonzero().get()).collect(),
        None => record.process().map(|_| record.pid).into_iter().collect(),
    };
    match arguments.value("format") {
        Some("json") => print(&format!("{}\n", serde_json::json!(pids))),
        None | Some("table") => {
            let options = &arguments.operands[1..];
            let default = ["-ef".to_owned()];
            let options = if options.is_empty() { &default[..] } else { options };
            let output = Command::new("ps").args(options).output().map_err(|error| {
                Failure::host("cannot run `ps`")
                    .because(error)
                    .hint("use `--format json`, which needs no program")
            })?;
            let text = String::from_utf8_lossy(&output.stdout);
            let own = processes_among(&text, &pids).ok_or_else(|| {
                Failure::invalid("`ps` shows no column PID with these options")
                    .because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
            })?;
            print(&own)
        }
        Some(other) => Err(Failure::invalid(format!("`{other}` is not a format (`table` or `json`)"))),
    }
}

/// The head and those lines whose PID is one of these; `None` without such a column.
fn processes_among(text: &str, pids: &BTreeSet<i32>) -> Option<String> {
    let mut lines = text.lines();
    let head = lines.next()?;
    let column = head.split_whitespace().position(|word| word == "PID")?;
    let own = lines.filter(|line| {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    });
    Some(std::iter::once(head).chain(own).fold(String::new(), |text, line| text + line + "\n"))
}

/// Refuses what makes no sense for a container that isn't there any more.
pub(super) fn living(status: Status, what: &str) -> Outcome<()> {
    match status {
        Status::Stopped => Err(Failure::conflict(format!("cannot {what} a container that has stopped"))),
        Status::Creating => {
            Err(Failure::conflict(format!("cannot {what} a container that is being created")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_shown() {
        let text = "UID   PID  CMD\nroot    1  init\nroot   12  sh -c 1\n";
        assert_eq!(processes_among(text, &[12].into()).unwrap(), "UID   PID  CMD\nroot   12  sh -c 1\n");
        assert_eq!(processes_among("UID CMD\n", &[1].into()), None);
        assert_eq!(processes_among("", &[1].into()), None);
    }
}
