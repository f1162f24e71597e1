//! Asking before something is removed for good.

use crate::console;
use crate::ending::Refusal;
use crate::show;
use crate::template::Value;
use haven_spec::Failure;
use std::io;

/// Asks on standard output; only `y` or `yes` agrees. The end of input is a no.
pub(super) fn confirmed(warning: &str) -> Result<bool, Refusal> {
    console::print(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::host("cannot read the answer").because(error))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Unless `force`d asks. A no ends the command, and is no failure.
pub(super) fn require(force: bool, warning: &str, what: &str) -> Result<(), Refusal> {
    if force || confirmed(warning)? {
        return Ok(());
    }
    console::note(&format!("{what} has been cancelled"));
    Err(Refusal::silent(0))
}

/// What was removed and how much space that freed.
pub(super) fn tell(heading: &str, removed: &[String], reclaimed: &Value) -> Result<(), Refusal> {
    let mut text = section(heading, removed);
    if !text.is_empty() {
        text.push('\n');
    }
    console::print(&format!("{text}Total reclaimed space: {}\n", show::decimal_size(reclaimed.decimal())))
}

/// A heading and the removed things below it; nothing when there are none.
pub(super) fn section(heading: &str, removed: &[String]) -> String {
    if removed.is_empty() {
        return String::new();
    }
    format!("{heading}:\n{}\n", removed.join("\n"))
}
