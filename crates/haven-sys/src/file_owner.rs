//! On whose behalf a thread makes files, setfsuid(2) and setfsgid(2).

use rustix::thread::CapabilitiesSecureBits;
use std::io;

/// From now on files that the calling thread makes belong to `uid` and `gid`; what it may do stays the same. Other
/// threads are not affected. It can't be undone: use a thread that ends with its work.
///
/// A file system whose layers are id-mapped (as a container's overlay is) refuses new files of owners that have no
/// number inside, and the host's root is such an owner.
pub fn become_owner(uid: u32, gid: u32) -> io::Result<()> {
    // Without this a change away from root would take the thread's file capabilities, see capabilities(7).
    let bits = rustix::thread::capabilities_secure_bits()? | CapabilitiesSecureBits::NO_SETUID_FIXUP;
    rustix::thread::set_capabilities_secure_bits(bits)?;
    // SAFETY: both calls take plain numbers, affect the calling thread's credentials only, and report nothing but
    // the previous id; asking with an impossible id (-1) reads the present one.
    let (now_uid, now_gid) = unsafe {
        libc::setfsgid(gid);
        libc::setfsuid(uid);
        (libc::setfsuid(u32::MAX), libc::setfsgid(u32::MAX))
    };
    if u32::try_from(now_uid) == Ok(uid) && u32::try_from(now_gid) == Ok(gid) {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(libc::EPERM))
    }
}
