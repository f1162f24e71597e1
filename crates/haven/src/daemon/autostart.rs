//! Starting the daemon when somebody needs it: this very program in the background, in a session of its own, its
//! output in a log file; then waiting until it answers.

use haven_spec::{Failure, Outcome};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LOG_DIRECTORY: &str = "/var/log/haven";
const LOG_FILE: &str = "/var/log/haven/daemon.log";
/// How long the daemon may take until it accepts a connection.
const READINESS_LIMIT: Duration = Duration::from_secs(10);
/// How much of the log's end is looked at for the error.
const LOG_TAIL_BYTES: u64 = 4096;
const LOG_TAIL_LINES: usize = 10;

/// The first argument that makes this program leave its session before it goes on with the rest.
pub(crate) const DETACH_WORD: &str = "--detached";

/// In the background process: leaves the terminal's session, so that its Ctrl-C and its end don't reach the daemon.
pub(crate) fn detach() -> Outcome<()> {
    rustix::process::setsid()
        .map(drop)
        .map_err(|error| Failure::host("cannot leave the terminal's session").because(io::Error::from(error)))
}

/// Starts the daemon and connects to it.
pub(super) fn start(socket: &Path) -> Outcome<UnixStream> {
    let before = fs::metadata(LOG_FILE).map_or(0, |data| data.len());
    let mut child = spawn().map_err(|failure| {
        failure
            .context("the daemon does not run and cannot be started")
            .hint("start it by hand: haven daemon")
    })?;
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Ok(connection) = UnixStream::connect(socket) {
            return Ok(connection);
        }
        let ended = child.try_wait().ok().flatten();
        // A second daemon started at the same moment may have won, and ours ended for that reason.
        if let Some(status) = ended {
            if let Ok(connection) = UnixStream::connect(socket) {
                return Ok(connection);
            }
            return Err(with_log(
                Failure::host(format!("the daemon ended while starting ({status})")),
                before,
            ));
        }
        if begun.elapsed() > READINESS_LIMIT {
            let limit = READINESS_LIMIT.as_secs();
            return Err(with_log(
                Failure::host(format!("the daemon does not listen {limit} s after its start")),
                before,
            ));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn spawn() -> Outcome<Child> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::host("cannot find this program's own file").because(error))?;
    fs::create_dir_all(LOG_DIRECTORY)
        .map_err(|error| Failure::host(format!("cannot create `{LOG_DIRECTORY}`")).because(error))?;
    let log = File::options()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(LOG_FILE)
        .map_err(|error| Failure::host(format!("cannot open `{LOG_FILE}`")).because(error))?;
    let second = log.try_clone().map_err(|error| Failure::host("cannot duplicate the log").because(error))?;
    Command::new(&program)
        .args([DETACH_WORD, "daemon"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(second)
        .spawn()
        .map_err(|error| Failure::host(format!("cannot start `{} daemon`", program.display())).because(error))
}

/// The failure with what the daemon wrote behind the first `before` bytes of its log.
fn with_log(failure: Failure, before: u64) -> Failure {
    let tail = log_tail(before).unwrap_or_default();
    let failure = failure.hint(format!("read {LOG_FILE}, or start it by hand to see: haven daemon"));
    if tail.is_empty() { failure } else { failure.because(format!("its log ends with:\n{tail}")) }
}

fn log_tail(before: u64) -> io::Result<String> {
    let mut file = File::open(LOG_FILE)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES).max(before)))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_TAIL_LINES);
    Ok(lines[first..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
}
