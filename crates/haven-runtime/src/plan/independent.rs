//! What a process has that no keeper keeps: one of the OCI command.
//!
//! Its standard streams are those of whoever makes it, it lives on when its maker ends, and it waits for its start at a
//! listening socket instead of a keeper's word. Hooks and inherited descriptors exist only here: in the engine's
//! containers nobody but Haven runs anything.

use crate::oci::{Hook, State};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Independent {
    /// Descriptors that come as parcels and become 3, 4, ….
    pub(crate) preserved: u16,
    pub(crate) keep_keyring: bool,
    pub(crate) no_pivot: bool,
    pub(crate) create_container: Vec<Hook>,
    pub(crate) start_container: Vec<Hook>,
    /// What hooks read; its `pid` is filled in once there is one.
    pub(crate) state: Option<State>,
}
