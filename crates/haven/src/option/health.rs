//! `--health-*` and `--no-healthcheck`.

use super::duration;
use crate::grammar;
use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, value_parser};
use haven_spec::{Failure, Outcome};
use serde_json::{Map, Value as Json, json};

const DURATIONS: [(&str, &str); 4] = [
    ("health-interval", "Interval"),
    ("health-timeout", "Timeout"),
    ("health-start-period", "StartPeriod"),
    ("health-start-interval", "StartInterval"),
];

pub(crate) fn flags() -> Vec<Arg> {
    let interval =
        |long, help| grammar::value(long, "duration", help).value_parser(ValueParser::from(duration::parse));
    vec![
        grammar::value("health-cmd", "string", "Command to run to check health"),
        interval("health-interval", "Time between running the check (ms|s|m|h)"),
        interval("health-timeout", "Maximum time to allow one check to run (ms|s|m|h)"),
        interval("health-start-period", "Time to start up, in which failures do not count (ms|s|m|h)"),
        interval(
            "health-start-interval",
            "Time between running the check during the start period (ms|s|m|h)",
        ),
        grammar::value("health-retries", "int", "Consecutive failures needed to report unhealthy")
            .value_parser(ValueParser::from(value_parser!(i64))),
        grammar::switch("no-healthcheck", "Disable any container-specified HEALTHCHECK"),
    ]
}

/// The API's health check; `None` leaves the image's.
pub(crate) fn read(matches: &ArgMatches) -> Outcome<Option<Json>> {
    let mut health = Map::new();
    let command = grammar::text_or_empty(matches, "health-cmd");
    for (flag, name) in DURATIONS {
        if let Some(duration) = grammar::parsed::<i64>(matches, flag).filter(|duration| *duration != 0) {
            if duration < 0 {
                return Err(Failure::invalid(format!("--{flag} cannot be negative")));
            }
            health.insert(name.into(), json!(duration));
        }
    }
    if let Some(retries) = grammar::parsed::<i64>(matches, "health-retries").filter(|retries| *retries != 0) {
        if retries < 0 {
            return Err(Failure::invalid("--health-retries cannot be negative"));
        }
        health.insert("Retries".into(), json!(retries));
    }
    if grammar::on(matches, "no-healthcheck") {
        if !health.is_empty() || !command.is_empty() {
            return Err(Failure::invalid("--no-healthcheck conflicts with --health-* options"));
        }
        return Ok(Some(json!({"Test": ["NONE"]})));
    }
    if !command.is_empty() {
        health.insert("Test".into(), json!(["CMD-SHELL", command]));
    }
    Ok((!health.is_empty()).then_some(Json::Object(health)))
}
