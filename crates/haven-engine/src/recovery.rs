//! Coming up: open everything, list what the kernel and the directories hold, compare it with the records, repair.
//!
//! Nothing is trusted from an earlier life's memory. A container without a record is garbage; a record without a
//! process has ended; what is half made is finished or taken back.

use crate::audit::Audit;
use crate::config::EngineConfig;
use crate::container::start::{self, Recovered};
use crate::container::task::{Found, Task, blocking};
use crate::exec::Execs;
use crate::network::{attaching, attempts, links, networks, observing, watching};
use crate::record::{ContainerRecord, Records, Stage, Write};
use crate::registry::Registry;
use crate::request::RemoveContainer;
use crate::shared::{FLEETING_RECORD, Shared};
use crate::volume::Volumes;
use haven_image::Store;
use haven_network::{Endpoint, Network, NetworkConfig};
use haven_runtime::cgroup::{GroupPath, Layout};
use haven_runtime::{GroupMoves, Spawner};
use haven_spec::{ContainerId, Exit, Failure, Ipv4Net, MountSource, Outcome, RestartPolicy};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn make_directory(path: &Path, mode: u32) -> Outcome<()> {
    let make = || {
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    make().map_err(|e| {
        Failure::host(format!("cannot make the directory `{}`", path.display()))
            .because(e)
            .hint("run as root, or choose another place with --data-root and --run-root")
    })
}

/// Blocking.
pub(crate) fn open(config: EngineConfig) -> Outcome<Arc<Shared>> {
    // Containers' root users pass through (x) to their own layers; nobody lists or reads what isn't theirs.
    make_directory(&config.data_root, 0o711)?;
    make_directory(&config.data_root.join("containers"), 0o711)?;
    make_directory(&config.data_root.join("trash"), 0o700)?;
    make_directory(&config.run_root, 0o711)?;
    make_directory(&config.run_root.join("containers"), 0o711)?;
    start::make_base_layer(&config.data_root)
        .map_err(|e| Failure::host("cannot make the bottom layer of containers").because(e))?;
    let audit = Arc::new(Audit::open(&config.data_root)?);
    let records = Arc::new(Records::open(&config.data_root.join("state.redb"))?);
    let images = Arc::new(Store::open(&config.data_root.join("images"), crate::clock::now_ns)?);
    let volumes = Volumes::open(config.data_root.join("volumes"), Arc::clone(&records))?;
    let remembered = records.known_fact::<Ipv4Net>("default-pool")?;
    let network = Network::open(NetworkConfig {
        pool: config.address_pool.or(remembered),
        mtu_bytes: config.mtu_bytes,
        publish_address: config.publish_address,
    })?;
    // Networks of users are made around it, so it stays.
    records.fact("default-pool", || network.pool())?;
    let moves = if config.favour_group_moves { GroupMoves::Favoured } else { GroupMoves::AsTheHostHasThem };
    let spawner = Spawner::connect_or_start(&config.run_root, &config.executable, moves)?;
    Ok(Arc::new(Shared {
        audit,
        turn: Arc::default(),
        cgroups: Layout::detect()?,
        numbers: std::sync::Mutex::default(),
        networks: networks::Networks::default(),
        links: links::Links::default(),
        observations: observing::Observations::default(),
        directory: crate::names::directory::Directory::default(),
        listening: crate::names::server::Listening::default(),
        registry: Registry::default(),
        events: crate::EventLog::default(),
        execs: Execs::default(),
        config,
        records,
        images,
        network,
        volumes,
        spawner,
    }))
}

/// Takes up every container with a record, repairs the network, removes what is nobody's.
pub(crate) async fn take_up(shared: &Arc<Shared>) -> Outcome<()> {
    let worker = Arc::clone(shared);
    let handle = tokio::runtime::Handle::current();
    let found = blocking(move || {
        // Watching keepers registers descriptors with the runtime.
        let _context = handle.enter();
        gather(&worker)
    })
    .await?;
    for (record, found) in found {
        take_up_one(shared, record, found).await;
    }
    let worker = Arc::clone(shared);
    blocking(move || {
        collect_garbage(&worker);
        Ok(())
    })
    .await
}

fn gather(shared: &Arc<Shared>) -> Outcome<Vec<(ContainerRecord, Recovered)>> {
    let mut records = shared.records.containers()?;
    records.extend(fleeting_records(&shared.config.run_root.join("containers")));
    let since_ns = shared.records.fact("default-network-since", crate::clock::now_ns)?;
    let mut declared = networks::restore(shared, since_ns)?;
    declared.extend(links::restore(shared)?);
    shared.network.restore_links(declared)?;
    observing::restore(shared)?;
    attempts::pass_over(shared)?;
    let mut endpoints: Vec<Endpoint> = Vec::new();
    let mut found = Vec::new();
    for record in records {
        if matches!(record.stage, Stage::Removing) {
            // The removal was cut short; `collect_garbage` finishes what is left without a record.
            drop(shared.records.delete_container(&record.id));
            continue;
        }
        if let Some(slot) = record.id_slot {
            shared.registry.share_slot(slot);
        }
        if shared.registry.reserve_name(&record.name, &record.id).is_err() {
            tracing::error!(container = %record.id, name = %record.name, "two containers have one name; find the second by its id");
        }
        let volumes = record.spec.mounts.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { name, .. } => Some(name),
            _ => None,
        });
        shared.volumes.hold(&record.id, volumes);
        match start::recover(shared, &record) {
            Ok(recovered) => {
                if let Recovered::Running(started) = &recovered {
                    attaching::restore(shared, &record, &started.endpoints);
                    endpoints.extend(started.endpoints.iter().cloned());
                }
                found.push((record, recovered));
            }
            Err(failure) => {
                tracing::error!(container = %record.id, error = %failure.one_line(), "cannot take up the container");
                found.push((record, Recovered::Nothing));
            }
        }
    }
    // Before this nothing was released or given out: what is not desired now is nobody's.
    let repairs = shared.network.reconcile(&endpoints)?;
    tracing::info!(?repairs, "the network agrees with the records");
    watching::start(shared)?;
    Ok(found)
}

/// Records of containers that are removed when they end.
fn fleeting_records(directory: &Path) -> Vec<ContainerRecord> {
    let mut records = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(text) = fs::read(entry.path().join(FLEETING_RECORD)) else { continue };
        match serde_json::from_slice(&text) {
            Ok(record) => records.push(record),
            Err(error) => tracing::error!(path = %entry.path().display(), %error, "a record cannot be read"),
        }
    }
    records
}

async fn take_up_one(shared: &Arc<Shared>, mut record: ContainerRecord, found: Recovered) {
    let (id, policy) = (record.id.clone(), record.spec.restart);
    let was_started = matches!(record.stage, Stage::Started { .. });
    let ended = match found {
        Recovered::Running(started) => {
            Task::spawn(shared, record, Found::Running(started));
            return;
        }
        Recovered::Ended { exit, started_at_ns } => {
            let exit = Exit {
                code: exit.code,
                oom_killed: exit.oom_killed,
                error: None,
                finished_at_ns: exit.finished_at_ns,
            };
            record.stage = Stage::Exited { exit, started_at_ns };
            let (worker, copy) = (Arc::clone(shared), record.clone());
            let fleeting = record.spec.auto_remove;
            let saved = blocking(move || {
                start::clean_up_ended(&worker, &copy);
                worker.save_container(&copy, Write::Durable, fleeting)
            });
            if let Err(failure) = saved.await {
                tracing::error!(container = %id, error = %failure.one_line(), "cannot record how the container ended");
            } else if !fleeting {
                start::forget_run(shared, &record).await;
            }
            true
        }
        Recovered::Nothing if was_started => {
            // The host went down under it: what its exit status would have been is not known.
            let started_at_ns =
                if let Stage::Started { started_at_ns } = record.stage { started_at_ns } else { 0 };
            let exit = Exit {
                code: 255,
                oom_killed: false,
                error: Some("the host went down while it ran".into()),
                finished_at_ns: crate::clock::now_ns(),
            };
            record.stage = Stage::Exited { exit, started_at_ns };
            true
        }
        Recovered::Nothing => false,
    };
    let exit_code = if let Stage::Exited { exit, .. } = &record.stage { exit.code } else { 0 };
    let fleeting = record.spec.auto_remove;
    let stopped_by_user = record.stopped_by_user;
    let handle = Task::spawn(shared, record, Found::Resting);
    let again = match policy {
        RestartPolicy::Always => {
            ended || matches!(handle.view().state, haven_spec::ContainerState::Exited { .. })
        }
        RestartPolicy::UnlessStopped => ended && !stopped_by_user,
        RestartPolicy::OnFailure { .. } => ended && exit_code != 0 && !stopped_by_user,
        RestartPolicy::No => false,
    };
    let outcome = if fleeting && ended {
        handle
            .ask(|reply| {
                crate::container::command::Command::Remove(
                    RemoveContainer { force: true, volumes: true },
                    reply,
                )
            })
            .await
    } else if again {
        handle.ask(crate::container::command::Command::Start).await
    } else {
        Ok(())
    };
    if let Err(failure) = outcome {
        tracing::warn!(container = %id, error = %failure.one_line(), "cannot bring the container to where it belongs");
    }
}

/// Directories and control groups without a container.
fn collect_garbage(shared: &Shared) {
    let known: HashSet<String> = shared.registry.views().iter().map(|view| view.id.to_string()).collect();
    let stray = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| ContainerId::parse(name).is_ok() && !known.contains(name))
    };
    for directory in [shared.config.data_root.join("containers"), shared.config.run_root.join("containers")] {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten().filter(stray) {
            kill_stray(&entry.path());
            tracing::info!(path = %entry.path().display(), "removing what no container owns");
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::warn!(path = %entry.path().display(), %error, "cannot remove it yet");
            }
        }
    }
    let trash = shared.config.data_root.join("trash");
    for entry in fs::read_dir(trash).into_iter().flatten().flatten() {
        drop(fs::remove_dir_all(entry.path()));
    }
    let groups =
        GroupPath::parse(&shared.config.cgroup_parent).and_then(|parent| shared.cgroups.children(&parent));
    for name in groups.unwrap_or_default() {
        if ContainerId::parse(&name).is_err() || known.contains(&name) {
            continue;
        }
        let removed = GroupPath::parse(&format!("{}/{name}", shared.config.cgroup_parent))
            .and_then(|path| shared.cgroups.open(&path))
            .and_then(|group| group.map_or(Ok(()), |group| group.remove(std::time::Duration::from_secs(2))));
        if let Err(failure) = removed {
            tracing::warn!(group = name, error = %failure.one_line(), "cannot remove a control group that no container owns");
        }
    }
}

/// A process of a launch that nobody was told of.
fn kill_stray(run_dir: &Path) {
    if let Ok((_, pidfd)) = haven_runtime::Keeper::of_container(run_dir).identify() {
        rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL).ok();
    }
}
