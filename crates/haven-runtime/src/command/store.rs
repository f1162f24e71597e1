//! Where containers of the command line are remembered: a directory each, below `--root`.
//!
//! ```text
//! ROOT/ID/state.json   what was made (see `record`); exists from creation to deletion
//! ROOT/ID/start.sock   where the first process waits to be started; gone once it runs
//! ROOT/ID/lock         held by whoever changes the container
//! ```
//!
//! The state file is written whole and renamed into place. Whether a container runs is not in it: that is asked of the
//! kernel each time.

use super::record::Record;
use haven_spec::{Failure, Outcome};
use rustix::fs::FlockOperation;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(super) const START_SOCKET: &str = "start.sock";

#[derive(Debug)]
pub(super) struct Store {
    root: PathBuf,
}

/// One container's directory, locked as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    _lock: File,
}

/// What callers look for in a message to tell "not there" from other failures.
pub(super) fn does_not_exist(id: &str) -> Failure {
    Failure::not_found("container does not exist").because(format!("there is no container `{id}`"))
}

impl Store {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// An id becomes a directory and a control group: letters, digits and `_+-.`, not only dots.
    pub(super) fn check_id(id: &str) -> Outcome<()> {
        let fits = !id.is_empty()
            && id.len() <= 255
            && id != "."
            && id != ".."
            && id.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"_+-.".contains(&letter));
        if fits {
            return Ok(());
        }
        Err(Failure::invalid(format!("invalid container id: `{id}`"))
            .hint("use letters, digits, `_`, `+`, `-` and `.`"))
    }

    fn place(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Makes the directory of a new container.
    pub(super) fn create(&self, id: &str) -> Outcome<Place> {
        Self::check_id(id)?;
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.root)
            .and_then(|()| DirBuilder::new().mode(0o711).create(self.place(id)));
        match made {
            Ok(()) => self.lock(id),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Failure::conflict(format!("container with given ID already exists: `{id}`"))
                    .hint("choose another id, or delete the container"))
            }
            Err(error) => {
                Err(Failure::host(format!("cannot make `{}`", self.place(id).display())).because(error))
            }
        }
    }

    /// An existing container's directory, once nobody else changes it.
    pub(super) fn lock(&self, id: &str) -> Outcome<Place> {
        Self::check_id(id)?;
        let path = self.place(id);
        let lock = path.join("lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(does_not_exist(id)),
            Err(error) => {
                return Err(Failure::host(format!("cannot open `{}`", lock.display())).because(error));
            }
        };
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|errno| {
            Failure::host(format!("cannot lock `{}`", lock.display())).because(std::io::Error::from(errno))
        })?;
        // Deleted while we waited?
        if !lock.exists() {
            return Err(does_not_exist(id));
        }
        Ok(Place { path, _lock: file })
    }

    /// Reads a record without waiting for whoever changes the container.
    pub(super) fn read(&self, id: &str) -> Outcome<Record> {
        Self::check_id(id)?;
        read_record(&self.place(id), id)
    }

    pub(super) fn start_socket(&self, id: &str) -> PathBuf {
        self.place(id).join(START_SOCKET)
    }

    /// All ids, sorted. A directory without a record yet counts for nobody.
    pub(super) fn ids(&self) -> Outcome<Vec<String>> {
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Failure::host(format!("cannot list `{}`", self.root.display())).because(error));
            }
        };
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|id| Self::check_id(id).is_ok() && self.place(id).join("state.json").exists())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

fn read_record(place: &Path, id: &str) -> Outcome<Record> {
    let path = place.join("state.json");
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| Failure::host(format!("cannot understand `{}`", path.display())).because(error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(does_not_exist(id)),
        Err(error) => Err(Failure::host(format!("cannot read `{}`", path.display())).because(error)),
    }
}

impl Place {
    /// The record, which a directory just made hasn't yet.
    pub(super) fn read(&self) -> Outcome<Record> {
        let id = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        read_record(&self.path, id)
    }

    pub(super) fn write(&self, record: &Record) -> Outcome<()> {
        let path = self.path.join("state.json");
        let new = self.path.join("state.json.new");
        let write = || -> std::io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| Failure::host(format!("cannot write `{}`", path.display())).because(error))
    }

    pub(super) fn start_socket(&self) -> PathBuf {
        self.path.join(START_SOCKET)
    }

    /// Forgets the container.
    pub(super) fn remove(self) -> Outcome<()> {
        // The record goes first: what is left is nobody's container.
        for name in ["state.json", "state.json.new", START_SOCKET, "lock"] {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Failure::host(format!("cannot remove `{}`", path.display())).because(error));
                }
                _ => {}
            }
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Failure::host(format!("cannot remove `{}`", self.path.display())).because(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci;

    fn record(id: &str) -> Record {
        Record {
            id: id.to_owned(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            pid: 0,
            start_time: 0,
            created: "2026-01-02T03:04:05Z".into(),
            cgroup: String::new(),
            spec: oci::Spec::default(),
        }
    }

    #[test]
    fn a_container_is_remembered_until_it_is_removed() {
        let root = std::env::temp_dir().join(format!("haven-store-{}", std::process::id()));
        let store = Store::new(root.clone());
        assert!(store.ids().unwrap().is_empty());
        assert!(store.read("a").unwrap_err().to_string().contains("does not exist"));
        assert!(store.lock("a").unwrap_err().to_string().contains("does not exist"));
        let place = store.create("a").unwrap();
        assert!(store.create("a").unwrap_err().to_string().contains("already exists"));
        assert!(store.ids().unwrap().is_empty(), "without a record it isn't one");
        place.write(&record("a")).unwrap();
        assert_eq!(store.ids().unwrap(), ["a"]);
        assert_eq!(place.read().unwrap().bundle, store.read("a").unwrap().bundle);
        place.remove().unwrap();
        assert!(store.ids().unwrap().is_empty() && !root.join("a").exists());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn an_id_is_one_plain_name() {
        for good in ["a", "A-1_x+y.z", "..."] {
            assert!(Store::check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n", &"a".repeat(256)] {
            assert!(Store::check_id(bad).is_err(), "{bad}");
        }
    }
}
