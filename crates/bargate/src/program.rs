//! The command line: serve, check the configuration, make or change the keys.

use crate::app::App;
use crate::config::Config;
use crate::server;
use clap::{Arg, Command};
use haven_identity::Keyring;
use haven_spec::{Failure, Outcome};
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let matches = match grammar().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let path =
        matches.get_one::<PathBuf>("config").cloned().unwrap_or_else(|| "/etc/bargate/bargate.toml".into());
    let result = match matches.subcommand() {
        Some(("check-config", _)) => check(&path),
        Some(("rotate-key", words)) => rotate(&path, words.get_one::<usize>("keep").copied().unwrap_or(3)),
        _ => serve(&path),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

fn grammar() -> Command {
    Command::new("bargate")
        .about("People's SMB files in any browser")
        .version(env!("CARGO_PKG_VERSION"))
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(clap::value_parser!(PathBuf))
                .global(true)
                .help("The configuration file [default: /etc/bargate/bargate.toml]"),
        )
        .subcommand(Command::new("serve").about("Serve pages (what happens without a command, too)"))
        .subcommand(
            Command::new("check-config").about("Read the configuration and the keys, and say what is wrong"),
        )
        .subcommand(
            Command::new("rotate-key")
                .about("Put a new key in front, or make the first one; nobody is signed out")
                .arg(
                    Arg::new("keep")
                        .long("keep")
                        .value_name("COUNT")
                        .value_parser(clap::value_parser!(usize))
                        .help("How many old keys to keep [default: 3]"),
                ),
        )
}

fn serve(path: &Path) -> Outcome<()> {
    let config = Config::load(path)?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    // Memory has passwords during requests: no core dumps, and nobody of the same user looks in.
    haven_sys::process::forbid_inspection()
        .map_err(|error| Failure::host("cannot keep this process's memory from others").because(error))?;
    runtime()?.block_on(async {
        let app = Arc::new(App::new(config).await?);
        server::run(app).await
    })
}

fn check(path: &Path) -> Outcome<()> {
    let config = Config::load(path)?;
    Keyring::load(&config.key_file)?;
    runtime()?.block_on(App::new(config))?;
    say(&format!("{}: good", path.display()));
    Ok(())
}

fn rotate(path: &Path, keep: usize) -> Outcome<()> {
    let file = Config::load(path)?.key_file;
    let keys = if file.exists() {
        let mut keys = Keyring::load(&file)?;
        keys.rotate(keep)?;
        keys
    } else {
        Keyring::generate()
    };
    let cannot =
        |error: std::io::Error| Failure::host(format!("cannot write `{}`", file.display())).because(error);
    // Whole or not at all, and never readable by others.
    let new = file.with_extension("new");
    drop(std::fs::remove_file(&new));
    let mut output =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(cannot)?;
    output.write_all(keys.to_text().reveal()).and_then(|()| output.sync_all()).map_err(cannot)?;
    std::fs::rename(&new, &file).map_err(cannot)?;
    say(&format!(
        "{}: key {} is used from the next start on, {:?} still open",
        file.display(),
        keys.current(),
        keys.versions()
    ));
    Ok(())
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::host("cannot start threads").because(error))
}

#[allow(clippy::print_stdout, reason = "a command line tool's output")]
fn say(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "a command line tool's errors")]
fn complain(failure: &Failure) {
    let mut text = format!("error: {failure}");
    let mut next = std::error::Error::source(failure);
    while let Some(cause) = next {
        text.push_str(&format!("\n  because: {cause}"));
        next = cause.source();
    }
    if let Some(advice) = failure.advice() {
        text.push_str(&format!("\n  try: {advice}"));
    }
    eprintln!("{text}");
}
