//! What the process gives up before its command, in the only order that works.
//!
//! A capability is dropped from the bounding set while there is one to do so with; the user changes while capabilities
//! are kept; filters come last, because what they forbid is needed before. Without `no_new_privs` the kernel lets only
//! the privileged set a filter, so the one capability for that outlives the others, until the filter stands.

use super::user::Identity;
use crate::plan::{CapabilityPlan, ProcessPlan, RlimitPlan};
use crate::setback::{Setback, Step};
use haven_sys::{process, rlimit, signal};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Rlimit;
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A session keyring of its own. A kernel without keyrings has nothing to hide.
pub(super) fn new_keyring() -> Step<()> {
    match process::join_new_session_keyring() {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::NOSYS.raw_os_error()) => {
            Err(Setback::host("cannot make a session keyring", error))
        }
        _ => Ok(()),
    }
}

pub(super) fn limit(limits: &[RlimitPlan]) -> Step<()> {
    for limit in limits {
        let Some(resource) = rlimit::by_name(&limit.name) else { continue };
        let wanted = Rlimit { current: limit.soft, maximum: limit.hard };
        rustix::process::setrlimit(resource, wanted)
            .map_err(|error| Setback::host(format!("cannot set the limit `{}`", limit.name), error))?;
    }
    Ok(())
}

/// `link`: to the keeper, when there is one.
pub(super) fn give_up(
    plan: &ProcessPlan,
    user: &Identity,
    ruleset: Option<&OwnedFd>,
    link: Option<&OwnedFd>,
) -> Step<()> {
    let wanted = &plan.capabilities;
    drop_bounding(wanted)?;
    rustix::thread::set_keep_capabilities(true)
        .map_err(|error| Setback::host("cannot keep capabilities while the user changes", error))?;
    become_user(user)?;
    let filtered = ruleset.is_some() || !plan.seccomp.is_empty();
    if plan.no_new_privileges {
        set_capabilities(wanted)?;
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| Setback::host("cannot give up gaining privileges", error))?;
    } else if filtered {
        let admin = CapabilitySet::SYS_ADMIN.bits();
        let (effective, permitted) = (wanted.effective | admin, wanted.permitted | admin);
        set_capabilities(&CapabilityPlan { effective, permitted, ..*wanted })?;
    }
    if let Some(link) = link {
        die_with_keeper(link)?;
    }
    // Some settings of the host make a process inspectable when its user changes.
    process::forbid_inspection().map_err(|error| Setback::host("cannot protect this process", error))?;
    enter_ruleset(ruleset)?;
    filter(plan)?;
    if plan.no_new_privileges { Ok(()) } else { set_capabilities(wanted) }
}

fn enter_ruleset(ruleset: Option<&OwnedFd>) -> Step<()> {
    let Some(ruleset) = ruleset else { return Ok(()) };
    process::restrict_by_landlock(ruleset.as_fd())
        .map_err(|error| Setback::host("cannot enter the Landlock rule set", error))
}

fn drop_bounding(wanted: &CapabilityPlan) -> Step<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if wanted.bounding & capability.bits() != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Past the last one this kernel has.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => {
                return Err(Setback::host(format!("cannot give up capability {bit} for good"), error));
            }
        }
    }
    Ok(())
}

fn become_user(user: &Identity) -> Step<()> {
    let failed = |what: String| {
        move |error: rustix::io::Errno| {
            Setback::host(format!("cannot become {what}"), error)
                .hint("the id must be one of the container's")
        }
    };
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    rustix::thread::set_thread_groups(&groups)
        .map_err(failed(format!("a member of the groups {:?}", user.groups)))?;
    let gid = Gid::from_raw(user.gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(failed(format!("group {}", user.gid)))?;
    let uid = Uid::from_raw(user.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(failed(format!("user {}", user.uid)))
}

fn set_capabilities(wanted: &CapabilityPlan) -> Step<()> {
    let set = CapabilitySet::from_bits_retain;
    let sets = CapabilitySets {
        effective: set(wanted.effective),
        permitted: set(wanted.permitted),
        inheritable: set(wanted.inheritable),
    };
    let failed = |error| Setback::host("cannot set capabilities", io::Error::from(error));
    rustix::thread::set_capabilities(None, sets).map_err(failed)?;
    rustix::thread::clear_ambient_capability_set().map_err(failed)?;
    for bit in (0..u64::BITS).filter(|bit| wanted.ambient & (1 << bit) != 0) {
        // One that isn't permitted and inheritable can't be ambient; runtimes leave it out.
        let _left_out = rustix::thread::configure_capability_in_ambient_set(set(1 << bit), true);
    }
    Ok(())
}

/// A container without a keeper would live on unknown: its output lost, its end unseen. So the kernel ends it with its
/// keeper. Set after the user changed, which clears it; a keeper that went before that is noticed by its closed link.
fn die_with_keeper(link: &OwnedFd) -> Step<()> {
    process::signal_on_parent_death(signal::KILL)
        .map_err(|error| Setback::host("cannot tie the process to its keeper", error))?;
    let mut polled = [PollFd::new(link, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let _unlikely = rustix::event::poll(&mut polled, Some(&now));
    if polled[0].revents().contains(PollFlags::HUP) {
        process::exit_now(super::FAILED);
    }
    Ok(())
}

fn filter(plan: &ProcessPlan) -> Step<()> {
    if plan.seccomp.is_empty() {
        return Ok(());
    }
    process::install_seccomp_filter(&plan.seccomp, plan.seccomp_flags)
        .map_err(|error| Setback::host("cannot install the system call filter", error))
}
