//! The daemon as a whole: ping, version, information, disk usage, registry log-in.

pub(crate) mod df;
pub(crate) mod host;
pub(crate) mod info;
pub(crate) mod ping;
pub(crate) mod version;

use crate::call::Call;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;

/// `POST /auth`: registries come later, and a log-in that isn't checked must not look as if it were.
pub(crate) fn auth(_call: &Call) -> Answer<Reply> {
    Err(Refusal::unavailable("logging in to a registry isn't available yet: load images with `docker load`"))
}
