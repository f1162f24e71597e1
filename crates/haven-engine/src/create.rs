//! Making a container: everything is checked before anything is made, and taken back when a later step fails.

use crate::caller::Caller;
use crate::container::task::{Found, Task, blocking};
use crate::container::{confinement, merge, mounts, tree};
use crate::drafts;
use crate::engine::{choose_name, new_record, random};
use crate::event::EventObject;
use crate::network::{exposure, networks};
use crate::record::{ContainerRecord, Write};
use crate::recording::changed;
use crate::request::{CreateContainer, CreateVolume, CreatedContainer};
use crate::shared::Shared;
use crate::view::MountKind;
use haven_image::Image;
use haven_spec::{ContainerId, ContainerSpec, Failure, MountSource, MountSpec, Outcome, VolumeName};
use std::fs;
use std::sync::Arc;

pub(crate) async fn create(
    shared: &Arc<Shared>,
    caller: &Arc<Caller>,
    request: CreateContainer,
) -> Outcome<CreatedContainer> {
    let (worker, by) = (Arc::clone(shared), Arc::clone(caller));
    let (record, warnings) = blocking(move || make(&worker, &by, request)).await?;
    let id = record.id.clone();
    let mut attributes = record.spec.labels.clone();
    attributes.insert("image".into(), record.spec.image.clone());
    attributes.insert("name".into(), record.name.to_string());
    Task::spawn(shared, record, Found::Resting);
    shared.tell(EventObject::Container, "create", id.as_str(), attributes);
    Ok(CreatedContainer { id, warnings })
}

fn make(
    shared: &Shared,
    caller: &Caller,
    request: CreateContainer,
) -> Outcome<(ContainerRecord, Vec<String>)> {
    let image = shared.images.resolve(&request.spec.image)?;
    if let Some(platform) = &request.platform {
        check_platform(&image, platform)?;
    }
    let mut spec = request.spec;
    spec.mounts.extend(inherited(shared, &spec)?);
    let new_volume = || VolumeName::parse(ContainerId::from_bytes(&random()).as_str());
    let mut spec = merge::with_image(spec, &image.config.config, new_volume)?;
    if spec.log.driver.is_empty() {
        spec.log.driver = "json-file".into();
    }
    let warnings = merge::check(&spec)?;
    networks::settle(shared, &mut spec)?;
    let id = ContainerId::from_bytes(&random());
    let name = match request.name {
        Some(name) => {
            shared.registry.reserve_name(&name, &id)?;
            name
        }
        None => choose_name(shared, &id)?,
    };
    let mut record = new_record(&image, id, name, spec);
    let made = recorded(shared, caller, &mut record);
    match made {
        Ok(()) => Ok((record, warnings)),
        Err(failure) => {
            take_back(shared, &record);
            Err(failure)
        }
    }
}

/// What weakens isolation or publishes a port is on the audit record before it is made, and held against the policy; so
/// is everything where there is a policy. What does neither is recorded when it is made, and not waited for.
fn recorded(shared: &Shared, caller: &Caller, record: &mut ContainerRecord) -> Outcome<()> {
    let draft = drafts::container_created(caller, record);
    if !drafts::opens_something(&record.spec) && shared.config.policy.is_none() {
        furnish(shared, record)?;
        shared.audit.note_soon(draft.into_entry());
        return Ok(());
    }
    let (name, spec) = (record.name.clone(), record.spec.clone());
    let draft = draft.planned(|facts| exposure::container(shared, facts, &name, &spec, None));
    changed(shared, caller, draft, || furnish(shared, record))
}

/// `os/arch[/variant]`, as far as it is given.
fn check_platform(image: &Image, wanted: &str) -> Outcome<()> {
    let config = &image.config;
    let has = [config.os.as_str(), config.architecture.as_str(), config.variant.as_str()];
    let differs = wanted
        .split('/')
        .zip(has)
        .any(|(wanted, has)| !wanted.is_empty() && !has.is_empty() && wanted != has);
    if differs {
        return Err(Failure::not_found(format!(
            "image with reference {} was found but its platform ({}/{}) does not match the specified platform ({wanted})",
            image.shown(),
            config.os,
            config.architecture
        )));
    }
    Ok(())
}

/// Id range, volumes, directories, and last the record.
fn furnish(shared: &Shared, record: &mut ContainerRecord) -> Outcome<()> {
    if confinement::has_own_user_namespace(&record.spec.security) {
        record.id_slot = match joined_slot(shared, &record.spec)? {
            Some(Some(slot)) => {
                shared.registry.share_slot(slot);
                Some(slot)
            }
            Some(None) => None,
            None => Some(shared.registry.reserve_slot()?),
        };
    }
    let data = shared.config.container_data(&record.id);
    let made = fs::create_dir_all(data.join("upper")).and_then(|()| fs::create_dir(data.join("work")));
    made.map_err(|e| {
        Failure::host(format!("cannot make the container's directory `{}`", data.display())).because(e)
    })?;
    for mount in &record.spec.mounts {
        let MountSource::Volume { name, anonymous, populate, subpath } = &mount.source else { continue };
        let request = CreateVolume { name: Some(name.clone()), ..CreateVolume::default() };
        let (_, new) = shared.volumes.create(request, *anonymous, &random())?;
        if *anonymous && new {
            record.anonymous_volumes.push(name.clone());
        }
        if *populate && subpath.is_none() {
            fill(shared, record, name, mount)?;
        }
    }
    let names = record.spec.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } => Some(name),
        _ => None,
    });
    shared.volumes.hold(&record.id, names);
    shared.save_container(record, Write::Durable, record.spec.auto_remove)
}

/// A container that joins another's namespaces has that one's ids: it can only be in one user namespace.
/// `None`: it joins nobody. `Some(None)`: it joins one in the host's user namespace.
fn joined_slot(shared: &Shared, spec: &ContainerSpec) -> Outcome<Option<Option<u32>>> {
    use haven_spec::{IpcMode, NetworkMode, PidMode};
    let mut joined = Vec::new();
    if let NetworkMode::Container(id) = &spec.network {
        joined.push(id);
    }
    if let PidMode::Container(id) = &spec.security.pid {
        joined.push(id);
    }
    if let IpcMode::Container(id) = &spec.security.ipc {
        joined.push(id);
    }
    let mut slots = joined.into_iter().map(|id| shared.registry.get(id).map(|handle| handle.id_slot));
    let Some(first) = slots.next().transpose()? else { return Ok(None) };
    for other in slots {
        if other? != first {
            return Err(Failure::invalid(
                "cannot join namespaces of containers with different user namespaces",
            )
            .hint("join one container only, or use --userns host for all of them"));
        }
    }
    Ok(Some(first))
}

/// An empty volume gets what the image has at its place, owners and all.
fn fill(shared: &Shared, record: &ContainerRecord, name: &VolumeName, mount: &MountSpec) -> Outcome<()> {
    let content = shared.volumes.content(name);
    let empty = fs::read_dir(&content).is_ok_and(|mut entries| entries.next().is_none());
    if !empty {
        return Ok(());
    }
    let lowers = crate::container::start::lowers(shared, record)?;
    let image = tree::image_root(&lowers)?;
    let target = mounts::clean(&mount.target);
    tree::copy_directory(&image, &target, &content).map_err(|failure| {
        failure.context(format!("cannot fill volume `{name}` from the image's `{}`", target.display()))
    })
}

/// What `--volumes-from` brings along.
fn inherited(shared: &Shared, spec: &ContainerSpec) -> Outcome<Vec<MountSpec>> {
    let mut found = Vec::new();
    for wanted in &spec.volumes_from {
        let (name, readonly) = match wanted.rsplit_once(':') {
            Some((name, "ro")) => (name, true),
            Some((name, "rw")) => (name, false),
            Some((_, mode)) => {
                return Err(Failure::invalid(format!("invalid mode for volumes-from: {mode}")));
            }
            None => (wanted.as_str(), false),
        };
        let view = shared.registry.find(name)?.view();
        let shown: Vec<_> = view.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs).collect();
        for mount in &view.spec.mounts {
            let target = mounts::clean(&mount.target);
            let own = |other: &MountSpec| mounts::clean(&other.target) == target;
            if shown.iter().any(|view| view.destination == target)
                && !spec.mounts.iter().any(own)
                && !found.iter().any(own)
            {
                let mut mount = mount.clone();
                mount.readonly |= readonly;
                if let MountSource::Volume { anonymous, .. } = &mut mount.source {
                    // Not this container's to remove.
                    *anonymous = false;
                }
                found.push(mount);
            }
        }
    }
    Ok(found)
}

fn take_back(shared: &Shared, record: &ContainerRecord) {
    drop(fs::remove_dir_all(shared.config.container_data(&record.id)));
    drop(fs::remove_dir_all(shared.config.container_run(&record.id)));
    shared.volumes.release(&record.id);
    for volume in &record.anonymous_volumes {
        drop(shared.volumes.remove(volume.as_str(), true));
    }
    shared.registry.release_name(&record.name);
    if let Some(slot) = record.id_slot {
        shared.registry.release_slot(slot);
    }
}
