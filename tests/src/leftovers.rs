//! What of containers is still there, asked from the kernel's own lists and the file system, never from the daemon.

use crate::Stage;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// Each set is empty when nothing is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    pub mounts: BTreeSet<String>,
    pub cgroups: BTreeSet<String>,
    pub devices: BTreeSet<String>,
    pub rules: BTreeSet<String>,
    pub processes: BTreeSet<String>,
    pub directories: BTreeSet<String>,
}

impl Leftovers {
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mounts, cgroups, devices, rules, processes, directories } = self;
        let kinds = [
            ("mount", mounts),
            ("cgroup", cgroups),
            ("network device", devices),
            ("firewall rule", rules),
            ("process", processes),
            ("directory", directories),
        ];
        for (kind, found) in kinds {
            for one in found {
                writeln!(f, "{kind}: {one}")?;
            }
        }
        Ok(())
    }
}

/// Looks for what containers with other ids than `alive` have left on the stage, whose daemon keeps its things in `data` and `run`.
pub fn look(stage: &Stage, alive: &[String], data: &Path, run: &Path) -> Leftovers {
    let is_alive = |text: &str| alive.iter().any(|id| text.contains(id.as_str()));
    let mut found = Leftovers::default();

    let mounts = output(stage, &["cat", "/proc/self/mountinfo"]);
    let ours = [data, run].map(|path| path.display().to_string());
    // A file system the data lies on is the host's, not a container's.
    let is_root =
        |line: &str| line.split(' ').nth(4).is_some_and(|point| ours.iter().any(|path| path == point));
    found.mounts = mounts
        .lines()
        .filter(|line| ours.iter().any(|path| line.contains(path.as_str())) && !is_root(line))
        .map(str::to_owned)
        .collect();

    for root in stage.cgroups() {
        collect_ids(&root, &mut found.cgroups);
    }
    found.cgroups.retain(|path| !is_alive(path));

    // A device belongs to a running container as long as there is one; without any, none may be left.
    if alive.is_empty() {
        let links = output(stage, &["ip", "-oneline", "link"]);
        let names = links.lines().filter_map(|line| line.split(": ").nth(1));
        found.devices = names.filter(|name| name.starts_with("hv")).map(str::to_owned).collect();
    }

    let rules = output(stage, &["nft", "list", "ruleset"]);
    found.rules = rules
        .lines()
        .map(str::trim)
        .filter(|line| has_id(line) && !is_alive(line))
        .map(str::to_owned)
        .collect();

    let processes = output(stage, &["busybox", "ps", "-o", "pid,args"]);
    found.processes = processes
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("keeper") && has_id(line) && !is_alive(line))
        .map(str::to_owned)
        .collect();

    for root in [data, run] {
        collect_ids(root, &mut found.directories);
    }
    // Images and volumes are kept on purpose.
    found.directories.retain(|path| {
        !is_alive(path)
            && !path.contains("/image")
            && !path.contains("/layers/")
            && !path.contains("/blobs/")
            && !path.contains("/volumes/")
    });
    found
}

/// Paths below `root`, two levels of which may precede it, whose last part is a container's id.
fn collect_ids(root: &Path, found: &mut BTreeSet<String>) {
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if has_id(&name) {
                found.insert(path.display().to_string());
            } else if depth < 3 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((path, depth + 1));
            }
        }
    }
}

/// Whether a container's id (64 hexadecimal digits) stands in `text`.
fn has_id(text: &str) -> bool {
    let mut run = 0;
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() || ('a'..='f').contains(&c) {
            run += 1;
        } else {
            if run == 64 {
                return true;
            }
            run = 0;
        }
    }
    false
}

fn output(stage: &Stage, words: &[&str]) -> String {
    let output = stage.enter(words[0]).args(&words[1..]).output();
    String::from_utf8_lossy(&output.expect("system programs run").stdout).into_owned()
}
