//! Haven's one program: the command line, and by its first argument or its name the other roles.
//!
//! What runs is chosen here, before any thread exists and before anything is initialised, because some roles must not
//! inherit either. Linux only.

mod archive;
mod command;
mod console;
mod daemon;
mod ending;
mod grammar;
mod help;
mod option;
mod program;
mod progress;
mod role;
mod service;
mod show;
mod stream;
mod suggestion;
mod template;
mod wire;

use role::Role;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let called = words.next();
    let mut arguments: Vec<OsString> = words.collect();
    if arguments.first().is_some_and(|first| first == daemon::DETACH_WORD) {
        arguments.remove(0);
        if let Err(failure) = daemon::detach() {
            return ExitCode::from(ending::Refusal::from(failure).report());
        }
    }
    match role::choose(called.as_ref(), &mut arguments) {
        Role::CommandLine => ExitCode::from(program::main(arguments)),
        Role::Daemon => ExitCode::from(service::main(arguments)),
        Role::OciRuntime => haven_engine::oci_command(std::iter::once("haven-oci".into()).chain(arguments)),
        Role::Spawner => role::spawner(arguments),
    }
}
