//! A container's state in Docker's many words for it.

use crate::time;
use haven_engine::{ContainerView, Health};
use haven_spec::{ContainerState, HealthStatus};
use serde::Serialize;

/// `State` of `inspect`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
pub(crate) struct State {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: u32,
    exit_code: i32,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthOnWire>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthOnWire {
    status: &'static str,
    failing_streak: u32,
    log: Vec<Run>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Run {
    start: String,
    end: String,
    exit_code: i32,
    output: String,
}

/// The state with everything that hangs on it.
pub(crate) fn state(view: &ContainerView) -> State {
    let state = &view.state;
    let exit = state.exit();
    let restarting = matches!(state, ContainerState::Restarting { .. });
    State {
        status: state.word(),
        // A container that waits for its next try counts as running, as it always has.
        running: state.is_alive() || restarting,
        paused: matches!(state, ContainerState::Paused { .. }),
        restarting,
        oom_killed: exit.is_some_and(|exit| exit.oom_killed),
        dead: matches!(state, ContainerState::Dead { .. }),
        pid: state.pid().unwrap_or(0),
        exit_code: exit.map_or(0, |exit| exit.code),
        error: exit.and_then(|exit| exit.error.clone()).unwrap_or_default(),
        started_at: time::rfc3339(state.started_at_ns().unwrap_or(0)),
        finished_at: time::rfc3339(exit.map_or(0, |exit| exit.finished_at_ns)),
        health: view.health.as_ref().map(health),
    }
}

fn health(health: &Health) -> HealthOnWire {
    let run = |run: &haven_engine::HealthRun| Run {
        start: time::rfc3339(run.started_at_ns),
        end: time::rfc3339(run.ended_at_ns),
        exit_code: run.exit_code,
        output: run.output.clone(),
    };
    HealthOnWire {
        status: health.status.word(),
        failing_streak: health.failing_streak,
        log: health.log.iter().map(run).collect(),
    }
}

/// The line `docker ps` shows: `Up 3 minutes (healthy)`.
pub(crate) fn status_line(view: &ContainerView, now_ns: i64) -> String {
    let since = |then_ns: i64| time::human_span(now_ns.saturating_sub(then_ns));
    match &view.state {
        ContainerState::Created => "Created".into(),
        ContainerState::Running { started_at_ns, .. } => {
            match view.health.as_ref().map(|health| health.status) {
                None => format!("Up {}", since(*started_at_ns)),
                Some(HealthStatus::Starting) => format!("Up {} (health: starting)", since(*started_at_ns)),
                Some(status) => format!("Up {} ({})", since(*started_at_ns), status.word()),
            }
        }
        ContainerState::Paused { started_at_ns, .. } => format!("Up {} (Paused)", since(*started_at_ns)),
        ContainerState::Restarting { exit, .. } => {
            format!("Restarting ({}) {} ago", exit.code, since(exit.finished_at_ns))
        }
        ContainerState::Exited { exit, .. } => {
            format!("Exited ({}) {} ago", exit.code, since(exit.finished_at_ns))
        }
        ContainerState::Removing { .. } => "Removal In Progress".into(),
        ContainerState::Dead { .. } => "Dead".into(),
    }
}
