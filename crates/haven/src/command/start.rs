//! `haven start`: starts containers that are there, and with `-a` or `-i` joins one.

use super::{Context, Verb, run};
use crate::console;
use crate::daemon::segment;
use crate::ending::{self, Done, Status};
use crate::grammar;
use crate::option::detach_keys;
use crate::stream::{self, Ended, Plan, Session};
use crate::wire::{Query, Request};
use clap::builder::ValueParser;
use clap::{ArgMatches, Command};
use haven_spec::Failure;

pub(crate) struct Start;

impl Verb for Start {
    fn about(&self) -> &'static str {
        "Start one or more stopped containers"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER [CONTAINER...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'),
            grammar::value("detach-keys", "string", "Override the key sequence for detaching a container")
                .value_parser(ValueParser::from(detach_keys::parse)),
            grammar::switch("interactive", "Attach container's STDIN").short('i'),
            grammar::operands("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let names = grammar::texts(matches, "CONTAINER");
        let interactive = grammar::on(matches, "interactive");
        if interactive || grammar::on(matches, "attach") {
            return match names.as_slice() {
                [name] => attached(context, matches, name, interactive),
                _ => Err(Failure::invalid("you cannot start and attach multiple containers at once").into()),
            };
        }
        ending::each(&names, |name| {
            context
                .daemon
                .tell(Request::post(format!("/containers/{}/start", segment(name, "container")?)))?;
            console::line(name)
        })
    }
}

fn attached(context: &Context, matches: &ArgMatches, name: &str, interactive: bool) -> Done {
    let daemon = &context.daemon;
    let container = daemon.ask(Request::get(format!("/containers/{}/json", segment(name, "container")?)))?;
    let id = container.at("Id").as_str();
    let tty = container.path(&["Config", "Tty"]).is_true();
    let stdin = interactive && container.path(&["Config", "OpenStdin"]).is_true();
    let removed = container.path(&["HostConfig", "AutoRemove"]).is_true();
    let signals = Some(stream::signal_queue()?);
    let query = Query::new().set("stream", "1").flag("stdin", stdin).set("stdout", "1").set("stderr", "1");
    let stream =
        daemon.open(Request::post(format!("/containers/{id}/attach{}", query.as_str())).upgrade())?;
    let keys =
        grammar::parsed::<Vec<u8>>(matches, "detach-keys").unwrap_or_else(|| detach_keys::DEFAULT.to_vec());
    let plan = Plan {
        tty,
        stdin,
        output: true,
        detach_keys: keys,
        resize: format!("/containers/{id}/resize"),
        signals_to: (!tty).then(|| id.to_owned()),
    };
    let session = Session::begin(daemon, plan, stream, signals)?;
    let wait = run::wait(context, id, removed)?;
    if let Err(failure) = daemon.tell(Request::post(format!("/containers/{id}/start"))) {
        session.abandon();
        return Err(failure.into());
    }
    match session.serve(Some(wait))? {
        Ended::Detached | Ended::Over(None) => Ok(Status::FINE),
        Ended::Over(Some(code)) => Ok(Status::of_container(code)),
    }
}
