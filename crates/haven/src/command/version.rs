//! `haven version`: which program and which daemon.

use super::{Context, Verb};
use crate::console;
use crate::daemon::ApiVersion;
use crate::ending::{Done, Status};
use crate::grammar;
use crate::show::{parse_rfc3339, row};
use crate::template::{Template, Value};
use crate::wire::Request;
use clap::{ArgMatches, Command};
use haven_spec::Outcome;

pub(crate) struct Version;

impl Verb for Version {
    fn about(&self) -> &'static str {
        "Show the Haven version information"
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
        let server = context.daemon.ask(Request::get("/version"));
        let client = client(context.daemon.version());
        if let Some(template) = template {
            // A daemon that cannot be reached leaves its half empty; what can be said is said.
            let (server, failure) = match server {
                Ok(server) => (server, None),
                Err(failure) => (Value::Null, Some(failure)),
            };
            console::line(&template.render(&row([("Client", client), ("Server", server)]))?)?;
            return failure.map_or(Ok(Status::FINE), |failure| Err(failure.into()));
        }
        console::print(&client_text(&client))?;
        let server = server?;
        console::print(&format!("\n{}", server_text(&server)))?;
        Ok(Status::FINE)
    }
}

fn client(spoken: Outcome<ApiVersion>) -> Value {
    let newest = ApiVersion::newest();
    row([
        ("Version", env!("CARGO_PKG_VERSION").into()),
        ("ApiVersion", spoken.unwrap_or(newest).to_string().into()),
        ("DefaultAPIVersion", newest.to_string().into()),
        ("Os", std::env::consts::OS.into()),
        ("Arch", architecture().into()),
    ])
}

/// The architecture by its name in images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn client_text(client: &Value) -> String {
    let (spoken, newest) = (client.at("ApiVersion").as_str(), client.at("DefaultAPIVersion").as_str());
    let downgraded = if spoken == newest { String::new() } else { format!(" (downgraded from {newest})") };
    format!(
        "Client:\n Version:           {}\n API version:       {spoken}{downgraded}\n OS/Arch:           {}/{}\n",
        client.at("Version").as_str(),
        client.at("Os").as_str(),
        client.at("Arch").as_str(),
    )
}

fn server_text(server: &Value) -> String {
    let platform = server.path(&["Platform", "Name"]).as_str();
    let mut text = format!("Server: {platform}").trim_end().to_owned() + "\n";
    let whole = [Value::Map(vec![("Name".into(), "Engine".into()), ("Details".into(), server.clone())])];
    let components = match server.at("Components").items() {
        [] => &whole[..],
        components => components,
    };
    for component in components {
        text.push_str(&format!(" {}:\n", component.at("Name").as_str()));
        let details = component.at("Details");
        let version = match component.at("Version").as_str() {
            "" => details.at("Version").as_str(),
            version => version,
        };
        text.push_str(&format!("  {:<17} {version}\n", "Version:"));
        let api = details.at("ApiVersion").as_str();
        if !api.is_empty() {
            text.push_str(&format!(
                "  {:<17} {api} (minimum version {})\n",
                "API version:",
                details.at("MinAPIVersion").as_str()
            ));
        }
        let built = details.at("BuildTime").as_str();
        let built = parse_rfc3339(built)
            .map_or(built.to_owned(), |time| time.strftime("%a %b %e %H:%M:%S %Y").to_string());
        let platform = format!("{}/{}", details.at("Os").as_str(), details.at("Arch").as_str());
        for (label, value) in [
            ("Go version:", details.at("GoVersion").as_str()),
            ("Git commit:", details.at("GitCommit").as_str()),
            ("Built:", &built),
            ("OS/Arch:", if platform == "/" { "" } else { &platform }),
            ("Experimental:", details.at("Experimental").as_str()),
        ] {
            if !value.is_empty() {
                text.push_str(&format!("  {label:<17} {value}\n"));
            }
        }
    }
    text
}
