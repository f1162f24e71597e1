//! Brings a Debian host to where Haven can be built, tested and measured: says what is missing, installs it as
//! root, and costs nothing when nothing is missing. What must precede cargo stands in `preflight.sh`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

pub(crate) enum Mode {
    Install,
    /// Only say what is missing.
    Check,
}

/// What the host is to be ready for; each includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Demo,
    Test,
    /// The checks in a virtual machine as well.
    Machine,
}

/// A program, the Debian package it comes in, what needs it, and why.
struct Need {
    program: &'static str,
    package: &'static str,
    purpose: Purpose,
    why: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        program: "busybox",
        package: "busybox-static",
        purpose: Purpose::Demo,
        why: "the single-binary image",
    },
    Need { program: "debootstrap", package: "debootstrap", purpose: Purpose::Demo, why: "the Debian image" },
    Need {
        program: "nft",
        package: "nftables",
        purpose: Purpose::Demo,
        why: "looking for rules left behind",
    },
    Need {
        program: "ip",
        package: "iproute2",
        purpose: Purpose::Demo,
        why: "looking for network devices left behind",
    },
    Need { program: "zstd", package: "zstd", purpose: Purpose::Test, why: "compressed image archives" },
    Need {
        program: "skopeo",
        package: "skopeo",
        purpose: Purpose::Test,
        why: "image archives made by another tool",
    },
    Need {
        program: "docker",
        package: "docker.io",
        purpose: Purpose::Test,
        why: "a client Haven didn't write, and a peer to compare with",
    },
    Need {
        program: "podman",
        package: "podman",
        purpose: Purpose::Test,
        why: "runs Haven's OCI runtime, and is a peer",
    },
    Need { program: "runc", package: "runc", purpose: Purpose::Test, why: "an oracle, and a peer" },
    Need { program: "crun", package: "crun", purpose: Purpose::Test, why: "an oracle, and a peer" },
    Need {
        program: "containerd",
        package: "containerd",
        purpose: Purpose::Test,
        why: "runs Haven's OCI runtime, and is a peer",
    },
    Need {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        purpose: Purpose::Machine,
        why: "the virtual machine",
    },
    Need { program: "cpio", package: "cpio", purpose: Purpose::Machine, why: "its first file system" },
    Need { program: "depmod", package: "kmod", purpose: Purpose::Machine, why: "its kernel's modules" },
    Need { program: "mke2fs", package: "e2fsprogs", purpose: Purpose::Machine, why: "its disk" },
];

const NEXTEST: &str = "cargo-nextest";

/// Where system programs lie, also when a user's search path doesn't say so.
const SYSTEM_DIRECTORIES: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

pub(crate) fn run(purpose: Purpose, mode: Mode) -> Result<(), String> {
    let needed = NEEDS.iter().filter(|need| need.purpose <= purpose);
    let missing: Vec<&Need> = needed.filter(|need| !is_present(need.program)).collect();
    let nextest_missing = purpose >= Purpose::Test && !is_present(NEXTEST);
    if missing.is_empty() && !nextest_missing {
        crate::say("setup: nothing is missing");
        return Ok(());
    }
    for need in &missing {
        crate::say(&format!("setup: `{}` is missing ({}): {}", need.program, need.package, need.why));
    }
    if nextest_missing {
        crate::say(&format!(
            "setup: `{NEXTEST}` is missing: it runs the tests, each in a process of its own"
        ));
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    match mode {
        Mode::Check => Err("setup: something is missing; run `cargo xtask setup`".into()),
        Mode::Install => {
            install_packages(&packages)?;
            if nextest_missing { install_nextest() } else { Ok(()) }
        }
    }
}

fn install_packages(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let line =
        format!("apt-get update && apt-get install --yes --no-install-recommends {}", packages.join(" "));
    if !is_present("apt-get") {
        return Err(format!(
            "setup: this host has no apt-get; install by its own means: {}",
            packages.join(", ")
        ));
    }
    if !is_root() {
        return Err(format!("setup: installing needs root; run\n  sudo sh -c '{line}'"));
    }
    crate::say(&format!("setup: {line}"));
    let _quiet = NoServices::begin();
    succeed(Command::new("sh").args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive"), "apt-get")
}

/// While it lives, no package's service is started: a test needs docker's program, nobody asked for its daemon.
/// See invoke-rc.d(8).
struct NoServices {
    made: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn begin() -> Self {
        let policy = Path::new(Self::POLICY);
        let made = !policy.exists()
            && fs::write(policy, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(policy, fs::Permissions::from_mode(0o755)).is_ok();
        Self { made }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.made
            && let Err(error) = fs::remove_file(Self::POLICY)
        {
            crate::complain(&format!("setup: cannot remove `{}`: {error}; remove it by hand", Self::POLICY));
        }
    }
}

fn install_nextest() -> Result<(), String> {
    crate::say("setup: cargo install --locked cargo-nextest (compiles for some minutes, once)");
    // Beside the work tree's own flags: a tool is no part of the product.
    succeed(
        Command::new("cargo")
            .args(["install", "--locked", NEXTEST])
            .current_dir("/")
            .env_remove("RUSTUP_TOOLCHAIN"),
        "cargo install",
    )
}

fn succeed(command: &mut Command, name: &str) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("setup: {name} failed ({status})")),
        Err(error) => Err(format!("setup: cannot run {name}: {error}")),
    }
}

fn is_present(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<_> = std::env::split_paths(&path).collect();
    directories.extend(SYSTEM_DIRECTORIES.iter().map(Into::into));
    directories.iter().any(|directory| directory.join(program).is_file())
}

fn is_root() -> bool {
    // The owner of this process's own directory is its effective user, proc(5).
    Path::new("/proc/self").metadata().is_ok_and(|metadata| metadata.uid() == 0)
}
