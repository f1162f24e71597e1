//! Hooks: programs the document names, run at points of a container's life with its state on their standard input.

use crate::oci::{Hook, State};
use haven_spec::{Failure, Outcome};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a failing hook said is cut to this.
const LONGEST_WORDS: u64 = 4096;

/// Runs hooks one after the other; the first that fails ends it. `kind` is the specification's word, for messages.
pub(crate) fn run(kind: &str, hooks: &[Hook], state: &State) -> Outcome<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = serde_json::to_vec(state)
        .map_err(|error| Failure::internal("cannot write a container's state").because(error))?;
    hooks.iter().enumerate().try_for_each(|(index, hook)| {
        run_one(hook, &state).map_err(|failure| {
            failure.context(format!("error running {kind} hook #{index} (`{}`)", hook.path))
        })
    })
}

/// Runs all hooks, whatever becomes of each; gives the failures.
pub(crate) fn run_all(kind: &str, hooks: &[Hook], state: &State) -> Vec<Failure> {
    hooks.iter().filter_map(|hook| run(kind, std::slice::from_ref(hook), state).err()).collect()
}

fn run_one(hook: &Hook, state: &[u8]) -> Outcome<()> {
    if !hook.path.starts_with('/') {
        return Err(Failure::invalid("a hook's path must be absolute"));
    }
    if hook.timeout.is_some_and(|seconds| seconds <= 0) {
        return Err(Failure::invalid("a hook's timeout must be more than 0 seconds"));
    }
    // Files in memory: whatever a hook reads or doesn't, writes or not, nobody waits for a full pipe.
    let memory = || -> std::io::Result<File> {
        Ok(rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC).map(File::from)?)
    };
    let start = || -> std::io::Result<(Child, File)> {
        let mut input = memory()?;
        input.write_all(state)?;
        input.seek(SeekFrom::Start(0))?;
        let words = memory()?;
        let mut command = Command::new(&hook.path);
        if let Some((name, arguments)) = hook.args.split_first() {
            command.arg0(name).args(arguments);
        }
        command.env_clear().envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
        command.stdin(input).stdout(words.try_clone()?).stderr(Stdio::from(words.try_clone()?));
        Ok((command.spawn()?, words))
    };
    let (mut child, mut words) = start().map_err(|error| Failure::host("it cannot be run").because(error))?;
    let status = wait(&mut child, hook.timeout)
        .map_err(|error| Failure::host("its end cannot be waited for").because(error))?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Failure::host(format!("it failed: {status}")).because(said(&mut words))),
        None => Err(Failure::host(format!(
            "it did not end within {} seconds and was killed",
            hook.timeout.unwrap_or_default()
        ))),
    }
}

/// Waits for the end; `None`: it took too long and was killed.
fn wait(child: &mut Child, timeout_s: Option<i64>) -> std::io::Result<Option<ExitStatus>> {
    let Some(seconds) = timeout_s.and_then(|seconds| u64::try_from(seconds).ok()) else {
        return child.wait().map(Some);
    };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn said(words: &mut File) -> String {
    let mut text = Vec::new();
    let read = words.seek(SeekFrom::Start(0)).and_then(|_| words.take(LONGEST_WORDS).read_to_end(&mut text));
    match read {
        Ok(0) | Err(_) => "it said nothing".to_owned(),
        Ok(_) => String::from_utf8_lossy(&text).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Status;

    fn shell(script: &str, timeout: Option<i64>) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: vec!["hook".into(), "-c".into(), script.into()],
            env: vec!["WORD=yes".into()],
            timeout,
        }
    }

    fn state() -> State {
        State {
            version: "1.2.0".into(),
            id: "box".into(),
            status: Status::Creating,
            pid: 7,
            bundle: "/b".into(),
            annotations: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_hook_gets_the_state_and_its_own_environment_only() {
        let check = r#"grep -q '"status":"creating","pid":7' && test "$WORD" = yes && test -z "$HOME""#;
        run("prestart", &[shell(check, Some(20))], &state()).unwrap();
        // One that reads nothing is fine too.
        run("prestart", &[shell("exit 0", None)], &state()).unwrap();
    }

    #[test]
    fn a_failing_hook_is_named_with_what_it_said() {
        let failure =
            run("createRuntime", &[shell("true", None), shell("echo bad luck; exit 3", None)], &state());
        let line = failure.unwrap_err().one_line();
        assert!(
            line.contains("createRuntime hook #1") && line.contains("exit status: 3: bad luck"),
            "{line}"
        );
        let missing = Hook { path: "/nowhere/hook".into(), ..Hook::default() };
        assert!(run("poststop", &[missing], &state()).unwrap_err().one_line().contains("No such file"));
        assert!(run("poststop", &[Hook::default()], &state()).is_err());
        assert_eq!(run_all("poststop", &[shell("exit 1", None), shell("true", None)], &state()).len(), 1);
    }

    #[test]
    fn a_hook_that_takes_too_long_is_killed() {
        let begun = Instant::now();
        let failure = run("prestart", &[shell("sleep 30", Some(1))], &state()).unwrap_err();
        assert!(failure.one_line().contains("did not end within 1 seconds"), "{failure}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
