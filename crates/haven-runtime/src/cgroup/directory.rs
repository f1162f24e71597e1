//! One group's directory in one hierarchy, held by descriptor, and its files.
//!
//! Every access is relative to the descriptor and by a single plain name, so a path that changes meanwhile can't lead
//! elsewhere. Failures name the file and, for writes, the value.

use haven_spec::{Failure, Outcome};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// No file of a control group comes near this; a longer answer is cut off as an error rather than believed.
const LONGEST_FILE: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const OPEN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Directory {
    /// The root of a hierarchy, by its mount point.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(errno) => Err(Failure::host(format!("cannot open the control group `{}`", path.display()))
                .because(std::io::Error::from(errno))),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The child of this name; `None` when there is none.
    pub(crate) fn child(&self, name: &str) -> Outcome<Option<Self>> {
        match rustix::fs::openat(&self.fd, name, OPEN_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.failure(&format!("cannot open the control group `{name}` of"), errno)),
        }
    }

    /// The descendant at these names; `None` when there is none.
    pub(crate) fn descendant(&self, names: &[String]) -> Outcome<Option<Self>> {
        let mut at = self.duplicate()?;
        for name in names {
            match at.child(name)? {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The child of this name, made when it is missing; whether it was made.
    pub(crate) fn make_child(&self, name: &str) -> Outcome<(Self, bool)> {
        let made = match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => {
                let failure = self.failure(&format!("cannot make the control group `{name}` in"), errno);
                return Err(match errno {
                    Errno::ROFS => {
                        failure.hint("mount the control groups writable, or run outside of a container")
                    }
                    Errno::AGAIN => failure.hint("raise `cgroup.max.descendants` of an ancestor"),
                    _ => failure,
                });
            }
        };
        match self.child(name)? {
            Some(child) => Ok((child, made)),
            None => Err(Failure::host(format!(
                "the control group `{}` disappeared while it was made",
                self.path.join(name).display()
            ))),
        }
    }

    pub(crate) fn duplicate(&self) -> Outcome<Self> {
        match self.fd.try_clone() {
            Ok(fd) => Ok(Self { fd, path: self.path.clone() }),
            Err(error) => {
                Err(Failure::host(format!("cannot hold the control group `{}`", self.path.display()))
                    .because(error))
            }
        }
    }

    /// The names of the groups directly below.
    pub(crate) fn children(&self) -> Outcome<Vec<String>> {
        let read = || -> Result<Vec<String>, Errno> {
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.fd)? {
                let entry = entry?;
                if entry.file_type() == FileType::Directory
                    && let Ok(name) = entry.file_name().to_str()
                    && name != "."
                    && name != ".."
                {
                    names.push(name.to_owned());
                }
            }
            Ok(names)
        };
        match read() {
            Ok(names) => Ok(names),
            // The group was removed while it was read: it has no children.
            Err(Errno::NOENT | Errno::NODEV) => Ok(Vec::new()),
            Err(errno) => Err(self.failure("cannot list the control group", errno)),
        }
    }

    pub(crate) fn remove_child(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        rustix::fs::accessat(&self.fd, file, rustix::fs::Access::EXISTS, AtFlags::empty()).is_ok()
    }

    /// A file's descriptor, for polling or for handing on.
    pub(crate) fn open_file(&self, file: &str, flags: OFlags) -> Outcome<OwnedFd> {
        rustix::fs::openat(&self.fd, file, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| self.failure(&format!("cannot open `{file}` of"), errno))
    }

    /// A file's content; `None` when this kernel or group hasn't the file.
    pub(crate) fn read_optional(&self, file: &str) -> Outcome<Option<String>> {
        match self.read_raw(file) {
            Ok(text) => Ok(Some(text)),
            // NODEV: the group was removed under the open directory. OPNOTSUPP: a controller's file in a threaded group.
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(None),
            Err(errno) => Err(self.failure(&format!("cannot read `{file}` of"), errno)),
        }
    }

    pub(crate) fn read(&self, file: &str) -> Outcome<String> {
        self.read_raw(file).map_err(|errno| self.failure(&format!("cannot read `{file}` of"), errno))
    }

    fn read_raw(&self, file: &str) -> Result<String, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, file, flags, Mode::empty())?;
        let mut text = Vec::new();
        let mut chunk = [0u8; 8192];
        loop {
            match rustix::io::read(&fd, &mut chunk) {
                Ok(0) => break,
                Ok(count) => text.extend_from_slice(&chunk[..count]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            if text.len() > LONGEST_FILE {
                return Err(Errno::FBIG);
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Writes a value in one write(2), as these files want it.
    pub(crate) fn write(&self, file: &str, value: &str) -> Outcome<()> {
        self.write_raw(file, value).map_err(|errno| self.write_failure(file, value, errno))
    }

    /// Like [`Self::write`], with the kernel's answer for callers that have another way.
    pub(crate) fn write_raw(&self, file: &str, value: &str) -> Result<(), Errno> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, file, flags, Mode::empty())?;
        loop {
            match rustix::io::write(&fd, value.as_bytes()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    pub(crate) fn write_failure(&self, file: &str, value: &str, errno: Errno) -> Failure {
        let place = self.path.join(file);
        let failure = Failure::host(format!("cannot write `{}` to `{}`", value.trim_end(), place.display()))
            .because(std::io::Error::from(errno));
        match errno {
            Errno::NOENT => failure.hint("this kernel, or this group, doesn't offer that limit"),
            Errno::INVAL => failure.hint("the value is out of the range the kernel accepts there"),
            Errno::RANGE => failure.hint("the value is too large for the kernel"),
            _ => failure,
        }
    }

    fn failure(&self, what: &str, errno: Errno) -> Failure {
        Failure::host(format!("{what} `{}`", self.path.display())).because(std::io::Error::from(errno))
    }
}
