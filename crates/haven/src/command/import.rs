//! `haven import`: an image from the tar archive of a root file system.

use super::reference::split;
use super::{Context, Verb, archive_file};
use crate::console;
use crate::daemon::JsonStream;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::progress;
use crate::wire::{Query, Request};
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Import;

impl Verb for Import {
    fn about(&self) -> &'static str {
        "Import the contents from a tarball to create a filesystem image"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] file|- [REPOSITORY[:TAG]]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::values("change", "list", "Apply Dockerfile instruction to the created image").short('c'),
            grammar::value("message", "string", "Set commit message for imported image").short('m'),
            grammar::value("platform", "string", "Set platform if server is multi-platform capable"),
            grammar::operand("file"),
            grammar::optional_operand("REPOSITORY"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let file = grammar::text_or_empty(matches, "file");
        if file.starts_with("http://") || file.starts_with("https://") {
            return Err(Failure::unsupported(format!("cannot import from `{file}`"))
                .because("archives are read from files and standard input only")
                .hint(format!("curl -fsSL {file} | haven import - NAME"))
                .into());
        }
        let (repository, tag) = match grammar::text(matches, "REPOSITORY") {
            Some(reference) => split(reference)?,
            None => Default::default(),
        };
        let source = archive_file::source(Some(file), "importing", !console::err_is_terminal())?;
        let mut query = Query::new()
            .set("fromSrc", "-")
            .optional("repo", (!repository.is_empty()).then_some(&repository))
            .optional("tag", (!tag.is_empty()).then_some(&tag))
            .optional("message", grammar::text(matches, "message"))
            .optional("platform", grammar::text(matches, "platform"));
        for change in grammar::texts(matches, "change") {
            query = query.set("changes", &change);
        }
        let answer =
            context.daemon.open(Request::post(format!("/images/create{}", query.as_str())).stream(source))?;
        progress::follow(JsonStream::new(answer), false)?;
        Ok(Status::FINE)
    }
}
