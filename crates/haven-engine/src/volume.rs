//! Volumes: directories that outlive containers. Owners inside are container ids; each container sees them through
//! an id-mapped mount, so no file is ever re-owned.

use crate::clock;
use crate::record::{Records, VolumeRecord};
use crate::request::CreateVolume;
use haven_spec::{ContainerId, Failure, Outcome, VolumeName};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Options of the `local` driver that Haven takes; everything else is refused by name.
const KNOWN_OPTIONS: &[&str] = &["size"];

#[derive(Debug)]
struct Entry {
    record: VolumeRecord,
    users: BTreeSet<ContainerId>,
}

/// All volumes, and which containers mention them.
#[derive(Debug)]
pub(crate) struct Volumes {
    directory: PathBuf,
    records: Arc<Records>,
    entries: Mutex<HashMap<VolumeName, Entry>>,
}

impl Volumes {
    pub(crate) fn open(directory: PathBuf, records: Arc<Records>) -> Outcome<Self> {
        let make = std::fs::create_dir_all(&directory);
        make.map_err(|e| Failure::host(format!("cannot make `{}`", directory.display())).because(e))?;
        let mut entries = HashMap::new();
        for record in records.volumes()? {
            entries.insert(record.name.clone(), Entry { record, users: BTreeSet::new() });
        }
        let volumes = Self { directory, records, entries: Mutex::new(entries) };
        volumes.collect_garbage();
        Ok(volumes)
    }

    /// A directory without a record is left from a creation or removal that was cut short.
    fn collect_garbage(&self) {
        let Ok(found) = std::fs::read_dir(&self.directory) else { return };
        let entries = self.lock();
        for found in found.flatten() {
            let name = found.file_name().into_string().ok().and_then(|n| VolumeName::parse(&n).ok());
            if !name.is_some_and(|name| entries.contains_key(&name)) {
                tracing::info!(path = %found.path().display(), "removing a volume directory without a record");
                drop(std::fs::remove_dir_all(found.path()));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<VolumeName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume's own directory.
    fn home(&self, name: &VolumeName) -> PathBuf {
        self.directory.join(name.as_str())
    }

    /// Where the volume's content is on the host.
    pub(crate) fn content(&self, name: &VolumeName) -> PathBuf {
        self.home(name).join("_data")
    }

    /// Makes a volume, or answers the one that has this name already.
    pub(crate) fn create(
        &self,
        request: CreateVolume,
        anonymous: bool,
        random: &[u8; 32],
    ) -> Outcome<(VolumeRecord, bool)> {
        if let Some(unknown) = request.options.keys().find(|key| !KNOWN_OPTIONS.contains(&key.as_str())) {
            return Err(Failure::invalid(format!("volume option `{unknown}` is not known"))
                .hint("Haven's volumes are directories and take no mount options; use a bind mount of a mounted file system"));
        }
        if request.options.contains_key("size") {
            return Err(Failure::unsupported(
                "volume option `size` needs project quotas, which are not used yet",
            ));
        }
        let name = match request.name {
            Some(name) => name,
            None => VolumeName::parse(ContainerId::from_bytes(random).as_str())?,
        };
        let mut entries = self.lock();
        if let Some(entry) = entries.get(&name) {
            return Ok((entry.record.clone(), false));
        }
        let record = VolumeRecord {
            name: name.clone(),
            created_at_ns: clock::now_ns(),
            labels: request.labels,
            options: request.options,
            anonymous,
        };
        make_directory(&self.home(&name), &self.content(&name))
            .map_err(|e| Failure::host(format!("cannot make volume `{name}`")).because(e))?;
        if let Err(failure) = self.records.put_volume(&record) {
            drop(std::fs::remove_dir_all(self.home(&name)));
            return Err(failure);
        }
        entries.insert(name, Entry { record: record.clone(), users: BTreeSet::new() });
        Ok((record, true))
    }

    pub(crate) fn find(&self, name: &str) -> Outcome<(VolumeRecord, Vec<ContainerId>)> {
        let parsed = VolumeName::parse(name).ok();
        let entries = self.lock();
        let entry = parsed.and_then(|name| entries.get(&name));
        let entry = entry.ok_or_else(|| Failure::not_found(format!("get {name}: no such volume")))?;
        Ok((entry.record.clone(), entry.users.iter().cloned().collect()))
    }

    pub(crate) fn all(&self) -> Vec<(VolumeRecord, Vec<ContainerId>)> {
        let mut all: Vec<_> = self
            .lock()
            .values()
            .map(|e| (e.record.clone(), e.users.iter().cloned().collect::<Vec<_>>()))
            .collect();
        all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        all
    }

    /// Notes that `container` mentions these volumes; they can't be removed while it exists.
    pub(crate) fn hold<'a>(&self, container: &ContainerId, names: impl IntoIterator<Item = &'a VolumeName>) {
        let mut entries = self.lock();
        for name in names {
            if let Some(entry) = entries.get_mut(name) {
                entry.users.insert(container.clone());
            }
        }
    }

    pub(crate) fn release(&self, container: &ContainerId) {
        for entry in self.lock().values_mut() {
            entry.users.remove(container);
        }
    }

    pub(crate) fn remove(&self, name: &str, force: bool) -> Outcome<Option<VolumeName>> {
        let mut entries = self.lock();
        let Some(name) = VolumeName::parse(name).ok().filter(|name| entries.contains_key(name)) else {
            if force {
                return Ok(None);
            }
            return Err(Failure::not_found(format!("get {name}: no such volume")));
        };
        if let Some(entry) = entries.get(&name)
            && !entry.users.is_empty()
        {
            let users: Vec<&str> = entry.users.iter().map(ContainerId::as_str).collect();
            return Err(Failure::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            ))
            .hint("remove these containers first"));
        }
        self.records.delete_volume(&name)?;
        entries.remove(&name);
        drop(entries);
        // Without a record it is garbage already; what can't be deleted now is found at the next start.
        if let Err(error) = std::fs::remove_dir_all(self.home(&name)) {
            tracing::warn!(volume = %name, %error, "a removed volume's directory cannot be deleted yet");
        }
        Ok(Some(name))
    }

    /// Bytes used on disk, each file counted once.
    pub(crate) fn size_bytes(&self, name: &VolumeName) -> Outcome<u64> {
        disk_usage(&self.content(name))
            .map_err(|e| Failure::host(format!("cannot measure volume `{name}`")).because(e))
    }
}

fn make_directory(home: &Path, content: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    // The home is closed to other users of the host; what is inside has the container's own modes.
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o711);
    match builder.create(home) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match std::fs::create_dir(content) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::set_permissions(content, std::fs::Permissions::from_mode(0o755))
}

/// Space taken below `path`, hard links counted once; entries that vanish meanwhile don't count.
pub(crate) fn disk_usage(path: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut total = 0_u64;
    let mut linked = BTreeSet::new();
    let mut pending = vec![path.to_path_buf()];
    while let Some(directory) = pending.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.nlink() < 2 || metadata.is_dir() || linked.insert((metadata.dev(), metadata.ino())) {
                total += if metadata.is_file() { metadata.len() } else { 0 };
            }
            if metadata.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Ok(total)
}
