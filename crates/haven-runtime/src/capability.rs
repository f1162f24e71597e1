//! Capabilities: names, bits, and what a container gets.
//!
//! See capabilities(7). A set is a number with one bit for each capability, as the kernel takes it. What the kernel
//! offers is asked once per process from `/proc/sys/kernel/cap_last_cap`.

use crate::oci;
use haven_spec::{Failure, Outcome, Security};
use std::fmt;
use std::sync::OnceLock;

/// In the order of the kernel's numbers; the position is the bit.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit `n` is the kernel's capability `n`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    pub const EMPTY: Self = Self(0);

    /// Every capability this build has a name for.
    pub const KNOWN: Self = Self((1 << NAMES.len()) - 1);

    /// What Docker gives a container that asks for nothing, in Docker's order of names:
    /// CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT
    /// KILL AUDIT_WRITE.
    pub const DEFAULT: Self = Self(
        1 | 1 << 1
            | 1 << 3
            | 1 << 4
            | 1 << 5
            | 1 << 6
            | 1 << 7
            | 1 << 8
            | 1 << 10
            | 1 << 13
            | 1 << 18
            | 1 << 27
            | 1 << 29
            | 1 << 31,
    );

    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One capability by name: `NET_ADMIN`, `CAP_NET_ADMIN`, in any case.
    pub fn parse(name: &str) -> Outcome<Self> {
        let upper = name.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match NAMES.iter().position(|known| *known == bare) {
            Some(bit) => Ok(Self(1 << bit)),
            None => Err(Failure::invalid(format!("invalid capability: `{name}`"))
                .hint("see capabilities(7) for the names; `ALL` means all of them")),
        }
    }

    /// The names with `CAP_`, in the kernel's order. Bits without a name are left out.
    pub fn names(self) -> Vec<String> {
        (0..NAMES.len())
            .filter(|bit| self.0 >> bit & 1 == 1)
            .map(|bit| format!("CAP_{}", NAMES[bit]))
            .collect()
    }

    /// The numbers of the members, for prctl(2).
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64u32).filter(move |bit| self.0 >> bit & 1 == 1)
    }

    /// What this kernel has, whether this build has names for all of it or not.
    pub fn of_kernel() -> Self {
        static KERNEL: OnceLock<CapabilitySet> = OnceLock::new();
        *KERNEL.get_or_init(|| {
            std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")
                .ok()
                .and_then(|text| text.trim().parse::<u32>().ok())
                .filter(|last| *last < 63)
                .map_or(Self::KNOWN, |last| Self((1 << (last + 1)) - 1))
        })
    }

    /// What the calling process may pass on: its bounding set, as `/proc/self/status` has it.
    pub fn bounding_of_self() -> Self {
        std::fs::read_to_string("/proc/thread-self/status")
            .ok()
            .and_then(|text| {
                let line = text.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
                u64::from_str_radix(line.trim(), 16).ok()
            })
            .map_or_else(Self::of_kernel, Self)
    }

    /// The set of a container that adds and drops these; `ALL` in either list stands for all. Added capabilities
    /// win over `drop ALL`, dropped ones over `add ALL`, as with Docker.
    pub fn tweaked(base: Self, add: &[String], drop: &[String]) -> Outcome<Self> {
        let read = |names: &[String]| -> Outcome<(bool, Self)> {
            let mut all = false;
            let mut set = Self::EMPTY;
            for name in names {
                if name.trim().eq_ignore_ascii_case("ALL") {
                    all = true;
                } else {
                    set = set.with(Self::parse(name)?);
                }
            }
            Ok((all, set))
        };
        let (add_all, added) = read(add)?;
        let (drop_all, dropped) = read(drop)?;
        Ok(match (add_all, drop_all) {
            (true, true) => {
                return Err(Failure::invalid("all capabilities are both added and dropped")
                    .hint("give `ALL` to one of `--cap-add` and `--cap-drop` only"));
            }
            (true, false) => Self::of_kernel().without(dropped),
            (false, true) => added,
            (false, false) => base.without(dropped).with(added),
        })
    }

    /// The set for a container with these wishes: all for a privileged one, else Docker's default, tweaked.
    pub fn for_container(security: &Security) -> Outcome<Self> {
        if security.privileged {
            // It has the host's own users, so nobody can have more there than this process can pass on: some hosts
            // withhold capabilities from root itself.
            let all = Self::tweaked(Self::of_kernel(), &security.cap_add, &security.cap_drop)?;
            return Ok(all.and(Self::bounding_of_self()));
        }
        Self::tweaked(Self::DEFAULT, &security.cap_add, &security.cap_drop)
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CapabilitySet({:#x}: {})", self.0, self.names().join(" "))
    }
}

/// The five sets of a process, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySets {
    pub bounding: CapabilitySet,
    pub effective: CapabilitySet,
    pub permitted: CapabilitySet,
    pub inheritable: CapabilitySet,
    pub ambient: CapabilitySet,
}

impl CapabilitySets {
    /// For a container's process: bounding, effective and permitted alike, nothing inheritable or ambient (an
    /// inheritable capability would be regained through files' own, CVE-2022-24769).
    pub const fn of(set: CapabilitySet) -> Self {
        Self {
            bounding: set,
            effective: set,
            permitted: set,
            inheritable: CapabilitySet::EMPTY,
            ambient: CapabilitySet::EMPTY,
        }
    }

    /// From a document. Names this build or kernel doesn't know are left out and returned, because a document
    /// written for a newer kernel should still start with less.
    pub fn from_oci(document: &oci::Capabilities) -> (Self, Vec<String>) {
        let kernel = CapabilitySet::of_kernel();
        let mut unknown: Vec<String> = Vec::new();
        let mut read = |names: &[String]| {
            names.iter().fold(CapabilitySet::EMPTY, |set, name| match CapabilitySet::parse(name) {
                Ok(one) if kernel.contains(one) => set.with(one),
                _ => {
                    if !unknown.contains(name) {
                        unknown.push(name.clone());
                    }
                    set
                }
            })
        };
        let sets = Self {
            bounding: read(&document.bounding),
            effective: read(&document.effective),
            permitted: read(&document.permitted),
            inheritable: read(&document.inheritable),
            ambient: read(&document.ambient),
        };
        (sets, unknown)
    }

    /// As a document's member.
    pub fn to_oci(self) -> oci::Capabilities {
        oci::Capabilities {
            bounding: self.bounding.names(),
            effective: self.effective.names(),
            permitted: self.permitted.names(),
            inheritable: self.inheritable.names(),
            ambient: self.ambient.names(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_default_set_is_dockers() {
        let mut names = CapabilitySet::DEFAULT.names();
        names.sort();
        let mut docker = [
            "CHOWN",
            "DAC_OVERRIDE",
            "FSETID",
            "FOWNER",
            "MKNOD",
            "NET_RAW",
            "SETGID",
            "SETUID",
            "SETFCAP",
            "SETPCAP",
            "NET_BIND_SERVICE",
            "SYS_CHROOT",
            "KILL",
            "AUDIT_WRITE",
        ]
        .map(|name| format!("CAP_{name}"));
        docker.sort();
        assert_eq!(names, docker);
        assert_eq!(CapabilitySet::DEFAULT.bits(), 0xa804_25fb);
    }

    #[test]
    fn names_are_read_with_or_without_prefix_in_any_case() {
        let admin = CapabilitySet::parse("CAP_SYS_ADMIN").unwrap();
        assert_eq!(admin.bits(), 1 << 21);
        for name in ["SYS_ADMIN", "sys_admin", "cap_sys_admin", " Cap_Sys_Admin "] {
            assert_eq!(CapabilitySet::parse(name).unwrap(), admin, "{name}");
        }
        for bad in ["", "CAP_", "ADMIN", "CAP_CAP_KILL", "ALL"] {
            assert!(CapabilitySet::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(admin.numbers().collect::<Vec<_>>(), [21]);
    }

    #[test]
    fn adding_and_dropping_follow_docker() {
        let base = CapabilitySet::DEFAULT;
        let tweak =
            |add: &[&str], drop: &[&str]| CapabilitySet::tweaked(base, &list(add), &list(drop)).unwrap();
        let kill = CapabilitySet::parse("KILL").unwrap();
        let admin = CapabilitySet::parse("SYS_ADMIN").unwrap();
        assert_eq!(tweak(&[], &[]), base);
        assert_eq!(tweak(&["SYS_ADMIN"], &["KILL"]), base.with(admin).without(kill));
        assert_eq!(tweak(&["CAP_KILL"], &["all"]), kill);
        assert_eq!(tweak(&["ALL"], &["KILL"]), CapabilitySet::of_kernel().without(kill));
        assert_eq!(tweak(&["ALL"], &[]), CapabilitySet::of_kernel());
        assert!(CapabilitySet::tweaked(base, &list(&["FLY"]), &[]).is_err());
        assert!(CapabilitySet::tweaked(base, &list(&["ALL"]), &list(&["all"])).is_err());
    }

    #[test]
    fn names_a_kernel_does_not_know_are_left_out_and_told() {
        let document = oci::Capabilities {
            bounding: list(&["CAP_KILL", "CAP_FLY"]),
            effective: list(&["CAP_KILL"]),
            permitted: list(&["CAP_KILL", "CAP_FLY"]),
            ..Default::default()
        };
        let (sets, unknown) = CapabilitySets::from_oci(&document);
        assert_eq!(unknown, ["CAP_FLY"]);
        assert_eq!(sets.bounding, sets.effective);
        assert_eq!(sets.to_oci().permitted, ["CAP_KILL"]);
    }
}
