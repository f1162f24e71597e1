//! What a long operation tells while it goes on.

use crate::image::DiffId;

/// One report. `name` tells layers apart: the beginning of their digest where the archive says it, else the entry's
/// name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// So many bytes of a layer have been read (or written, when saving). `total_bytes` 0: not known.
    Layer { name: String, done_bytes: u64, total_bytes: u64 },
    /// A layer is unpacked.
    Unpacked { name: String, diff_id: DiffId },
    /// A layer is in the store already.
    Known { name: String, diff_id: DiffId },
}

/// Takes reports; called from the thread that runs the operation.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// A report for each so many bytes.
pub(crate) const STEP_BYTES: u64 = 4 << 20;
