//! The command: found in the container, and executed. Whether it is missing or unusable is decided here, in the words
//! docker's users know; see [`crate::CommandError`] for the exit codes.

use super::user::Identity;
use crate::plan::ProcessPlan;
use crate::setback::{Blame, Setback, Step};
use haven_sys::process;
use haven_sys::root::Root;
use rustix::fs::{FileType, Mode};
use rustix::io::Errno;
use std::ffi::CString;

/// Where commands are looked for when the environment doesn't say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) struct Command {
    shown: String,
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// Enters the working directory, which is made when it is missing.
pub(super) fn enter_directory(path: &str) -> Step<()> {
    let failed = |error: std::io::Error| {
        Setback::request(format!("cannot enter the working directory `{path}`")).errno(error)
    };
    match rustix::process::chdir(path) {
        Err(Errno::NOENT) => {
            let root = Root::open("/").map_err(|error| failed(error.into()))?;
            let directory = root.mkdir_all(path, 0o755).map_err(|error| failed(error.into()))?;
            rustix::process::fchdir(&directory).map_err(|error| failed(error.into()))?;
        }
        other => other.map_err(|error| failed(error.into()))?,
    }
    // A directory that isn't below the root is named `(unreachable)…` (CVE-2024-21626).
    let here = rustix::process::getcwd(Vec::new()).map_err(|error| failed(error.into()))?;
    if here.as_bytes().starts_with(b"/") {
        Ok(())
    } else {
        Err(Setback::request(format!("the working directory `{path}` leads out of the container")))
    }
}

/// Finds the command as the shell would, from the working directory and the environment's `PATH`.
pub(super) fn find(plan: &ProcessPlan, user: &Identity) -> Step<Command> {
    let shown = plan.args.first().cloned().unwrap_or_default();
    let path = if shown.contains('/') {
        match look_at(&shown) {
            Ok(()) => shown.clone(),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                return Err(missing(&shown, &format!("stat {shown}: no such file or directory")));
            }
            Err(Errno::ISDIR) => return Err(unusable(&shown, "is a directory")),
            Err(_) => return Err(unusable(&shown, "permission denied")),
        }
    } else {
        let path = plan.env.iter().rev().find_map(|text| text.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        path.split(':')
            .map(|directory| if directory.is_empty() { ".".to_owned() } else { directory.to_owned() })
            .map(|directory| format!("{}/{shown}", directory.trim_end_matches('/')))
            .find(|candidate| look_at(candidate).is_ok())
            .ok_or_else(|| missing(&shown, "executable file not found in $PATH"))?
    };
    let mut environment = plan.env.clone();
    if !environment.iter().any(|text| text.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home));
    }
    let text = |text: &String| {
        CString::new(text.as_str())
            .map_err(|_| Setback::request(format!("`{}` contains a zero byte", text.escape_debug())))
    };
    Ok(Command {
        path: text(&path)?,
        arguments: plan.args.iter().map(text).collect::<Step<_>>()?,
        environment: environment.iter().map(text).collect::<Step<_>>()?,
        shown,
    })
}

/// Whether this could be executed by somebody.
fn look_at(path: &str) -> Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        _ if stat.st_mode & Mode::from_raw_mode(0o111).as_raw_mode() == 0 => Err(Errno::ACCESS),
        _ => Ok(()),
    }
}

impl Command {
    /// Becomes the command; returns only why it couldn't. Nothing else is asked of the kernel: a filter may forbid it.
    pub(super) fn execute(&self) -> Setback {
        let error = process::execve(&self.path, &self.arguments, &self.environment);
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            // The file is there: it is its interpreter that isn't.
            Some(Errno::NOENT) => missing(&self.shown, "no such file or directory"),
            Some(Errno::NOEXEC) => unusable(&self.shown, "exec format error"),
            Some(Errno::ACCESS | Errno::PERM) => unusable(&self.shown, "permission denied"),
            _ => unusable(&self.shown, &error.to_string()),
        }
    }
}

fn missing(command: &str, why: &str) -> Setback {
    Setback::new(Blame::CommandMissing, format!("exec: \"{command}\": {why}"))
}

fn unusable(command: &str, why: &str) -> Setback {
    Setback::new(Blame::CommandUnusable, format!("exec: \"{command}\": {why}"))
}
