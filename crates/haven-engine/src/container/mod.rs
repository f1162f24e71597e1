//! One container: how its specification becomes an OCI bundle, and the task that owns it.

pub(crate) mod bundle;
pub(crate) mod changes;
pub(crate) mod command;
pub(crate) mod confinement;
pub(crate) mod copy;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod merge;
pub(crate) mod mounts;
pub(crate) mod remove;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod task;
pub(crate) mod top;
pub(crate) mod tree;
pub(crate) mod update;
