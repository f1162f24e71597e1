//! An additional process in a container that runs.
//!
//! Everything that needs the host's rights or paths is opened first; then the assembler itself joins the container's
//! namespaces, and the process it makes is born in them. It joins the cgroup namespace only afterwards: from inside,
//! the kernel would see a move into the group as one from outside of it.

use super::container::{listen, open_directory};
use super::{Progress, answer, give_up, mounts, number};
use crate::cgroup::{Group, GroupPath};
use crate::child;
use crate::keeper::setup::{Facts, Setup};
use crate::link::{self, Parcel};
use crate::machine::Machine;
use crate::oci::NamespaceType;
use crate::plan::{ExecPlan, namespace_flag};
use crate::setback::{Setback, Step};
use haven_sys::process::{CloneRequest, NewNamespaces, SingleThread};
use haven_sys::{process, rlimit, socket};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Rlimit, Signal};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// An assembly: who asks, what is asked, and whom to tell.
pub(super) struct Assembly<'a> {
    pub(super) proof: &'a SingleThread,
    pub(super) machine: &'a Machine,
    pub(super) connection: &'a OwnedFd,
    pub(super) report: &'a OwnedFd,
    pub(super) link: OwnedFd,
    pub(super) plan: &'a OwnedFd,
    pub(super) target: &'a OwnedFd,
}

impl Assembly<'_> {
    pub(super) fn run(self, progress: &mut Progress) -> Step<()> {
        rustix::process::umask(Mode::empty());
        let host = |what: &'static str| move |error: std::io::Error| Setback::host(what, error);
        let plan = ExecPlan::from_memfd(self.plan.try_clone().map_err(host("cannot copy a descriptor"))?)?;
        let run_dir = open_directory(&plan.run_dir)?;
        let socket_name = format!("exec-{}.sock", plan.exec_id);
        let listener = listen(&plan.run_dir.join(&socket_name))?;
        // The host's files are out of reach once the container's namespaces are joined.
        let label: Vec<Parcel> = mounts::label_parcel(&plan.process)?.into_iter().collect();
        let Entered { pid, pidfd, feed } = enter(self.proof, self.machine, &plan, self.target, self.link)?;
        let finish = || -> Step<()> {
            let setup = Setup {
                facts: Facts {
                    pid: number(pid),
                    stdin: plan.stdin,
                    log: None,
                    exit_name: format!("exec-{}.exit", plan.exec_id),
                    socket_name,
                },
                pidfd: pidfd.try_clone().map_err(host("cannot copy a descriptor"))?,
                run_dir,
                listener,
                log_dir: None,
            };
            setup.send(self.report).map_err(host("cannot tell the keeper"))?;
            answer(self.connection, number(pid), &[pidfd.as_fd()], progress);
            let told = host("cannot tell the process");
            socket::send(&feed, &[link::PLAN], &[self.plan.as_fd()])
                .and_then(|()| link::send_parcels(&feed, &label))
                .and_then(|()| socket::send(&feed, &[link::COMPLETE], &[]))
                .map_err(told)
        };
        finish().inspect_err(|setback| give_up(self.report, setback, progress, &pidfd))
    }
}

/// A process born in the container's namespaces and moved into its group, which waits for its plan at `feed`.
pub(super) struct Entered {
    pub(super) pid: Pid,
    pub(super) pidfd: OwnedFd,
    pub(super) feed: OwnedFd,
}

/// Joins the container's namespaces, for good, and makes the process there.
pub(super) fn enter(
    proof: &SingleThread,
    machine: &Machine,
    plan: &ExecPlan,
    target: &OwnedFd,
    link: OwnedFd,
) -> Step<Entered> {
    let host = |what: &'static str| move |error: std::io::Error| Setback::host(what, error);
    let target_pid = pid_of(target)?;
    let group = open_group(machine, plan)?;
    let (namespaces, group_namespace) = namespaces_of(target_pid)?;
    let entrances = match &group {
        Some(group) if group.birthplace().is_none() => group.entrances()?,
        Some(group) => group.entrances_v1()?,
        None => Vec::new(),
    };
    inherit_limits(plan)?;
    let (feed, their_feed) = socket::pair().map_err(host("cannot make a socket"))?;
    // From here on processes of the container might reach for this one.
    process::forbid_inspection().map_err(host("cannot protect this process from inspection"))?;
    process::join_namespaces_of(proof, target.as_fd(), namespaces)
        .map_err(host("cannot join the container's namespaces"))?;
    let request = CloneRequest {
        namespaces: NewNamespaces::none(),
        sibling: true,
        cgroup: group.as_ref().and_then(Group::birthplace),
    };
    let own_users = namespaces.has(NewNamespaces::USER);
    let (pid, pidfd) = process::clone_process(proof, &request, || {
        child::run_additional(proof, their_feed, link, group_namespace, own_users)
    })
    .map_err(host("cannot make a process in the container"))?;
    let text = number(pid).to_string();
    for entrance in &entrances {
        if let Err(error) = rustix::io::write(entrance, text.as_bytes()) {
            let _gone = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            return Err(Setback::host("cannot join the container's control group", error));
        }
    }
    Ok(Entered { pid, pidfd, feed })
}

fn open_group(machine: &Machine, plan: &ExecPlan) -> Step<Option<Group>> {
    if plan.cgroup.is_empty() {
        return Ok(None);
    }
    let group = machine.groups()?.open(&GroupPath::parse(&plan.cgroup)?)?;
    group.map(Some).ok_or_else(|| {
        Setback::host(format!("the control group `{}` is gone", plan.cgroup), rustix::io::Errno::NOENT)
    })
}

/// The number of the process behind a pidfd, as proc_pid_fdinfo(5) tells it.
fn pid_of(pidfd: &OwnedFd) -> Step<u32> {
    let gone = || Setback::request("the container isn't running");
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))
        .map_err(|error| Setback::host("cannot identify the container's process", error))?;
    text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok()).ok_or_else(gone)
}

/// Those namespaces of the process that aren't this one's too (the kernel refuses to join one's own), without its cgroup
/// namespace, which is opened instead.
fn namespaces_of(pid: u32) -> Step<(NewNamespaces, Option<OwnedFd>)> {
    let mut joined = NewNamespaces::none();
    let mut group = None;
    for kind in NamespaceType::ALL {
        let open = |who: &str| {
            let path = format!("/proc/{who}/ns/{}", kind.file());
            match rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
                Ok(fd) => {
                    let stat = rustix::fs::fstat(&fd).map_err(|error| (path, error))?;
                    Ok(Some((fd, (stat.st_dev, stat.st_ino))))
                }
                // A kernel without this kind, or a process that is gone, which joining will tell.
                Err(rustix::io::Errno::NOENT) => Ok(None),
                Err(error) => Err((path, error)),
            }
        };
        let failed = |(path, error)| {
            Setback::host(format!("cannot open the namespace `{path}`"), std::io::Error::from(error))
        };
        let (Some((_, own)), Some((fd, theirs))) =
            (open("self").map_err(failed)?, open(&pid.to_string()).map_err(failed)?)
        else {
            continue;
        };
        if own == theirs {
            continue;
        }
        if kind == NamespaceType::Cgroup {
            group = Some(fd);
        } else {
            joined = joined.with(namespace_flag(kind));
        }
    }
    Ok((joined, group))
}

/// What the process inherits because it can't set it itself: its score for the out-of-memory killer, and hard limits
/// above the present ones.
fn inherit_limits(plan: &ExecPlan) -> Step<()> {
    if let Some(score) = super::score(&plan.process, plan.independent.is_none()) {
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(|error| {
            Setback::host(format!("cannot set the out-of-memory score to {score}"), error)
        })?;
    }
    for limit in &plan.process.rlimits {
        let Some(resource) = rlimit::by_name(&limit.name) else { continue };
        let now = rustix::process::getrlimit(resource);
        let raises = match (limit.hard, now.maximum) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wanted), Some(present)) => wanted > present,
        };
        if raises {
            let wanted = Rlimit { current: now.current, maximum: limit.hard };
            rustix::process::setrlimit(resource, wanted)
                .map_err(|error| Setback::host(format!("cannot raise the limit `{}`", limit.name), error))?;
        }
    }
    Ok(())
}
