//! The record of who changed what, when, why, and to what effect: appended to, never altered, and able to show it.
//!
//! Records are the leaves of a Merkle tree as RFC 6962 has it; after every append the tree's head is signed (Ed25519)
//! and written beside the record in the same write. So whoever has the public key can check a copy of the directory
//! offline ([`verify()`]), and whoever kept one signed checkpoint elsewhere can see that nothing before it was altered,
//! reordered, or taken away since.
//!
//! ```text
//!   <directory>/
//!     key                            the signing key, for root alone
//!     key.pub                        the public key: all that verifying needs
//!     00000000000000000000.records   a segment: a header line, then records, each followed by a signed head
//!     00000000000000004711.records   the next one; its header repeats what the tree was when it was begun
//!     00000000000000000000.leaves    what stays of an archived segment: 32 bytes a record, so that proofs go on
//!     checkpoint.0, checkpoint.1     the newest signed checkpoint, in turns
//! ```
//!
//! A change is written ahead: its intent is on disk before anything is done, its ending after. What has an intent and no
//! ending was interrupted; [`Log::open`] tells of it.
//!
//! What it cannot show: who holds the signing key can write another history. On one host that is root, so a record is
//! evidence against root only together with a checkpoint kept where root cannot reach. [`verify()`] says so whenever no kept
//! checkpoint was given. See [RFC 6962](https://www.rfc-editor.org/rfc/rfc6962) and
//! [C2SP tlog-checkpoint](https://c2sp.org/tlog-checkpoint).
//!
//! This room knows nothing of containers or links: objects are words, differences are JSON. It reads no clock.

mod archive;
mod checkpoint;
mod directory;
mod export;
mod key;
pub mod limits;
mod log;
pub mod merkle;
mod opening;
mod proof;
mod query;
mod record;
mod segment;
mod verify;

pub use archive::Archived;
pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub use export::{ExportFormat, Origin, send_checkpoint, write_change};
pub use key::{PublicKey, Signer};
pub use log::{Limits, Log};
pub use opening::{Opening, set_aside};
pub use proof::{Consistency, Inclusion};
pub use query::{Change, Query};
pub use record::{Actor, Effect, Ending, Entry, Moment, Object, Record, Stage};
pub use verify::{Finding, Verification, verify};
