//! `haven exec`: another process in a running container.

use super::{Context, Verb, run};
use crate::daemon::segment;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::option::{detach_keys, environment};
use crate::stream::{self, Ended, Plan, Session};
use crate::wire::Request;
use clap::builder::ValueParser;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};
use serde_json::{Value as Json, json};

pub(crate) struct Exec;

impl Verb for Exec {
    fn about(&self) -> &'static str {
        "Execute a command in a running container"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER COMMAND [ARG...]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::switch("detach", "Detached mode: run command in the background").short('d'),
            grammar::value("detach-keys", "string", "Override the key sequence for detaching a container")
                .value_parser(ValueParser::from(detach_keys::parse)),
            grammar::values("env", "list", "Set environment variables")
                .short('e')
                .value_parser(ValueParser::from(environment::own_variable)),
            grammar::values("env-file", "list", "Read in a file of environment variables"),
            grammar::switch("interactive", "Keep STDIN open even if not attached").short('i'),
            grammar::switch("privileged", "Give extended privileges to the command"),
            grammar::switch("tty", "Allocate a pseudo-TTY").short('t'),
            grammar::value("user", "string", "Username or UID (format: <name|uid>[:<group|gid>])").short('u'),
            grammar::value("workdir", "string", "Working directory inside the container").short('w'),
            grammar::trailing("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let words = grammar::texts(matches, "CONTAINER");
        let (container, command) = match words.split_first() {
            Some((container, command)) if !command.is_empty() => (container, command),
            _ => {
                return Err(Failure::invalid("`haven exec` needs a CONTAINER and a COMMAND")
                    .hint("haven exec --help")
                    .into());
            }
        };
        let daemon = &context.daemon;
        let detach = grammar::on(matches, "detach");
        let tty = grammar::on(matches, "tty");
        let stdin = grammar::on(matches, "interactive") && !detach;
        if !detach {
            run::check_terminal(stdin, tty)?;
        }
        let document = document(matches, command, stdin, detach)?;
        let name = segment(container, "container")?;
        let created = daemon.ask(Request::post(format!("/containers/{name}/exec")).json(&document))?;
        let id = created.at("Id").as_str();
        if id.is_empty() {
            return Err(Failure::internal("the daemon prepared a command without an id").into());
        }
        let start = Request::post(format!("/exec/{id}/start")).json(&json!({"Detach": detach, "Tty": tty}));
        if detach {
            daemon.tell(start)?;
            return Ok(Status::FINE);
        }
        // Only the terminal's size is of interest: signals are for this process itself.
        let signals = if tty { Some(stream::signal_queue()?) } else { None };
        let stream = daemon.open(start.upgrade()).map_err(command_status)?;
        let keys = grammar::parsed::<Vec<u8>>(matches, "detach-keys")
            .unwrap_or_else(|| detach_keys::DEFAULT.to_vec());
        let plan = Plan {
            tty,
            stdin,
            output: true,
            detach_keys: keys,
            resize: format!("/exec/{id}/resize"),
            signals_to: None,
        };
        let session = Session::begin(daemon, plan, stream, signals)?;
        if session.serve(None)? == Ended::Detached {
            return Ok(Status::FINE);
        }
        let ended = daemon.ask(Request::get(format!("/exec/{id}/json")))?;
        Ok(Status::of_container(ended.at("ExitCode").number()))
    }
}

fn document(matches: &ArgMatches, command: &[String], stdin: bool, detach: bool) -> Outcome<Json> {
    let mut variables = Vec::new();
    for path in grammar::texts(matches, "env-file") {
        variables.extend(environment::file(&path, environment::own)?);
    }
    variables.extend(grammar::texts(matches, "env"));
    let tty = grammar::on(matches, "tty");
    let mut document = json!({
        "User": grammar::text_or_empty(matches, "user"),
        "Privileged": grammar::on(matches, "privileged"),
        "Tty": tty,
        "AttachStdin": stdin,
        "AttachStdout": !detach,
        "AttachStderr": !detach,
        "Env": variables,
        "WorkingDir": grammar::text_or_empty(matches, "workdir"),
        "Cmd": command,
    });
    if let (true, Some((rows, columns))) = (tty, stream::terminal_size()) {
        document["ConsoleSize"] = json!([rows, columns]);
    }
    Ok(document)
}

/// A command that could not be started ends as a shell would have it.
fn command_status(failure: Failure) -> Refusal {
    match run::start_status(&failure) {
        Status::REFUSED => failure.into(),
        status => Refusal::new(status, failure),
    }
}
