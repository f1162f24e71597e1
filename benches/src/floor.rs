//! The floor: the least a container can cost. A small C program that does in one go what every runtime must do.

use haven_tests::built;
use std::path::{Path, PathBuf};

pub(crate) fn program() -> PathBuf {
    built(&Path::new(env!("CARGO_MANIFEST_DIR")).join("floor.c"))
}
