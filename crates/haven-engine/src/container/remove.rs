//! Removing a container: the record first, then what it spoke of.

use crate::record::{ContainerRecord, Stage, Write};
use crate::shared::Shared;
use haven_spec::{Failure, Outcome};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// `volumes`: its anonymous volumes too. `fleeting`: its record lies in the run directory only.
pub(crate) async fn remove(
    shared: &Arc<Shared>,
    record: &ContainerRecord,
    volumes: bool,
    fleeting: bool,
) -> Outcome<()> {
    let (worker, record) = (Arc::clone(shared), record.clone());
    super::task::blocking(move || {
        let shared = &worker;
        let data = shared.config.container_data(&record.id);
        let run = shared.config.container_run(&record.id);
        if !fleeting {
            shared.records.delete_container(&record.id)?;
        }
        // Renamed first: from here on it is garbage, whatever happens.
        let trash = shared.config.data_root.join("trash").join(record.id.as_str());
        match fs::rename(&data, &trash) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let mut dead = record.clone();
                dead.stage = Stage::Removing;
                drop(shared.save_container(&dead, Write::Durable, fleeting));
                return Err(Failure::host(format!("cannot remove the files of container {}", record.id)).because(error));
            }
        }
        drop(fs::remove_dir_all(&run));
        shared.execs.forget_container(&record.id);
        shared.volumes.release(&record.id);
        if volumes {
            for volume in &record.anonymous_volumes {
                // Another container may have taken it over by --volumes-from.
                if let Err(failure) = shared.volumes.remove(volume.as_str(), true) {
                    tracing::debug!(volume = %volume, error = %failure.one_line(), "an anonymous volume is kept");
                }
            }
        }
        // Deleting many files takes a while and nobody needs to wait for it.
        tokio::task::spawn_blocking(move || empty(&trash));
        Ok(())
    })
    .await
}

fn empty(trash: &Path) {
    if let Err(error) = fs::remove_dir_all(trash)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %trash.display(), %error, "cannot delete a removed container's files yet");
    }
}
