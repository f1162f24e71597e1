//! One container's group in every hierarchy: made, entered, listed, removed.

use super::directory::Directory;
use super::layout::{self, Hierarchy, Layout, Version};
use super::path::GroupPath;
use haven_spec::{Failure, Outcome};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use std::time::{Duration, Instant};

/// How deep groups made inside a container are followed.
const DEEPEST: usize = 64;

/// A group, open in all hierarchies. Dropping it leaves the group where it is.
#[derive(Debug)]
pub struct Group {
    version: Version,
    path: GroupPath,
    parts: Vec<Part>,
}

/// The group in one hierarchy.
#[derive(Debug)]
struct Part {
    unified: bool,
    controllers: Vec<String>,
    parent: Directory,
    directory: Directory,
}

impl Layout {
    /// Makes the group with its missing ancestors, in every hierarchy; a group that exists is taken as it is. When a
    /// hierarchy refuses, what was made is removed again.
    pub fn create(&self, path: &GroupPath) -> Outcome<Group> {
        let mut group = Group { version: self.version(), path: path.clone(), parts: Vec::new() };
        let mut made = Vec::new();
        for hierarchy in &self.hierarchies {
            match make(hierarchy, path) {
                Ok((part, new)) => {
                    made.push(new);
                    group.parts.push(part);
                }
                Err(failure) => {
                    for (part, _) in group.parts.iter().zip(made).filter(|(_, new)| *new) {
                        // Best effort: the reported failure is the one that matters.
                        let _: Result<(), Errno> = part.parent.remove_child(path.name());
                    }
                    return Err(failure.context(format!("cannot create the control group `{path}`")));
                }
            }
        }
        Ok(group)
    }

    /// The group if it exists in any hierarchy, with the hierarchies it exists in.
    pub fn open(&self, path: &GroupPath) -> Outcome<Option<Group>> {
        let mut parts = Vec::new();
        for hierarchy in &self.hierarchies {
            let Some(parent) = hierarchy.root.descendant(path.ancestors())? else { continue };
            let Some(directory) = parent.child(path.name())? else { continue };
            let controllers = usable_controllers(hierarchy, &directory)?;
            parts.push(Part { unified: hierarchy.unified, controllers, parent, directory });
        }
        Ok((!parts.is_empty()).then(|| Group { version: self.version(), path: path.clone(), parts }))
    }

    /// The names directly below `path` in any hierarchy; what exists is the truth, so this is how leftovers are found.
    pub fn children(&self, path: &GroupPath) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        for hierarchy in &self.hierarchies {
            if let Some(parent) = hierarchy.root.descendant(path.ancestors())?
                && let Some(directory) = parent.child(path.name())?
            {
                names.extend(directory.children()?);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

/// In v1 what the hierarchy was mounted with; in v2 what reaches this group.
fn usable_controllers(hierarchy: &Hierarchy, directory: &Directory) -> Outcome<Vec<String>> {
    if hierarchy.unified { layout::controllers(directory) } else { Ok(hierarchy.controllers.clone()) }
}

/// Makes the group in one hierarchy; whether it is new.
fn make(hierarchy: &Hierarchy, path: &GroupPath) -> Outcome<(Part, bool)> {
    let mut parent = hierarchy.root.duplicate()?;
    let cpuset = !hierarchy.unified && hierarchy.controllers.iter().any(|name| name == "cpuset");
    for name in path.ancestors() {
        if hierarchy.unified {
            delegate(&parent, &hierarchy.controllers)?;
        }
        let (child, _) = parent.make_child(name)?;
        if cpuset {
            inherit_cpuset(&parent, &child)?;
        }
        parent = child;
    }
    if hierarchy.unified {
        delegate(&parent, &hierarchy.controllers)?;
    }
    let (directory, new) = parent.make_child(path.name())?;
    if cpuset {
        inherit_cpuset(&parent, &directory)?;
    }
    let controllers = usable_controllers(hierarchy, &directory)?;
    Ok((Part { unified: hierarchy.unified, controllers, parent, directory }, new))
}

/// v1's cpuset starts empty, and no process may enter an empty one.
fn inherit_cpuset(parent: &Directory, child: &Directory) -> Outcome<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if child.read(file)?.trim().is_empty() {
            let inherited = parent.read(file)?;
            if !inherited.trim().is_empty() {
                child.write(file, inherited.trim())?;
            }
        }
    }
    Ok(())
}

/// v2: lets the children of `directory` use the controllers. What it already gives costs one read.
fn delegate(directory: &Directory, wanted: &[String]) -> Outcome<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let available = layout::controllers(directory)?;
    let given = directory.read("cgroup.subtree_control")?;
    let given: Vec<&str> = given.split_ascii_whitespace().collect();
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| available.contains(name) && !given.contains(&name.as_str()))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if directory.write_raw("cgroup.subtree_control", &missing.join(" ")).is_ok() {
        return Ok(());
    }
    // All or nothing failed: some controllers (cpu with real-time processes, threaded ones) can be refused alone.
    for one in &missing {
        match directory.write_raw("cgroup.subtree_control", one) {
            Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::OPNOTSUPP) => {}
            Err(Errno::BUSY) => {
                return Err(directory
                    .write_failure("cgroup.subtree_control", one, Errno::BUSY)
                    .hint("a v2 group with processes of its own can't hand controllers on; start Haven in a group that isn't the visible root, or with its own control group namespace"));
            }
            Err(errno) => return Err(directory.write_failure("cgroup.subtree_control", one, errno)),
        }
    }
    Ok(())
}

impl Group {
    pub fn path(&self) -> &GroupPath {
        &self.path
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The group's directory for `controller`, v1's or v2's, and whether it is v2's.
    pub(super) fn controller(&self, name: &str) -> Option<(&Directory, bool)> {
        self.parts
            .iter()
            .find(|part| part.controllers.iter().any(|known| known == name))
            .map(|part| (&part.directory, part.unified))
    }

    /// v1's directory for `controller`.
    pub(super) fn v1(&self, name: &str) -> Option<&Directory> {
        self.controller(name).filter(|(_, unified)| !unified).map(|(directory, _)| directory)
    }

    /// v2's directory, also on a hybrid machine.
    pub(super) fn unified(&self) -> Option<&Directory> {
        self.parts.iter().find(|part| part.unified).map(|part| &part.directory)
    }

    /// Where the group is in each hierarchy, for state files and diagnosis: controllers (none for v2) and directory.
    pub fn places(&self) -> impl Iterator<Item = (&[String], &std::path::Path)> {
        self.parts.iter().map(|part| {
            (if part.unified { [].as_slice() } else { part.controllers.as_slice() }, part.directory.path())
        })
    }

    /// v2's directory for `CLONE_INTO_CGROUP`; the v1 hierarchies of a hybrid machine still need [`Self::attach`].
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.unified().map(AsFd::as_fd)
    }

    /// Moves a process, with all its threads, into the group in every hierarchy.
    ///
    /// The first move after a while waits for an RCU grace period (about 10 ms), the others then don't: let it run
    /// beside the container's set-up.
    pub fn attach(&self, pid: Pid) -> Outcome<()> {
        self.parts.iter().try_for_each(|part| attach_to(part, pid))
    }

    /// Like [`Self::attach`], but without v2: for a process that was born into the group there.
    pub fn attach_v1(&self, pid: Pid) -> Outcome<()> {
        self.parts.iter().filter(|part| !part.unified).try_for_each(|part| attach_to(part, pid))
    }

    /// Writable `cgroup.procs` of every hierarchy, v2's last: a process enters by writing `0` to each.
    pub fn entrances(&self) -> Outcome<Vec<OwnedFd>> {
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        parts.sort_by_key(|part| part.unified);
        parts.iter().map(|part| part.directory.open_file("cgroup.procs", OFlags::WRONLY)).collect()
    }

    /// Like [`Self::entrances`], but without v2's.
    pub fn entrances_v1(&self) -> Outcome<Vec<OwnedFd>> {
        self.parts
            .iter()
            .filter(|part| !part.unified)
            .map(|part| part.directory.open_file("cgroup.procs", OFlags::WRONLY))
            .collect()
    }

    /// Every process in the group and in groups made below it, each once.
    pub fn processes(&self) -> Outcome<Vec<Pid>> {
        let mut pids = Vec::new();
        // Processes enter all hierarchies alike; one that left some (a privileged container may) is found in another.
        for part in &self.parts {
            collect_processes(&part.directory, DEEPEST, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids.into_iter().filter_map(Pid::from_raw).collect())
    }

    /// Whether no process is in the group or below it.
    pub fn is_empty(&self) -> Outcome<bool> {
        Ok(self.processes()?.is_empty())
    }

    /// Removes the group and those made below it, in every hierarchy. A process that is just ending is waited for,
    /// up to `patience`. What can't be removed doesn't keep the rest from going.
    pub fn remove(&self, patience: Duration) -> Outcome<()> {
        let deadline = Instant::now() + patience;
        let mut left = Vec::new();
        for part in &self.parts {
            if let Err(errno) = remove_tree(&part.parent, self.path.name(), deadline, DEEPEST) {
                left.push(format!("`{}`: {}", part.directory.path().display(), std::io::Error::from(errno)));
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        Err(Failure::host(format!("cannot remove the control group `{}`", self.path))
            .because(left.join("; "))
            .hint("a process is still in it; `kill_all` first"))
    }
}

fn attach_to(part: &Part, pid: Pid) -> Outcome<()> {
    let number = pid.as_raw_nonzero().to_string();
    match part.directory.write_raw("cgroup.procs", &number) {
        Ok(()) => Ok(()),
        Err(errno) => {
            let failure = part.directory.write_failure("cgroup.procs", &number, errno);
            Err(match errno {
                Errno::SRCH => failure.hint("the process has ended"),
                Errno::BUSY => failure.hint("the group hands controllers on to groups below it; use a leaf"),
                Errno::OPNOTSUPP => failure.hint("the group or an ancestor is in threaded mode"),
                Errno::NOSPC => failure.hint("the group's cpuset has no processor or memory node"),
                Errno::INVAL => failure.hint("real-time processes need a real-time budget in the group"),
                _ => failure,
            })
        }
    }
}

fn collect_processes(directory: &Directory, depth: usize, pids: &mut Vec<i32>) -> Outcome<()> {
    // A threaded group below refuses `cgroup.procs`; its processes are shown by the domain above it.
    if let Some(text) = directory.read_optional("cgroup.procs")? {
        pids.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()).filter(|pid| *pid > 0));
    }
    if depth > 0 {
        for name in directory.children()? {
            if let Some(child) = directory.child(&name)? {
                collect_processes(&child, depth - 1, pids)?;
            }
        }
    }
    Ok(())
}

/// Removes children first. `BUSY` is tried again until the deadline: a killed process leaves its group a little after
/// it was reaped.
fn remove_tree(parent: &Directory, name: &str, deadline: Instant, depth: usize) -> Result<(), Errno> {
    let mut pause = Duration::from_micros(200);
    loop {
        match parent.remove_child(name) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) if depth > 0 => {
                if let Ok(Some(directory)) = parent.child(name) {
                    for child in directory.children().map_err(|_| Errno::IO)? {
                        remove_tree(&directory, &child, deadline, depth - 1)?;
                    }
                }
                match parent.remove_child(name) {
                    Ok(()) | Err(Errno::NOENT) => return Ok(()),
                    Err(errno) if Instant::now() >= deadline => return Err(errno),
                    Err(_) => {
                        std::thread::sleep(pause);
                        pause = (pause * 2).min(Duration::from_millis(10));
                    }
                }
            }
            Err(errno) => return Err(errno),
        }
    }
}
