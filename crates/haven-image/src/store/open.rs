//! Opening a store: taking ownership, reading the records, and removing what no record speaks of.

use super::catalog::{Catalog, Draft};
use super::record::{self, database};
use super::{Clock, Store, host};
use crate::image::Finding;
use crate::staging::Staging;
use arc_swap::ArcSwap;
use haven_spec::{Digest, Failure, Outcome};
use haven_sys::root::{Dir, Root};
use redb::{Database, ReadableDatabase as _};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

const DATABASE: &str = "images.redb";
const NEW_DATABASE: &str = "images.redb.new";
/// The records of thousands of images fit; all of them are kept in memory anyway.
const CACHE_BYTES: usize = 4 << 20;

impl Store {
    /// Opens the store in `dir`, which is made when it is missing. Another process that has it open is an error.
    pub fn open(dir: &Path, clock: Clock) -> Outcome<Self> {
        let failed =
            |failure: Failure| failure.context(format!("cannot open the image store `{}`", dir.display()));
        open(dir, clock).map_err(failed)
    }
}

fn open(path: &Path, clock: Clock) -> Outcome<Store> {
    if !path.is_absolute() {
        return Err(Failure::invalid("its path is not absolute"));
    }
    let top = Root::open("/")
        .and_then(|root| root.mkdir_all(path, 0o700))
        .map_err(|error| host("cannot make its directory", error))?;
    match rustix::fs::flock(&top, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            return Err(Failure::conflict("another process has it open")
                .hint("is a second daemon running with the same directory?"));
        }
        Err(error) => return Err(Failure::host("cannot lock its directory").because(error)),
    }
    let records = open_database(&top, path)?;
    let mut findings = Vec::new();
    let layers = directory(&top, "layers")?;
    let notes = directory(&top, "notes")?;
    let trash = directory(&top, "trash")?;
    let staging = directory(&top, "staging")?;
    let mut catalog = Catalog::read(&records.begin_read().map_err(database)?)?;
    for (dir, name) in [(&trash, "trash"), (&staging, "staging")] {
        remove_unknown(dir, name, |_| false, &mut findings)?;
    }
    for (dir, name) in [(&layers, "layers"), (&notes, "notes")] {
        let known = |entry: &str| {
            Digest::parse(&format!("sha256:{entry}")).is_ok_and(|digest| catalog.layers.contains_key(&digest))
        };
        remove_unknown(dir, name, known, &mut findings)?;
    }
    let gone = |layer: &&Digest| layers.lstat(layer.hex()).is_err() || notes.lstat(layer.hex()).is_err();
    let missing: Vec<Digest> = catalog.layers.keys().filter(gone).cloned().collect();
    if !missing.is_empty() {
        // Without the record, loading the image again brings the layer back.
        let mut draft = Draft::new(catalog, records.begin_write().map_err(database)?);
        for layer in &missing {
            draft.delete_layer(layer)?;
        }
        catalog = draft.commit()?;
        findings.extend(missing.into_iter().map(Finding::MissingLayer));
    }
    Ok(Store {
        _lock: top,
        layers_path: path.join("layers"),
        layers,
        notes,
        trash,
        staging: Staging::new(staging),
        database: records,
        catalog: ArcSwap::from_pointee(catalog),
        writing: Mutex::new(()),
        clock,
        findings,
        next_trash: AtomicU64::new(0),
    })
}

/// A new database gets its name when it is complete: one that was being made when the power went can't be opened.
fn open_database(top: &Dir, path: &Path) -> Outcome<Database> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let failed = |error| host("cannot make its database", error);
    top.remove_all(NEW_DATABASE).map_err(failed)?;
    if top.lstat(DATABASE).is_err_and(|error| error.is_not_found()) {
        let new = builder.create(path.join(NEW_DATABASE)).map_err(database)?;
        let transaction = new.begin_write().map_err(database)?;
        record::make_tables(&transaction)?;
        transaction.commit().map_err(database)?;
        drop(new);
        top.rename(NEW_DATABASE, top, DATABASE).map_err(failed)?;
        top.sync().map_err(failed)?;
    }
    builder.open(path.join(DATABASE)).map_err(database)
}

fn directory(top: &Dir, name: &str) -> Outcome<Dir> {
    let failed = |error| host("cannot make its directories", error);
    match top.mkdir(name, 0o700) {
        Ok(()) => {}
        Err(error) if error.errno() == Errno::EXIST => {}
        Err(error) => return Err(failed(error)),
    }
    top.open_dir(name).map_err(failed)
}

fn remove_unknown(
    dir: &Dir,
    shown: &str,
    known: impl Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) -> Outcome<()> {
    for entry in dir.entries().map_err(|error| host("cannot read its directories", error))? {
        if entry.name.to_str().is_some_and(&known) {
            continue;
        }
        let path = format!("{shown}/{}", entry.name.display());
        findings.push(match dir.remove_all(&entry.name) {
            Ok(()) => Finding::Removed(path),
            Err(error) => Finding::Stuck(path, error.to_string()),
        });
    }
    Ok(())
}
