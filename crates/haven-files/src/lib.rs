//! A person's files on SMB servers (2.1 to 3.1.1: Samba, Windows, NetApp), in process: no mount, no root, no helper.
//!
//! ```text
//! pool.rs ─ the links of all sessions, bounded, closed when unused or signed out
//!   └─ link.rs ─ one server, one person: connected, signed in, signed and encrypted
//!        └─ share.rs ─ one share: list, look, make, rename, delete
//!             ├─ listing.rs  reading.rs  writing.rs  copying.rs  removal.rs
//!             └─ path.rs ─ which names may go to a server
//! ```
//! Every operation fails with a [`Problem`], which tells apart what a person can do something about. Knows nothing of
//! sessions in browsers or of pages; the SMB client behind it (`smb2`, pinned) shows in no signature.

mod copying;
mod link;
mod listing;
mod path;
mod pool;
mod problem;
mod reading;
mod removal;
mod share;
mod transport;
mod writing;

pub use copying::Copied;
pub use link::{Link, LinkOptions, Login, Protection, ServerAddress, ShareView};
pub use listing::Listing;
pub use path::{FileName, FilePath};
pub use pool::{Pool, PoolOptions, SessionKey};
pub use problem::{Problem, ProblemKind};
pub use reading::FileStream;
pub use removal::{Progress, Removal};
pub use share::{Entry, EntryKind, Share, Space};
pub use writing::{FileSink, WriteMode};
