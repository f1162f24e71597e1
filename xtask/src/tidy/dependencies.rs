//! Crates that may not be used, where, why, and what to use instead.

use super::Finding;
use crate::metadata::{Metadata, Package};

/// Whom a ban binds.
enum Who {
    /// The whole tree, third parties' dependencies too.
    Anyone,
    /// Every room but these.
    AllBut(&'static [&'static str]),
    /// These rooms.
    Only(&'static [&'static str]),
}

struct Ban {
    who: Who,
    /// Names; one that ends in `*` is a prefix.
    what: &'static [&'static str],
    why: &'static str,
    cure: &'static str,
}

/// Rooms below floor 3 where no task runs: they are called from blocking threads, or have none (the spawner). Bargate's
/// rooms (haven-identity, haven-files) wait for servers most of the time, for hundreds of people at once: they are tasks.
const QUIET_ROOMS: &[&str] =
    &["haven-spec", "haven-sys", "haven-runtime", "haven-image", "haven-network", "haven-audit"];

const BANS: &[Ban] = &[
    Ban {
        who: Who::Anyone,
        what: &["openssl", "openssl-sys", "openssl-src", "native-tls", "hyper-tls", "tokio-native-tls"],
        why: "a C library with its own releases and CVEs in every process, and no static binary without it",
        cure: "use rustls with ring, or take the feature out that draws it in (`cargo tree -i NAME`)",
    },
    Ban {
        who: Who::Anyone,
        what: &["libseccomp-sys", "libdbus-sys", "nftnl-sys", "mnl-sys", "libbpf-sys", "libgit2-sys"],
        why: "needs a C library of the host; the binary is one static file",
        cure: "speak to the kernel through haven-sys",
    },
    Ban { who: Who::Anyone, what: &["chrono", "time"], why: "one calendar is enough", cure: "use jiff" },
    Ban {
        who: Who::AllBut(&[]),
        what: &["lazy_static", "atty", "failure", "error-chain", "serde_yaml", "structopt", "dirs"],
        why: "unmaintained, or in the standard library by now",
        cure: "use std (LazyLock, IsTerminal), thiserror, clap",
    },
    Ban {
        who: Who::AllBut(&[]),
        what: &[
            "nix",
            "anyhow",
            "eyre",
            "color-eyre",
            "async-trait",
            "reqwest",
            "procfs",
            "cgroups-rs",
            "caps",
        ],
        why: "a second way to do what the house already does",
        cure: "system calls: rustix or haven-sys; errors: `Failure`, thiserror; HTTP: hyper",
    },
    Ban {
        who: Who::Only(QUIET_ROOMS),
        what: &["tokio", "hyper", "hyper-util", "futures*", "async-*"],
        why: "rooms below floor 3 are blocking code called from threads, and the spawner may have no second thread",
        cure: "do the work in a plain function and let haven-engine put it on a blocking thread",
    },
    Ban {
        who: Who::AllBut(&["haven-docker", "haven-console", "bargate", "haven", "haven-build"]),
        what: &["hyper", "hyper-util", "http", "http-body-util", "axum", "tonic"],
        why: "HTTP is an edge's matter: the engine speaks no wire format",
        cure: "give haven-engine a typed command and translate in haven-docker",
    },
    Ban {
        who: Who::Only(&["haven-docker", "haven-console", "haven-build"]),
        what: &["haven-runtime", "haven-image", "haven-network", "haven-sys"],
        why: "an edge that reaches past the engine works on state the engine believes it owns",
        cure: "add the command or the view to haven-engine",
    },
    Ban {
        who: Who::Only(&["bargate", "haven-files", "haven-identity"]),
        what: &["haven-engine", "haven-runtime", "haven-image", "haven-network"],
        why: "Bargate runs on hosts without Haven",
        cure: "move the shared part to haven-spec or haven-sys",
    },
    Ban {
        who: Who::Only(&["haven-spec"]),
        what: &["rustix", "libc", "tracing"],
        why: "floor 0 has no I/O, so that its tests take microseconds",
        cure: "do the I/O in the caller and pass the value in",
    },
];

pub(crate) fn check(metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ban in BANS {
        let bound: Vec<&Package> = match ban.who {
            Who::Anyone => metadata.packages.iter().collect(),
            Who::AllBut(excepted) => {
                metadata.rooms().filter(|room| !excepted.contains(&room.name.as_str())).collect()
            }
            Who::Only(rooms) => metadata.rooms().filter(|room| rooms.contains(&room.name.as_str())).collect(),
        };
        for package in bound {
            let used = used_names(package, metadata, matches!(ban.who, Who::Anyone));
            for name in used.into_iter().filter(|name| ban.forbids(name)) {
                findings.push(Finding::new(&package.name, format!("uses `{name}`: {}", ban.why), ban.cure));
            }
        }
    }
    findings
}

/// Direct dependencies that reach the product; for third parties only those that were really drawn in.
fn used_names<'a>(package: &'a Package, metadata: &'a Metadata, only_present: bool) -> Vec<&'a str> {
    let mut names: Vec<&str> = package
        .dependencies
        .iter()
        .filter(|used| used.kind.as_deref() != Some("dev"))
        .map(|used| used.name.as_str())
        .filter(|name| {
            package.source.is_none()
                || !only_present
                || metadata.packages.iter().any(|other| other.name == *name)
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl Ban {
    fn forbids(&self, name: &str) -> bool {
        self.what.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == *pattern,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(rooms: &[(&str, &[&str])]) -> Vec<String> {
        check(&Metadata::of(rooms)).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn a_foreign_c_library_is_found_wherever_it_comes_in() {
        let mut metadata =
            Metadata::of(&[("haven", &["some-client"]), ("some-client", &["openssl"]), ("openssl", &[])]);
        metadata.workspace_members = vec!["haven".into()];
        let findings = check(&metadata);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].place, "some-client");
    }

    #[test]
    fn a_runtime_of_tasks_below_floor_3_is_found() {
        assert_eq!(places(&[("haven-image", &["tokio"])]), ["haven-image"]);
        assert_eq!(places(&[("haven-runtime", &["futures-util"])]), ["haven-runtime"]);
        assert!(places(&[("haven-engine", &["tokio"]), ("haven-docker", &["hyper"])]).is_empty());
    }

    #[test]
    fn an_edge_that_reaches_past_the_engine_is_found() {
        assert_eq!(places(&[("haven-docker", &["haven-runtime", "haven-engine"])]), ["haven-docker"]);
    }

    #[test]
    fn an_engine_that_speaks_http_is_found() {
        assert_eq!(places(&[("haven-engine", &["hyper"])]), ["haven-engine"]);
    }
}
