//! `haven daemon` and `haven oci` as the help, the manual and the completion know them. The program chooses these roles by its
//! first word, before it reads a command line at all (see [`crate::role`]).

use super::{Context, Verb};
use crate::ending::Done;
use crate::grammar;
use crate::service;
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Daemon;
pub(crate) struct Oci;

impl Verb for Daemon {
    fn about(&self) -> &'static str {
        "Run the daemon in the foreground"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args(service::grammar().get_arguments().cloned())
    }

    fn run(&self, _context: &Context, _matches: &ArgMatches) -> Done {
        Err(not_first("daemon"))
    }
}

impl Verb for Oci {
    fn about(&self) -> &'static str {
        "Run OCI bundles for another engine, as its runtime"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] COMMAND [ARG...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::operand("COMMAND")).after_help("`haven oci --help` lists its commands.")
    }

    fn run(&self, _context: &Context, _matches: &ArgMatches) -> Done {
        Err(not_first("oci"))
    }
}

fn not_first(word: &str) -> crate::ending::Refusal {
    Failure::invalid(format!("`{word}` has to be the first word")).hint(format!("haven {word} --help")).into()
}
