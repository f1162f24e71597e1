//! How the process is scheduled, which kernel it sees, and its labels: names of the document become numbers.

use crate::oci;
use haven_spec::{Failure, Outcome};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TuningPlan {
    /// For personality(2).
    pub(crate) personality: Option<u32>,
    pub(crate) scheduler: Option<SchedulerPlan>,
    /// Class and priority of disk accesses.
    pub(crate) disk_priority: Option<(u8, u8)>,
    /// The processors it may run on.
    pub(crate) processors: Vec<u16>,
    pub(crate) apparmor: String,
    pub(crate) selinux: String,
}

/// As sched_setattr(2) takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SchedulerPlan {
    pub(crate) policy: u32,
    pub(crate) flags: u64,
    pub(crate) nice: i32,
    pub(crate) priority: u32,
    pub(crate) runtime: u64,
    pub(crate) deadline: u64,
    pub(crate) period: u64,
}

const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x1),
    ("SCHED_FLAG_RECLAIM", 0x2),
    ("SCHED_FLAG_DL_OVERRUN", 0x4),
    ("SCHED_FLAG_KEEP_POLICY", 0x8),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Processors beyond this number are a mistake.
const PROCESSORS: u16 = 8192;

impl TuningPlan {
    pub(crate) fn of(process: &oci::Process, personality: Option<&oci::Personality>) -> Outcome<Self> {
        let affinity = process.exec_cpu_affinity.clone().unwrap_or_default();
        let processors = if affinity.last.is_empty() { affinity.initial } else { affinity.last };
        Ok(Self {
            personality: personality.map(persona).transpose()?,
            scheduler: process.scheduler.as_ref().map(scheduler).transpose()?,
            disk_priority: process.io_priority.map(disk_priority).transpose()?,
            processors: processors_of(&processors)?,
            apparmor: process.apparmor_profile.clone(),
            selinux: process.selinux_label.clone(),
        })
    }

    pub(crate) fn has_labels(&self) -> bool {
        !self.selinux.is_empty() || !matches!(self.apparmor.as_str(), "" | "unconfined")
    }
}

fn persona(wanted: &oci::Personality) -> Outcome<u32> {
    if let Some(flag) = wanted.flags.first() {
        return Err(Failure::invalid(format!("`{flag}` isn't a flag of a personality")));
    }
    match wanted.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => Err(Failure::invalid(format!("`{other}` isn't a personality's domain"))),
    }
}

fn scheduler(wanted: &oci::Scheduler) -> Outcome<SchedulerPlan> {
    let (_, policy) = POLICIES
        .iter()
        .find(|(name, _)| *name == wanted.policy)
        .ok_or_else(|| Failure::invalid(format!("`{}` isn't a scheduling policy", wanted.policy)))?;
    let mut flags = 0;
    for name in &wanted.flags {
        let (_, flag) = FLAGS
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| Failure::invalid(format!("`{name}` isn't a scheduling flag")))?;
        flags |= flag;
    }
    if !(-20..=19).contains(&wanted.nice) {
        return Err(Failure::invalid(format!("`{}` isn't a nice value (-20 to 19)", wanted.nice)));
    }
    let priority = u32::try_from(wanted.priority)
        .map_err(|_| Failure::invalid(format!("`{}` isn't a scheduling priority", wanted.priority)))?;
    Ok(SchedulerPlan {
        policy: *policy,
        flags,
        nice: wanted.nice,
        priority,
        runtime: wanted.runtime,
        deadline: wanted.deadline,
        period: wanted.period,
    })
}

fn disk_priority(wanted: oci::IoPriority) -> Outcome<(u8, u8)> {
    let class = match wanted.class {
        oci::IoPriorityClass::RealTime => 1,
        oci::IoPriorityClass::BestEffort => 2,
        oci::IoPriorityClass::Idle => 3,
    };
    match u8::try_from(wanted.priority) {
        Ok(priority @ 0..=7) => Ok((class, priority)),
        _ => Err(Failure::invalid(format!("`{}` isn't a disk priority (0 to 7)", wanted.priority))),
    }
}

/// A list as in cpuset(7): `0-2,4`.
fn processors_of(list: &str) -> Outcome<Vec<u16>> {
    let refuse = || Failure::invalid(format!("`{list}` isn't a list of processors"));
    let number =
        |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number < PROCESSORS).ok_or_else(refuse);
    let mut all = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(refuse());
        }
        all.extend(first..=last);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_read_as_ranges() {
        assert_eq!(processors_of("0-2, 4").unwrap(), [0, 1, 2, 4]);
        assert!(processors_of("").unwrap().is_empty());
        for bad in ["a", "2-1", "1-", "99999"] {
            assert!(processors_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_kernel_has_no_name_for_is_refused() {
        let policy = |policy: &str| oci::Scheduler { policy: policy.into(), ..oci::Scheduler::default() };
        assert_eq!(scheduler(&policy("SCHED_BATCH")).unwrap().policy, 3);
        assert!(scheduler(&policy("SCHED_LUCK")).is_err());
        assert!(scheduler(&oci::Scheduler { nice: 20, ..policy("SCHED_OTHER") }).is_err());
        assert!(persona(&oci::Personality { domain: "BSD".into(), flags: Vec::new() }).is_err());
    }
}
