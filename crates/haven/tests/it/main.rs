//! The command line against a daemon that says exactly what each test scripted: what goes over the wire, and what
//! happens when the other side is slow, wrong, or gone.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its scene fails")]

mod daemon;
mod hijack;
mod listing;
mod upload;
mod wire;

use std::process::{Command, Output, Stdio};

/// Runs the program against the scripted daemon.
fn haven(daemon: &daemon::Daemon, arguments: &[&str]) -> Output {
    command(daemon, arguments).stdin(Stdio::null()).output().expect("the program starts")
}

fn command(daemon: &daemon::Daemon, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haven"));
    command.arg("-H").arg(daemon.path()).args(arguments).env("TZ", "UTC").env_remove("HAVEN_HOST");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
