//! What the crate promises, through its public interface, on directories that are gone afterwards.
//!
//! Unpacking sets owners, makes devices and writes `trusted.` attributes: these tests need root and say so.

#![allow(clippy::unwrap_used, reason = "a helper that can't go on stops its test")]

mod archive;
mod extracting;
mod hostile;
mod keeping;
mod loading;
mod packing;
mod scratch;
mod store;
mod tarball;
