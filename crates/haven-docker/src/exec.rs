//! `/exec/…` and `/containers/{id}/exec`: further processes in a running container.

use crate::Api;
use crate::call::Call;
use crate::container::attach::detach_keys;
use crate::container::create::terminal_begins;
use crate::container::lifecycle::{in_clients_words, terminal_size};
use crate::frame;
use crate::hijack::Hijack;
use crate::query::Query;
use crate::refusal::{Answer, Refusal};
use crate::reply::{MULTIPLEXED_STREAM, RAW_STREAM, Reply};
use crate::stream::{self, Manner};
use crate::wire::{Words, wire};
use haven_engine::{Engine, ExecSpec};
use haven_spec::{ExecId, Failure, Kind};
use hyper::StatusCode;
use serde::Serialize;
use std::time::Duration;

/// How long the client's connection stays open for the exit code to be known, once output has ended.
const EXIT_WAIT: Duration = Duration::from_secs(2);

wire! {
    CreateBody {
        user: String = "User",
        privileged: bool = "Privileged",
        tty: bool = "Tty",
        attach_stdin: bool = "AttachStdin",
        attach_stdout: bool = "AttachStdout",
        attach_stderr: bool = "AttachStderr",
        detach_keys: String = "DetachKeys",
        size: Option<[u16; 2]> = "ConsoleSize",
        env: Vec<String> = "Env",
        working_dir: String = "WorkingDir",
        command: Option<Words> = "Cmd",
    }
}

wire! {
    StartBody {
        detach: bool = "Detach",
        size: Option<[u16; 2]> = "ConsoleSize",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created<'a> {
    id: &'a str,
}

pub(crate) async fn create(api: &Api, mut call: Call, name: &str) -> Answer<Reply> {
    let body: CreateBody = call.json().await?;
    let command: Vec<String> = body.command.map(Vec::from).unwrap_or_default();
    if command.is_empty() {
        return Err(Refusal::invalid("No exec command specified"));
    }
    if let Some(bad) = body.env.iter().find(|entry| entry.is_empty() || entry.starts_with('=')) {
        return Err(Refusal::invalid(format!("invalid environment variable: {bad}")));
    }
    let view = api.engine.find(name)?;
    let spec = ExecSpec {
        command,
        env: body.env,
        working_dir: body.working_dir,
        user: body.user,
        privileged: body.privileged,
        tty: body.tty,
        console_size: terminal_begins(body.size),
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        detach_keys: body.detach_keys,
    };
    let id = api.engine.exec_create(&view.id, spec).await?;
    Ok(Reply::created(&Created { id: id.as_str() }))
}

pub(crate) async fn start(api: &Api, mut call: Call, id: &str) -> Answer<Reply> {
    let body: StartBody = call.json_or_none().await?.unwrap_or_default();
    let exec = api.engine.exec_view(id)?;
    if body.detach {
        api.engine.exec_start(&exec.id, false).await?;
        return Ok(Reply::empty(StatusCode::OK));
    }
    let keys = if exec.spec.detach_keys.is_empty() {
        detach_keys(&call.query)?
    } else {
        detach_keys(&Query::one("detachKeys", &exec.spec.detach_keys))?
    };
    let attached = match api.engine.exec_start(&exec.id, true).await {
        Ok(attached) => attached,
        Err(failure) => return could_not_start(api, &call, &exec.id, failure),
    };
    if let Some([rows, columns]) = body.size.filter(|_| exec.spec.tty)
        && let Err(failure) = api.engine.exec_resize(&exec.id, rows, columns).await
    {
        // It may have ended by now; its output is still worth having.
        tracing::debug!(exec = %exec.id, error = failure.one_line(), "cannot set the terminal's size");
    }
    let framed = !exec.spec.tty;
    let kind = if framed && call.at_least(1, 42) { MULTIPLEXED_STREAM } else { RAW_STREAM };
    let engine = api.engine.clone();
    Ok(Reply::Hijack(Hijack::new(&call.headers, &kind, async move |connection| {
        let Some(attached) = attached else {
            connection.split().1.finish().await;
            return;
        };
        let manner = Manner { framed, detach_keys: attached.tty.then_some(keys), end_input: true };
        let ended = async { exit_is_known(&engine, &exec.id).await };
        stream::talk_until(connection, attached.output, attached.input, manner, None, ended).await;
    })))
}

/// A command that could not be run has an exit code all the same: clients show what comes over the stream and then ask
/// for it. Anything else is an answer like any other.
fn could_not_start(api: &Api, call: &Call, id: &ExecId, failure: Failure) -> Answer<Reply> {
    let exec = api.engine.exec_view(id.as_str())?;
    if !matches!(exec.exit_code, Some(126..=128)) || failure.kind() == Kind::Conflict {
        return Err(failure.into());
    }
    let why = in_clients_words(failure.into()).message;
    let text = format!("OCI runtime exec failed: exec failed: unable to start container process: {why}\r\n");
    let framed = !exec.spec.tty;
    let kind = if framed && call.at_least(1, 42) { MULTIPLEXED_STREAM } else { RAW_STREAM };
    Ok(Reply::Hijack(Hijack::new(&call.headers, &kind, async move |connection| {
        let mut out = Vec::new();
        if framed {
            frame::push(&mut out, frame::Stream::Stdout, text.as_bytes());
        } else {
            out.extend_from_slice(text.as_bytes());
        }
        let (_, mut writer) = connection.split();
        if writer.write(&out).await.is_ok() {
            writer.finish().await;
        }
    })))
}

/// Clients ask for the exit code as soon as the connection closes.
async fn exit_is_known(engine: &Engine, id: &ExecId) {
    // One whose output ended before it did: the client need not wait for that.
    drop(tokio::time::timeout(EXIT_WAIT, engine.exec_ended(id)).await);
}

pub(crate) async fn resize(api: &Api, call: Call, id: &str) -> Answer<Reply> {
    let (rows, columns) = terminal_size(&call.query)?;
    let exec = api.engine.exec_view(id)?;
    api.engine.exec_resize(&exec.id, rows, columns).await?;
    Ok(Reply::empty(StatusCode::OK))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the wire has them")]
struct Inspect {
    #[serde(rename = "ID")]
    id: String,
    running: bool,
    exit_code: Option<i32>,
    process_config: ProcessConfig,
    open_stdin: bool,
    open_stderr: bool,
    open_stdout: bool,
    can_remove: bool,
    #[serde(rename = "ContainerID")]
    container_id: String,
    detach_keys: String,
    pid: u32,
}

/// These are in small letters on the wire.
#[derive(Serialize)]
struct ProcessConfig {
    tty: bool,
    entrypoint: String,
    arguments: Vec<String>,
    privileged: bool,
    user: String,
}

pub(crate) fn inspect(api: &Api, id: &str) -> Answer<Reply> {
    let exec = api.engine.exec_view(id)?;
    let mut words = exec.spec.command.iter().cloned();
    Ok(Reply::json(&Inspect {
        id: exec.id.to_string(),
        running: exec.running,
        exit_code: exec.exit_code,
        process_config: ProcessConfig {
            tty: exec.spec.tty,
            entrypoint: words.next().unwrap_or_default(),
            arguments: words.collect(),
            privileged: exec.spec.privileged,
            user: exec.spec.user.clone(),
        },
        open_stdin: exec.spec.attach_stdin,
        open_stderr: exec.spec.attach_stderr,
        open_stdout: exec.spec.attach_stdout,
        can_remove: false,
        container_id: exec.container.to_string(),
        detach_keys: exec.spec.detach_keys,
        pid: exec.pid,
    }))
}
