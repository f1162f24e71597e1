//! How containers come to be: `create`, `start`, `run`.

use super::arguments::Arguments;
use super::clamp::{Permitted, clamp};
use super::console::ConsoleSocket;
use super::ending::destroy;
use super::record::{Record, absolute, started};
use super::relay::Relay;
use super::store::{Place, Store};
use super::{Call, hooks, sealed};
use crate::assembler::foreground::{self, Making};
use crate::cgroup::{Group, GroupPath, Layout, default_device_rules};
use crate::launch::{Launch, LogTarget, RootFs, StdinMode};
use crate::oci::{Hooks, Spec, Status};
use crate::plan::{Independent, Plan};
use haven_spec::{Failure, Outcome};
use haven_sys::process::SingleThread;
use haven_sys::{descriptor, socket};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest document read.
const LONGEST: u64 = 16 << 20;

pub(super) fn create(call: &Call, given: &Arguments) -> Outcome<()> {
    sealed::ensure()?;
    let wish = Wish::read(call, given)?;
    if wish.plan.process.terminal && wish.console.is_none() {
        return Err(Failure::invalid(
            "a container with a terminal needs `--console-socket`: nobody stays to hold it",
        ));
    }
    let made = make(call, wish)?;
    made.write_pid_file(given)
}

pub(super) fn start(call: &Call, given: &Arguments) -> Outcome<()> {
    let place = call.store.lock(given.first())?;
    let record = place.read()?;
    match record.status(&place.start_socket()) {
        Status::Created => start_in(call, &place, &record),
        Status::Stopped => Err(Failure::conflict("cannot start a container that has stopped")),
        status => Err(Failure::conflict(format!("cannot start a container that is {status} already"))),
    }
}

/// Says go, waits until the command is executed, runs the hooks that follow.
fn start_in(call: &Call, place: &Place, record: &Record) -> Outcome<()> {
    let path = place.start_socket();
    let connection = socket::connect(&path)
        .map_err(|error| Failure::host("cannot reach the container's first process").because(error))?;
    // From here on it is started or it fails.
    fs::remove_file(&path)
        .map_err(|error| Failure::host(format!("cannot remove `{}`", path.display())).because(error))?;
    foreground::begin_command(&connection)
        .map_err(|failure| failure.context(format!("cannot start container `{}`", record.id)))?;
    let Some(Hooks { poststart, .. }) = &record.spec.hooks else { return Ok(()) };
    hooks::run("poststart", poststart, &record.state(Status::Running)).inspect_err(|_| {
        // The specification stops the container then.
        if let Some(process) = record.process() {
            let _gone: rustix::io::Result<()> =
                rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL);
        }
        call.log.debug("a poststart hook failed: the container is stopped");
    })
}

pub(super) fn run(call: &Call, given: &Arguments) -> Outcome<u8> {
    sealed::ensure()?;
    let wish = Wish::read(call, given)?;
    let detach = given.has("detach");
    if wish.plan.process.terminal && detach && wish.console.is_none() {
        return Err(Failure::invalid("a detached container with a terminal needs `--console-socket`"));
    }
    let relay = if detach { None } else { Some(Relay::begin()?) };
    let made = make(call, wish)?;
    let begun = made.write_pid_file(given).and_then(|()| start_in(call, &made.place, &made.record));
    if let Err(failure) = begun {
        made.forget(call);
        return Err(failure);
    }
    let Some(relay) = relay else { return Ok(0) };
    let status = relay.wait(made.making.pid, &made.making.pidfd, made.master.as_ref());
    if !given.has("keep") {
        destroy(made.place, &made.record, &call.log)?;
    }
    status
}

/// What is to be made, checked as far as it can be without making anything.
struct Wish {
    record: Record,
    plan: Plan,
    console: Option<ConsoleSocket>,
    preserved: Vec<OwnedFd>,
}

impl Wish {
    fn read(call: &Call, given: &Arguments) -> Outcome<Self> {
        let id = given.first();
        Store::check_id(id)?;
        let bundle = absolute(Path::new(given.value("bundle").unwrap_or(".")))?;
        let mut spec = read_document(&bundle)?;
        check(&spec)?;
        for warning in clamp(&mut spec, Permitted::here()) {
            call.log.warn(&warning);
        }
        let root = spec.root.clone().ok_or_else(|| Failure::invalid("the document has no `root`"))?;
        let rootfs = absolute(&bundle.join(root.path))?;
        let linux = spec.linux.get_or_insert_default();
        let cgroup = GroupPath::from_oci(&linux.cgroups_path, id, call.systemd)?.to_string();
        // Later rules win: what every program expects is there whatever the document denies.
        let resources = linux.resources.get_or_insert_default();
        resources.devices.extend(default_device_rules().into_iter().skip(1));
        let (preserved, environment) = preserved(given)?;
        let record = Record {
            id: id.to_owned(),
            bundle,
            rootfs: rootfs.clone(),
            pid: 0,
            start_time: 0,
            created: jiff::Timestamp::now().to_string(),
            cgroup: cgroup.clone(),
            spec: spec.clone(),
        };
        if let Some(process) = spec.process.as_mut() {
            process.env.extend(environment);
        }
        let hooks = spec.hooks.clone().unwrap_or_default();
        let launch = Launch {
            id: id.to_owned(),
            spec,
            rootfs: RootFs::Directory { path: rootfs, idmap: false },
            id_range: None,
            run_dir: PathBuf::new(),
            cgroup,
            log: LogTarget::None,
            stdin: StdinMode::Null,
            init: false,
            user: None,
            group_add: Vec::new(),
            landlock: false,
        };
        let mut plan = Plan::of(&launch)?;
        plan.independent = Some(Independent {
            preserved: u16::try_from(preserved.len()).unwrap_or(u16::MAX),
            keep_keyring: given.has("no-new-keyring"),
            no_pivot: given.has("no-pivot"),
            create_container: hooks.create_container,
            start_container: hooks.start_container,
            state: Some(record.state(Status::Creating)),
        });
        let console = given.value("console-socket").map(ConsoleSocket::connect).transpose()?;
        if let Some(console) = console.as_ref().filter(|_| !plan.process.terminal) {
            return Err(Failure::invalid(format!(
                "there is a console socket `{}`, but the container has no terminal",
                console.path().display()
            )));
        }
        Ok(Self { record, plan, console, preserved })
    }
}

fn read_document(bundle: &Path) -> Outcome<Spec> {
    let path = bundle.join("config.json");
    let text = fs::metadata(&path)
        .and_then(|data| {
            if data.len() > LONGEST { Err(std::io::Error::other("it is too long")) } else { fs::read(&path) }
        })
        .map_err(|error| Failure::invalid(format!("cannot read `{}`", path.display())).because(error))?;
    Spec::parse(&text).map_err(|failure| failure.context(format!("`{}` is not valid", path.display())))
}

/// What the specification asks of a document and nothing later would notice.
fn check(spec: &Spec) -> Outcome<()> {
    let major = spec.version.split('.').next();
    if major != Some("1") {
        return Err(Failure::unsupported(format!("the document is of version `{}`, not 1", spec.version)));
    }
    let Some(process) = &spec.process else {
        return Err(Failure::invalid("the document has no `process`"));
    };
    if !process.cwd.starts_with('/') {
        return Err(Failure::invalid(format!("the working directory `{}` must be absolute", process.cwd)));
    }
    let mut limits: Vec<&str> = process.rlimits.iter().map(|limit| limit.kind.as_str()).collect();
    limits.sort_unstable();
    if let Some(twice) = limits.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::invalid(format!("the limit `{}` is given twice", twice[0])));
    }
    let unsupported = |what: &str| {
        Err(Failure::unsupported(format!("{what} is not supported")).hint("leave it out of the document"))
    };
    if !process.selinux_label.is_empty() && !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Failure::host("the document has an SELinux label, but the host has no SELinux"));
    }
    if !process.apparmor_profile.is_empty()
        && process.apparmor_profile != "unconfined"
        && !Path::new("/sys/kernel/security/apparmor").exists()
    {
        return Err(Failure::host("the document has an AppArmor profile, but the host has no AppArmor"));
    }
    let Some(linux) = &spec.linux else { return Ok(()) };
    if linux.intel_rdt.is_some() {
        return unsupported("`linux.intelRdt`");
    }
    if !linux.net_devices.is_empty() {
        return unsupported("`linux.netDevices`");
    }
    if linux.memory_policy.is_some() {
        return unsupported("`linux.memoryPolicy`");
    }
    Ok(())
}

/// Descriptors to pass on: what a socket-activating caller gave, then `--preserve-fds`; and what tells the command.
pub(super) fn preserved(given: &Arguments) -> Outcome<(Vec<OwnedFd>, Vec<String>)> {
    let wanted: i32 = given.number::<u16>("preserve-fds")?.unwrap_or(0).into();
    let own = std::process::id().to_string();
    let variable = |name: &str| std::env::var(name).ok();
    let listening: i32 = variable("LISTEN_FDS")
        .filter(|_| variable("LISTEN_PID").as_deref() == Some(&own))
        .and_then(|text| text.parse::<u16>().ok())
        .map_or(0, i32::from);
    let descriptors: Vec<OwnedFd> = (3..3 + listening + wanted)
        .map(|number| {
            descriptor::copy_inherited(number).map_err(|error| {
                Failure::invalid(format!("descriptor {number} is to be passed on, but isn't open"))
                    .because(error)
            })
        })
        .collect::<Outcome<_>>()?;
    let environment = if listening > 0 {
        vec![format!("LISTEN_FDS={listening}"), "LISTEN_PID=1".to_owned()]
    } else {
        Vec::new()
    };
    Ok((descriptors, environment))
}

/// A container whose first process waits to be started.
struct Made {
    place: Place,
    record: Record,
    making: Making,
    /// The terminal, when nobody else got it.
    master: Option<OwnedFd>,
}

/// Makes the container; when a step fails nothing stays behind.
fn make(call: &Call, wish: Wish) -> Outcome<Made> {
    let proof =
        SingleThread::prove().map_err(|error| Failure::internal("cannot make processes").because(error))?;
    let place = call.store.create(&wish.record.id)?;
    // The record first: it says where to look for what a killed maker leaves.
    let group = match place.write(&wish.record).and_then(|()| make_group(call, &wish)) {
        Ok(group) => group,
        Err(failure) => {
            place.remove()?;
            return Err(failure);
        }
    };
    let Wish { mut record, mut plan, console, preserved } = wish;
    if group.is_none() {
        record.cgroup.clear();
        plan.cgroup.clear();
    }
    let begun = place.write(&record).and_then(|()| {
        let path = place.start_socket();
        let start = socket::listen(&path, 8).map_err(|error| {
            Failure::host(format!("cannot listen at `{}`", path.display())).because(error)
        })?;
        foreground::launch(&proof, &plan, group.as_ref(), start, preserved)
    });
    let done = begun.and_then(|making| match finish(&place, &mut record, &making, console) {
        Ok(master) => Ok((making, master)),
        Err(failure) => {
            making.abandon();
            Err(failure)
        }
    });
    match done {
        Ok((making, master)) => Ok(Made { place, record, making, master }),
        Err(failure) => {
            clean_up(call, place, &record, group.as_ref());
            Err(failure.context(format!("cannot create container `{}`", record.id)))
        }
    }
}

/// Hooks, mounts, terminal; gives the terminal when it wasn't sent away.
fn finish(
    place: &Place,
    record: &mut Record,
    making: &Making,
    console: Option<ConsoleSocket>,
) -> Outcome<Option<OwnedFd>> {
    record.pid = making.pid.as_raw_nonzero().get();
    record.start_time = started(record.pid)
        .ok_or_else(|| Failure::host("the container's first process ended before it was ready"))?;
    if let Some(Hooks { prestart, create_runtime, .. }) = &record.spec.hooks {
        // The older hook was once run later, and those that look at the status expect what it was then.
        hooks::run("prestart", prestart, &record.state(Status::Created))?;
        hooks::run("createRuntime", create_runtime, &record.state(Status::Creating))?;
    }
    making.go_on()?;
    let master = making.ready()?;
    let master = match (console, master) {
        (Some(console), Some(master)) => {
            console.send(&master)?;
            None
        }
        (_, master) => master,
    };
    place.write(record)?;
    Ok(master)
}

/// The control group with its limits. Without the right to make one a rootless caller does without.
fn make_group(call: &Call, wish: &Wish) -> Outcome<Option<Group>> {
    let path = GroupPath::parse(&wish.record.cgroup)?;
    let made = Layout::detect().and_then(|layout| layout.create(&path));
    let group = match made {
        Ok(group) => group,
        Err(failure) if call.rootless => {
            call.log.warn(&format!("no control group: {}", failure.one_line()));
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    let occupied = group.processes()?;
    if !occupied.is_empty() {
        call.log.warn(&format!("the control group `{path}` has {} processes already", occupied.len()));
    }
    let limited = match &wish.plan.resources {
        Some(resources) => group.apply(resources),
        None => Ok(Vec::new()),
    };
    match limited {
        Ok(warnings) => warnings.iter().for_each(|warning| call.log.warn(warning)),
        Err(failure) => {
            if occupied.is_empty() {
                // The failure to tell is the first one.
                let _left: Outcome<()> = group.remove(Duration::from_millis(100));
            }
            return Err(failure);
        }
    }
    Ok(Some(group))
}

/// After a failure: whatever was made goes, and a step that fails here changes nothing about the failure told.
fn clean_up(call: &Call, place: Place, record: &Record, group: Option<&Group>) {
    if let Some(group) = group {
        let gone = group.kill_all(Duration::from_secs(5)).and_then(|()| group.remove(Duration::from_secs(5)));
        if let Err(failure) = gone {
            call.log.warn(&failure.one_line());
        }
    }
    super::ending::run_poststop(record, &call.log);
    if let Err(failure) = place.remove() {
        call.log.warn(&failure.one_line());
    }
}

impl Made {
    fn write_pid_file(&self, given: &Arguments) -> Outcome<()> {
        write_pid_file(given, self.record.pid)
    }

    fn forget(self, call: &Call) {
        self.making.abandon();
        if let Err(failure) = destroy(self.place, &self.record, &call.log) {
            call.log.warn(&failure.one_line());
        }
    }
}

/// Written beside and renamed: who waits for the file finds it whole.
pub(super) fn write_pid_file(given: &Arguments, pid: i32) -> Outcome<()> {
    let Some(path) = given.value("pid-file").map(PathBuf::from) else { return Ok(()) };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let new = path.with_file_name(format!(".{name}"));
    fs::write(&new, pid.to_string()).and_then(|()| fs::rename(&new, &path)).map_err(|error| {
        Failure::host(format!("cannot write the pid file `{}`", path.display())).because(error)
    })
}
