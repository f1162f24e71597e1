//! The daemon's socket: handed over by systemd, or made here with the right owner and mode from its first moment.

use super::configuration::Settings;
use haven_spec::{Failure, Outcome};
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

pub(super) fn open(settings: &Settings) -> Outcome<UnixListener> {
    let listener = match handed_over()? {
        Some(listener) => listener,
        None => bind(&settings.socket, &settings.socket_group)?,
    };
    let ready = listener.set_nonblocking(true);
    ready.map_err(|e| Failure::host("cannot prepare the daemon's socket").because(e))?;
    Ok(listener)
}

/// systemd's socket activation, sd_listen_fds(3): exactly one descriptor, number 3, for this very process.
fn handed_over() -> Outcome<Option<UnixListener>> {
    let value = |name: &str| std::env::var(name).ok();
    if value("LISTEN_PID").and_then(|pid| pid.parse::<u32>().ok()) != Some(std::process::id()) {
        return Ok(None);
    }
    match value("LISTEN_FDS").as_deref() {
        Some("1") => haven_sys::inherited::take(3)
            .map(|descriptor| Some(UnixListener::from(descriptor)))
            .map_err(|e| Failure::host("cannot take over the socket that systemd made").because(e)),
        Some(other) => Err(Failure::invalid(format!("systemd hands over {other} sockets instead of one"))
            .hint("the socket unit must have exactly one ListenStream")),
        None => Ok(None),
    }
}

fn bind(path: &Path, group: &str) -> Outcome<UnixListener> {
    let failed =
        |e: std::io::Error| Failure::host(format!("cannot listen on `{}`", path.display())).because(e);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(Failure::conflict(format!("another daemon listens on `{}`", path.display()))
                .hint("stop it first, or give this one another --socket, --data-root and --run-root"));
        }
        fs::remove_file(path).map_err(failed)?;
    }
    // Bound under another name and moved once it has its mode: at no moment may others connect.
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    let hidden = Path::new(&hidden);
    drop(fs::remove_file(hidden));
    let listener = UnixListener::bind(hidden).map_err(failed)?;
    fs::set_permissions(hidden, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    if let Some(gid) = group_id(group) {
        std::os::unix::fs::chown(hidden, Some(0), Some(gid)).map_err(failed)?;
        fs::set_permissions(hidden, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    } else {
        tracing::info!(group, "the socket's group does not exist; only root can connect");
    }
    fs::rename(hidden, path).map_err(failed)?;
    Ok(listener)
}

/// From group(5), read by hand: a static program has no name service.
fn group_id(name: &str) -> Option<u32> {
    let text = fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)).flatten()?.parse().ok()
    })
}
