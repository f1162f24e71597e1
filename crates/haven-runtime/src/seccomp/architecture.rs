//! The architectures whose calls a machine can make, and how a filter tells them apart.

use haven_spec::{Failure, Outcome};

/// An architecture this build has call numbers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    X86_64,
    X86,
    /// 64-bit registers and 32-bit pointers on x86_64; its calls have bit 30 of the number set.
    X32,
    Aarch64,
    Arm,
}

/// What a profile may name but no machine we run on executes.
const FOREIGN: [&str; 18] = [
    "MIPS",
    "MIPS64",
    "MIPS64N32",
    "MIPSEL",
    "MIPSEL64",
    "MIPSEL64N32",
    "PPC",
    "PPC64",
    "PPC64LE",
    "S390",
    "S390X",
    "PARISC",
    "PARISC64",
    "RISCV64",
    "LOONGARCH64",
    "M68K",
    "SH",
    "SHEB",
];

impl Architecture {
    /// The bit in a number that says it is an x32 call.
    pub(super) const X32_BIT: u32 = 0x4000_0000;

    /// What this program was built for.
    pub const NATIVE: Self = if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// Those a machine of this native architecture can run, itself first.
    pub fn runnable_on(native: Self) -> &'static [Self] {
        match native {
            Self::X86_64 | Self::X32 => &[Self::X86_64, Self::X86, Self::X32],
            Self::X86 => &[Self::X86],
            Self::Aarch64 => &[Self::Aarch64, Self::Arm],
            Self::Arm => &[Self::Arm],
        }
    }

    /// From a profile's `SCMP_ARCH_…`; `None` for one of other machines.
    pub fn parse(name: &str) -> Outcome<Option<Self>> {
        let refuse = || Failure::invalid(format!("`{name}` is not an architecture of seccomp profiles"));
        Ok(match name.strip_prefix("SCMP_ARCH_").ok_or_else(refuse)? {
            "X86_64" => Some(Self::X86_64),
            "X86" => Some(Self::X86),
            "X32" => Some(Self::X32),
            "AARCH64" => Some(Self::Aarch64),
            "ARM" => Some(Self::Arm),
            other if FOREIGN.contains(&other) => None,
            _ => return Err(refuse()),
        })
    }

    /// As profiles name it.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// As the conditions of Docker-format profiles name it.
    pub(super) fn docker_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
        }
    }

    /// `AUDIT_ARCH_…`, as the filter sees it. x32 shares x86_64's.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
        }
    }

    /// Whether arguments have 32 bits.
    pub(super) fn is_narrow(self) -> bool {
        matches!(self, Self::X86 | Self::Arm)
    }
}
