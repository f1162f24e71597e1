//! What containers cost in memory: proportional set sizes, so that pages shared between processes count once.

use crate::engine::Bench;
use crate::worker::Job;

/// Bytes of everything an engine has on its stage but the containers' own processes.
pub(crate) struct Sizes {
    pub(crate) all: u64,
    pub(crate) daemon: u64,
    pub(crate) workload: usize,
}

pub(crate) fn sizes(bench: &mut Bench) -> Sizes {
    let answer = bench.worker.ask(&Job::Memory { workload: "probe".into() });
    let ours = |name: &str| !matches!(name, "sh" | "cat" | "sleep" | "nsenter" | "haven-bench" | "unshare");
    let mine: Vec<&(u64, String)> = answer.sizes.iter().filter(|(_, name)| ours(name)).collect();
    // The daemon is the largest process; docker's is two.
    let large = |(bytes, name): &&&(u64, String)| {
        matches!(name.as_str(), "dockerd" | "containerd")
            || *bytes == mine.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0)
    };
    Sizes {
        all: mine.iter().map(|(bytes, _)| bytes).sum(),
        daemon: mine.iter().filter(large).map(|(bytes, _)| bytes).sum(),
        workload: answer.workload,
    }
}
