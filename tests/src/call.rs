//! One call of a command line, written as a sentence: `house.haven("run --rm busybox true").exits(0)`.
//!
//! A call has a time limit, and when it isn't answered as expected the panic shows the line, the exit code and both
//! outputs: that is all one needs to repeat it by hand.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Longer than any single command of the tests may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

pub struct Call {
    command: Command,
    line: String,
    input: Vec<u8>,
    limit: Duration,
}

/// What a finished call gave.
#[derive(Debug, Clone)]
pub struct Answer {
    pub line: String,
    /// The exit status, or 128 + the signal's number as a shell has it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A call that goes on while the test does something else.
pub struct Running {
    child: Child,
    line: String,
    input: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
    limit: Duration,
    begin: Instant,
}

impl Call {
    /// Of `command` with the words of `line`, which are separated by spaces; an argument with spaces comes by [`Call::arg`].
    pub fn new(mut command: Command, line: &str) -> Self {
        command.args(line.split_whitespace());
        Self { line: shown(&command), command, input: Vec::new(), limit: LIMIT }
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.line = format!("{} '{}'", self.line, argument.as_ref());
        self.command.arg(argument.as_ref());
        self
    }

    #[must_use]
    pub fn args<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        arguments.into_iter().fold(self, |call, argument| call.arg(argument))
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it reads from its standard input.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same call with a terminal as its standard input and outputs, see script(1).
    #[must_use]
    pub fn on_a_terminal(self) -> Self {
        let quoted: Vec<String> = std::iter::once(self.command.get_program())
            .chain(self.command.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")))
            .collect();
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &quoted.join(" "), "/dev/null"]);
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command, ..self }
    }

    /// Runs it to its end, whatever that is.
    pub fn run(mut self) -> Answer {
        let input = std::mem::take(&mut self.input);
        let mut running = self.start();
        running.say(&input);
        running.finish()
    }

    /// Begins it; its input stays open for [`Running::say`].
    pub fn start(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            self.command.spawn().unwrap_or_else(|error| panic!("cannot run `{}`: {error}", self.line));
        let stdout = Collected::from(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Collected::from(child.stderr.take().expect("stderr is a pipe"));
        let input = child.stdin.take();
        let mut running = Running {
            child,
            line: self.line,
            input,
            stdout,
            stderr,
            limit: self.limit,
            begin: Instant::now(),
        };
        if !self.input.is_empty() {
            running.say(&self.input);
        }
        running
    }

    /// Runs it, expects success, gives its standard output without the last line's end.
    #[track_caller]
    pub fn succeeds(self) -> String {
        self.exits(0).stdout.trim_end().to_owned()
    }

    /// Runs it and expects this exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Answer {
        let answer = self.run();
        assert!(answer.code == code, "expected exit code {code}\n{}", answer.story());
        answer
    }

    /// Runs it and expects a failure of any code.
    #[track_caller]
    pub fn fails(self) -> Answer {
        let answer = self.run();
        assert!(answer.code != 0, "expected a failure\n{}", answer.story());
        answer
    }
}

impl Answer {
    /// Everything about it, for a person.
    pub fn story(&self) -> String {
        let Self { line, code, stdout, stderr, took } = self;
        format!("$ {line}\nexit code {code} after {took:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}\n---")
    }

    /// Expects `text` in either output.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "expected `{text}`\n{}",
            self.story()
        );
        self
    }

    #[track_caller]
    pub fn says_not(self, text: &str) -> Self {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "did not expect `{text}`\n{}",
            self.story()
        );
        self
    }
}

impl Running {
    /// Writes to its standard input. A process that has gone reads nothing, and that is no failure of this call.
    pub fn say(&mut self, bytes: &[u8]) {
        if let Some(input) = &mut self.input {
            let _gone = input.write_all(bytes).and_then(|()| input.flush());
        }
    }

    /// What it has written so far.
    pub fn said(&self) -> String {
        self.stdout.text()
    }

    /// Waits until its output contains `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let begin = Instant::now();
        while !self.said().contains(text) {
            assert!(
                begin.elapsed() < self.limit,
                "`{}` never said `{text}` but\n{}\n{}",
                self.line,
                self.said(),
                self.stderr.text()
            );
            sleep(Duration::from_millis(10));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_over(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Kills it and waits.
    pub fn kill(mut self) -> Answer {
        // It may have ended by itself meanwhile.
        let _ended = self.child.kill();
        self.finish()
    }

    /// Closes its input and waits for its end.
    pub fn finish(mut self) -> Answer {
        drop(self.input.take());
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if self.begin.elapsed() > self.limit => {
                    let _ended = self.child.kill();
                    let _reaped = self.child.wait();
                    panic!(
                        "`{}` did not end within {:?}\n--- stdout\n{}\n--- stderr\n{}",
                        self.line,
                        self.limit,
                        self.stdout.text(),
                        self.stderr.text()
                    );
                }
                Ok(None) => sleep(Duration::from_millis(2)),
                Err(error) => panic!("cannot wait for `{}`: {error}", self.line),
            }
        };
        let took = self.begin.elapsed();
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let line = std::mem::take(&mut self.line);
        Answer { line, code, stdout: self.stdout.whole(), stderr: self.stderr.whole(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing running.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ended = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}

/// The output of a process, read by a thread as it comes.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from(mut source: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = spawn(move || {
            let mut buffer = [0_u8; 16384];
            while let Ok(count) = source.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                sink.lock().expect("no holder of this lock panics").extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no holder of this lock panics")).into_owned()
    }

    /// After the process has ended. A grandchild that kept the pipe open must not hang the test: it gets a moment.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let begin = Instant::now();
            while !reader.is_finished() && begin.elapsed() < Duration::from_secs(2) {
                sleep(Duration::from_millis(1));
            }
        }
        self.text()
    }
}

/// The program's own name and the arguments it already has.
fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}
