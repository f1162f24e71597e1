//! A container that runs: `pause`, `resume`, `update`, `events`.

use super::arguments::Arguments;
use super::listing::living;
use super::store::Store;
use super::{events, print, update};
use crate::cgroup::Group;
use crate::oci::Status;
use haven_spec::{Failure, Outcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

fn group_of(record: &super::record::Record) -> Outcome<Group> {
    record.group()?.ok_or_else(|| {
        Failure::conflict("the container has no control group")
            .hint("it was created without one, or has ended")
    })
}

pub(super) fn pause(store: &Store, arguments: &Arguments) -> Outcome<()> {
    let place = store.lock(arguments.first())?;
    let record = place.read()?;
    match record.status(&place.start_socket()) {
        Status::Paused => Err(Failure::conflict("the container is paused already")),
        status => {
            living(status, "pause")?;
            group_of(&record)?.freeze(PATIENCE)
        }
    }
}

pub(super) fn resume(store: &Store, arguments: &Arguments) -> Outcome<()> {
    let place = store.lock(arguments.first())?;
    let record = place.read()?;
    match record.status(&place.start_socket()) {
        Status::Paused => group_of(&record)?.thaw(),
        status => Err(Failure::conflict(format!("the container is not paused but {status}"))),
    }
}

pub(super) fn update(store: &Store, arguments: &Arguments, log: &super::log::Log) -> Outcome<()> {
    let change = update::wanted(arguments)?;
    let place = store.lock(arguments.first())?;
    let mut record = place.read()?;
    living(record.status(&place.start_socket()), "update")?;
    for warning in group_of(&record)?.apply(&change)? {
        log.warn(&warning);
    }
    let linux = record.spec.linux.get_or_insert_default();
    linux.resources = Some(update::merged(linux.resources.as_ref(), &change)?);
    place.write(&record)
}

pub(super) fn events(store: &Store, arguments: &Arguments) -> Outcome<()> {
    let id = arguments.first();
    let record = store.read(id)?;
    let group = group_of(&record)?;
    if arguments.has("stats") {
        return print(&format!("{}\n", events::stats_event(id, &group.stats()?)));
    }
    let interval = interval(arguments.value("interval").unwrap_or("5s"))?;
    let process = record.process().ok_or_else(|| Failure::conflict("container not running"))?;
    // A machine that doesn't count memory has no such events, but the others.
    let mut memory = group.watch_oom().ok();
    let mut kills = group.oom_kills()?;
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left)
            .map_err(|error| Failure::invalid("the interval is too long").because(error))?;
        let (ended, struck) = {
            let mut polled = vec![PollFd::new(&process, PollFlags::IN)];
            polled.extend(memory.as_ref().map(|watch| PollFd::new(watch, watch.interest())));
            match poll(&mut polled, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(Failure::host("cannot wait for events").because(std::io::Error::from(errno)));
                }
            }
            let ready = |at: usize| polled.get(at).is_some_and(|one| !one.revents().is_empty());
            (ready(0), ready(1))
        };
        if struck && let Some(watch) = memory.as_mut() {
            watch.acknowledge();
            let now = group.oom_kills()?;
            if now > kills {
                print(&format!("{}\n", events::oom_event(id)))?;
            }
            kills = now;
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            print(&format!("{}\n", events::stats_event(id, &group.stats()?)))?;
            next += interval;
        }
    }
}

/// `5s`, `500ms`, `1m`.
fn interval(text: &str) -> Outcome<Duration> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit_ms))
        .filter(|ms| *ms > 0)
        .map(Duration::from_millis)
        .ok_or_else(|| Failure::invalid(format!("`{text}` is not an interval (like `5s`)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_a_unit() {
        assert_eq!(interval("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(interval("2m").unwrap(), Duration::from_secs(120));
        for bad in ["", "5", "s", "0s", "-1s", "5 s", "18446744073709551615h"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
