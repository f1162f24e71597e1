//! A directory of its own for each test.

use haven_sys::root::{Dir, Root};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Under the system's temporary directory; removed when dropped, also when the test fails.
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests set owners and make devices: run them as root"
        );
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("haven-image-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new directory in it.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn root(&self, name: &str) -> Root {
        Root::open(self.dir(name)).unwrap()
    }

    pub(crate) fn top(&self, name: &str) -> Dir {
        self.root(name).into_top()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let parent = Root::open(self.path.parent().unwrap()).unwrap();
        parent.top().remove_all(self.path.file_name().unwrap()).unwrap();
    }
}

/// Runs a program to its end and returns what it wrote.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = std::process::Command::new(program).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {words}");
    output.stdout
}
