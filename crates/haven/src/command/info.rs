//! `haven info`: the daemon and its host.

use super::{Context, Verb};
use crate::console;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::show;
use crate::template::{Template, Value};
use crate::wire::Request;
use clap::{ArgMatches, Command};

pub(crate) struct Info;

impl Verb for Info {
    fn about(&self) -> &'static str {
        "Display system-wide information"
    }

    fn usage(&self) -> &'static str {
        "[OPTIONS]"
    }

    fn grammar(&self, command: Command) -> Command {
        command.arg(grammar::value("format", "string", "Format output: 'json' or a Go template").short('f'))
    }

    fn run(&self, context: &Context, matches: &ArgMatches) -> Done {
        let template = match grammar::text_or_empty(matches, "format") {
            "" => None,
            "json" => Some(Template::parse("{{json .}}")?),
            text => Some(Template::parse(text)?),
        };
        let info = context.daemon.ask(Request::get("/info"))?;
        match template {
            Some(template) => console::line(&template.render(&info)?)?,
            None => console::print(&described(&info))?,
        }
        for warning in info.at("Warnings").items() {
            console::note(warning.as_str());
        }
        Ok(Status::FINE)
    }
}

fn described(info: &Value) -> String {
    let mut text = format!("Client:\n Version:    {}\n\nServer:\n", env!("CARGO_PKG_VERSION"));
    let mut line = |indent: usize, name: &str, value: String| {
        if !value.is_empty() {
            text.push_str(&format!("{:indent$}{name}: {value}\n", ""));
        }
    };
    let word = |name: &str| info.at(name).as_str().to_owned();
    let count = |name: &str| info.at(name).number().to_string();
    let truth = |name: &str| info.at(name).is_true().to_string();
    line(1, "Containers", count("Containers"));
    line(2, "Running", count("ContainersRunning"));
    line(2, "Paused", count("ContainersPaused"));
    line(2, "Stopped", count("ContainersStopped"));
    line(1, "Images", count("Images"));
    line(1, "Server Version", word("ServerVersion"));
    line(1, "Storage Driver", word("Driver"));
    for pair in info.at("DriverStatus").items() {
        if let [name, value] = pair.items() {
            line(2, name.as_str(), value.as_str().to_owned());
        }
    }
    line(1, "Logging Driver", word("LoggingDriver"));
    line(1, "Cgroup Driver", word("CgroupDriver"));
    line(1, "Cgroup Version", word("CgroupVersion"));
    let plugins = info.at("Plugins");
    if !plugins.entries().is_empty() {
        line(1, "Plugins", " ".into());
        for (title, name) in [("Volume", "Volume"), ("Network", "Network"), ("Log", "Log")] {
            line(2, title, joined(plugins.at(name)));
        }
    }
    let mut runtimes: Vec<&str> =
        info.at("Runtimes").entries().iter().map(|(name, _)| name.as_str()).collect();
    runtimes.sort_unstable();
    line(1, "Runtimes", runtimes.join(" "));
    line(1, "Default Runtime", word("DefaultRuntime"));
    line(1, "Init Binary", word("InitBinary"));
    if !info.at("SecurityOptions").items().is_empty() {
        line(1, "Security Options", " ".into());
        for option in info.at("SecurityOptions").items() {
            security_option(option.as_str(), &mut line);
        }
    }
    line(1, "Kernel Version", word("KernelVersion"));
    line(1, "Operating System", word("OperatingSystem"));
    line(1, "OSType", word("OSType"));
    line(1, "Architecture", word("Architecture"));
    line(1, "CPUs", count("NCPU"));
    line(1, "Total Memory", show::binary_size(info.at("MemTotal").decimal()));
    line(1, "Name", word("Name"));
    line(1, "ID", word("ID"));
    line(1, "Docker Root Dir", word("DockerRootDir"));
    line(1, "Debug Mode", truth("Debug"));
    line(1, "Experimental", truth("ExperimentalBuild"));
    line(1, "Live Restore Enabled", truth("LiveRestoreEnabled"));
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn joined(list: &Value) -> String {
    list.items().iter().map(Value::as_str).collect::<Vec<_>>().join(" ")
}

/// `name=seccomp,profile=default` as a name with its properties below it.
fn security_option(option: &str, line: &mut impl FnMut(usize, &str, String)) {
    let mut parts = option.split(',').map(|part| part.split_once('=').unwrap_or(("name", part)));
    let name = parts.next().map_or("", |(_, name)| name);
    line(2, name, " ".into());
    for (property, value) in parts {
        let mut title = property.to_owned();
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        line(3, &title, value.to_owned());
    }
}
