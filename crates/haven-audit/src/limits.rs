//! How much of everything: what is read from disk and what is written to it.

/// The longest line of a segment: a record, a head or a header. No record whose fields keep to their limits is longer.
pub const LINE_BYTES: usize = 1024 * 1024;

/// The longest value of a field that describes a state or a difference; a longer one is replaced by its size and digest.
pub const VALUE_BYTES: usize = 32 * 1024;

/// The longest text of a field that a person or a program gives: a reason, a name, an error.
pub const TEXT_BYTES: usize = 4 * 1024;

/// The most objects one record is about, and the most it lists as affected.
pub const OBJECTS: usize = 128;

/// The most intents that may wait for their ending.
pub const OPEN_INTENTS: usize = 4096;

/// The longest signed note that is read.
pub const NOTE_BYTES: usize = 16 * 1024;

/// The longest segment that is read; segments are begun anew long before.
pub const SEGMENT_BYTES: u64 = 1 << 30;
