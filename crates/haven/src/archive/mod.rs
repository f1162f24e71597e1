//! Files to tar and back, for `cp`.
