//! Kernel parameters of the container's namespaces, written through its own `/proc` before anything covered it.

use crate::setback::{Setback, Step};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

pub(super) fn write(proc: Option<&OwnedFd>, sysctls: &BTreeMap<String, String>) -> Step<()> {
    if sysctls.is_empty() {
        return Ok(());
    }
    let proc =
        proc.ok_or_else(|| Setback::request("kernel parameters need `/proc` mounted in the container"))?;
    for (name, value) in sysctls {
        let failed = |error: rustix::io::Errno| {
            Setback::host(format!("cannot set the kernel parameter `{name}` to `{value}`"), error)
        };
        // No link and no other file system lies between /proc and the parameter (CVE-2019-19921, CVE-2025-52881).
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS;
        let file = rustix::fs::openat2(
            proc,
            path_of(name),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
        .map_err(failed)?;
        rustix::io::write(&file, value.as_bytes()).map_err(failed)?;
    }
    Ok(())
}

/// `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are the same; where the slash comes first dots belong to names.
fn path_of(name: &str) -> String {
    let path = match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'.' => name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => name.to_owned(),
    };
    format!("sys/{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_name_the_same_file() {
        assert_eq!(path_of("net.ipv4.ip_forward"), "sys/net/ipv4/ip_forward");
        assert_eq!(path_of("net/ipv4/conf/eth0.1/forwarding"), "sys/net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(path_of("net.ipv4.conf.eth0/1.forwarding"), "sys/net/ipv4/conf/eth0.1/forwarding");
    }
}
