//! What reconciling the kernel with the records has changed.

use haven_spec::{ContainerId, Failure};

/// The result of [`crate::Network::reconcile`]. All zero and empty: nothing was amiss.
#[derive(Debug, Default)]
pub struct Repairs {
    /// The table was missing or altered and was made anew.
    pub table_rebuilt: bool,
    pub elements_added: usize,
    pub elements_removed: usize,
    /// Interfaces of nobody, removed (their names).
    pub interfaces_removed: Vec<String>,
    /// Addresses, routes and settings of interfaces that were put back.
    pub interfaces_repaired: Vec<String>,
    /// Containers whose interface is gone: the engine attaches them again, or treats them as ended.
    pub detached: Vec<ContainerId>,
    /// What could not be repaired; the rest was.
    pub failures: Vec<Failure>,
}

impl Repairs {
    /// Nothing was amiss.
    pub fn is_empty(&self) -> bool {
        !self.table_rebuilt
            && self.elements_added == 0
            && self.elements_removed == 0
            && self.interfaces_removed.is_empty()
            && self.interfaces_repaired.is_empty()
            && self.detached.is_empty()
            && self.failures.is_empty()
    }
}
