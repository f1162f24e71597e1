//! Files of this host to tar and back, for `cp`. Containers' files never are trusted: what comes from one is unpacked
//! by handle, one name at a time, and no link is followed on the way.

mod name;
mod pack;
mod unpack;

pub(crate) use name::{Renaming, split_entry, wants_directory};
pub(crate) use pack::pack;
pub(crate) use unpack::{Unpacking, unpack};
