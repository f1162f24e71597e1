//! The OCI runtime command: containers from bundles, one command at a time, with no daemon.
//!
//! What it accepts, prints and answers is what callers of runc know: podman, containerd's shim and dockerd use it in
//! runc's place. Its flags are runc's, and so are the words in messages that callers look for ("does not exist",
//! "container not running").
//!
//! ```text
//! create ──▶ (first process waits at start.sock) ──start──▶ running ──ends──▶ stopped ──delete──▶ gone
//!    └──────── run: all of it, waiting for the end ────────────────────────────────┘
//! ```
//!
//! Nobody supervises: the first process is a child of whoever called `create`, and ends up with the caller's subreaper.
//! Its standard streams are the caller's, a terminal is sent to the caller's console socket. Where the machine doesn't
//! permit what a document asks for, see [`clamp`].

mod arguments;
mod clamp;
mod console;
mod ending;
mod events;
mod exec;
mod features;
pub(crate) mod hooks;
mod listing;
mod log;
mod making;
mod record;
mod relay;
mod sealed;
mod store;
mod template;
mod update;
mod watching;

use arguments::{Arguments, Flag, Shape, option, switch};
use haven_spec::{Failure, Kind, Outcome};
use log::Log;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::Store;

/// Where containers are remembered unless `--root` says otherwise.
const DEFAULT_ROOT: &str = "/run/haven/oci";

const GLOBAL: &[Flag] = &[
    option("root", "DIR", "where containers are remembered (default: /run/haven/oci)"),
    option("log", "FILE", "where messages go (default: standard error)"),
    option("log-format", "FORMAT", "`text` or `json`"),
    switch("debug", "more messages"),
    switch("systemd-cgroup", "`cgroupsPath` is `slice:prefix:name`"),
    option("cgroup-manager", "NAME", "`cgroupfs` or `systemd`, which means the same as `--systemd-cgroup`"),
    option("rootless", "MODE", "`true`, `false` or `auto`: do without what only root may"),
    switch("help", "this text").or('h'),
    switch("version", "the version").or('v'),
];

const BUNDLE: Flag = option("bundle", "DIR", "the bundle's directory (default: this one)").or('b');
const CONSOLE: Flag = option("console-socket", "PATH", "a socket to which the terminal is sent");
const PID_FILE: Flag = option("pid-file", "FILE", "where to write the process's number");
const NO_PIVOT: Flag = switch("no-pivot", "change the root without pivot_root(2), for a root on a RAM disk");
const NO_KEYRING: Flag = switch("no-new-keyring", "keep the caller's session keyring");
const PRESERVE: Flag = option("preserve-fds", "NUMBER", "descriptors passed on beyond the standard streams");

const COMMANDS: &[Shape] = &[
    shape(
        "create",
        "Make a container and stop before its command runs.",
        "ID",
        1,
        1,
        &[BUNDLE, CONSOLE, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE],
    ),
    shape("start", "Run the command of a container that was created.", "ID", 1, 1, &[]),
    shape(
        "run",
        "Make a container, run its command, wait for it, delete it.",
        "ID",
        1,
        1,
        &[
            BUNDLE,
            CONSOLE,
            PID_FILE,
            NO_PIVOT,
            NO_KEYRING,
            PRESERVE,
            switch("detach", "don't wait").or('d'),
            switch("keep", "don't delete it"),
            switch("no-subreaper", "accepted; orphans are never collected here"),
        ],
    ),
    Shape {
        operands_end_flags: true,
        ..shape(
            "exec",
            "Run another command in a container that runs.",
            "ID [COMMAND [ARGUMENTS]]",
            1,
            usize::MAX,
            &[
                CONSOLE,
                option("cwd", "DIR", "working directory"),
                option("env", "NAME=VALUE", "added to the environment").or('e'),
                switch("tty", "with a terminal").or('t'),
                option("user", "UID[:GID]", "as whom").or('u'),
                option("additional-gids", "GID", "more groups").or('g'),
                option("process", "FILE", "the process as a JSON document; other flags about it are ignored")
                    .or('p'),
                switch("detach", "don't wait").or('d'),
                PID_FILE,
                option("process-label", "LABEL", "SELinux label"),
                option("apparmor", "PROFILE", "AppArmor profile"),
                switch("no-new-privs", "it can't gain privileges"),
                option("cap", "CAPABILITY", "added capability").or('c'),
                PRESERVE,
                option("cgroup", "PATH", "a group below the container's").or('x'),
                switch("ignore-paused", "also when the container is paused"),
            ],
        )
    },
    shape("state", "Show a container's state as JSON.", "ID", 1, 1, &[]),
    shape(
        "list",
        "List containers.",
        "",
        0,
        0,
        &[option("format", "FORMAT", "`table` or `json`").or('f'), switch("quiet", "ids only").or('q')],
    ),
    shape(
        "kill",
        "Send a signal to a container's first process.",
        "ID [SIGNAL]",
        1,
        2,
        &[switch("all", "to every process of the container").or('a')],
    ),
    shape(
        "delete",
        "Remove a container that has stopped.",
        "ID",
        1,
        1,
        &[switch("force", "kill it first when it runs; one that isn't there is no error").or('f')],
    ),
    shape("pause", "Freeze every process of a container.", "ID", 1, 1, &[]),
    shape("resume", "Let the processes of a paused container go on.", "ID", 1, 1, &[]),
    shape("update", "Change a container's limits.", "ID", 1, 1, update::FLAGS),
    shape(
        "events",
        "Print a container's counters and memory shortages as JSON lines.",
        "ID",
        1,
        1,
        &[option("interval", "TIME", "between two lines, like `5s`"), switch("stats", "once")],
    ),
    Shape {
        operands_end_flags: true,
        ..shape(
            "ps",
            "Show a container's processes.",
            "ID [PS-OPTIONS]",
            1,
            usize::MAX,
            &[option("format", "FORMAT", "`table` or `json`").or('f')],
        )
    },
    shape(
        "spec",
        "Write a document to start from, as config.json.",
        "",
        0,
        0,
        &[BUNDLE, switch("rootless", "for a caller without rights on the host")],
    ),
    shape("features", "Show what this runtime can do as JSON.", "", 0, 0, &[]),
    shape("help", "Show help for a command.", "[COMMAND]", 0, 1, &[]),
];

const fn shape(
    name: &'static str,
    about: &'static str,
    operands: &'static str,
    least: usize,
    most: usize,
    flags: &'static [Flag],
) -> Shape {
    Shape { name, about, operands, least, most, operands_end_flags: false, flags }
}

/// Settings of one call.
struct Call {
    store: Store,
    log: Log,
    /// `cgroupsPath` is systemd's.
    systemd: bool,
    /// Do without control groups when they can't be had.
    rootless: bool,
}

/// Runs one command line; the first argument is the program's name. This process must have one thread.
///
/// Gives the command's exit status: 0, 1 for a failure (which was reported), or for `run` and `exec` what the container's
/// process ended with.
pub fn oci_command(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let program = arguments.next().unwrap_or_else(|| "haven-oci".into());
    let program = Path::new(&program).file_name().unwrap_or(&program).to_string_lossy().into_owned();
    match run(&program, arguments) {
        Ok(status) => ExitCode::from(status),
        Err(()) => ExitCode::FAILURE,
    }
}

fn run(program: &str, arguments: impl Iterator<Item = OsString>) -> Result<u8, ()> {
    let early = |failure: Failure| Log::to_stderr().fail(&failure);
    let (global, command, words) = arguments::split(GLOBAL, arguments).map_err(early)?;
    if global.has("version") {
        return print(&version(program)).map(|()| 0).map_err(early);
    }
    let Some(command) = command.filter(|_| !global.has("help")) else {
        return print(&help(program)).map(|()| 0).map_err(early);
    };
    let log =
        Log::open(global.value("log"), global.value("log-format"), global.has("debug")).map_err(early)?;
    let store = Store::new(PathBuf::from(global.value("root").unwrap_or(DEFAULT_ROOT)));
    let call = Call {
        store,
        log,
        systemd: global.has("systemd-cgroup") || global.value("cgroup-manager") == Some("systemd"),
        rootless: match global.value("rootless") {
            Some("true") => true,
            Some("false") => false,
            _ => !rustix::process::geteuid().is_root(),
        },
    };
    dispatch(&call, program, &command, words).map_err(|failure| call.log.fail(&failure))
}

fn dispatch(call: &Call, program: &str, command: &str, words: Vec<OsString>) -> Outcome<u8> {
    let Some(shape) = COMMANDS.iter().find(|shape| shape.name == command) else {
        return Err(Failure::invalid(format!("there is no command `{command}`"))
            .hint(format!("`{program} help` lists the commands")));
    };
    if words.iter().any(|word| word == "--help" || word == "-h") && !shape.operands_end_flags {
        return print(&arguments::help(program, shape)).map(|()| 0);
    }
    let given = arguments::parse(shape, words)?;
    call.log.debug(&format!("{command} {}", given.operands.join(" ")));
    let (store, log) = (&call.store, &call.log);
    match command {
        "create" => making::create(call, &given).map(|()| 0),
        "start" => making::start(call, &given).map(|()| 0),
        "run" => making::run(call, &given),
        "exec" => exec::exec(call, &given),
        "state" => listing::state(store, &given).map(|()| 0),
        "list" => listing::list(store, &given).map(|()| 0),
        "ps" => listing::ps(store, &given).map(|()| 0),
        "kill" => ending::kill(store, &given).map(|()| 0),
        "delete" => ending::delete(store, &given, log).map(|()| 0),
        "pause" => watching::pause(store, &given).map(|()| 0),
        "resume" => watching::resume(store, &given).map(|()| 0),
        "update" => watching::update(store, &given, log).map(|()| 0),
        "events" => watching::events(store, &given).map(|()| 0),
        "spec" => write_spec(&given).map(|()| 0),
        "features" => {
            let text = serde_json::to_string_pretty(&features::features())
                .map_err(|error| Failure::internal("cannot write JSON").because(error))?;
            print(&(text + "\n")).map(|()| 0)
        }
        _ => match given.operands.first().and_then(|name| COMMANDS.iter().find(|shape| shape.name == name)) {
            Some(shape) => print(&arguments::help(program, shape)).map(|()| 0),
            None => print(&help(program)).map(|()| 0),
        },
    }
}

/// Standard output, this crate's only use of it. A reader that went is no error.
fn print(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::host("cannot write to standard output").because(error))
        }
        _ => Ok(()),
    }
}

/// In the form callers take apart: name, `version`, number; then `key: value`.
fn version(program: &str) -> String {
    format!("{program} version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), crate::oci::VERSION)
}

fn help(program: &str) -> String {
    let mut text = format!(
        "Run containers from OCI bundles.\n\nusage: {program} [global flags] COMMAND [flags] [arguments]\n\ncommands:\n"
    );
    for shape in COMMANDS {
        text.push_str(&format!("  {:<10} {}\n", shape.name, shape.about));
    }
    text.push_str("\nglobal flags:\n");
    text.push_str(&arguments::flag_lines(GLOBAL));
    text
}

fn write_spec(given: &Arguments) -> Outcome<()> {
    let path = Path::new(given.value("bundle").unwrap_or(".")).join("config.json");
    let rootless = given
        .has("rootless")
        .then(|| (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()));
    let text = serde_json::to_string_pretty(&template::template(rootless))
        .map_err(|error| Failure::internal("cannot write JSON").because(error))?;
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut file| file.write_all((text + "\n").as_bytes()));
    written.map_err(|error| {
        let kind = if error.kind() == ErrorKind::AlreadyExists { Kind::Conflict } else { Kind::Host };
        let failure = Failure::new(kind, format!("cannot write `{}`", path.display())).because(error);
        if kind == Kind::Conflict { failure.hint("remove it first") } else { failure }
    })
}
