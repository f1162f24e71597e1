//! A container, from its plan to a first process that has all it needs.

use super::{Progress, answer, dev, idmap, mounts, number, rootfs, write_proc};
use crate::cgroup::{Group, GroupPath, Layout};
use crate::child;
use crate::keeper::setup::{Facts, LogFacts, Setup};
use crate::launch::LogTarget;
use crate::link::{self, Parcel};
use crate::oci::NamespaceType;
use crate::plan::{Plan, RlimitPlan, namespace_flag};
use crate::setback::{Setback, Step};
use haven_sys::process::{CloneRequest, SingleThread};
use haven_sys::{process, rlimit, socket};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Rlimit, Signal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub(super) fn assemble(
    proof: &SingleThread,
    connection: &OwnedFd,
    link: OwnedFd,
    report: &OwnedFd,
    (plan_file, ruleset): (OwnedFd, Option<OwnedFd>),
    progress: &mut Progress,
) -> Step<()> {
    rustix::process::umask(Mode::empty());
    let for_init = plan_file.try_clone().map_err(|error| Setback::host("cannot copy a descriptor", error))?;
    let plan = Plan::from_memfd(plan_file)?;
    let group = make_group(&plan)?;
    let done =
        assemble_in(proof, connection, (link, report), &plan, group.as_ref(), (for_init, ruleset), progress);
    if done.is_err() && !progress.answered {
        discard_group(group.as_ref());
    }
    done
}

fn assemble_in(
    proof: &SingleThread,
    connection: &OwnedFd,
    (link, report): (OwnedFd, &OwnedFd),
    plan: &Plan,
    group: Option<&Group>,
    for_init: (OwnedFd, Option<OwnedFd>),
    progress: &mut Progress,
) -> Step<()> {
    let run_dir = open_directory(&plan.run_dir)?;
    let listener = listen(&plan.run_dir.join("keeper.sock"))?;
    for (kind, path) in plan.namespaces.joined() {
        join(proof, *kind, path)?;
    }
    let (feed, their_feed) = socket::pair().map_err(|error| Setback::host("cannot make a socket", error))?;
    let request = CloneRequest {
        namespaces: plan.namespaces.new_at_clone(),
        sibling: true,
        cgroup: group.and_then(Group::birthplace),
    };
    let (pid, pidfd) = process::clone_process(proof, &request, || child::run(proof, their_feed, link))
        .map_err(|error| Setback::host("cannot make a process with its namespaces", error))?;
    let made = Made { pid, pidfd };
    made.assemble(proof, plan, group, connection, report, (run_dir, listener), for_init, &feed, progress)
        .inspect_err(|_| {
            let _gone = rustix::process::pidfd_send_signal(&made.pidfd, Signal::KILL);
        })
}

struct Made {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Made {
    #[expect(
        clippy::too_many_arguments,
        reason = "one step, cut off so that its failure can be cleaned up in one place"
    )]
    fn assemble(
        &self,
        proof: &SingleThread,
        plan: &Plan,
        group: Option<&Group>,
        connection: &OwnedFd,
        report: &OwnedFd,
        (run_dir, listener): (OwnedFd, OwnedFd),
        (for_init, ruleset): (OwnedFd, Option<OwnedFd>),
        feed: &OwnedFd,
        progress: &mut Progress,
    ) -> Step<()> {
        let pid = number(self.pid);
        prepare(self.pid, plan, group)?;
        let network = plan
            .namespaces
            .is_new(NamespaceType::Network)
            .then(|| open_namespace(pid, NamespaceType::Network))
            .transpose()?;
        let (log, log_dir) = match &plan.log {
            LogTarget::None => (None, None),
            LogTarget::JsonFile { directory, name, max_size_bytes, max_files } => (
                Some(LogFacts {
                    name: name.clone(),
                    max_size_bytes: *max_size_bytes,
                    max_files: (*max_files).max(1),
                }),
                Some(open_directory(directory)?),
            ),
        };
        let oom = group.and_then(|group| group.open_oom_counter().ok().flatten());
        let setup = Setup {
            facts: Facts {
                pid,
                stdin: plan.stdin,
                log,
                exit_name: "exit".into(),
                socket_name: "keeper.sock".into(),
                counts_oom: oom.is_some(),
            },
            pidfd: self
                .pidfd
                .try_clone()
                .map_err(|error| Setback::host("cannot copy a descriptor", error))?,
            run_dir,
            listener,
            log_dir,
            oom,
        };
        setup.send(report).map_err(|error| Setback::host("cannot tell the keeper", error))?;
        let mut given = vec![self.pidfd.as_fd()];
        given.extend(network.as_ref().map(AsFd::as_fd));
        answer(connection, pid, &given, progress);

        let extra = ruleset.map(|content| Parcel { tag: mounts::LANDLOCK, content });
        hand_over(proof, self.pid, plan, for_init, feed, extra.into_iter().collect())
    }
}

/// What only the host's rights can do to the process: its ids, its group, its score and its limits.
pub(super) fn prepare(process: Pid, plan: &Plan, group: Option<&Group>) -> Step<()> {
    let pid = number(process);
    if plan.namespaces.is_new(NamespaceType::User) {
        idmap::write(pid, "uid_map", &plan.uid_map)?;
        idmap::write(pid, "gid_map", &plan.gid_map)?;
    }
    if let Some(group) = group {
        if group.birthplace().is_some() { group.attach_v1(process) } else { group.attach(process) }?;
    }
    if let Some(adjustment) = plan.process.oom_score_adj {
        write_proc(pid, "oom_score_adj", &adjustment.to_string()).map_err(|setback| {
            setback.hint("lowering the score below this process's own needs CAP_SYS_RESOURCE")
        })?;
    }
    plan.process.rlimits.iter().try_for_each(|limit| raise_hard_limit(process, limit))
}

/// Gives the process its plan and, one after the other, everything it is to mount.
pub(super) fn hand_over(
    proof: &SingleThread,
    process: Pid,
    plan: &Plan,
    plan_file: OwnedFd,
    feed: &OwnedFd,
    extra: Vec<Parcel>,
) -> Step<()> {
    let pid = number(process);
    let told = |error| Setback::host("cannot tell the container's first process", error);
    socket::send(feed, &[link::PLAN], &[plan_file.as_fd()]).map_err(told)?;
    let own_users = plan.namespaces.is_new(NamespaceType::User);
    let users = own_users.then(|| open_namespace(pid, NamespaceType::User)).transpose()?;
    let users = users.as_ref().map(AsFd::as_fd);
    let root = Parcel { tag: mounts::ROOT, content: rootfs::assemble(proof, plan, users)? };
    link::send_parcels(feed, &[root]).map_err(told)?;
    let mut parcels = dev::assemble(plan)?;
    parcels.extend(extra);
    parcels.extend(mounts::assemble(plan, users)?);
    link::send_parcels(feed, &parcels).map_err(told)?;
    socket::send(feed, &[link::COMPLETE], &[]).map_err(told)
}

fn make_group(plan: &Plan) -> Step<Option<Group>> {
    if plan.cgroup.is_empty() {
        return Ok(None);
    }
    let group = Layout::detect()?.create(&GroupPath::parse(&plan.cgroup)?)?;
    if let Some(resources) = &plan.resources
        && let Err(failure) = group.apply(resources)
    {
        discard_group(Some(&group));
        return Err(failure.into());
    }
    Ok(Some(group))
}

/// Takes back a group made for a container that won't be; one that has other processes stays.
fn discard_group(group: Option<&Group>) {
    if let Some(group) = group {
        let _in_use = group.remove(std::time::Duration::from_millis(100));
    }
}

pub(super) fn open_directory(path: &Path) -> Step<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Setback::host(format!("cannot open the directory `{}`", path.display()), error))
}

pub(super) fn listen(path: &Path) -> Step<OwnedFd> {
    socket::listen(path, 64)
        .map_err(|error| Setback::host(format!("cannot listen at `{}`", path.display()), error))
}

fn open_namespace(pid: u32, kind: NamespaceType) -> Step<OwnedFd> {
    let path = format!("/proc/{pid}/ns/{}", kind.file());
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Setback::host(format!("cannot open the namespace `{path}`"), error))
}

pub(super) fn join(proof: &SingleThread, kind: NamespaceType, path: &Path) -> Step<()> {
    let failed = |error: std::io::Error| {
        Setback::host(format!("cannot join the {kind} namespace `{}`", path.display()), error)
    };
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| failed(error.into()))?;
    process::join_namespace(proof, file.as_fd(), namespace_flag(kind)).map_err(failed)
}

/// A hard limit above the present one is raised here, where the host's rights are; the child sets the rest last, so that
/// its own work isn't limited by it.
fn raise_hard_limit(pid: Pid, limit: &RlimitPlan) -> Step<()> {
    let Some(resource) = rlimit::by_name(&limit.name) else { return Ok(()) };
    let now = rustix::process::getrlimit(resource);
    let lowers = match (limit.hard, now.maximum) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(wanted), Some(present)) => wanted <= present,
    };
    if lowers {
        return Ok(());
    }
    let wanted = Rlimit { current: now.current, maximum: limit.hard };
    rustix::process::prlimit(Some(pid), resource, wanted).map(drop).map_err(|error| {
        let word = |bound: Option<u64>| bound.map_or("unlimited".to_owned(), |number| number.to_string());
        Setback::host(
            format!(
                "cannot raise the limit `{}` from {} to {}",
                limit.name,
                word(now.maximum),
                word(limit.hard)
            ),
            error,
        )
        .hint("raising limits needs CAP_SYS_RESOURCE; ask for no more than the present limit")
    })
}
