//! `haven man DIRECTORY`: writes the manual pages, for packages.

use super::{Context, Verb, tree};
use crate::ending::{Done, Status};
use crate::grammar;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use std::fs;
use std::path::Path;

pub(crate) struct Man;

impl Verb for Man {
    fn about(&self) -> &'static str {
        "Write the manual pages into a directory"
    }

    fn usage(&self) -> &'static str {
        "DIRECTORY"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::operand("DIRECTORY"))
    }

    fn run(&self, _context: &Context, matches: &ArgMatches) -> Done {
        let directory = Path::new(grammar::text_or_empty(matches, "DIRECTORY"));
        fs::create_dir_all(directory).map_err(|error| {
            Failure::host(format!("cannot create `{}`", directory.display())).because(error)
        })?;
        write(&tree::whole(), "haven", directory)?;
        Ok(Status::FINE)
    }
}

/// The page of `command` and those of its subcommands: `haven-container-ls.1`.
fn write(command: &Command, name: &str, directory: &Path) -> Outcome<()> {
    let path = directory.join(format!("{name}.1"));
    let refuse = |error| Failure::host(format!("cannot write `{}`", path.display())).because(error);
    let page = clap_mangen::Man::new(command.clone().name(name.to_owned()).display_name(name.to_owned()))
        .title(name.to_uppercase())
        .manual("Haven Manual");
    let mut bytes = Vec::new();
    page.render(&mut bytes).map_err(refuse)?;
    fs::write(&path, bytes).map_err(refuse)?;
    for subcommand in command.get_subcommands() {
        write(subcommand, &format!("{name}-{}", subcommand.get_name()), directory)?;
    }
    Ok(())
}
