//! Where layers are unpacked before anybody may see them.
//!
//! Everything under `staging/` is somebody's unfinished work: it goes when the guard is dropped, or, after a crash,
//! when the store is next opened.

use crate::io_failure::writing;
use haven_spec::Outcome;
use haven_sys::root::{Dir, Result};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TREE: &str = "tree";
const NOTES: &str = "notes";

/// The staging directory.
pub(crate) struct Staging {
    dir: Arc<Dir>,
    next: AtomicU64,
}

impl Staging {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { dir: Arc::new(dir), next: AtomicU64::new(0) }
    }

    /// A place for one layer.
    pub(crate) fn layer(&self) -> Result<StagedLayer> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        self.dir.mkdir(&name, 0o700)?;
        let staged = StagedLayer { parent: Arc::clone(&self.dir), name };
        let dir = staged.dir()?;
        dir.mkdir(TREE, 0o700)?;
        dir.mkdir(NOTES, 0o700)?;
        Ok(staged)
    }
}

/// A layer in the making; removed when dropped.
pub(crate) struct StagedLayer {
    parent: Arc<Dir>,
    name: String,
}

impl StagedLayer {
    fn dir(&self) -> Result<Dir> {
        self.parent.open_dir(&self.name)
    }

    /// Where the files go.
    pub(crate) fn tree(&self) -> Result<Dir> {
        self.dir()?.open_dir(TREE)
    }

    /// Where the manifest and the recipe go.
    pub(crate) fn notes(&self) -> Result<Dir> {
        self.dir()?.open_dir(NOTES)
    }

    /// A file for what the unpacking can't take at once; it has no name and is gone when it is closed.
    pub(crate) fn spill_file(&self) -> Outcome<File> {
        const NAME: &str = "spill";
        let make = || -> Result<File> {
            let dir = self.dir()?;
            let file = dir.create_file(NAME, 0o600)?;
            dir.unlink(NAME)?;
            Ok(file)
        };
        make().map_err(|error| writing("the layer", error.into()))
    }

    /// Waits until all of it is on the disk, with everything else written to that file system.
    pub(crate) fn sync(&self) -> Result<()> {
        self.dir()?.sync_file_system()
    }

    /// Moves both under `name` to where finished layers are: the notes first, then the tree.
    pub(crate) fn publish(&self, name: &str, trees: &Dir, notes: &Dir) -> Result<()> {
        let dir = self.dir()?;
        dir.rename_new(NOTES, notes, name)?;
        dir.rename_new(TREE, trees, name)
    }
}

impl Drop for StagedLayer {
    fn drop(&mut self) {
        // What can't be removed now is found when the store is next opened.
        drop(self.parent.remove_all(&self.name));
    }
}
