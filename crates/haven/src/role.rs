//! Which of its roles the program plays: by the name it is called by, or by its first argument.

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
    /// `haven oci`, or called by a name that ends in `oci`: an OCI runtime for other engines; it must not have threads.
    OciRuntime,
    /// `haven spawner`: makes containers' processes for the daemon; it must not have threads.
    Spawner,
}

/// Takes the word that names the role out of `arguments`.
pub(crate) fn choose(called: Option<&OsString>, arguments: &mut Vec<OsString>) -> Role {
    // containerd takes the runtime's path and no arguments.
    if called.and_then(|name| name.to_str()).is_some_and(|name| name.ends_with("haven-oci")) {
        return Role::OciRuntime;
    }
    let role = match arguments.first().and_then(|first| first.to_str()) {
        Some("daemon") => Role::Daemon,
        Some("oci") => Role::OciRuntime,
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
