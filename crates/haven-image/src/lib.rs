//! Images: a content-addressed store of layers and configurations, and the archives they come and go in.
//!
//! A layer lies unpacked under its digest, ready to be an overlay's lower directory, with the owners its archive
//! names. It exists only when its record does: content is written and flushed first and recorded last; removing goes
//! the other way round, and what a crash left between the two is found when the store is opened.
//!
//! Nothing here knows what a container is, nothing waits on a network, and nothing is asynchronous: callers bring
//! readers, writers and threads. Archives come from strangers: see [`Limits`] for what is taken from them.

pub mod archive;
mod config;
mod io_failure;
mod limits;

pub use config::{CONFIG_LIMIT_BYTES, ContainerConfig, Empty, HistoryEntry, ImageConfig, RootFs};
pub use limits::Limits;
