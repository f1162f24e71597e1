//! Wishes the machine doesn't permit, brought down to what it does, with a warning.
//!
//! Orchestrators ask for limits and scores from habit; on a machine where raising them is forbidden other runtimes fail
//! and nothing starts. A container with less than was asked for is the better answer. Only what loosens a bound is
//! brought down here: a wish that would confine more is never dropped.

use crate::capability::{CapabilitySet, CapabilitySets};
use crate::oci::{NamespaceType, Process, Spec};
use rustix::process::getrlimit;

/// What this process may do; asked once per command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permitted {
    /// In the host's user namespace.
    capabilities: CapabilitySet,
    oom_score_adj: i32,
}

impl Permitted {
    pub(super) fn here() -> Self {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let capabilities = status
            .lines()
            .find_map(|line| u64::from_str_radix(line.strip_prefix("CapPrm:")?.trim(), 16).ok())
            .map_or(CapabilitySet::EMPTY, CapabilitySet::from_bits);
        let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
        Self { capabilities, oom_score_adj: score.trim().parse().unwrap_or(0) }
    }

    fn may_raise(self) -> bool {
        CapabilitySet::parse("SYS_RESOURCE").is_ok_and(|one| self.capabilities.contains(one))
    }
}

/// The container's process. Its capabilities are the host's to give unless it has a user namespace of its own.
pub(super) fn clamp(spec: &mut Spec, permitted: Permitted) -> Vec<String> {
    let own_users = spec
        .linux
        .as_ref()
        .is_some_and(|linux| linux.namespaces.iter().any(|one| one.kind == NamespaceType::User));
    spec.process.as_mut().map(|process| clamp_process(process, own_users, permitted)).unwrap_or_default()
}

pub(super) fn clamp_process(process: &mut Process, own_users: bool, permitted: Permitted) -> Vec<String> {
    let mut warnings = Vec::new();
    if !permitted.may_raise() {
        clamp_limits(process, &mut warnings);
        if let Some(wanted) = process.oom_score_adj.filter(|wanted| *wanted < permitted.oom_score_adj) {
            warnings.push(format!(
                "the out-of-memory score {wanted} is not permitted here: {} it is",
                permitted.oom_score_adj
            ));
            process.oom_score_adj = Some(permitted.oom_score_adj);
        }
    }
    if !own_users && let Some(document) = process.capabilities.as_mut() {
        let (sets, unknown) = CapabilitySets::from_oci(document);
        if !unknown.is_empty() {
            warnings
                .push(format!("capabilities this kernel doesn't know are left out: {}", unknown.join(", ")));
        }
        let all =
            sets.bounding.with(sets.effective).with(sets.permitted).with(sets.inheritable).with(sets.ambient);
        let refused = all.without(permitted.capabilities);
        if !refused.is_empty() {
            warnings.push(format!(
                "capabilities this process hasn't itself are left out: {}",
                refused.names().join(", ")
            ));
            let keep = |set: CapabilitySet| set.and(permitted.capabilities);
            *document = CapabilitySets {
                bounding: keep(sets.bounding),
                effective: keep(sets.effective),
                permitted: keep(sets.permitted),
                inheritable: keep(sets.inheritable),
                ambient: keep(sets.ambient),
            }
            .to_oci();
        }
    }
    warnings
}

fn clamp_limits(process: &mut Process, warnings: &mut Vec<String>) {
    for limit in &mut process.rlimits {
        let name = limit.kind.strip_prefix("RLIMIT_").unwrap_or(&limit.kind).to_ascii_lowercase();
        // An unknown name is refused where limits are read.
        let Some(resource) = haven_sys::rlimit::by_name(&name) else { continue };
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        if limit.hard > most {
            warnings.push(format!(
                "the limit {} is not permitted here: {most} it is, not {}",
                limit.kind, limit.hard
            ));
            limit.hard = most;
            limit.soft = limit.soft.min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Rlimit;

    #[test]
    fn what_may_not_be_raised_stays_and_what_lowers_is_kept() {
        let nofile = getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let limit = |kind: &str, hard| Rlimit { kind: kind.into(), hard, soft: hard };
        let mut process = Process {
            rlimits: vec![limit("RLIMIT_NOFILE", u64::MAX), limit("RLIMIT_CORE", 0)],
            oom_score_adj: Some(-500),
            capabilities: Some(CapabilitySets::of(CapabilitySet::KNOWN).to_oci()),
            ..Process::default()
        };
        let permitted = Permitted { capabilities: CapabilitySet::DEFAULT, oom_score_adj: 0 };
        let warnings = clamp_process(&mut process, false, permitted);
        assert_eq!(process.rlimits, [limit("RLIMIT_NOFILE", nofile), limit("RLIMIT_CORE", 0)]);
        assert_eq!(process.oom_score_adj, Some(0));
        assert_eq!(process.capabilities.unwrap().bounding, CapabilitySet::DEFAULT.names());
        assert!(warnings.len() >= 2 && warnings.iter().any(|one| one.contains("-500")), "{warnings:?}");
    }

    #[test]
    fn who_may_is_not_held_back() {
        let mut process = Process {
            rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".into(), hard: u64::MAX, soft: 1 }],
            oom_score_adj: Some(-500),
            capabilities: Some(CapabilitySets::of(CapabilitySet::of_kernel()).to_oci()),
            ..Process::default()
        };
        let before = process.clone();
        let permitted = Permitted { capabilities: CapabilitySet::of_kernel(), oom_score_adj: 0 };
        assert!(clamp_process(&mut process, false, permitted).is_empty());
        assert_eq!(process, before);
    }
}
