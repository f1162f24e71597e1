//! An additional process, decided.

use super::{Independent, ProcessPlan};
use crate::launch::{ExecRequest, StdinMode};
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExecPlan {
    pub(crate) exec_id: String,
    pub(crate) run_dir: PathBuf,
    pub(crate) cgroup: String,
    pub(crate) stdin: StdinMode,
    pub(crate) process: ProcessPlan,
    /// `None`: a keeper keeps it.
    pub(crate) independent: Option<Independent>,
}

impl ExecPlan {
    pub(crate) fn of(request: &ExecRequest) -> Outcome<Self> {
        if request.exec_id.is_empty() || request.exec_id.contains('/') {
            return Err(Failure::invalid(format!("`{}` can't be a process's id", request.exec_id)));
        }
        Ok(Self {
            exec_id: request.exec_id.clone(),
            run_dir: request.run_dir.clone(),
            cgroup: request.cgroup.clone(),
            stdin: request.stdin,
            process: ProcessPlan::of(
                &request.process,
                request.seccomp.as_ref(),
                request.user.as_deref(),
                &request.group_add,
                None,
            )?,
            independent: None,
        })
    }

    pub(crate) fn to_memfd(&self) -> Outcome<OwnedFd> {
        super::write(self, &self.process.seccomp)
    }

    pub(crate) fn from_memfd(file: OwnedFd) -> Outcome<Self> {
        let (mut plan, program): (Self, _) = super::read(file)?;
        plan.process.seccomp = program;
        Ok(plan)
    }
}
