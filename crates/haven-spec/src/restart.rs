//! When a container that ended is started again.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    #[default]
    No,
    /// Whatever it ended with, also after the daemon restarts.
    Always,
    /// As `Always`, except that a container its user stopped stays stopped when the daemon restarts.
    UnlessStopped,
    /// Only after a non-zero exit; at most `max_retries` times in a row (0: no bound).
    OnFailure { max_retries: u32 },
}

impl RestartPolicy {
    /// Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
            Self::OnFailure { .. } => "on-failure",
        }
    }
}
