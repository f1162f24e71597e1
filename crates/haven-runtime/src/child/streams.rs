//! The process's standard streams: pipes, or a terminal of the container's own.
//!
//! They are made inside the user namespace, so that they belong to the container's user, who can then open
//! `/dev/stdout` again.

use super::user::Identity;
use crate::launch::StdinMode;
use crate::link;
use crate::plan::ProcessPlan;
use crate::setback::{Setback, Step};
use haven_sys::descriptor::{StandardStream, set_standard};
use haven_sys::root::{FileKind, Root, stat};
use haven_sys::socket;
use rustix::fs::OFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use rustix::thread::{Gid, Uid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The process's side.
pub(super) struct Inner {
    pub(super) terminal: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

/// The keeper's side, to be sent to it.
pub(super) struct Outer {
    mask: u8,
    descriptors: Vec<OwnedFd>,
}

/// `DEVPTS_SUPER_MAGIC`.
const DEVPTS: u64 = 0x1cd1;

/// The terminals of a container that runs. What its image calls `/dev/pts` must be a file system of terminals.
pub(super) fn open_terminals(root: &Root) -> Step<Root> {
    let failed = |error: std::io::Error| Setback::host("cannot open the container's `/dev/pts`", error);
    let directory = root.open_dir("/dev/pts").map_err(|error| failed(error.into()))?;
    let kind = rustix::fs::fstatfs(&directory).map_err(|error| failed(error.into()))?.f_type;
    if u64::try_from(kind) != Ok(DEVPTS) {
        return Err(Setback::request("the container has no terminals of its own at `/dev/pts`"));
    }
    Ok(directory.into_root())
}

pub(super) fn make(
    process: &ProcessPlan,
    stdin: StdinMode,
    user: &Identity,
    terminals: Option<&Root>,
    inherited: bool,
) -> Step<(Inner, Outer)> {
    if process.terminal {
        let terminals = terminals.ok_or_else(|| {
            Setback::request("a terminal needs a `devpts` mount in the container")
                .hint("mount devpts on /dev/pts")
        })?;
        return terminal(process, user, terminals);
    }
    let mut outer = Outer { mask: 0, descriptors: Vec::new() };
    if inherited {
        own_inherited(user)?;
        return Ok((Inner { terminal: None, stdin: None, stdout: None, stderr: None }, outer));
    }
    let stdin = match stdin {
        StdinMode::Null => null()?,
        StdinMode::Open | StdinMode::Once => {
            let (read, write) = pipe(user)?;
            outer.add(link::HAS_STDIN, write);
            read
        }
    };
    let (read, stdout) = pipe(user)?;
    outer.add(link::HAS_STDOUT, read);
    let (read, stderr) = pipe(user)?;
    outer.add(link::HAS_STDERR, read);
    Ok((Inner { terminal: None, stdin: Some(stdin), stdout: Some(stdout), stderr: Some(stderr) }, outer))
}

/// The streams of whoever made the process become the container's user's, who can then open `/dev/stdout` again. The
/// null device is everybody's.
fn own_inherited(user: &Identity) -> Step<()> {
    let null = rustix::fs::makedev(1, 3);
    let streams: [BorrowedFd<'_>; 3] =
        [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for stream in streams {
        // A closed stream stays closed.
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        let is_device = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_char_device();
        if stat.st_uid == user.uid || is_device && stat.st_rdev == null {
            continue;
        }
        match rustix::fs::fchown(stream, Some(Uid::from_raw(user.uid)), None) {
            // A file of a file system that can't be written, or of another user namespace: it stays as it is.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => {}
            Err(error) => return Err(Setback::host("cannot give the standard streams to the user", error)),
        }
    }
    Ok(())
}

fn terminal(process: &ProcessPlan, user: &Identity, terminals: &Root) -> Step<(Inner, Outer)> {
    let failed = |error: std::io::Error| Setback::host("cannot make a terminal", error);
    let master = terminals
        .open_with("ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC)
        .map_err(|error| failed(error.into()))?;
    rustix::pty::unlockpt(&master).map_err(|error| failed(error.into()))?;
    // The other side of this very terminal, whatever its path leads to (CVE-2025-52565).
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let peer = rustix::pty::ioctl_tiocgptpeer(&master, flags).map_err(|error| failed(error.into()))?;
    let (rows, columns) = process.console_size;
    if rows != 0 || columns != 0 {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&master, size).map_err(|error| failed(error.into()))?;
    }
    rustix::fs::fchown(&peer, Some(Uid::from_raw(user.uid)), None).map_err(|error| failed(error.into()))?;
    let copy = peer.try_clone().map_err(failed)?;
    let mut outer = Outer { mask: 0, descriptors: Vec::new() };
    outer.add(link::HAS_TERMINAL, master);
    outer.descriptors.push(copy);
    Ok((Inner { terminal: Some(peer), stdin: None, stdout: None, stderr: None }, outer))
}

fn pipe(user: &Identity) -> Step<(OwnedFd, OwnedFd)> {
    let make = || {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // Both ends are one file.
        rustix::fs::fchown(&read, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
        Ok((read, write))
    };
    make().map_err(|error: rustix::io::Errno| Setback::host("cannot make a pipe", error))
}

/// Nothing to read: the container's null device if it is one, else a pipe nobody writes to.
fn null() -> Step<OwnedFd> {
    let opened = rustix::fs::open(
        "/dev/null",
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    if let Ok(device) = opened
        && stat(&device).is_ok_and(|stat| stat.kind == FileKind::CharDevice && stat.node == (1, 3))
    {
        return Ok(device);
    }
    let (read, _write) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| Setback::host("cannot make a pipe", error))?;
    Ok(read)
}

impl Outer {
    fn add(&mut self, bit: u8, descriptor: OwnedFd) {
        self.mask |= bit;
        self.descriptors.push(descriptor);
    }

    /// Tells the keeper that the process is ready, and gives it its side.
    pub(super) fn send(self, link: &OwnedFd) -> Step<()> {
        let descriptors: Vec<BorrowedFd<'_>> = self.descriptors.iter().map(AsFd::as_fd).collect();
        socket::send(link, &[link::READY, self.mask], &descriptors)
            .map_err(|error| Setback::host("cannot reach the keeper", error))
    }
}

impl Inner {
    /// A session of its own, on the terminal when there is one, and 0, 1 and 2.
    pub(super) fn take_over(&self) -> Step<()> {
        rustix::process::setsid().map_err(|error| Setback::host("cannot begin a session", error))?;
        if let Some(terminal) = &self.terminal {
            rustix::process::ioctl_tiocsctty(terminal)
                .map_err(|error| Setback::host("cannot take over the terminal", error))?;
        }
        for (number, own) in [
            (StandardStream::Input, &self.stdin),
            (StandardStream::Output, &self.stdout),
            (StandardStream::Error, &self.stderr),
        ] {
            if let Some(fd) = own.as_ref().or(self.terminal.as_ref()) {
                set_standard(number, fd.as_fd())
                    .map_err(|error| Setback::host("cannot set the standard streams", error))?;
            }
        }
        Ok(())
    }
}
