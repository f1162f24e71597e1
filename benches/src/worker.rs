//! The copy of this program on a stage: reads jobs from standard input, one JSON document a line, does and times them,
//! and answers on standard output. Small, so that starting a process from it is cheap.

use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Runs each command line once, up to `at_once` at a time.
    Run { commands: Vec<Vec<String>>, at_once: usize },
    /// Starts something that goes on until the stage is struck.
    Background { command: Vec<String>, log: String },
    /// Proportional set sizes of everything on the stage but the workload and this worker.
    Memory { workload: String },
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) took_ns: u64,
    /// The first command that didn't succeed, with what it said.
    pub(crate) failed: Option<String>,
    /// Bytes and command name of each process, for `Memory`.
    pub(crate) sizes: Vec<(u64, String)>,
    /// How many processes of the workload there are.
    pub(crate) workload: usize,
}

/// The other side of the pipe.
pub(crate) struct Worker {
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn on(stage: &haven_tests::Stage) -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let mut child = stage
            .enter(own)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        let jobs = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self { child, jobs, answers }
    }

    pub(crate) fn ask(&mut self, job: &Job) -> Answer {
        let mut line = serde_json::to_string(job).expect("a job is a document");
        line.push('\n');
        self.jobs
            .as_mut()
            .expect("it is open while this lives")
            .write_all(line.as_bytes())
            .expect("the worker reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the worker answers");
        serde_json::from_str(&answer).expect("an answer is a document")
    }

    /// One command, which has to succeed; its time in seconds.
    pub(crate) fn time(&mut self, command: &[String]) -> f64 {
        self.time_all(vec![command.to_vec()], 1)
    }

    pub(crate) fn time_all(&mut self, commands: Vec<Vec<String>>, at_once: usize) -> f64 {
        let answer = self.ask(&Job::Run { commands, at_once });
        assert!(answer.failed.is_none(), "{}", answer.failed.unwrap_or_default());
        // Nanoseconds of minutes are exact in a float.
        std::time::Duration::from_nanos(answer.took_ns).as_secs_f64()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without its pipe it ends by itself and tidies up.
        self.jobs = None;
        let _reaped = self.child.wait();
    }
}

/// Serves until standard input ends.
pub(crate) fn serve() {
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let job: Job = serde_json::from_str(&line).expect("a job is a document");
        let answer = match job {
            Job::Run { commands, at_once } => run(&commands, at_once),
            Job::Background { command, log } => background(&command, &log),
            Job::Memory { workload } => memory(&workload),
        };
        haven_tests::say(&serde_json::to_string(&answer).expect("an answer is a document"));
    }
    let _absent = fs::remove_file(errors());
}

/// Where commands write their errors. No pipe: a detached container would keep it open.
fn errors() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("haven-bench-{}.err", std::process::id()))
}

/// Runs one command to its end; what went wrong, if something did.
fn once(words: &[String]) -> Option<String> {
    let errors_path = errors();
    let status = fs::File::options().create(true).append(true).open(&errors_path).and_then(|errors| {
        Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .status()
    });
    match status {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!(
            "`{}` gave {:?} (signal {:?}): {}",
            words.join(" "),
            status.code(),
            status.signal(),
            fs::read_to_string(&errors_path).unwrap_or_default()
        )),
        Err(error) => Some(format!("`{}`: {error}", words.join(" "))),
    }
}

fn run(commands: &[Vec<String>], at_once: usize) -> Answer {
    let _absent = fs::remove_file(errors());
    let begin = Instant::now();
    let mut answer = Answer::default();
    if let [only] = commands {
        answer.failed = once(only);
    } else {
        let next = std::sync::atomic::AtomicUsize::new(0);
        let failed = std::sync::Mutex::new(None);
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Some(words) =
                        commands.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                    {
                        let problem = once(words);
                        if problem.is_some() {
                            *failed.lock().expect("no holder of this lock panics") = problem;
                        }
                    }
                });
            }
        });
        answer.failed = failed.into_inner().expect("no holder of this lock panics");
    }
    answer.took_ns = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    answer
}

fn background(words: &[String], log: &str) -> Answer {
    let started = fs::File::options().create(true).append(true).open(log).and_then(|log| {
        Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
    });
    // It ends with the stage; nobody waits for it.
    Answer {
        failed: started.err().map(|error| format!("`{}`: {error}", words.join(" "))),
        ..Answer::default()
    }
}

fn memory(workload: &str) -> Answer {
    let own = std::process::id();
    let mut answer = Answer::default();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default().trim().to_owned();
        if id == own || id == 1 {
            continue;
        }
        if name == workload {
            answer.workload += 1;
            continue;
        }
        let rollup = fs::read_to_string(entry.path().join("smaps_rollup")).unwrap_or_default();
        let kilobytes = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.split_whitespace().next()?.parse::<u64>().ok());
        if let Some(kilobytes) = kilobytes {
            answer.sizes.push((kilobytes * 1024, name));
        }
    }
    answer
}
