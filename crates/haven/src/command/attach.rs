//! `haven attach`: joins a container that runs.

use super::{Context, Verb, run};
use crate::console;
use crate::daemon::segment;
use crate::ending::{Done, Refusal, Status};
use crate::grammar;
use crate::option::detach_keys;
use crate::stream::{self, Ended, Plan, Session};
use crate::template::Value;
use crate::wire::{Query, Request};
use clap::builder::ValueParser;
use clap::{ArgMatches, Command};
use haven_spec::{Failure, Outcome};

pub(crate) struct Attach;

impl Verb for Attach {
    fn about(&self) -> &'static str {
        "Attach local standard input, output, and error streams to a running container"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS] CONTAINER"
    }

    fn grammar(&self, command: Command) -> Command {
        command.args([
            grammar::value("detach-keys", "string", "Override the key sequence for detaching a container")
                .value_parser(ValueParser::from(detach_keys::parse)),
            grammar::switch("no-stdin", "Do not attach STDIN"),
            grammar::switch("sig-proxy", "Proxy all received signals to the process (default true)"),
            grammar::operand("CONTAINER"),
        ])
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let daemon = &context.daemon;
        let name = segment(grammar::text_or_empty(matches, "CONTAINER"), "container")?;
        let container = daemon.ask(Request::get(format!("/containers/{name}/json")))?;
        check_state(&container)?;
        let id = container.at("Id").as_str();
        let tty = container.path(&["Config", "Tty"]).is_true();
        let stdin = !grammar::on(matches, "no-stdin") && container.path(&["Config", "OpenStdin"]).is_true();
        run::check_terminal(!grammar::on(matches, "no-stdin"), tty)?;
        // Asked first, so that a container that ends meanwhile is not waited for without end.
        let wait = daemon.open(Request::post(format!("/containers/{id}/wait")))?;
        let proxy = !grammar::given(matches, "sig-proxy") || grammar::on(matches, "sig-proxy");
        let signals = if proxy || tty { Some(stream::signal_queue()?) } else { None };
        let query =
            Query::new().set("stream", "1").flag("stdin", stdin).set("stdout", "1").set("stderr", "1");
        let joined =
            daemon.open(Request::post(format!("/containers/{id}/attach{}", query.as_str())).upgrade())?;
        let keys = grammar::parsed::<Vec<u8>>(matches, "detach-keys")
            .unwrap_or_else(|| detach_keys::DEFAULT.to_vec());
        let plan = Plan {
            tty,
            stdin,
            output: true,
            detach_keys: keys,
            resize: format!("/containers/{id}/resize"),
            signals_to: (proxy && !tty).then(|| id.to_owned()),
        };
        if let (true, Some((rows, columns))) = (tty, stream::terminal_size()) {
            // A shell draws its prompt again only when the size changes; the session then sets the true one.
            let query =
                Query::new().set("h", &(u32::from(rows) + 1).to_string()).set("w", &columns.to_string());
            drop(daemon.tell(Request::post(format!("/containers/{id}/resize{}", query.as_str()))));
        }
        let session = Session::begin(daemon, plan, joined, signals)?;
        match session.serve(Some(wait))? {
            Ended::Over(Some(code)) => Ok(Status::of_container(code)),
            Ended::Over(None) => Ok(Status::FINE),
            Ended::Detached => {
                console::note("read escape sequence");
                Err(Refusal::silent(Status::FAILED))
            }
        }
    }
}

fn check_state(container: &Value) -> Outcome<()> {
    let state = container.at("State");
    let refuse = |what: &str, hint: &str| {
        Err(Failure::conflict(format!("cannot attach to a {what} container, {hint} it first")))
    };
    if !state.at("Running").is_true() {
        return refuse("stopped", "start");
    }
    if state.at("Paused").is_true() {
        return refuse("paused", "unpause");
    }
    if state.at("Restarting").is_true() {
        return Err(Failure::conflict("cannot attach to a restarting container, wait until it is running"));
    }
    Ok(())
}
