//! Haven measured beside docker, podman, runc and crun, in the same run: `make bench`.
//!
//! Absolute times move with whatever else the machine does; ratios taken in the same run are what counts. So every round
//! measures each engine once, in turn, and the table gives medians and their ratio to Haven's. Each engine lives on a stage
//! (see `haven-tests`), where this program starts a copy of itself that starts and times the commands from inside: neither
//! entering namespaces nor a large parent is in the figures.
//!
//! Peers that aren't installed are left out, and so is Haven with `--peers`.

mod engine;
mod floor;
mod measure;
mod memory;
mod report;
mod worker;

use haven_tests::say;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["worker"] => worker::serve(),
        ["--help"] => say(
            "usage: haven-bench [--peers] [--rounds N] [MEASURE…]   measures: run exec cli ps memory starts load logs",
        ),
        options => {
            let plan = match measure::Plan::parse(options) {
                Ok(plan) => plan,
                Err(word) => {
                    say(&format!("error: no option or measure `{word}`\ntry: haven-bench --help"));
                    return ExitCode::from(2);
                }
            };
            let figures = measure::all(&plan);
            report::print(&figures);
        }
    }
    ExitCode::SUCCESS
}
