//! `haven inspect`: everything the daemon knows of an object, as JSON or through a template.

use super::reference::image_segment;
use super::{Context, Verb};
use crate::console;
use crate::daemon::segment;
use crate::ending::{self, Done, Refusal, Status};
use crate::grammar;
use crate::show;
use crate::template::{Template, Value};
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Kind as FailureKind, Outcome};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

/// In this order a name is looked up when no kind is given.
const KINDS: [Kind; 4] = [Kind::Container, Kind::Image, Kind::Network, Kind::Volume];

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }

    fn target(self, name: &str, size: bool) -> Outcome<String> {
        Ok(match self {
            Self::Container => {
                format!(
                    "/containers/{}/json{}",
                    segment(name, "container")?,
                    if size { "?size=1" } else { "" }
                )
            }
            Self::Image => format!("/images/{}/json", image_segment(name)?),
            Self::Network => format!("/networks/{}", segment(name, "network")?),
            Self::Volume => format!("/volumes/{}", segment(name, "volume")?),
        })
    }
}

/// `inspect` for any kind, or for one.
pub(crate) struct Inspect {
    only: Option<Kind>,
}

pub(crate) static ANY: Inspect = Inspect { only: None };
pub(crate) static CONTAINER: Inspect = Inspect { only: Some(Kind::Container) };
pub(crate) static IMAGE: Inspect = Inspect { only: Some(Kind::Image) };
pub(crate) static NETWORK: Inspect = Inspect { only: Some(Kind::Network) };
pub(crate) static VOLUME: Inspect = Inspect { only: Some(Kind::Volume) };

impl Verb for Inspect {
    fn about(&self) -> &'static str {
        match self.only {
            None => "Return low-level information on Haven objects",
            Some(Kind::Container) => "Display detailed information on one or more containers",
            Some(Kind::Image) => "Display detailed information on one or more images",
            Some(Kind::Network) => "Display detailed information on one or more networks",
            Some(Kind::Volume) => "Display detailed information on one or more volumes",
        }
    }

    fn usage(&self) -> &'static str {
        match self.only {
            None => "[OPTIONS] NAME|ID [NAME|ID...]",
            Some(Kind::Container) => "[OPTIONS] CONTAINER [CONTAINER...]",
            Some(Kind::Image) => "[OPTIONS] IMAGE [IMAGE...]",
            Some(Kind::Network) => "[OPTIONS] NETWORK [NETWORK...]",
            Some(Kind::Volume) => "[OPTIONS] VOLUME [VOLUME...]",
        }
    }

    fn grammar(&self, mut command: Command) -> Command {
        command = command.arg(
            grammar::value(
                "format",
                "string",
                "Format output using a custom template: 'json' or a Go template",
            )
            .short('f'),
        );
        if matches!(self.only, None | Some(Kind::Container)) {
            command = command
                .arg(grammar::switch("size", "Display total file sizes if the type is container").short('s'));
        }
        if self.only.is_none() {
            command = command.arg(grammar::value("type", "string", "Only inspect objects of the given type"));
        }
        if self.only == Some(Kind::Network) {
            command = command.arg(grammar::switch("verbose", "Verbose output for diagnostics").short('v'));
        }
        command.arg(grammar::operands("NAME"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let kinds = self.kinds(matches)?;
        let size = matches!(self.only, None | Some(Kind::Container)) && grammar::on(matches, "size");
        let template = match grammar::text_or_empty(matches, "format") {
            "" => None,
            "json" => Some(Template::parse("{{json .}}")?),
            text => Some(Template::parse(text)?),
        };
        let mut found: Vec<String> = Vec::new();
        let mut failures: Vec<Failure> = Vec::new();
        for name in grammar::texts(matches, "NAME") {
            match lookup(context, &kinds, &name, size) {
                Ok(document) => found.push(document),
                Err(failure) => failures.push(failure),
            }
        }
        match template {
            None => console::line(&show::indented(&format!("[{}]", found.join(","))))?,
            Some(template) => {
                for document in &found {
                    let value: Value = serde_json::from_str(document).map_err(|error| {
                        Failure::internal("the daemon's answer is not valid JSON").because(error)
                    })?;
                    console::line(&template.render(&value)?)?;
                }
            }
        }
        if failures.is_empty() {
            return Ok(Status::FINE);
        }
        for failure in &failures {
            ending::report(failure);
        }
        Err(Refusal::silent(Status::FAILED))
    }
}

impl Inspect {
    fn kinds(&self, matches: &ArgMatches) -> Outcome<Vec<Kind>> {
        if let Some(only) = self.only {
            return Ok(vec![only]);
        }
        match grammar::text(matches, "type") {
            None => Ok(KINDS.to_vec()),
            Some(word) => {
                KINDS.into_iter().find(|kind| kind.word() == word).map(|kind| vec![kind]).ok_or_else(|| {
                    Failure::invalid(format!("unknown type: \"{word}\""))
                        .hint("use container, image, network or volume")
                })
            }
        }
    }
}

/// The JSON text of the first object called `name`.
fn lookup(context: &Context, kinds: &[Kind], name: &str, size: bool) -> Outcome<String> {
    for kind in kinds {
        match context.daemon.ask_text(Request::get(kind.target(name, size)?)) {
            Err(failure) if failure.kind() == FailureKind::NotFound && kinds.len() > 1 => {}
            // What cannot be a name of one kind may be one of another.
            Err(failure) if failure.kind() == FailureKind::Invalid && kinds.len() > 1 => {}
            other => return other,
        }
    }
    Err(Failure::not_found(format!("No such object: {name}"))
        .hint("haven ps -a, haven images, haven volume ls"))
}
