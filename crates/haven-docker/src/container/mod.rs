//! `/containers/…`: one file per request or family of requests.

pub(crate) mod archive;
pub(crate) mod attach;
pub(crate) mod attachment;
pub(crate) mod config;
mod confinement;
pub(crate) mod create;
mod endpoint;
pub(crate) mod inspect;
pub(crate) mod lifecycle;
mod limits;
pub(crate) mod list;
mod log_config;
pub(crate) mod logs;
mod mount;
pub(crate) mod observe;
mod state;
pub(crate) mod stats;
pub(crate) mod wait;

pub(crate) use config::{CreateBody, labels};
pub(crate) use mount::{check_driver, volume_name};
