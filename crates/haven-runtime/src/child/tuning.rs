//! How the process is scheduled, which kernel it sees, and the labels it executes under.

use crate::plan::TuningPlan;
use crate::setback::{Setback, Step};
use haven_sys::{process, scheduling};
use rustix::fs::{Mode, OFlags};
use rustix::thread::CpuSet;
use std::os::fd::OwnedFd;

/// While there are rights to do so; `proc`: the host's, when there are labels.
pub(super) fn apply(plan: &TuningPlan, proc: Option<&OwnedFd>) -> Step<()> {
    if let Some(persona) = plan.personality {
        process::set_personality(persona)
            .map_err(|error| Setback::host("cannot set the personality", error))?;
    }
    if !plan.processors.is_empty() {
        let mut set = CpuSet::new();
        for number in &plan.processors {
            set.set(usize::from(*number));
        }
        rustix::thread::sched_setaffinity(None, &set)
            .map_err(|error| Setback::host("cannot bind the process to its processors", error))?;
    }
    if let Some(wanted) = &plan.scheduler {
        let mut attributes = scheduling::Attributes::default();
        attributes.policy = wanted.policy;
        attributes.flags = wanted.flags;
        attributes.nice = wanted.nice;
        attributes.priority = wanted.priority;
        attributes.runtime_ns = wanted.runtime;
        attributes.deadline_ns = wanted.deadline;
        attributes.period_ns = wanted.period;
        scheduling::set(&attributes)
            .map_err(|error| Setback::host("cannot set the scheduling policy", error))?;
    }
    if let Some((class, priority)) = plan.disk_priority {
        scheduling::set_disk_priority(class, priority)
            .map_err(|error| Setback::host("cannot set the disk priority", error))?;
    }
    if plan.has_labels() {
        let proc =
            proc.ok_or_else(|| Setback::host("the host's `/proc` is missing", rustix::io::Errno::BADF))?;
        if !plan.selinux.is_empty() {
            label(proc, &["attr/exec"], &plan.selinux)?;
        }
        if !matches!(plan.apparmor.as_str(), "" | "unconfined") {
            label(proc, &["attr/apparmor/exec", "attr/exec"], &format!("exec {}", plan.apparmor))?;
        }
    }
    Ok(())
}

/// Has the coming exec change the label. Written to the host's own `/proc`, which nobody in the container can redirect
/// (CVE-2019-19921, CVE-2025-52881).
fn label(proc: &OwnedFd, files: &[&str], text: &str) -> Step<()> {
    let mut last = rustix::io::Errno::NOENT;
    for file in files {
        let path = format!("thread-self/{file}");
        let written = rustix::fs::openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| rustix::io::write(&file, text.as_bytes()));
        match written {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(Setback::host(format!("cannot execute under the label `{text}`"), last)
        .hint("the profile must be loaded in the kernel"))
}
