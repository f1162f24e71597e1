//! `haven completion`: completion scripts for shells, from the grammar itself.

use super::{Context, Verb, tree};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use clap::{ArgMatches, Command};
use clap_complete::Shell;
use haven_spec::Failure;

pub(crate) struct Completion;

impl Verb for Completion {
    fn about(&self) -> &'static str {
        "Print a completion script for a shell"
    }

    fn usage(&self) -> &'static str {
        "bash|zsh|fish"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .arg(grammar::operand("SHELL"))
            .after_help("To use it at once: source <(haven completion bash)\nTo keep it: haven completion bash > /etc/bash_completion.d/haven")
    }

    fn run(&self, _context: &Context, matches: &ArgMatches) -> Done {
        let shell = match grammar::text_or_empty(matches, "SHELL") {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            other => {
                return Err(Failure::unsupported(format!("there is no completion for `{other}`"))
                    .hint("haven completion bash, zsh or fish")
                    .into());
            }
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut tree::whole(), "haven", &mut script);
        console::print(&String::from_utf8_lossy(&script))?;
        Ok(Status::FINE)
    }
}
