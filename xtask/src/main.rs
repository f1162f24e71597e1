//! Development tasks that need an `if`: what `make` calls, on a laptop as in CI.
//!
//! `tidy` holds the house rules that no compiler holds; `setup` installs what building and testing need. Each
//! says the cure of what it finds. Nothing here is part of the product, and nothing of the product is used here.

mod metadata;
mod rust_source;
mod setup;
mod tidy;
mod tree;
mod vm;

use setup::{Mode, Purpose};
use std::path::Path;
use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <task>

  tidy            check the house rules: floors, dependencies, licences, unsafe, headers, paths, promises
  tidy --sizes    and list the files and functions that have grown long
  setup           install what is missing to test and measure (Debian, as root; otherwise says what to run)
  setup --demo    only what the demonstration needs
  setup --vm      what the virtual machine needs as well
  setup --check   only say what is missing
  vm              check target/haven on Debian's kernel with cgroup v2, in a virtual machine";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["tidy"] => tidy::run(false),
        ["tidy", "--sizes"] => tidy::run(true),
        ["vm"] => vm::run(Path::new(".")),
        ["setup"] => setup::run(Purpose::Test, Mode::Install),
        ["setup", "--demo"] => setup::run(Purpose::Demo, Mode::Install),
        ["setup", "--vm"] => setup::run(Purpose::Machine, Mode::Install),
        ["setup", "--check"] => setup::run(Purpose::Test, Mode::Check),
        [] | ["help" | "--help" | "-h"] => {
            say(HELP);
            Ok(())
        }
        other => Err(format!("no task `{}`\n\n{HELP}", other.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// Output of these tasks goes through here and [`complain`] alone.
#[allow(clippy::print_stdout, reason = "a command line tool's output")]
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "a command line tool's errors")]
fn complain(line: &str) {
    eprintln!("{line}");
}
