//! The few kernel settings that have no netlink message: files below `/proc/sys/net`.
//!
//! They are those of the calling thread's network namespace.

use haven_spec::{Failure, Outcome};
use std::path::PathBuf;

const ROOT: &str = "/proc/sys/net";

/// The value of a setting, like `ipv4/ip_forward`; `None` when the kernel does not have it.
pub(crate) fn read(setting: &str) -> Option<String> {
    std::fs::read_to_string(path(setting)).ok().map(|text| text.trim().to_owned())
}

pub(crate) fn is_on(setting: &str) -> bool {
    read(setting).is_some_and(|value| value != "0")
}

pub(crate) fn write(setting: &str, value: &str) -> Outcome<()> {
    // Opened without creating: a setting that does not exist is an error here, not a file.
    std::fs::OpenOptions::new()
        .write(true)
        .open(path(setting))
        .and_then(|mut file| std::io::Write::write_all(&mut file, value.as_bytes()))
        .map_err(|error| {
            let name = setting.replace('/', ".");
            Failure::host(format!("cannot set `net.{name}` to `{value}`"))
                .because(error)
                .hint(format!("set it before Haven starts: sysctl -w net.{name}={value}"))
        })
}

/// Settings and interface names are ours or checked, never a path.
fn path(setting: &str) -> PathBuf {
    PathBuf::from(format!("{ROOT}/{setting}"))
}
