//! Memory files: sealed copies that nobody can change any more. See memfd_create(2).

use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

/// A sealed memory file with `content`.
pub fn sealed(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = open(name, false)?;
    file.write_all(content)?;
    seal(file)
}

/// A sealed, executable copy of all that `source` has. A container that finds a way to the program that made it
/// (`/proc/PID/exe`) can read this copy and change nothing (CVE-2019-5736).
pub fn sealed_program(name: &str, source: &mut File) -> io::Result<OwnedFd> {
    let mut file = open(name, true)?;
    io::copy(source, &mut file)?;
    seal(file)
}

/// Reads a memory file from its start, at most `limit` bytes.
pub fn read(file: OwnedFd, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::from(file);
    let size = file.metadata()?.len();
    if size > limit {
        return Err(io::Error::other(format!("{size} bytes are more than the {limit} allowed")));
    }
    file.rewind()?;
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

fn open(name: &str, executable: bool) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels since 6.3 want to be told; older ones refuse the flags.
    let explicit = if executable { MemfdFlags::EXEC } else { MemfdFlags::NOEXEC_SEAL };
    match rustix::fs::memfd_create(name, flags | explicit) {
        Ok(fd) => Ok(File::from(fd)),
        Err(rustix::io::Errno::INVAL) => Ok(File::from(rustix::fs::memfd_create(name, flags)?)),
        Err(error) => Err(error.into()),
    }
}

fn seal(file: File) -> io::Result<OwnedFd> {
    let fd = OwnedFd::from(file);
    rustix::fs::fcntl_add_seals(
        &fd,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_reads_back_and_refuses_writing() {
        let fd = sealed("test", b"content").unwrap();
        let mut again = File::from(fd.try_clone().unwrap());
        assert!(again.write_all(b"x").is_err());
        assert_eq!(read(fd.try_clone().unwrap(), 100).unwrap(), b"content");
        assert!(read(fd, 3).is_err());
    }
}
