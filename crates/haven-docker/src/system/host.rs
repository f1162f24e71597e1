//! What the API tells of the host: read once, from the kernel and os-release(5).

use std::fs;

/// Facts that don't change while the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) kernel: String,
    pub(crate) operating_system: String,
    pub(crate) os_version: String,
    pub(crate) memory_bytes: u64,
    pub(crate) processors: usize,
}

impl Host {
    /// What can't be read is shown as unknown: nothing depends on it.
    pub(crate) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let line = |path: &str| text(path).trim().to_owned();
        let os_release = text("/etc/os-release");
        let release = |key: &str| os_release_value(&os_release, key).unwrap_or_default();
        Self {
            name: line("/proc/sys/kernel/hostname"),
            kernel: line("/proc/sys/kernel/osrelease"),
            operating_system: Some(release("PRETTY_NAME"))
                .filter(|name| !name.is_empty())
                .unwrap_or("Linux".into()),
            os_version: release("VERSION_ID"),
            memory_bytes: memory_bytes(&text("/proc/meminfo")).unwrap_or(0),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// Go's names for architectures, which clients compare images with.
pub(crate) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn os_release_value(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_in_the_kernels_forms() {
        assert_eq!(memory_bytes("MemTotal:       24684084 kB\nMemFree: 1 kB\n"), Some(24_684_084 * 1024));
        assert_eq!(memory_bytes("nothing"), None);
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\n";
        assert_eq!(os_release_value(text, "PRETTY_NAME").unwrap(), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(os_release_value(text, "VERSION"), None);
    }
}
