//! `--sysctl name=value`: only those that belong to a namespace.

const KNOWN: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(crate) fn check(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, _))
            if KNOWN.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.") =>
        {
            Ok(text.to_owned())
        }
        _ => Err(format!("sysctl '{text}' is not allowed: it must be NAME=VALUE and belong to a namespace")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_sysctls_are_accepted() {
        for good in ["net.ipv4.ip_forward=1", "kernel.shmmax=1", "fs.mqueue.msg_max=9"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "net.ipv4.ip_forward", "kernel.panic=1", "=1", "vm.swappiness=1"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
