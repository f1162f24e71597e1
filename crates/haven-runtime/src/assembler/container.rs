//! A container, from its plan to a first process that has all it needs.

use super::{Progress, answer, bare, dev, idmap, mounts, number, rootfs, write_proc};
use crate::cgroup::{Group, GroupPath, Version};
use crate::child;
use crate::keeper::setup::{Facts, LogFacts, Setup};
use crate::launch::LogTarget;
use crate::link::{self, Parcel};
use crate::machine::Machine;
use crate::oci::NamespaceType;
use crate::plan::{Plan, RlimitPlan, namespace_flag};
use crate::setback::{Setback, Step};
use haven_sys::process::{CloneRequest, NewNamespaces, SingleThread};
use haven_sys::{process, rlimit, socket};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Rlimit, Signal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// A first process made before anybody asked for it: in namespaces of every kind a container usually has of its own,
/// waiting for its plan. Its ids are mapped when it is known whose it is.
pub(super) struct Made {
    pid: Pid,
    pidfd: OwnedFd,
    feed: OwnedFd,
}

/// What a process that has everything needs to mount it.
const MOUNTING: Duration = Duration::from_millis(20);

/// What a container usually has of its own; its cgroup namespace it makes itself.
const USUAL: NewNamespaces = NewNamespaces::USER
    .with(NewNamespaces::MOUNT)
    .with(NewNamespaces::PID)
    .with(NewNamespaces::IPC)
    .with(NewNamespaces::UTS)
    .with(NewNamespaces::NETWORK);

/// Makes one in advance, with a copy of its end of the link.
pub(super) fn make_ahead(proof: &SingleThread, machine: &Machine, link: &OwnedFd) -> Option<Made> {
    let link = link.try_clone().ok()?;
    bare::within(proof, || make(proof, machine, USUAL, None, link)).ok()
}

fn make(
    proof: &SingleThread,
    machine: &Machine,
    namespaces: NewNamespaces,
    cgroup: Option<BorrowedFd<'_>>,
    link: OwnedFd,
) -> Step<Made> {
    let (feed, their_feed) = socket::pair().map_err(|error| Setback::host("cannot make a socket", error))?;
    let request = CloneRequest { namespaces, sibling: true, cgroup };
    let (pid, pidfd) =
        process::clone_process(proof, &request, || child::run(proof, machine, their_feed, link))
            .map_err(|error| Setback::host("cannot make a process with its namespaces", error))?;
    Ok(Made { pid, pidfd, feed })
}

impl Made {
    pub(super) fn kill(&self) {
        let _gone = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

/// An assembly: who asks, what is asked, and whom to tell.
pub(super) struct Assembly<'a> {
    pub(super) proof: &'a SingleThread,
    pub(super) machine: &'a Machine,
    pub(super) connection: &'a OwnedFd,
    pub(super) report: &'a OwnedFd,
    pub(super) link: OwnedFd,
    pub(super) plan: &'a OwnedFd,
    pub(super) ruleset: Option<&'a OwnedFd>,
    pub(super) made: Option<Made>,
}

impl Assembly<'_> {
    pub(super) fn run(self, progress: &mut Progress) -> Step<()> {
        rustix::process::umask(Mode::empty());
        let copy =
            |fd: &OwnedFd| fd.try_clone().map_err(|error| Setback::host("cannot copy a descriptor", error));
        let plan = Plan::from_memfd(copy(self.plan)?)?;
        let run_dir = open_directory(&plan.run_dir)?;
        let (log, log_dir) = open_log(&plan.log)?;
        let listener = listen(&plan.run_dir.join("keeper.sock"))?;
        for (kind, path) in plan.namespaces.joined() {
            join(self.proof, *kind, path)?;
        }
        // Being born into a group needs the group first; where that isn't possible it is made while the process works.
        let born = !plan.cgroup.is_empty() && self.machine.groups()?.version() == Version::Unified;
        let group = if born { Some(make_group(self.machine, &plan)?) } else { None };
        let usual = plan.namespaces.joined().is_empty()
            && plan.namespaces.new_at_clone() == USUAL
            && !plan.namespaces.is_new(NamespaceType::Time)
            && !born;
        begin_time(self.proof, &plan)?;
        let made = match self.made {
            Some(made) if usual => made,
            other => {
                if let Some(unusable) = other {
                    unusable.kill();
                }
                let birthplace = group.as_ref().and_then(|(group, _)| group.birthplace());
                make(self.proof, self.machine, plan.namespaces.new_at_clone(), birthplace, copy(&self.link)?)
                    .inspect_err(|_| discard_group(group.as_ref().map(|(group, _)| group)))?
            }
        };
        // The process has its own; its end would not be noticed while there is another.
        drop(self.link);
        let work = || -> Step<()> {
            let pid = number(made.pid);
            prepare(made.pid, &plan)?;
            let network = plan
                .namespaces
                .is_new(NamespaceType::Network)
                .then(|| open_namespace(pid, NamespaceType::Network))
                .transpose()?;
            let setup = Setup {
                facts: Facts {
                    pid,
                    stdin: plan.stdin,
                    log,
                    exit_name: "exit".into(),
                    socket_name: "keeper.sock".into(),
                },
                pidfd: copy(&made.pidfd)?,
                run_dir,
                listener,
                log_dir,
            };
            setup.send(self.report).map_err(|error| Setback::host("cannot tell the keeper", error))?;
            let mut given = vec![made.pidfd.as_fd()];
            given.extend(network.as_ref().map(AsFd::as_fd));
            answer(self.connection, pid, &given, progress);

            let ruleset = self.ruleset.map(copy).transpose()?;
            let extra = ruleset.map(|content| Parcel { tag: mounts::LANDLOCK, content });
            let given =
                hand_over(self.proof, made.pid, &plan, self.plan, &made.feed, extra.into_iter().collect())?;
            let mut warnings = given.warnings;
            let group = match group {
                None if plan.cgroup.is_empty() => None,
                None => Some(make_group(self.machine, &plan)?),
                early => early,
            };
            let mut join = || -> Step<()> {
                if let Some((group, said)) = &group {
                    warnings.extend_from_slice(said);
                    if born { group.attach_v1(made.pid) } else { group.attach(made.pid) }?;
                    if let Some(counter) = group.open_oom_counter()? {
                        socket::send(self.report, &[link::COUNTER], &[counter.as_fd()])
                            .map_err(|error| Setback::host("cannot tell the keeper", error))?;
                    }
                }
                crate::warnings::write(&plan.run_dir, &warnings)?;
                tell_grouped(&made.feed)
            };
            // The process may have failed meanwhile, and whoever cleans up after it may have found no group yet.
            join().inspect_err(|_| discard_group(group.as_ref().map(|(group, _)| group)))?;
            if given.layers.is_some() {
                // Letting go of the layers holds the kernel's lock on all mounts, which the process needs now.
                std::thread::sleep(MOUNTING);
            }
            Ok(())
        };
        work().inspect_err(|setback| super::give_up(self.report, setback, progress, &made.pidfd))
    }
}

/// Where the log goes, and its directory.
fn open_log(target: &LogTarget) -> Step<(Option<LogFacts>, Option<OwnedFd>)> {
    Ok(match target {
        LogTarget::None => (None, None),
        LogTarget::JsonFile { directory, name, max_size_bytes, max_files } => (
            Some(LogFacts {
                name: name.clone(),
                max_size_bytes: *max_size_bytes,
                max_files: (*max_files).max(1),
            }),
            Some(open_directory(directory)?),
        ),
    })
}

/// What only the host's rights can do to the process: its ids, its score and its limits.
pub(super) fn prepare(process: Pid, plan: &Plan) -> Step<()> {
    let pid = number(process);
    if plan.namespaces.is_new(NamespaceType::User) {
        idmap::write(pid, "uid_map", &plan.uid_map)?;
        idmap::write(pid, "gid_map", &plan.gid_map)?;
    }
    if let Some(adjustment) = super::score(&plan.process, plan.independent.is_none()) {
        write_proc(pid, "oom_score_adj", &adjustment.to_string()).map_err(|setback| {
            setback.hint("lowering the score below this process's own needs CAP_SYS_RESOURCE")
        })?;
    }
    plan.process.rlimits.iter().try_for_each(|limit| raise_hard_limit(process, limit))
}

/// Moves the process where it wasn't born.
pub(super) fn join_group(process: Pid, group: Option<&Group>) -> Step<()> {
    if let Some(group) = group {
        if group.birthplace().is_some() { group.attach_v1(process) } else { group.attach(process) }?;
    }
    Ok(())
}

/// The process is in its group, if it has one.
pub(super) fn tell_grouped(feed: &OwnedFd) -> Step<()> {
    socket::send(feed, &[link::GROUPED], &[])
        .map_err(|error| Setback::host("cannot tell the container's first process", error))
}

/// What is left after everything was handed over.
pub(super) struct HandedOver {
    /// They may go once there is time for that, which the kernel needs for it.
    layers: Option<rootfs::Layers>,
    warnings: Vec<String>,
}

/// Gives the process its plan and, one after the other, everything it is to mount.
pub(super) fn hand_over(
    proof: &SingleThread,
    process: Pid,
    plan: &Plan,
    plan_file: &OwnedFd,
    feed: &OwnedFd,
    extra: Vec<Parcel>,
) -> Step<HandedOver> {
    let pid = number(process);
    let told = |error| Setback::host("cannot tell the container's first process", error);
    socket::send(feed, &[link::PLAN], &[plan_file.as_fd()]).map_err(told)?;
    let own_users = plan.namespaces.is_new(NamespaceType::User);
    let users = own_users.then(|| open_namespace(pid, NamespaceType::User)).transpose()?;
    let users = users.as_ref().map(AsFd::as_fd);
    let (content, layers) = rootfs::assemble(proof, plan, users)?;
    link::send_parcels(feed, &[Parcel { tag: mounts::ROOT, content }]).map_err(told)?;
    let mut parcels = dev::assemble(plan)?;
    parcels.extend(extra);
    let mounts = mounts::assemble(proof, plan, users)?;
    parcels.extend(mounts.parcels);
    link::send_parcels(feed, &parcels).map_err(told)?;
    socket::send(feed, &[link::COMPLETE], &[]).map_err(told)?;
    Ok(HandedOver { layers, warnings: mounts.warnings })
}

/// A time namespace with its offsets, which the processes made from now on are born in. Offsets can only be set before
/// anybody is.
pub(super) fn begin_time(proof: &SingleThread, plan: &Plan) -> Step<()> {
    if !plan.namespaces.is_new(NamespaceType::Time) {
        return Ok(());
    }
    process::unshare(proof, NewNamespaces::TIME)
        .map_err(|error| Setback::host("cannot make a time namespace", error))?;
    let lines: String = plan
        .time_offsets
        .iter()
        .map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs, offset.nanosecs))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    std::fs::write("/proc/self/timens_offsets", lines)
        .map_err(|error| Setback::host("cannot offset the container's clocks", error))
}

/// The group, and what of its limits was left out.
fn make_group(machine: &Machine, plan: &Plan) -> Step<(Group, Vec<String>)> {
    let group = machine.groups()?.create(&GroupPath::parse(&plan.cgroup)?)?;
    let warnings = match &plan.resources {
        Some(resources) => group.apply(resources).inspect_err(|_| discard_group(Some(&group)))?,
        None => Vec::new(),
    };
    Ok((group, warnings))
}

/// Takes back a group made for a container that won't be; one that has other processes stays.
fn discard_group(group: Option<&Group>) {
    if let Some(group) = group {
        let _in_use = group.remove(Duration::from_millis(100));
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
