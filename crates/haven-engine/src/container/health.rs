//! Health checks: a command run inside at intervals by a task of its own, which reports to the container's mailbox.

use super::command::Command;
use crate::clock;
use crate::request::{ExecSpec, OutputKind};
use crate::shared::Shared;
use crate::view::HealthRun;
use haven_spec::{ContainerId, HealthCheck, HealthStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) const DEFAULT_RETRIES: u32 = 3;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
/// What is kept of a check's output.
const OUTPUT_LIMIT_BYTES: usize = 4096;

pub(crate) struct Checker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) container: ContainerId,
    pub(crate) check: HealthCheck,
    pub(crate) generation: u64,
    pub(crate) mailbox: mpsc::WeakSender<Command>,
}

fn duration(ns: i64, default: Duration) -> Duration {
    u64::try_from(ns).ok().filter(|ns| *ns > 0).map_or(default, Duration::from_nanos)
}

impl Checker {
    /// Until the container ends; its task then aborts this one.
    pub(crate) async fn run(self) {
        let interval = duration(self.check.interval_ns, DEFAULT_INTERVAL);
        let start_period = duration(self.check.start_period_ns, Duration::ZERO);
        let start_interval = duration(self.check.start_interval_ns, DEFAULT_START_INTERVAL);
        let began = tokio::time::Instant::now();
        loop {
            let starting = began.elapsed() < start_period && self.status() == Some(HealthStatus::Starting);
            tokio::time::sleep(if starting { start_interval.min(interval) } else { interval }).await;
            let run = self.probe().await;
            let Some(mailbox) = self.mailbox.upgrade() else { return };
            if mailbox.send(Command::Health { generation: self.generation, run }).await.is_err() {
                return;
            }
        }
    }

    fn status(&self) -> Option<HealthStatus> {
        let handle = self.shared.registry.get(&self.container).ok()?;
        handle.view().health.as_ref().map(|health| health.status)
    }

    async fn probe(&self) -> HealthRun {
        let started_at_ns = clock::now_ns();
        let timeout = duration(self.check.timeout_ns, DEFAULT_TIMEOUT);
        let (exit_code, output) = match self.command() {
            None => (-1, "the health check names no command".to_owned()),
            Some(command) => self.execute(command, timeout).await,
        };
        HealthRun { started_at_ns, ended_at_ns: clock::now_ns(), exit_code, output }
    }

    fn command(&self) -> Option<Vec<String>> {
        let (kind, rest) = self.check.test.split_first()?;
        match kind.as_str() {
            "CMD" if !rest.is_empty() => Some(rest.to_vec()),
            "CMD-SHELL" if !rest.is_empty() => Some(vec!["/bin/sh".into(), "-c".into(), rest.join(" ")]),
            _ => None,
        }
    }

    async fn execute(&self, command: Vec<String>, timeout: Duration) -> (i32, String) {
        let spec = ExecSpec {
            command,
            env: Vec::new(),
            working_dir: String::new(),
            user: String::new(),
            privileged: false,
            tty: false,
            console_size: None,
            attach_stdin: false,
            attach_stdout: true,
            attach_stderr: true,
            detach_keys: String::new(),
        };
        let mut process = match crate::exec::begin(&self.shared, &self.container, &spec, true).await {
            Ok(process) => process,
            Err(failure) => return (-1, failure.one_line()),
        };
        let mut output = Vec::new();
        let finished = tokio::time::timeout(timeout, async {
            if let Some(attached) = &mut process.attached {
                while let Some((OutputKind::Stdout | OutputKind::Stderr, bytes)) =
                    attached.output.next().await
                {
                    let room = OUTPUT_LIMIT_BYTES.saturating_sub(output.len());
                    output.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            }
            (&mut process.exit).await
        })
        .await;
        let text = String::from_utf8_lossy(&output).into_owned();
        match finished {
            Ok(Ok(exit)) => (exit.code, text),
            Ok(Err(_)) => (-1, text),
            Err(_) => {
                process.kill();
                (-1, format!("Health check exceeded timeout ({}s)", timeout.as_secs()))
            }
        }
    }
}
