//! Networks and links as records, and who is who behind the numbers the kernel knows.
//!
//! Everything that links can name is a [`subject::Subject`] with a number, its identity. The kernel decides by
//! identities; this is where names become numbers and numbers names again. Records are written after the kernel has
//! taken a change and before it is acknowledged: what a crash leaves without a record is taken back at the next start.

pub(crate) mod attaching;
pub(crate) mod attempts;
pub(crate) mod end;
pub(crate) mod exchange;
pub(crate) mod exposure;
pub(crate) mod links;
pub(crate) mod networks;
pub(crate) mod numbers;
pub(crate) mod observing;
pub(crate) mod publishing;
pub(crate) mod subject;
pub(crate) mod watching;
