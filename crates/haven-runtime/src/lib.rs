//! One OCI bundle to one confined process.
//!
//! What comes in is an OCI document ([`oci`]) or the engine's own specification; what comes out is a process in
//! its namespaces, control group and filters. This crate doesn't know that a daemon exists, and holds no
//! `unsafe`: system calls are `haven-sys`'s.

pub mod oci;
