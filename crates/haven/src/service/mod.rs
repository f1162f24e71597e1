//! The daemon's wiring: configuration, logs, socket, engine, API, signals. Behaviour is the rooms'; here they are only
//! put together.
//!
//! Stopping it stops no container. SIGTERM and SIGINT let running requests end; whatever else ends it, the next one
//! takes every container up again from the kernel and the records.

mod configuration;
mod doctor;
mod listener;
mod logging;
mod readiness;

use crate::ending::Refusal;
use configuration::Settings;
pub(crate) use configuration::grammar;
use haven_docker::Limits;
use haven_engine::{Engine, EngineConfig};
use haven_spec::{Failure, Outcome};
use std::ffi::OsString;
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

/// Threads that run tasks; what waits for the kernel or the disk has threads of its own.
const WORKERS: usize = 2;
/// Threads for waiting work. Enough for many starts at once, few enough that their stacks don't show.
const BLOCKING_LIMIT: usize = 64;

/// `haven daemon`: returns the exit status.
pub(crate) fn main(arguments: Vec<OsString>) -> u8 {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        let help = grammar().bin_name("haven daemon").render_help().to_string();
        return u8::from(crate::console::print(&help).is_err());
    }
    match Settings::read(arguments).and_then(serve) {
        Ok(()) => 0,
        Err(failure) => Refusal::from(failure).report(),
    }
}

fn serve(settings: Settings) -> Outcome<()> {
    logging::start(&settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_LIMIT)
        .thread_keep_alive(std::time::Duration::from_secs(5))
        .enable_all()
        .build()
        .map_err(|error| Failure::host("cannot start the daemon's threads").because(error))?;
    runtime.block_on(run(settings))
}

async fn run(settings: Settings) -> Outcome<()> {
    // Bound first: a client that started us can connect and wait instead of trying again and again.
    let listener = listener::open(&settings)?;
    let engine = Engine::open(engine_config(&settings)).await?;
    let listener = UnixListener::from_std(listener)
        .map_err(|error| Failure::host("cannot listen on the daemon's socket").because(error))?;
    tracing::info!(socket = %settings.socket.display(), data_root = %settings.data_root.display(), "ready");
    readiness::tell("READY=1");
    let examined = engine.clone();
    let doctor = Arc::new(move || doctor::findings(&examined));
    haven_docker::serve(listener, engine.clone(), doctor, Limits::default(), stop_asked()).await;
    readiness::tell("STOPPING=1");
    engine.leave().await;
    tracing::info!("stopped; containers go on");
    Ok(())
}

fn engine_config(settings: &Settings) -> EngineConfig {
    let mut config = EngineConfig::new(settings.data_root.clone(), settings.run_root.clone());
    config.cgroup_parent.clone_from(&settings.cgroup_parent);
    config.favour_group_moves = settings.favour_group_moves;
    config.id_base = settings.id_base;
    config.default_pids_limit = settings.pids_limit;
    config.default_ulimits.clone_from(&settings.ulimits);
    config.default_stop_timeout_s = settings.stop_timeout_s;
    config.address_pool = settings.address_pool;
    config.publish_address = settings.publish_address;
    config.docker_networks_open = settings.docker_networks_open;
    config.policy.clone_from(&settings.policy);
    config.audit_keep_segments = settings.audit_keep_segments;
    config.audit_archive.clone_from(&settings.audit_archive);
    config.checkpoint_syslog.clone_from(&settings.checkpoint_syslog);
    config.log_max_size_bytes = settings.container_log_max_size_bytes;
    config.log_max_files = settings.container_log_max_files;
    config
}

async fn stop_asked() {
    let signals =
        || -> std::io::Result<_> { Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)) };
    match signals() {
        Ok((mut terminate, mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        Err(error) => {
            tracing::error!(%error, "cannot listen for signals; only SIGKILL stops this daemon");
            std::future::pending::<()>().await;
        }
    }
}
