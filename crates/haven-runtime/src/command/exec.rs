//! `exec`: another process in a container that runs.

use super::arguments::Arguments;
use super::clamp::{Permitted, clamp_process};
use super::console::ConsoleSocket;
use super::listing::living;
use super::making::{preserved, write_pid_file};
use super::relay::Relay;
use super::{Call, record::Record, sealed};
use crate::assembler::foreground;
use crate::capability::{CapabilitySet, CapabilitySets};
use crate::launch::{ExecRequest, StdinMode};
use crate::oci::{NamespaceType, Process, Status, parse_document};
use crate::plan::{ExecPlan, Independent};
use haven_spec::{Failure, Outcome};
use haven_sys::process::SingleThread;
use std::path::PathBuf;

pub(super) fn exec(call: &Call, given: &Arguments) -> Outcome<u8> {
    sealed::ensure()?;
    let id = given.first();
    let record = call.store.read(id)?;
    match record.status(&call.store.start_socket(id)) {
        Status::Paused if given.has("ignore-paused") => {}
        Status::Paused => {
            return Err(Failure::conflict(
                "cannot exec in a paused container (use --ignore-paused to override)",
            ));
        }
        Status::Stopped => return Err(Failure::conflict("cannot exec in a stopped container")),
        status => living(status, "exec in")?,
    }
    let target = record.process().ok_or_else(|| Failure::conflict("container not running"))?;
    let mut process = process(&record, given)?;
    let own_users = record
        .spec
        .linux
        .as_ref()
        .is_some_and(|linux| linux.namespaces.iter().any(|one| one.kind == NamespaceType::User));
    // Said aloud when the container was created; who runs a command in it wants that command's words only.
    for warning in clamp_process(&mut process, own_users, Permitted::here()) {
        call.log.debug(&warning);
    }
    let detach = given.has("detach");
    let console = given.value("console-socket").map(ConsoleSocket::connect).transpose()?;
    match (&console, process.terminal) {
        (None, true) if detach => {
            return Err(Failure::invalid("a detached process with a terminal needs `--console-socket`"));
        }
        (Some(_), false) => {
            return Err(Failure::invalid("there is a console socket, but the process has no terminal"));
        }
        _ => {}
    }
    let (preserved, environment) = preserved(given)?;
    process.env.extend(environment);
    let request = ExecRequest {
        exec_id: id.to_owned(),
        run_dir: PathBuf::new(),
        process,
        seccomp: record.spec.linux.as_ref().and_then(|linux| linux.seccomp.clone()),
        cgroup: group(&record, given)?,
        stdin: StdinMode::Null,
        user: None,
        group_add: Vec::new(),
    };
    let mut plan = ExecPlan::of(&request)?;
    plan.independent = Some(Independent {
        preserved: u16::try_from(preserved.len()).unwrap_or(u16::MAX),
        ..Independent::default()
    });
    let proof =
        SingleThread::prove().map_err(|error| Failure::internal("cannot make processes").because(error))?;
    let relay = if detach { None } else { Some(Relay::begin()?) };
    let making = foreground::execute(&proof, &plan, &target, preserved)?;
    let begun = making.ready().and_then(|master| {
        let master = match (&console, master) {
            (Some(console), Some(master)) => {
                console.send(&master)?;
                None
            }
            (_, master) => master,
        };
        making.start()?;
        write_pid_file(given, making.pid.as_raw_nonzero().get())?;
        Ok(master)
    });
    match (begun, relay) {
        (Ok(_), None) => Ok(0),
        (Ok(master), Some(relay)) => relay.wait(making.pid, &making.pidfd, master.as_ref()),
        (Err(failure), _) => {
            making.abandon();
            Err(failure.context("exec failed"))
        }
    }
}

/// The process asked for: a document, or the container's own with other arguments.
fn process(record: &Record, given: &Arguments) -> Outcome<Process> {
    if let Some(path) = given.value("process") {
        let text = std::fs::read(path)
            .map_err(|error| Failure::invalid(format!("cannot read `{path}`")).because(error))?;
        return parse_document(&text)
            .map_err(|error| Failure::invalid(format!("cannot understand `{path}`")).because(error));
    }
    let command = given.operands.get(1..).unwrap_or_default();
    if command.is_empty() {
        return Err(
            Failure::invalid("no command is given").hint("name one after the container, or use `--process`")
        );
    }
    let mut process = record.spec.process.clone().unwrap_or_default();
    process.args = command.to_vec();
    process.terminal = given.has("tty");
    process.console_size = None;
    process.env.extend(given.values("env").map(str::to_owned));
    if let Some(directory) = given.value("cwd") {
        process.cwd = directory.to_owned();
    }
    if let Some(user) = given.value("user") {
        let refuse = || Failure::invalid(format!("`{user}` is not a user (UID or UID:GID)"));
        let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
        process.user.uid = uid.parse().map_err(|_| refuse())?;
        if let Some(gid) = gid {
            process.user.gid = gid.parse().map_err(|_| refuse())?;
        }
    }
    for group in given.values("additional-gids") {
        let gid =
            group.parse().map_err(|_| Failure::invalid(format!("`{group}` is not a group's number")))?;
        process.user.additional_gids.push(gid);
    }
    if given.has("no-new-privs") {
        process.no_new_privileges = true;
    }
    for (name, value) in
        [("process-label", &mut process.selinux_label), ("apparmor", &mut process.apparmor_profile)]
    {
        if let Some(wanted) = given.value(name) {
            *value = wanted.to_owned();
        }
    }
    let added = given
        .values("cap")
        .map(CapabilitySet::parse)
        .try_fold(CapabilitySet::EMPTY, |set, one| one.map(|one| set.with(one)))?;
    if !added.is_empty() {
        let (mut sets, _) = process.capabilities.as_ref().map(CapabilitySets::from_oci).unwrap_or_default();
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            *set = set.with(added);
        }
        process.capabilities = Some(sets.to_oci());
    }
    Ok(process)
}

/// The container's group, or one below it.
fn group(record: &Record, given: &Arguments) -> Outcome<String> {
    let Some(below) = given.value("cgroup") else { return Ok(record.cgroup.clone()) };
    if below.contains(':') {
        return Err(Failure::unsupported("a control group for one controller alone is not supported")
            .hint("give the path of a group below the container's"));
    }
    if record.cgroup.is_empty() || below.split('/').any(|name| name == "..") {
        return Err(Failure::invalid(format!("`{below}` is not a control group below the container's")));
    }
    Ok(format!("{}/{}", record.cgroup, below.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::super::{COMMANDS, arguments};
    use super::*;
    use crate::oci::Spec;

    fn record() -> Record {
        let text = br#"{"ociVersion":"1.0.2","process":{"terminal":true,"user":{"uid":5,"gid":6},"cwd":"/srv",
            "args":["init"],"env":["A=1"],"capabilities":{"bounding":["CAP_KILL"],"effective":["CAP_KILL"]}}}"#;
        Record {
            id: "x".into(),
            bundle: "/".into(),
            rootfs: "/".into(),
            pid: 1,
            start_time: 1,
            created: String::new(),
            cgroup: "/haven/x".into(),
            spec: Spec::parse(text).unwrap(),
        }
    }

    fn given(line: &str) -> Arguments {
        let shape = COMMANDS.iter().find(|shape| shape.name == "exec").unwrap();
        arguments::parse(shape, line.split(' ').map(Into::into).collect()).unwrap()
    }

    #[test]
    fn the_process_is_the_containers_with_what_flags_change() {
        let flags = given("-t -e B=2 --user 7:8 -g 9 --cwd /tmp --cap NET_ADMIN x ls -l");
        let process = process(&record(), &flags).unwrap();
        assert_eq!(process.args, ["ls", "-l"]);
        assert_eq!(process.env, ["A=1", "B=2"]);
        assert!(process.terminal);
        assert_eq!((process.user.uid, process.user.gid, process.user.additional_gids), (7, 8, vec![9]));
        assert_eq!(process.cwd, "/tmp");
        assert_eq!(process.capabilities.unwrap().bounding, ["CAP_KILL", "CAP_NET_ADMIN"]);
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        assert!(process(&record(), &given("x")).is_err());
        assert!(process(&record(), &given("--user joe x ls")).is_err());
        assert!(process(&record(), &given("--cap FLY x ls")).is_err());
        assert!(group(&record(), &given("--cgroup ../y x ls")).is_err());
        assert!(group(&record(), &given("--cgroup cpu:/y x ls")).is_err());
        assert_eq!(group(&record(), &given("--cgroup y x ls")).unwrap(), "/haven/x/y");
        assert_eq!(group(&record(), &given("x ls")).unwrap(), "/haven/x");
    }
}
