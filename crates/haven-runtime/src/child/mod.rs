//! What a process does between its clone and its command: from inside its namespaces, in order.
//!
//! It starts with everything and gives up one thing after the other; whoever reads [`run`] from top to bottom has read
//! how a container is made. Each step says what failed and why; nothing is logged or forgotten.
//!
//! ```text
//! clone ─ root of its users ─ root file system ─ mounts ─ masks ─ pivot ─ streams ─▶ READY
//!    ─ keyring ─ limits ─ user ─ capabilities ─ no_new_privs ─ Landlock ─ seccomp ─ … GO ─▶ exec
//! ```
//!
//! Paths inside the container are resolved by handle only (see [`haven_sys::root`]).

mod command;
mod confine;
mod copy_up;
mod independent;
mod mounts;
mod parcels;
mod reaper;
mod rootfs;
mod streams;
mod sysctl;
mod tuning;
mod user;

use crate::assembler::mounts::HOST_PROC;
use crate::link;
use crate::machine::Machine;
use crate::oci::NamespaceType;
use crate::plan::{ExecPlan, Independent, Plan, ProcessPlan};
use crate::setback::{Setback, Step};
use haven_sys::process::{NewNamespaces, SingleThread};
use haven_sys::root::Root;
use haven_sys::{descriptor, process, signal};
use independent::Baggage;
use parcels::Parcels;
use rustix::fs::Mode;
use rustix::thread::{Gid, Uid};
use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};

/// The first process of a container; gives the exit status of a failure, since success is another program.
pub(crate) fn run(proof: &SingleThread, machine: &Machine, feed: OwnedFd, link: OwnedFd) -> i32 {
    // Nothing of whoever made this process stays open (CVE-2024-21626). The feed does until a failure was told: its end
    // would make the assembler tell another one first.
    let Ok([feed, link]) = descriptor::keep_only([feed, link]) else { return FAILED };
    match become_container(proof, machine, &feed, &link) {
        Err(setback) => {
            link::send_setback(&link, &setback);
            FAILED
        }
    }
}

/// An additional process; the namespaces are joined already, but for that of its control group.
pub(crate) fn run_additional(
    proof: &SingleThread,
    feed: OwnedFd,
    link: OwnedFd,
    group_namespace: Option<OwnedFd>,
    own_users: bool,
) -> i32 {
    let kept = match group_namespace {
        Some(namespace) => descriptor::keep_only([feed, link, namespace])
            .map(|[feed, link, namespace]| (feed, link, Some(namespace))),
        None => descriptor::keep_only([feed, link]).map(|[feed, link]| (feed, link, None)),
    };
    let Ok((feed, link, namespace)) = kept else { return FAILED };
    match join_container(proof, &feed, &link, namespace, own_users) {
        Err(setback) => {
            link::send_setback(&link, &setback);
            FAILED
        }
    }
}

/// What a process that never became its command exits with, as the docker command does.
const FAILED: i32 = 128;

fn become_container(
    proof: &SingleThread,
    machine: &Machine,
    feed: &OwnedFd,
    link: &OwnedFd,
) -> Step<Infallible> {
    process::forbid_inspection().map_err(|error| Setback::host("cannot protect this process", error))?;
    let plan = Plan::from_memfd(link::receive_plan(feed)?)?;
    if plan.namespaces.is_new(NamespaceType::User) {
        become_root()?;
    }
    name_host(&plan)?;
    let mut parcels = Parcels::new(feed);
    let made = mounts::assemble(proof, machine, &plan, &mut parcels)?;
    let (baggage, _) = Baggage::unpack(parcels.rest()?);
    let root = Root::open("/").map_err(|error| Setback::host("cannot open the new root", error))?;
    let user = user::resolve(&root, &plan.process.user)?;
    let inherited = plan.independent.is_some();
    let (streams, outer) =
        streams::make(&plan.process, plan.stdin, &user, made.terminals.as_ref(), inherited)?;
    if let (Some(console), true) = (&streams.terminal, plan.process.terminal) {
        mounts::put_console(&root, console)?;
    }
    if plan.readonly_rootfs {
        rootfs::make_readonly(&root)?;
    }
    command::enter_directory(&plan.process.cwd)?;
    let command = command::find(&plan.process, &user)?;
    drop(root);
    let independent = plan.independent.as_ref();
    // Parameters of the network's interfaces wait for those, which come before the start.
    let waits_for_interfaces =
        independent.is_none() && plan.sysctls.keys().any(|name| name.starts_with("net"));
    if !waits_for_interfaces {
        sysctl::write(made.proc.as_ref(), &plan.sysctls)?;
    }
    if inherited {
        // Now, and not when it starts: its maker's caller waits until nobody has the caller's pipes open any more.
        streams.take_over()?;
    }
    outer.send(link)?;
    let mut gate = if independent.is_none() { Gate::Closed } else { Gate::Open };
    if waits_for_interfaces {
        wait_for_go(link)?;
        gate = Gate::Open;
        sysctl::write(made.proc.as_ref(), &plan.sysctls)?;
    }
    let ruleset = made.ruleset;
    let start = Start {
        process: &plan.process,
        user,
        streams,
        command,
        ruleset,
        host_proc: made.host_proc,
        init: plan.init,
        independent,
        baggage: &baggage,
        gate,
    };
    let Some(own) = independent else { return start.execute(proof, link) };
    let starter = baggage.wait_for_start()?;
    let begin = || {
        independent::run_hooks("startContainer", &own.start_container, own)?;
        start.execute(proof, &starter)
    };
    // Whoever starts it hears of a failure now; its maker is gone.
    let Err(setback) = begin();
    link::send_setback(&starter, &setback);
    process::exit_now(FAILED)
}

fn join_container(
    proof: &SingleThread,
    feed: &OwnedFd,
    link: &OwnedFd,
    group_namespace: Option<OwnedFd>,
    own_users: bool,
) -> Step<Infallible> {
    process::forbid_inspection().map_err(|error| Setback::host("cannot protect this process", error))?;
    let plan = ExecPlan::from_memfd(link::receive_plan(feed)?)?;
    let (baggage, others) = Baggage::unpack(link::receive_parcels(feed)?);
    let host_proc = others.into_iter().find(|parcel| parcel.tag == HOST_PROC).map(|parcel| parcel.content);
    if own_users {
        become_root()?;
    }
    if let Some(namespace) = group_namespace {
        process::join_namespace(proof, namespace.as_fd(), NewNamespaces::CGROUP)
            .map_err(|error| Setback::host("cannot join the container's cgroup namespace", error))?;
    }
    let root = Root::open("/").map_err(|error| Setback::host("cannot open the container's root", error))?;
    let user = user::resolve(&root, &plan.process.user)?;
    let terminals = if plan.process.terminal { Some(streams::open_terminals(&root)?) } else { None };
    let inherited = plan.independent.is_some();
    let (streams, outer) = streams::make(&plan.process, plan.stdin, &user, terminals.as_ref(), inherited)?;
    drop(root);
    command::enter_directory(&plan.process.cwd)?;
    let command = command::find(&plan.process, &user)?;
    if inherited {
        streams.take_over()?;
    }
    outer.send(link)?;
    let independent = plan.independent.as_ref();
    let start = Start {
        process: &plan.process,
        user,
        streams,
        command,
        ruleset: None,
        host_proc,
        init: false,
        independent,
        baggage: &baggage,
        gate: Gate::Closed,
    };
    start.execute(proof, link)
}

/// User and group 0 of the new user namespace: until now this process was nobody there.
fn become_root() -> Step<()> {
    let failed =
        |error| Setback::host("cannot become root of the user namespace", std::io::Error::from(error));
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_groups(&[]).map_err(failed)?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed)?;
    // Changing the user made the process inspectable again by others of that user.
    process::forbid_inspection().map_err(|error| Setback::host("cannot protect this process", error))
}

fn name_host(plan: &Plan) -> Step<()> {
    if !plan.hostname.is_empty() {
        rustix::system::sethostname(plan.hostname.as_bytes())
            .map_err(|error| Setback::host(format!("cannot set the host name `{}`", plan.hostname), error))?;
    }
    if !plan.domainname.is_empty() {
        rustix::system::setdomainname(plan.domainname.as_bytes()).map_err(|error| {
            Setback::host(format!("cannot set the domain name `{}`", plan.domainname), error)
        })?;
    }
    Ok(())
}

/// Whether the word to run the command is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Closed,
    Open,
}

/// Waits until the command is to run. A keeper that is gone ends the wait: nobody would hear of the process.
///
/// A plain read: a filter may stand already, and every filter lets that through that lets a program load.
fn wait_for_go(link: &OwnedFd) -> Step<()> {
    let mut word = [0; 8];
    loop {
        match rustix::io::read(link, &mut word) {
            Ok(length) if word[..length] == [link::GO] => return Ok(()),
            Ok(_) => process::exit_now(FAILED),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Setback::host("cannot hear from the keeper", error)),
        }
    }
}

/// Everything the last steps need.
struct Start<'a> {
    process: &'a ProcessPlan,
    user: user::Identity,
    streams: streams::Inner,
    command: command::Command,
    ruleset: Option<OwnedFd>,
    /// The host's `/proc`, where labels are written.
    host_proc: Option<OwnedFd>,
    init: bool,
    independent: Option<&'a Independent>,
    baggage: &'a Baggage,
    gate: Gate,
}

impl Start<'_> {
    /// Gives up what the command may not have, waits for the word, and executes it. Giving up takes a good part of the
    /// time, which passes while the caller still makes the network.
    fn execute(self, proof: &SingleThread, link: &OwnedFd) -> Step<Infallible> {
        if !self.independent.is_some_and(|own| own.keep_keyring) {
            confine::new_keyring()?;
        }
        if !self.init {
            return self.become_command(link);
        }
        // Before the fork: the command may end before its first process waits for it.
        signal::block_all().map_err(|error| Setback::host("cannot hold back signals", error))?;
        let command = process::fork(proof, || match self.become_command(link) {
            Err(setback) => {
                link::send_setback(link, &setback);
                FAILED
            }
        })
        .map_err(|error| Setback::host("cannot make the command's process", error))?;
        process::exit_now(reaper::reap(command))
    }

    fn become_command(&self, link: &OwnedFd) -> Step<Infallible> {
        if self.independent.is_none() {
            self.streams.take_over()?;
        }
        confine::limit(&self.process.rlimits)?;
        tuning::apply(&self.process.tuning, self.host_proc.as_ref())?;
        rustix::process::umask(Mode::from_raw_mode(self.process.umask.unwrap_or(0o022)));
        // What a filter may forbid comes before it.
        signal::restore_defaults()
            .map_err(|error| Setback::host("cannot restore the signals' defaults", error))?;
        if self.baggage.preserved.is_empty() {
            // Everything but the standard streams closes by itself; this is for what should not even exist.
            descriptor::close_on_exec_from(3)
                .map_err(|error| Setback::host("cannot close descriptors", error))?;
            return self.finish(link);
        }
        // The descriptors passed on take the numbers of others, this link's perhaps among them.
        let link = self.baggage.pass_on(link)?;
        let Err(setback) = self.finish(&link);
        link::send_setback(&link, &setback);
        process::exit_now(FAILED)
    }

    fn finish(&self, link: &OwnedFd) -> Step<Infallible> {
        let keeper = self.independent.is_none().then_some(link);
        confine::give_up(self.process, &self.user, self.ruleset.as_ref(), keeper)?;
        if self.gate == Gate::Closed {
            wait_for_go(link)?;
        }
        Err(self.command.execute())
    }
}
