//! Images, where they need to know of containers.
pub struct ImageChange;
pub struct LoadProgress;
