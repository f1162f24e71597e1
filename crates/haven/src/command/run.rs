//! `haven run`: create, attach, wait, start, in this order, so that neither the first byte of output nor the exit
//! status of a container that ends at once can be missed.

use super::{Context, Verb, creation};
use crate::console;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::option::container::{self, Wish};
use crate::option::detach_keys;
use crate::stream::{self, Ended, Plan, Session};
use crate::wire::{Answer, Query, Request};
use clap::builder::ValueParser;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use std::time::Duration;

pub(crate) struct Run;

/// How long the removal of a container that could not start is waited for.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10);

impl Verb for Run {
    fn about(&self) -> &'static str {
        "Create and run a new container from an image"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] IMAGE [COMMAND] [ARG...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command
            .args(container::flags())
            .args([
                grammar::switch("detach", "Run container in background and print container ID").short('d'),
                grammar::value(
                    "detach-keys",
                    "string",
                    "Override the key sequence for detaching a container",
                )
                .value_parser(ValueParser::from(detach_keys::parse)),
                grammar::switch("quiet", "Suppress progress output").short('q'),
                grammar::switch("sig-proxy", "Proxy received signals to the process (default true)"),
            ])
            .arg(grammar::trailing("IMAGE"))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let mut wish = Wish::read(matches, &grammar::texts(matches, "IMAGE"))
            .map_err(|failure| Refusal::new(Status::REFUSED, failure))?;
        if grammar::on(matches, "detach") {
            if !grammar::texts(matches, "attach").is_empty() {
                return Err(Failure::invalid(
                    "conflicting options: cannot specify both --attach and --detach",
                )
                .into());
            }
            wish.detach();
        } else {
            check_terminal(wish.attach_stdin, wish.tty)?;
        }
        let id = creation::create(context, &wish)?;
        if !wish.attaches() {
            start(context, &id, &wish)?;
            console::line(&id)?;
            return Ok(Status::FINE);
        }
        attached(context, matches, &id, &wish)
    }
}

/// A terminal inside needs one outside when keys are to reach it.
pub(super) fn check_terminal(stdin: bool, tty: bool) -> Outcome<()> {
    if stdin && tty && !console::in_is_terminal() {
        return Err(Failure::invalid("the input device is not a TTY").hint("leave out -t"));
    }
    Ok(())
}

fn attached(context: &Context, matches: &ArgMatches, id: &str, wish: &Wish) -> Done {
    let daemon = &context.daemon;
    let proxy = !grammar::given(matches, "sig-proxy") || grammar::on(matches, "sig-proxy");
    // The queue takes over signals before the output thread exists, which inherits the mask.
    let signals = if proxy || wish.tty { Some(stream::signal_queue()?) } else { None };
    let keys =
        grammar::parsed::<Vec<u8>>(matches, "detach-keys").unwrap_or_else(|| detach_keys::DEFAULT.to_vec());
    let query = Query::new()
        .set("stream", "1")
        .flag("stdin", wish.attach_stdin)
        .flag("stdout", wish.attach_stdout)
        .flag("stderr", wish.attach_stderr);
    let request = Request::post(format!("/containers/{id}/attach{}", query.as_str())).upgrade();
    let stream = daemon.open(request)?;
    let plan = Plan {
        tty: wish.tty,
        stdin: wish.attach_stdin,
        output: wish.attach_stdout || wish.attach_stderr,
        detach_keys: keys,
        resize: format!("/containers/{id}/resize"),
        signals_to: proxy.then(|| id.to_owned()),
    };
    let session = Session::begin(daemon, plan, stream, signals)?;
    let wait = wait(context, id, wish.auto_remove)?;
    if let Err(refusal) = start(context, id, wish) {
        session.abandon();
        if wish.auto_remove {
            // The daemon removes what could not start; the next command must not find it any more.
            let mut wait = wait;
            wait.body.connection().limit_reads(Some(REMOVAL_LIMIT))?;
            drop(wait.bytes());
        }
        return Err(refusal);
    }
    match session.serve(Some(wait))? {
        Ended::Detached | Ended::Over(None) => Ok(Status::FINE),
        Ended::Over(Some(code)) => Ok(Status::of_container(code)),
    }
}

/// Asks to be told of the container's next end; registered when this returns.
pub(super) fn wait(context: &Context, id: &str, removed: bool) -> Outcome<Answer> {
    let condition = if removed { "removed" } else { "next-exit" };
    let query = Query::new().set("condition", condition);
    context.daemon.open(Request::post(format!("/containers/{id}/wait{}", query.as_str())))
}

fn start(context: &Context, id: &str, wish: &Wish) -> Result<(), Refusal> {
    context.daemon.tell(Request::post(format!("/containers/{id}/start"))).map_err(|failure| {
        let status = start_status(&failure);
        let name = wish.name.as_deref().unwrap_or_else(|| id.get(..12).unwrap_or(id));
        let hint = match (failure.advice(), status) {
            (Some(_), _) => None,
            (None, Status::NO_COMMAND) => {
                Some("name a command that the image has, or none to run its own".to_owned())
            }
            (None, Status::NOT_EXECUTABLE) => {
                Some("name an executable file, or run it by its interpreter".to_owned())
            }
            (None, _) if wish.auto_remove => None,
            (None, _) => Some(format!("the container is kept; remove it with: haven rm {name}")),
        };
        let failure = match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        Refusal::new(status, failure)
    })
}

/// The exit status for a container that could not be started: the command is missing, not executable, or else.
pub(super) fn start_status(failure: &Failure) -> u8 {
    let text = failure.one_line().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["executable file not found", "no such file or directory"]) {
        Status::NO_COMMAND
    } else if says(&["permission denied", "is a directory", "exec format error"]) {
        Status::NOT_EXECUTABLE
    } else {
        Status::REFUSED
    }
}
