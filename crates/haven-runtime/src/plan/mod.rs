//! The plan: what is to be done, decided. A [`Launch`] becomes a [`Plan`] by pure functions that
//! refuse what can't be; names have become numbers, options flags, and what follows only carries it out.
//!
//! A plan crosses to other processes in a sealed memory file: its JSON, and the seccomp program's bytes behind it.

mod exec;
mod independent;
mod mount;
mod namespace;
mod process;
mod tuning;

pub(crate) use exec::ExecPlan;
pub(crate) use independent::Independent;
pub(crate) use mount::{MountKind, MountPlan};
pub(crate) use namespace::{NamespacePlan, flag as namespace_flag};
pub(crate) use process::{CapabilityPlan, ProcessPlan, RlimitPlan, UserPlan};
pub(crate) use tuning::TuningPlan;

use crate::launch::{Launch, LogTarget, RootFs, StdinMode};
use crate::oci::{self, IdMapping, NamespaceType};
use haven_spec::{Failure, Outcome};
use haven_sys::memfd;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A container, decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) run_dir: PathBuf,
    pub(crate) namespaces: NamespacePlan,
    pub(crate) uid_map: Vec<IdMapping>,
    pub(crate) gid_map: Vec<IdMapping>,
    pub(crate) rootfs: RootFs,
    pub(crate) readonly_rootfs: bool,
    /// `MS_…` of the root mount, with everything below it.
    pub(crate) root_propagation: u64,
    pub(crate) mounts: Vec<MountPlan>,
    pub(crate) devices: Vec<oci::Device>,
    pub(crate) masked_paths: Vec<String>,
    pub(crate) readonly_paths: Vec<String>,
    pub(crate) sysctls: BTreeMap<String, String>,
    pub(crate) hostname: String,
    pub(crate) domainname: String,
    /// For a time namespace of its own: clock, seconds, nanoseconds.
    pub(crate) time_offsets: BTreeMap<String, oci::TimeOffset>,
    pub(crate) cgroup: String,
    pub(crate) resources: Option<oci::Resources>,
    pub(crate) process: ProcessPlan,
    pub(crate) log: LogTarget,
    pub(crate) stdin: StdinMode,
    pub(crate) init: bool,
    /// `None`: a keeper keeps it.
    pub(crate) independent: Option<Independent>,
}

/// The longest plan accepted; documents of this size are mistakes or attacks.
const PLAN_BYTES: u64 = 16 * 1024 * 1024;

impl Plan {
    pub(crate) fn of(launch: &Launch) -> Outcome<Self> {
        let spec = &launch.spec;
        let linux = spec.linux.clone().unwrap_or_default();
        let process = spec.process.as_ref().ok_or_else(|| Failure::invalid("no process is given"))?;
        let namespaces = NamespacePlan::of(&linux.namespaces)?;
        let own_users = namespaces.is_new(NamespaceType::User);
        let (uid_map, gid_map) = match launch.id_range {
            Some(_) if !own_users => {
                return Err(Failure::invalid("a range of ids needs a user namespace of the container's own"));
            }
            Some(range) => {
                if range.count == 0 || range.first.checked_add(range.count - 1).is_none() {
                    return Err(Failure::invalid(format!(
                        "the id range of {} from {} isn't a range of 32-bit numbers",
                        range.count, range.first
                    )));
                }
                let map = vec![IdMapping { container_id: 0, host_id: range.first, size: range.count }];
                (map.clone(), map)
            }
            None => (linux.uid_mappings, linux.gid_mappings),
        };
        if own_users && (uid_map.is_empty() || gid_map.is_empty()) {
            return Err(Failure::invalid("a user namespace needs mappings of user and group ids"));
        }
        if let RootFs::Overlay { lowers, .. } = &launch.rootfs
            && lowers.is_empty()
        {
            return Err(Failure::invalid("a root file system needs at least one layer"));
        }
        if launch.id.is_empty() || launch.id.contains('/') {
            return Err(Failure::invalid(format!("`{}` can't be a container's id", launch.id)));
        }
        if !spec.hostname.is_empty() && !namespaces.is_apart(NamespaceType::Uts) {
            return Err(Failure::invalid("a host name needs a UTS namespace other than the host's"));
        }
        for (what, is_there) in [
            ("`linux.intelRdt`", linux.intel_rdt.is_some()),
            ("`linux.netDevices`", !linux.net_devices.is_empty()),
            ("`linux.memoryPolicy`", linux.memory_policy.is_some()),
        ] {
            if is_there {
                return Err(Failure::unsupported(format!("{what} is not supported"))
                    .hint("leave it out of the document"));
            }
        }
        let idmap_binds = launch.id_range.is_some();
        let namespaces_time = namespaces.is_new(NamespaceType::Time);
        let mounts =
            spec.mounts.iter().map(|mount| MountPlan::of(mount, idmap_binds)).collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            id: launch.id.clone(),
            run_dir: launch.run_dir.clone(),
            namespaces,
            uid_map,
            gid_map,
            rootfs: launch.rootfs.clone(),
            readonly_rootfs: spec.root.as_ref().is_some_and(|root| root.readonly),
            root_propagation: mount::propagation(&linux.rootfs_propagation)?,
            mounts,
            // The host's multiplexer of terminals is never wanted: `/dev/ptmx` is a link to the container's own.
            devices: linux.devices.into_iter().filter(|device| device.path != "/dev/ptmx").collect(),
            masked_paths: linux.masked_paths,
            readonly_paths: linux.readonly_paths,
            sysctls: linux.sysctl,
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
            time_offsets: time_offsets(linux.time_offsets, namespaces_time)?,
            cgroup: launch.cgroup.clone(),
            resources: linux.resources,
            process: ProcessPlan::of(
                process,
                linux.seccomp.as_ref(),
                launch.user.as_deref(),
                &launch.group_add,
                linux.personality.as_ref(),
            )?,
            log: launch.log.clone(),
            stdin: launch.stdin,
            init: launch.init,
            independent: None,
        })
    }

    pub(crate) fn to_memfd(&self) -> Outcome<OwnedFd> {
        write(self, &self.process.seccomp)
    }

    pub(crate) fn from_memfd(file: OwnedFd) -> Outcome<Self> {
        let (mut plan, program): (Self, _) = read(file)?;
        plan.process.seccomp = program;
        Ok(plan)
    }
}

fn time_offsets(
    wanted: BTreeMap<String, oci::TimeOffset>,
    is_new: bool,
) -> Outcome<BTreeMap<String, oci::TimeOffset>> {
    if !wanted.is_empty() && !is_new {
        return Err(Failure::invalid("offsets of clocks need a time namespace of the container's own"));
    }
    match wanted.keys().find(|clock| !matches!(clock.as_str(), "monotonic" | "boottime")) {
        Some(clock) => Err(Failure::invalid(format!("`{clock}` isn't a clock that can be offset"))),
        None => Ok(wanted),
    }
}

fn write(plan: &impl Serialize, program: &[u8]) -> Outcome<OwnedFd> {
    let failed = || Failure::internal("cannot write a plan");
    let json = serde_json::to_vec(plan).map_err(|error| failed().because(error))?;
    let mut content = Vec::with_capacity(8 + json.len() + program.len());
    content.extend_from_slice(&(json.len() as u64).to_ne_bytes());
    content.extend_from_slice(&json);
    content.extend_from_slice(program);
    memfd::sealed("plan", &content)
        .map_err(|error| Failure::host("cannot keep a plan in memory").because(error))
}

fn read<T: DeserializeOwned>(file: OwnedFd) -> Outcome<(T, Vec<u8>)> {
    let content =
        memfd::read(file, PLAN_BYTES).map_err(|error| Failure::host("cannot read a plan").because(error))?;
    let malformed = || Failure::internal("a plan is malformed");
    let (length, rest) = content.split_first_chunk::<8>().ok_or_else(malformed)?;
    let length = usize::try_from(u64::from_ne_bytes(*length)).map_err(|_| malformed())?;
    let (json, program) = rest.split_at_checked(length).ok_or_else(malformed)?;
    let plan = serde_json::from_slice(json).map_err(|error| malformed().because(error))?;
    Ok((plan, program.to_vec()))
}
