//! A store in a directory of its own, and the questions tests ask it.

use crate::scratch::Scratch;
use haven_image::{Image, LoadOptions, Loaded, Store};
use haven_spec::Outcome;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A clock that goes on by a second each time it is read.
pub(crate) fn clock() -> i64 {
    static NOW: AtomicI64 = AtomicI64::new(1_700_000_000_000_000_000);
    NOW.fetch_add(1_000_000_000, Ordering::Relaxed)
}

pub(crate) fn open(scratch: &Scratch, name: &str) -> Store {
    Store::open(&scratch.path().join(name), clock).unwrap()
}

pub(crate) fn load(store: &Store, archive: &[u8]) -> Outcome<Vec<Loaded>> {
    store.load(archive, &LoadOptions::default(), &mut |_| ())
}

/// Loads an archive of one image.
pub(crate) fn load_one(store: &Store, archive: &[u8]) -> Arc<Image> {
    let loaded = load(store, archive).unwrap();
    assert_eq!(loaded.len(), 1);
    loaded[0].image.clone()
}

pub(crate) fn refusal(store: &Store, archive: &[u8]) -> String {
    load(store, archive).unwrap_err().one_line()
}

pub(crate) fn save(store: &Store, names: &[&str]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut bytes = Vec::new();
    store.save(&names, &mut bytes, &mut |_| ()).unwrap();
    bytes
}

/// The names in the store's directories: what is there for layers, notes, staging and trash.
pub(crate) fn leftovers(directory: &Path) -> [usize; 4] {
    ["layers", "notes", "staging", "trash"]
        .map(|name| std::fs::read_dir(directory.join(name)).unwrap().count())
}
