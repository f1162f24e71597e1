//! Profiles in Docker's format: OCI's, with rules that hold only under circumstances.
//!
//! A rule's `includes` must all be met and none of its `excludes`: capabilities of the container, architecture and
//! kernel of the machine. What is left is a plain OCI profile. See Docker's "Seccomp security profiles for Docker".

use super::architecture::Architecture;
use crate::capability::CapabilitySet;
use crate::oci::{self, Seccomp, SeccompAction, SeccompArg, Syscall};
use haven_spec::{Failure, Outcome};
use serde::Deserialize;
use std::sync::OnceLock;

/// What conditions are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// The container's bounding set.
    pub capabilities: CapabilitySet,
    pub architecture: Architecture,
    /// Version and patch level, as `(6, 18)`.
    pub kernel: (u32, u32),
}

impl Circumstances {
    /// This machine, and a container with these capabilities.
    pub fn here(capabilities: CapabilitySet) -> Self {
        static KERNEL: OnceLock<(u32, u32)> = OnceLock::new();
        let kernel = *KERNEL.get_or_init(|| {
            let uname = rustix::system::uname();
            kernel_version(&uname.release().to_string_lossy())
        });
        Self { capabilities, architecture: Architecture::NATIVE, kernel }
    }
}

/// The first two numbers of `6.18.44-something`; what isn't a number is 0.
fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Document {
    default_action: Option<SeccompAction>,
    default_errno_ret: Option<u32>,
    architectures: Vec<String>,
    arch_map: Vec<ArchitectureMap>,
    flags: Vec<String>,
    listener_path: String,
    listener_metadata: String,
    syscalls: Vec<Rule>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ArchitectureMap {
    architecture: String,
    sub_architectures: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    names: Vec<String>,
    /// The form of old profiles.
    #[serde(default)]
    name: String,
    action: SeccompAction,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Vec<SeccompArg>,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: String,
}

impl Filter {
    /// The names that are capabilities the container has. An unknown name is one it doesn't have.
    fn has(name: &str, circumstances: &Circumstances) -> bool {
        CapabilitySet::parse(name).is_ok_and(|one| circumstances.capabilities.contains(one))
    }

    fn names_architecture(&self, circumstances: &Circumstances) -> bool {
        self.arches.iter().any(|name| name == circumstances.architecture.docker_name())
    }

    /// `None`: no wish.
    fn kernel_is_new_enough(&self, circumstances: &Circumstances) -> Outcome<Option<bool>> {
        if self.min_kernel.is_empty() {
            return Ok(None);
        }
        let version = self
            .min_kernel
            .split_once('.')
            .and_then(|(version, level)| Some((version.parse().ok()?, level.parse().ok()?)))
            .filter(|version: &(u32, u32)| *version != (0, 0));
        match version {
            Some(version) => Ok(Some(circumstances.kernel >= version)),
            None => Err(Failure::invalid(format!(
                "`{}` is not a kernel version in a seccomp profile (like `4.8`)",
                self.min_kernel
            ))),
        }
    }

    fn includes(&self, circumstances: &Circumstances) -> Outcome<bool> {
        Ok((self.arches.is_empty() || self.names_architecture(circumstances))
            && self.caps.iter().all(|name| Self::has(name, circumstances))
            && self.kernel_is_new_enough(circumstances)? != Some(false))
    }

    fn excludes(&self, circumstances: &Circumstances) -> Outcome<bool> {
        Ok(self.names_architecture(circumstances)
            || self.caps.iter().any(|name| Self::has(name, circumstances))
            || self.kernel_is_new_enough(circumstances)? == Some(true))
    }
}

/// Reads a profile in Docker's format and settles its conditions. `None`: the profile is empty and filters nothing.
pub fn profile_from_json(text: &str, circumstances: &Circumstances) -> Outcome<Option<Seccomp>> {
    let document: Document = oci::parse_document(text.as_bytes()).map_err(|error| {
        Failure::invalid("cannot read the seccomp profile")
            .because(error)
            .hint("give the profile's JSON, in the format Docker documents")
    })?;
    let Some(default_action) = document.default_action else {
        if document.syscalls.is_empty() {
            return Ok(None);
        }
        return Err(Failure::invalid("the seccomp profile has no `defaultAction`"));
    };
    if !document.architectures.is_empty() && !document.arch_map.is_empty() {
        return Err(Failure::invalid("the seccomp profile has both `architectures` and `archMap`")
            .hint("use one of them"));
    }
    let native = circumstances.architecture.oci_name();
    let mut architectures = document.architectures;
    if let Some(map) = document.arch_map.into_iter().find(|map| map.architecture == native) {
        architectures.push(map.architecture);
        architectures.extend(map.sub_architectures);
    }
    let mut syscalls = Vec::with_capacity(document.syscalls.len());
    for rule in document.syscalls {
        let names = match (rule.name.is_empty(), rule.names.is_empty()) {
            (true, _) => rule.names,
            (false, true) => vec![rule.name],
            (false, false) => {
                return Err(Failure::invalid("a rule of the seccomp profile has both `name` and `names`"));
            }
        };
        if !rule.excludes.excludes(circumstances)? && rule.includes.includes(circumstances)? {
            syscalls.push(Syscall { names, action: rule.action, errno_ret: rule.errno_ret, args: rule.args });
        }
    }
    Ok(Some(Seccomp {
        default_action,
        default_errno_ret: document.default_errno_ret,
        architectures,
        flags: document.flags,
        listener_path: document.listener_path,
        listener_metadata: document.listener_metadata,
        syscalls,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances(capabilities: &[&str], kernel: (u32, u32)) -> Circumstances {
        let capabilities = capabilities
            .iter()
            .fold(CapabilitySet::EMPTY, |set, name| set.with(CapabilitySet::parse(name).unwrap()));
        Circumstances { capabilities, architecture: Architecture::X86_64, kernel }
    }

    const PROFILE: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
            {"name": "write", "action": "SCMP_ACT_ALLOW"},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390"]}},
            {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
            {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
            {"names": ["old"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "6.0"}}]}"#;

    fn names(circumstances: &Circumstances) -> Vec<String> {
        let profile = profile_from_json(PROFILE, circumstances).unwrap().unwrap();
        profile.syscalls.into_iter().flat_map(|rule| rule.names).collect()
    }

    #[test]
    fn rules_hold_under_their_circumstances() {
        assert_eq!(names(&circumstances(&[], (6, 18))), ["read", "write", "ptrace", "clone", "arch_prctl"]);
        assert_eq!(
            names(&circumstances(&["SYS_ADMIN"], (4, 7))),
            ["read", "write", "mount", "arch_prctl", "old"]
        );
        let arm = Circumstances { architecture: Architecture::Aarch64, ..circumstances(&[], (4, 8)) };
        assert_eq!(names(&arm), ["read", "write", "ptrace", "clone", "set_tls", "old"]);
        let profile = profile_from_json(PROFILE, &arm).unwrap().unwrap();
        assert_eq!(profile.architectures, ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    }

    #[test]
    fn a_broken_profile_is_refused_with_its_reason() {
        let here = circumstances(&[], (6, 18));
        for (text, words) in [
            ("", "cannot read"),
            (r#"{"defaultAction": "SCMP_ACT_FLY"}"#, "cannot read"),
            (r#"{"syscalls": [{"name": "read", "action": "SCMP_ACT_ALLOW"}]}"#, "no `defaultAction`"),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "x"}]}"#,
                "both `architectures` and `archMap`",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_LOG"}]}"#,
                "both `name` and `names`",
            ),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "action": "SCMP_ACT_LOG", "includes": {"minKernel": "new"}}]}"#,
                "`new` is not a kernel version",
            ),
        ] {
            let failure = profile_from_json(text, &here).unwrap_err();
            assert!(failure.to_string().contains(words), "{failure}");
        }
        assert_eq!(profile_from_json("{}", &here).unwrap(), None);
    }

    #[test]
    fn kernel_versions_are_read_from_releases() {
        assert_eq!(kernel_version("6.18.44-fc-v669"), (6, 18));
        assert_eq!(kernel_version("5.4-rc1"), (5, 4));
        assert_eq!(kernel_version("odd"), (0, 0));
    }
}
