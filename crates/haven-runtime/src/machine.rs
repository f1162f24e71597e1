//! What is looked up of the machine once and inherited by every fork.

use crate::cgroup::Layout;
use crate::setback::Step;
use std::os::fd::BorrowedFd;

#[derive(Debug, Default)]
pub(crate) struct Machine {
    groups: Option<Layout>,
}

impl Machine {
    /// Looks. Control groups that can't be used now are an error only for who needs them.
    pub(crate) fn look() -> Self {
        Self { groups: Layout::detect().ok() }
    }

    /// Everything it holds open, for a fork that closes the rest.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.groups.iter().flat_map(Layout::descriptors)
    }

    pub(crate) fn groups(&self) -> Step<&Layout> {
        match &self.groups {
            Some(layout) => Ok(layout),
            None => Err(Layout::detect().err().map_or_else(
                || {
                    crate::setback::Setback::request(
                        "control groups were mounted only after the spawner started",
                    )
                },
                crate::setback::Setback::from,
            )),
        }
    }
}
