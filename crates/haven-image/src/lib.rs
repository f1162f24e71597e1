//! Images: a content-addressed store of layers and configurations, and the archives they come and go in.
//!
//! A layer lies unpacked under its digest, ready to be an overlay's lower directory, with the owners its archive
//! names. It exists only when its record does: content is written and flushed first and recorded last; removing goes
//! the other way round, and what a crash left between the two is found when the store is opened.
//!
//! Nothing here knows what a container is, nothing waits on a network, and nothing is asynchronous: callers bring
//! readers, writers and threads. Archives come from strangers: see [`Limits`] for what is taken from them.

pub mod archive;
mod change;
mod chunk;
mod compression;
mod config;
mod create;
mod image;
mod io_failure;
mod layer;
mod limits;
mod load;
mod manifest;
mod platform;
mod progress;
mod recipe;
mod save;
mod staging;
mod store;
mod verify;

pub use change::apply_changes;
pub use config::{CONFIG_LIMIT_BYTES, ContainerConfig, Empty, HistoryEntry, ImageConfig, RootFs};
pub use create::{ImportImage, NewImage, NewLayer};
pub use image::{DiffId, Finding, Image, Layer, Meaning, Tag};
pub use limits::Limits;
pub use load::{LoadOptions, Loaded};
pub use platform::Platform;
pub use progress::{OnProgress, Progress};
pub use store::{
    Clock, DiskUsage, HistoryLine, ImageUsage, PruneImages, PruneReport, RemoveImage, Removed, Store,
};
pub use verify::{Difference, Verification};
