//! Which of its roles the program plays: by its first argument.

use crate::ending::Refusal;
use std::ffi::OsString;
use std::process::ExitCode;

/// What one binary can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// What people and scripts call.
    CommandLine,
    /// `haven daemon`.
    Daemon,
    /// `haven spawner`: makes containers' processes for the daemon; it must not have threads.
    Spawner,
}

/// Takes the word that names the role out of `arguments`.
pub(crate) fn choose(arguments: &mut Vec<OsString>) -> Role {
    let role = match arguments.first().and_then(|first| first.to_str()) {
        Some("daemon") => Role::Daemon,
        Some("spawner") => Role::Spawner,
        _ => return Role::CommandLine,
    };
    arguments.remove(0);
    role
}

/// Returns once the spawner has put itself into the background, or says why it could not.
pub(crate) fn spawner(arguments: Vec<OsString>) -> ExitCode {
    match haven_engine::run_spawner(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(Refusal::from(failure).report()),
    }
}
