//! `/_ping`: what clients negotiate the API version by. They read the headers only.

use crate::reply::{Reply, TEXT};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue, PRAGMA};

/// Builder 1 is the classic one: a client must not look for BuildKit here.
const BUILDER_VERSION: HeaderName = HeaderName::from_static("builder-version");
const SWARM: HeaderName = HeaderName::from_static("swarm");

pub(crate) fn ping() -> Reply {
    Reply::bytes(StatusCode::OK, TEXT, "OK")
        .with(BUILDER_VERSION, HeaderValue::from_static("1"))
        .with(SWARM, HeaderValue::from_static("inactive"))
        .with(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"))
        .with(PRAGMA, HeaderValue::from_static("no-cache"))
}
