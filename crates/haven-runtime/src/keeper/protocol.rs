//! What is said on a keeper's control socket: sequenced packets, the first byte saying what.
//!
//! ```text
//! request            answer
//! START              DONE once the command was executed, or FAILED + the setback as JSON
//! RESIZE rows cols   DONE or FAILED         (two 16-bit numbers, the machine's byte order)
//! CLOSE_INPUT        DONE
//! IDENTIFY           DONE + pid (32 bit), with the process's descriptor
//! WATCH              DONE; later EXITED + the exit record as JSON
//! ATTACH flags       DONE; from then on frames: [stream][data], both ways, until the output ends
//! ```
//!
//! The protocol outlives upgrades: a keeper started by an older Haven is spoken to by a newer one. Numbers are never
//! given a new meaning.

pub(crate) const START: u8 = 1;
pub(crate) const RESIZE: u8 = 2;
pub(crate) const CLOSE_INPUT: u8 = 3;
pub(crate) const IDENTIFY: u8 = 4;
pub(crate) const WATCH: u8 = 5;
pub(crate) const ATTACH: u8 = 6;

pub(crate) const DONE: u8 = 128;
pub(crate) const FAILED: u8 = 129;
pub(crate) const EXITED: u8 = 130;

pub(crate) const ATTACH_STDIN: u8 = 1;
pub(crate) const ATTACH_STDOUT: u8 = 2;
pub(crate) const ATTACH_STDERR: u8 = 4;
pub(crate) const ATTACH_BACKPRESSURE: u8 = 8;

/// The stream byte of a frame: from the client to the process. A frame without data: standard input ends.
pub const STREAM_STDIN: u8 = 0;
/// From the process's standard output, or its terminal.
pub const STREAM_STDOUT: u8 = 1;
/// From its standard error.
pub const STREAM_STDERR: u8 = 2;

/// The longest frame, with its stream byte: what a receiver's buffer must hold.
pub const FRAME_BYTES: usize = 32 * 1024 + 1;

/// The longest answer on the control socket.
pub(crate) const ANSWER_BYTES: usize = 8 * 1024;
