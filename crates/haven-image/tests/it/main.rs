//! What the crate promises, through its public interface, on directories that are gone afterwards.
//!
//! Unpacking sets owners, makes devices and writes `trusted.` attributes: these tests need root and say so.

mod extracting;
mod packing;
mod scratch;
mod tarball;
