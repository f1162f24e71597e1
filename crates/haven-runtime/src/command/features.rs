//! What this runtime can do, in the specification's form, for callers that choose by it.

use crate::capability::CapabilitySet;
use crate::oci::{
    ApparmorFeatures, CgroupFeatures, Features, IdMapFeatures, IntelRdtFeatures, LinuxFeatures,
    MountExtensionsFeatures, NamespaceType, NetDevicesFeatures, SeccompFeatures, SelinuxFeatures, VERSION,
};
use crate::seccomp::Architecture;

const MOUNT_OPTIONS: [&str; 44] = [
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "exec",
    "idmap",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "rbind",
    "rdev",
    "relatime",
    "rexec",
    "ridmap",
    "rnoatime",
    "rnodev",
    "rnodiratime",
    "rnoexec",
    "rnosuid",
    "rnosymfollow",
    "ro",
    "rprivate",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rstrictatime",
    "rsuid",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "tmpcopyup",
    "unbindable",
];

fn strings<'a>(list: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}

pub(super) fn features() -> Features {
    let (yes, no) = (Some(true), Some(false));
    Features {
        oci_version_min: "1.0.0".into(),
        oci_version_max: VERSION.into(),
        hooks: strings([
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ]),
        mount_options: strings(MOUNT_OPTIONS),
        linux: Some(LinuxFeatures {
            namespaces: NamespaceType::ALL
                .iter()
                .filter(|kind| **kind != NamespaceType::Time)
                .map(|kind| kind.word().to_owned())
                .collect(),
            capabilities: CapabilitySet::KNOWN.names(),
            cgroup: Some(CgroupFeatures { v1: yes, v2: yes, systemd: no, systemd_user: no, rdma: yes }),
            seccomp: Some(SeccompFeatures {
                enabled: yes,
                actions: strings([
                    "SCMP_ACT_ALLOW",
                    "SCMP_ACT_ERRNO",
                    "SCMP_ACT_KILL",
                    "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD",
                    "SCMP_ACT_LOG",
                    "SCMP_ACT_TRACE",
                    "SCMP_ACT_TRAP",
                ]),
                operators: strings([
                    "SCMP_CMP_EQ",
                    "SCMP_CMP_GE",
                    "SCMP_CMP_GT",
                    "SCMP_CMP_LE",
                    "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ",
                    "SCMP_CMP_NE",
                ]),
                archs: Architecture::runnable_on(Architecture::NATIVE)
                    .iter()
                    .map(|one| one.oci_name().to_owned())
                    .collect(),
                known_flags: strings(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
                supported_flags: strings(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
            }),
            apparmor: Some(ApparmorFeatures { enabled: no }),
            selinux: Some(SelinuxFeatures { enabled: no }),
            intel_rdt: Some(IntelRdtFeatures { enabled: no, schemata: no, monitoring: no }),
            memory_policy: None,
            mount_extensions: Some(MountExtensionsFeatures { idmap: Some(IdMapFeatures { enabled: yes }) }),
            net_devices: Some(NetDevicesFeatures { enabled: no }),
        }),
        annotations: [("io.haven.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
        potentially_unsafe_config_annotations: Vec::new(),
    }
}
