//! Appends to a record as fast as one thread can: `append DIRECTORY [RECORDS]`, prints rates; `append DIRECTORY -` prints
//! the sequence of every record once it is on disk, until it is killed.

use haven_audit::{Actor, Ending, Entry, Limits, Log, Moment, Object, verify};
use haven_spec::Outcome;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), count) = (arguments.next(), arguments.next().unwrap_or_else(|| "2000".into()))
    else {
        eprintln_line("usage: append DIRECTORY [RECORDS | -]");
        std::process::exit(2);
    };
    let done = if count == "-" {
        endless(Path::new(&directory))
    } else {
        measure(Path::new(&directory), count.parse().unwrap_or(2000))
    };
    if let Err(failure) = done {
        eprintln_line(&failure.one_line());
        std::process::exit(1);
    }
}

fn eprintln_line(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn say(text: &str) {
    drop(writeln!(std::io::stdout(), "{text}"));
}

fn now() -> Moment {
    Moment { wall: jiff::Timestamp::now(), monotonic_ns: 0, boot: "example".into() }
}

fn entry(number: u64) -> Entry {
    Entry {
        actor: Actor {
            uid: Some(0),
            pid: Some(4711),
            exe: Some("/usr/bin/haven".into()),
            ..Actor::default()
        },
        client: "cli".into(),
        action: "link.add".into(),
        objects: vec![
            Object::new("link", number.to_string()),
            Object::new("container", "api").with_id("0123456789abcdef"),
            Object::new("container", "db"),
        ],
        after: Some(serde_json::json!({"from": "api", "to": "db", "port": 5432, "protocol": "tcp"})),
        reason: Some("orders".into()),
        ..Entry::default()
    }
}

/// One record at a time, each told once it is safe; bounded, in case nobody kills it.
fn endless(directory: &Path) -> Outcome<()> {
    let (mut log, _) = Log::open(directory, "example.org/kill", Limits { segment_bytes: 64 << 10 }, &now())?;
    for number in 0..1_000_000 {
        let sequence = log.begin(entry(number), &now())?;
        say(&sequence.to_string());
        say(&log.end(sequence, Ending::applied(), &now())?.to_string());
    }
    Ok(())
}

fn measure(directory: &Path, count: u64) -> Outcome<()> {
    let (mut log, opening) = Log::open(directory, "example.org/measure", Limits::default(), &now())?;
    say(&format!("opened with {} records, created: {}", log.checkpoint().size(), opening.created));
    let mut times = Vec::new();
    let all = Instant::now();
    for number in 0..count {
        let one = Instant::now();
        log.note(entry(number), &now())?;
        times.push(one.elapsed());
    }
    let all = all.elapsed();
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    say(&format!(
        "{count} appends, each with fdatasync: {:.0}/s, median {:?}, 99 % {:?}, longest {:?}",
        count as f64 / all.as_secs_f64(),
        at(50),
        at(99),
        times.last().copied().unwrap_or_default()
    ));
    let batch = Instant::now();
    log.note_all((0..count).map(entry).collect(), &now())?;
    say(&format!("{count} in batches of 1,024: {:.0}/s", count as f64 / batch.elapsed().as_secs_f64()));
    let checking = Instant::now();
    let verification = verify(directory, log.public_key(), &[])?;
    say(&format!(
        "verified {} records in {:?}, intact: {}",
        verification.records,
        checking.elapsed(),
        verification.is_intact()
    ));
    let asking = Instant::now();
    let (found, _) =
        haven_audit::Query { object: Some("nothing".into()), ..Default::default() }.ask(directory)?;
    say(&format!("asked all of them in {:?}, found {}", asking.elapsed(), found.len()));
    let proving = Instant::now();
    let proof = log.prove_inclusion(0)?;
    say(&format!("proved one in {:?} with {} hashes", proving.elapsed(), proof.path.len()));
    Ok(())
}
