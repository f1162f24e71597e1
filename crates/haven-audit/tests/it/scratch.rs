//! A throw-away directory, a record in it, and the means to meddle with it.

use haven_audit::{Actor, Ending, Entry, Limits, Log, Moment, Object, Opening, PublicKey};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("haven-audit-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// That of another process, which told its path in an environment variable and removes it.
    pub(crate) fn of(variable: &str) -> Self {
        Self(std::env::var_os(variable).unwrap().into())
    }

    /// Where the record is.
    pub(crate) fn record(&self) -> PathBuf {
        self.0.join("audit")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn open(&self) -> (Log, Opening) {
        self.open_with(1 << 20)
    }

    pub(crate) fn open_with(&self, segment_bytes: u64) -> (Log, Opening) {
        Log::open(&self.record(), "example.org/test", Limits { segment_bytes }, &at(0)).unwrap()
    }

    pub(crate) fn key(&self) -> PublicKey {
        PublicKey::beside(&self.record()).unwrap()
    }

    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = std::fs::read_dir(self.record())
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "records"))
            .collect();
        all.sort();
        all
    }

    /// Changes the lines of a segment.
    pub(crate) fn meddle(&self, segment: usize, with: impl FnOnce(&mut Vec<String>)) {
        let path = &self.segments()[segment];
        let mut lines: Vec<String> =
            std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect();
        with(&mut lines);
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }

    /// Another directory with the same content.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir_all(copy.record()).unwrap();
        for file in std::fs::read_dir(self.record()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.record().join(file.file_name())).unwrap();
        }
        copy
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

pub(crate) fn at(second: i64) -> Moment {
    Moment {
        wall: jiff::Timestamp::from_second(1_800_000_000 + second).unwrap(),
        monotonic_ns: 5,
        boot: "0123".into(),
    }
}

pub(crate) fn entry(action: &str, object: &str, user: &str) -> Entry {
    Entry {
        actor: Actor { uid: Some(1000), user: Some(user.into()), ..Actor::default() },
        client: "cli".into(),
        action: action.into(),
        objects: vec![Object::new("container", object)],
        reason: Some("because".into()),
        ..Entry::default()
    }
}

/// A record with so many changes, each with its ending.
pub(crate) fn changes(log: &mut Log, count: u64) {
    for number in 0..count {
        let now = at(i64::try_from(number).unwrap());
        let change = log.begin(entry("link.add", &format!("app{number}"), "alice"), &now).unwrap();
        log.end(change, Ending::applied(), &now).unwrap();
    }
}
