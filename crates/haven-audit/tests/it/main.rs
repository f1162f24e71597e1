//! The record as its user sees it: on a real directory, with crashes, tampering and nonsense.

#![allow(clippy::unwrap_used, reason = "a helper that can't go on stops its test")]

mod archiving;
mod crash;
mod export;
mod hostile;
mod keeping;
mod scratch;
mod tampering;
