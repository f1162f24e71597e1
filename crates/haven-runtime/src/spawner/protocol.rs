//! What is said on `spawner.sock`: one request per connection, one answer.
//!
//! ```text
//! request   descriptors           answer
//! HELLO                           DONE + protocol number (32 bit) + the program's version
//! LAUNCH    plan[, rule set]      DONE + pid (32 bit), with pidfd and, when it is a new one, network namespace
//! EXEC      plan, init's pidfd    DONE + pid, with pidfd
//! RETIRE                          DONE; the spawner ends, what it started lives on
//!                                 FAILED + the setback as JSON, to any
//! ```

pub(crate) const HELLO: u8 = 1;
pub(crate) const LAUNCH: u8 = 2;
pub(crate) const EXEC: u8 = 3;
pub(crate) const RETIRE: u8 = 4;

pub(crate) const DONE: u8 = 128;
pub(crate) const FAILED: u8 = 129;

/// Raised when requests or plans change: a daemon retires a spawner that speaks another one.
pub(crate) const VERSION: u32 = 1;

/// The longest packet either way.
pub(crate) const PACKET_BYTES: usize = 16 * 1024;

/// The socket's name in the run root.
pub(crate) const SOCKET: &str = "spawner.sock";

/// The spawner's option to leave the host's control groups as they are.
pub(super) const LEAVE_MOVES: &str = "--leave-group-moves";
