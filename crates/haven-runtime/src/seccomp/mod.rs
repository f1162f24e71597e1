//! System-call filters: an OCI profile compiled to the program seccomp(2) takes.
//!
//! The compiler is ours. What it makes differs from libseccomp's output in form, not in meaning: for each
//! architecture the machine runs, the numbers are cut into ranges of equal treatment and found by a balanced tree, so
//! that the kernel, which tries every number when a filter is installed, has little to do.
//!
//! ```text
//! default_profile(capabilities) ─┐
//! Docker-format JSON ─resolve────┼─▶ oci::Seccomp ──compile──▶ Program (cached by content)
//! config.json ───────────────────┘
//! ```
//!
//! What a profile means, where the specification leaves it open, is what runc and libseccomp make of it:
//! - A rule without arguments beats those with, whatever their order; of several with arguments the first that holds
//!   decides.
//! - All arguments of a rule must hold, except that a rule that names the same argument twice is as many rules.
//! - A rule with the default action is no rule.
//! - Names this build doesn't know, and calls an architecture doesn't have, are passed over.
//! - Calls newer than any the profile names (on that architecture) get `ENOSYS` instead of a refusing default, so that
//!   programs fall back to older calls.
//! - On 32-bit architectures arguments and values are compared in their lower halves.
//!
//! The machine's own architecture is always filtered. A call of an architecture that isn't listed kills the process;
//! x32 calls, when x32 isn't listed, get `ENOSYS`. `SCMP_ACT_NOTIFY` is refused: nobody would listen.

mod architecture;
mod cache;
mod calls;
mod condition;
mod default;
mod profile;
mod program;
mod tree;

pub use architecture::Architecture;
pub use cache::compiled;
pub use default::default_profile;
pub use profile::{Circumstances, profile_from_json};
pub use program::{Instruction, Program, compile};

#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod tests;
