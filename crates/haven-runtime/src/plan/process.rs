//! The process: what it executes, as whom, with what rights and limits.

use super::TuningPlan;
use crate::capability::CapabilitySets;
use crate::{oci, seccomp};
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ProcessPlan {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) terminal: bool,
    /// Rows and columns; (0, 0): unknown.
    pub(crate) console_size: (u16, u16),
    pub(crate) user: UserPlan,
    pub(crate) umask: Option<u32>,
    pub(crate) rlimits: Vec<RlimitPlan>,
    pub(crate) capabilities: CapabilityPlan,
    pub(crate) no_new_privileges: bool,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) tuning: TuningPlan,
    /// A seccomp program; empty: none. Travels beside the JSON.
    #[serde(skip)]
    pub(crate) seccomp: Vec<u8>,
    pub(crate) seccomp_flags: u32,
}

/// Who it runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UserPlan {
    Numbers {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    /// To be looked up in the container's files: `user[:group]`, and more groups.
    Wish {
        user: String,
        groups: Vec<String>,
    },
}

impl Default for UserPlan {
    fn default() -> Self {
        Self::Numbers { uid: 0, gid: 0, groups: Vec::new() }
    }
}

/// A limit with the kernel's number; `None`: no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RlimitPlan {
    /// As given, for messages.
    pub(crate) name: String,
    pub(crate) soft: Option<u64>,
    pub(crate) hard: Option<u64>,
}

/// Bit sets as the kernel takes them; a document without any means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct CapabilityPlan {
    pub(crate) bounding: u64,
    pub(crate) effective: u64,
    pub(crate) permitted: u64,
    pub(crate) inheritable: u64,
    pub(crate) ambient: u64,
}

impl ProcessPlan {
    pub(crate) fn of(
        process: &oci::Process,
        filter: Option<&oci::Seccomp>,
        user: Option<&str>,
        group_add: &[String],
        personality: Option<&oci::Personality>,
    ) -> Outcome<Self> {
        if process.args.first().is_none_or(String::is_empty) {
            return Err(Failure::invalid("no command is given")
                .hint("name one after the image, or use an image that has one"));
        }
        for text in process.args.iter().chain(&process.env) {
            if text.contains('\0') {
                return Err(Failure::invalid(format!("`{}` contains a zero byte", text.escape_debug())));
            }
        }
        if !process.cwd.starts_with('/') && !process.cwd.is_empty() {
            return Err(Failure::invalid(format!(
                "the working directory `{}` isn't an absolute path",
                process.cwd
            )));
        }
        let size = |characters: u32| u16::try_from(characters).unwrap_or(0);
        let console = process.console_size.unwrap_or_default();
        let (program, seccomp_flags) = match filter {
            Some(profile) => {
                let program = seccomp::compiled(profile)?;
                (program.bytes(), program.flags)
            }
            None => (Vec::new(), 0),
        };
        Ok(Self {
            args: process.args.clone(),
            env: process.env.clone(),
            cwd: if process.cwd.is_empty() { "/".into() } else { process.cwd.clone() },
            terminal: process.terminal,
            console_size: (size(console.height), size(console.width)),
            user: match user {
                Some(user) => UserPlan::Wish { user: user.to_owned(), groups: group_add.to_vec() },
                None => UserPlan::Numbers {
                    uid: process.user.uid,
                    gid: process.user.gid,
                    groups: process.user.additional_gids.clone(),
                },
            },
            umask: process.user.umask,
            rlimits: process.rlimits.iter().map(rlimit).collect::<Outcome<_>>()?,
            capabilities: process.capabilities.as_ref().map(capabilities).unwrap_or_default(),
            no_new_privileges: process.no_new_privileges,
            oom_score_adj: process.oom_score_adj,
            tuning: TuningPlan::of(process, personality)?,
            seccomp: program,
            seccomp_flags,
        })
    }
}

fn rlimit(limit: &oci::Rlimit) -> Outcome<RlimitPlan> {
    let name = limit.kind.strip_prefix("RLIMIT_").unwrap_or(&limit.kind).to_ascii_lowercase();
    if haven_sys::rlimit::by_name(&name).is_none() {
        return Err(Failure::invalid(format!("`{}` isn't a resource limit", limit.kind)));
    }
    let bound = |value: u64| (value != u64::MAX).then_some(value);
    if limit.soft > limit.hard {
        return Err(Failure::invalid(format!(
            "the soft limit {} of `{name}` is above its hard limit {}",
            limit.soft, limit.hard
        )));
    }
    Ok(RlimitPlan { name, soft: bound(limit.soft), hard: bound(limit.hard) })
}

fn capabilities(wanted: &oci::Capabilities) -> CapabilityPlan {
    // Names this kernel doesn't know are left out: a document for a newer kernel starts with less.
    let (sets, _unknown) = CapabilitySets::from_oci(wanted);
    CapabilityPlan {
        bounding: sets.bounding.bits(),
        effective: sets.effective.bits(),
        permitted: sets.permitted.bits(),
        inheritable: sets.inheritable.bits(),
        ambient: sets.ambient.bits(),
    }
}
